"""What administrators do about a row: a sentence to confirm, a reason, and the same function that the portal calls.

A deed is offered on the page of a row and has an address of its own. Whoever does it has proved lately who they are;
that it was done, and why, stands in the trail of whom it touches.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ReasonForm(forms.Form):
    """Why it is done. Those whom it touches read it."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("The merchant reads it: for example who asked for it, and where that is written down."),
        min_length=10,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={
            "required": _("Say why. The merchant reads it."),
            "min_length": _("Say it in a few words more. The merchant reads it."),
            "max_length": _("Say it in at most 300 characters."),
        },
    )

    def __init__(self, *args: Any, row: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row


class NotDone(Exception):
    """It cannot be done now; the text says why, for the administrator."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One thing to do about one kind of row.

    `do` gets the request, the row and what the form holds, in the context of the row's merchant; it returns a sentence
    for the administrator, and where to go next if that is not the row's page. It raises NotDone. `form` is made with
    the row it is about.
    """

    slug: str
    label: str | Promise
    sentence: Callable[[Any], str]
    do: Callable[[HttpRequest, Any, dict[str, Any]], tuple[str, str]]
    offered: Callable[[Any], bool] = field(default=lambda row: True)
    form: Callable[..., forms.Form] = field(default=ReasonForm)
    initial: Callable[[Any], dict[str, Any]] = field(default=lambda row: {})
