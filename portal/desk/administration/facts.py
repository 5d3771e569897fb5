"""What administrators are shown of a row: facts, each with its label. There is no other way to a column."""

from collections.abc import Callable
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
    `write` says it in words. Nothing is a dash."""

    def __init__(self, label: str | Promise, read: str | Read, write: Read | None = None) -> None:
        self.short_description = label
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
    """A moment, exact and in UTC, as logs have it."""
    return Fact(label, way, lambda at: f"{formats.exact(at)} UTC")


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
