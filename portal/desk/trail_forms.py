"""Which lines of the trail are wanted, as the address of the page says it."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.desk.trail_words import GROUPS
from portal.merchants.audit import Which
from portal.merchants.models import Person

MACHINE = "tillside"


class DayField(forms.DateField):
    """A day as browsers send it."""

    def __init__(self, *, label: Any) -> None:
        super().__init__(
            label=label,
            required=False,
            input_formats=["%Y-%m-%d"],
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            error_messages={"invalid": _("Type a day such as 2026-11-20.")},
        )


class TrailForm(forms.Form):
    """Person, kind, thing and days; all may be left open. Days are whole days in the merchant's zone."""

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
    since = DayField(label=_("From"))
    until = DayField(label=_("Until"))

    def __init__(self, *args: Any, people: list[Person], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(str(person.pk), person.name) for person in people]
        kinds = [(key, label) for key, (label, _verbs) in GROUPS.items()]
        self.fields["who"].choices = [("", gettext("Everybody")), *names, (MACHINE, gettext("Tillside"))]  # type: ignore[attr-defined]
        self.fields["kind"].choices = [("", gettext("Everything")), *kinds]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", gettext("This is before the first day."))
        return cleaned

    def which(self) -> Which:
        """What a valid form asks for."""
        given = self.cleaned_data
        who, kind, until = given["who"], given["kind"], given["until"]
        return Which(
            person=int(who) if who and who != MACHINE else None,
            machine=who == MACHINE,
            verbs=tuple(GROUPS[kind][1]) if kind else (),
            subjects=_spellings(given["about"]),
            since=_midnight(given["since"]) if given["since"] else None,
            until=_midnight(until + timedelta(days=1)) if until and until < until.max else None,
        )

    def narrowed(self) -> dict[str, str]:
        """What was asked for, without what was left open."""
        return {name: str(self.cleaned_data[name]) for name in self.fields if self.cleaned_data[name]}


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _spellings(about: str) -> tuple[str, ...]:
    """A reference is written with dashes in one place and without in the other."""
    try:
        key = UUID(about)
    except ValueError:
        return (about,) if about else ()
    return (str(key), key.hex)
