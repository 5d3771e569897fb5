"""What administrators are shown of a row: facts, each with its label. There is no other way to a column.

What stands in a column is for people: a moment, a state, a reason of ours is never the word the database has for it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import models
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats

Read = Callable[[Any], Any]


class Fact:
    """One thing shown of a row, under its label. `read` is the way to it (`connection.name`) or a function of the row;
    `write` says it in words. Nothing is a dash. `cell` is the stylesheet's name for its cell in a list."""

    def __init__(self, label: str | Promise, read: str | Read, write: Read | None = None, *, cell: str = "") -> None:
        self.short_description = label
        self.cell = cell
        self.way = read if isinstance(read, str) else ""
        self._read = read
        self._write = write
        self.__name__ = self.way.replace(".", "_") or getattr(read, "__name__", "fact")

    def __call__(self, row: Any) -> Any:
        value = self._read(row) if callable(self._read) else _follow(row, self._read)
        if callable(value):
            value = value()
        if value is None or value == "":
            return "–"
        return self._write(value) if self._write else value


def _follow(row: Any, way: str) -> Any:
    for step in way.split("."):
        row = None if row is None else getattr(row, step)
    return row


def when(label: str | Promise, way: str) -> Fact:
    """A moment, exact; the page names its zone once."""
    return Fact(label, way, _moment, cell="when")


def _moment(at: datetime) -> SafeString:
    return format_html('<time datetime="{}">{}</time>', at.isoformat(timespec="seconds"), formats.in_one_line(at))


def state(label: str | Promise, read: Callable[[Any], tuple[str, str]]) -> Fact:
    """How something stands: `read` says the outcome's shape and the word people see."""
    return Fact(label, read, _outcome, cell="state")


def _outcome(told: tuple[str, str]) -> SafeString | str:
    shape, word = told
    return format_html('<span class="outcome outcome-{} outcome-still">{}</span>', shape, word) if shape else word


# What somebody asks for and somebody else decides, by the value of its state.
_SHAPES: dict[str, str] = {
    **dict.fromkeys(["waiting", "pending"], "person"),
    **dict.fromkeys(["approved", "accepted"], "done"),
    **dict.fromkeys(["refused", "declined"], "refused"),
    **dict.fromkeys(["withdrawn", "revoked", "replaced", "ended"], "not_sent"),
}


def decided(row: Any) -> tuple[str, str]:
    """The shape and the word for what was asked for: waiting, granted, refused or over."""
    return _SHAPES[row.state], row.get_state_display()


def reference(text: str) -> SafeString:
    """One of our references or keys, for a list: its beginning, and all of it to whoever points at it."""
    return format_html('<code title="{}">{}…</code>', text, text[:8])


def language(code: str) -> str:
    """A language by its name in the reader's."""
    return str(formats.spoken().languages.get(code, code))


def country(code: str) -> str:
    """A country by its name in the reader's language."""
    return str(formats.spoken().territories.get(code, code))


def yes_or_no(value: bool) -> str:
    """In words."""
    return gettext("yes") if value else gettext("no")


def link(row: models.Model | None, text: str = "") -> SafeString | str:
    """A row's page in the administration."""
    return format_html('<a href="{}">{}</a>', page_url(row), text or str(row)) if row is not None else ""


def page_url(row: models.Model) -> str:
    """The address of a row's page."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


OF_MERCHANT = Fact(_("Merchant"), "merchant", link)
