"""Which lines of the trail are wanted, as the address of the page says it."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import dates
from portal.dates import Period
from portal.desk.trail_words import GROUPS
from portal.merchants.audit import Which
from portal.merchants.models import Person

MACHINE = "tillside"


class TrailForm(forms.Form):
    """Person, kind, thing and days; all may be left open."""

    who = forms.ChoiceField(
        label=_("Who"), required=False, error_messages={"invalid_choice": _("Nobody of that kind did anything here.")}
    )
    kind = forms.ChoiceField(
        label=_("What"), required=False, error_messages={"invalid_choice": _("Choose one of the kinds listed.")}
    )
    about = forms.CharField(
        label=_("About"),
        required=False,
        max_length=200,
        help_text=_("A name or a reference, exactly as it stands in the list."),
    )

    def __init__(self, given: QueryDict, *, people: list[Person]) -> None:
        super().__init__(dates.spelled_out(given))
        self.fields |= dates.fields()
        self.period = Period()
        names = [(str(person.pk), person.name) for person in people]
        kinds = [(key, label) for key, (label, _verbs) in GROUPS.items()]
        self.fields["who"].choices = [("", gettext("Everybody")), *names, (MACHINE, gettext("Tillside"))]  # type: ignore[attr-defined]
        self.fields["kind"].choices = [("", gettext("Everything")), *kinds]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.period = dates.read(self, cleaned)
        return cleaned

    def which(self) -> Which:
        """What a valid form asks for."""
        given = self.cleaned_data
        who, kind = given["who"], given["kind"]
        return Which(
            person=int(who) if who and who != MACHINE else None,
            machine=who == MACHINE,
            verbs=tuple(GROUPS[kind][1]) if kind else (),
            subjects=_spellings(given["about"]),
            since=self.period.since,
            until=self.period.until,
        )

    def narrowed(self) -> dict[str, str]:
        """What was asked for, without what was left open."""
        return {name: str(self.cleaned_data[name]) for name in self.fields if self.cleaned_data[name]}


def _spellings(about: str) -> tuple[str, ...]:
    """A reference is written with dashes in one place and without in the other."""
    try:
        key = UUID(about)
    except ValueError:
        return (about,) if about else ()
    return (str(key), key.hex)
