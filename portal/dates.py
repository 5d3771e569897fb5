"""Which days are meant: one filter for every page that has one, in the address and in the zone in force.

`when` names a period that moves along with the calendar, such as `today` or `7`, or says `between`; then `since` and
`until` are its first and its last day. A link with a moving period means other days tomorrow; one with days stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats

ALL, BETWEEN = "", "between"
NAMES = ("when", "since", "until")
WHEN: dict[str, Promise] = {
    ALL: _("Any time"),
    "today": _("Today"),
    "yesterday": _("Yesterday"),
    "7": _("Last 7 days"),
    "30": _("Last 30 days"),
    "month": _("This month"),
    "last_month": _("Last month"),
    BETWEEN: _("From … until …"),
}


@dataclass(frozen=True, kw_only=True)
class Period:
    """Whole days in the zone in force, the first and the last included; None is open."""

    first: date | None = None
    last: date | None = None

    @property
    def since(self) -> datetime | None:
        """Its first moment."""
        return midnight(self.first) if self.first else None

    @property
    def until(self) -> datetime | None:
        """The first moment that is too late."""
        return midnight(self.last + timedelta(days=1)) if self.last and self.last < date.max else None

    def days(self) -> int | None:
        """How many days it has, or None where it is open at its beginning."""
        return ((self.last or today()) - self.first).days + 1 if self.first else None


def today() -> date:
    """The day it is, in the zone in force."""
    return timezone.localdate()


def midnight(day: date) -> datetime:
    """The moment the day begins, in the zone in force."""
    return timezone.make_aware(datetime.combine(day, time.min))


def bounds(first: date, last: date) -> tuple[datetime, datetime]:
    """The first moment of the first day, and the first moment after the last one."""
    found = Period(first=first, last=min(last, date.max - timedelta(days=1)))
    return midnight(first), midnight((found.last or last) + timedelta(days=1))


def named(when: str) -> Period:
    """The days a moving period means today."""
    now = today()
    first_of_month = now.replace(day=1)
    match when:
        case "today":
            return Period(first=now, last=now)
        case "yesterday":
            return Period(first=now - timedelta(days=1), last=now - timedelta(days=1))
        case "7" | "30":
            return Period(first=now - timedelta(days=int(when) - 1), last=now)
        case "month":
            return Period(first=first_of_month, last=now)
        case "last_month":
            last = first_of_month - timedelta(days=1)
            return Period(first=last.replace(day=1), last=last)
    return Period()


def in_words(period: Period) -> str:
    """1 May 2026 to 7 May 2026: the days themselves, for what does not move along with the calendar. Nothing where any
    day is meant."""
    first, last = period.first, period.last
    words = {"first": formats.day(first) if first else "", "last": formats.day(last) if last else ""}
    if first and first == last:
        return words["first"]
    if first and last:
        return gettext("%(first)s to %(last)s") % words
    if first:
        return gettext("since %(first)s") % words
    return gettext("until %(last)s") % words if last else ""


def nothing_in(period: Period, zone: str) -> str:
    """Nothing between 1 May 2026 and 7 May 2026 in Europe/Berlin."""
    first, last = period.first, period.last
    words = {
        "first": formats.day(first) if first else "",
        "last": formats.day(last) if last else "",
        "zone": zone,
    }
    if first and first == last:
        return gettext("Nothing on %(first)s in %(zone)s.") % words
    if first and last:
        return gettext("Nothing between %(first)s and %(last)s in %(zone)s.") % words
    if first:
        return gettext("Nothing since %(first)s in %(zone)s.") % words
    return gettext("Nothing until %(last)s in %(zone)s.") % words


def wider(period: Period) -> tuple[dict[str, str], str] | None:
    """The next wider period, as what the address says, and the words that lead there; None where nothing is wider."""
    days = period.days()
    if period == Period():
        return None
    if days is not None and days < 30:
        return {"when": "30"}, gettext("Widen to 30 days")
    return {}, gettext("Widen to any time")


# ---- As a form ------------------------------------------------------------------------------------------------------
class DayField(forms.DateField):
    """A day as browsers send it."""

    def __init__(self, *, label: Any, help_text: Any = "") -> None:
        super().__init__(
            label=label,
            help_text=help_text,
            required=False,
            input_formats=["%Y-%m-%d"],
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            error_messages={"invalid": _("Type a day such as 2026-11-20.")},
        )


def fields() -> dict[str, forms.Field]:
    """The filter's fields, for the form of a page. Its `clean` calls `read`."""
    return {
        "when": forms.ChoiceField(
            label=_("When"),
            required=False,
            choices=list(WHEN.items()),
            error_messages={"invalid_choice": _("Choose one of the periods listed.")},
        ),
        "since": DayField(label=_("From")),
        "until": DayField(label=_("Until")),
    }


def spelled_out(given: QueryDict) -> QueryDict:
    """What an address says, with the word for days where it says days alone: so the form shows them."""
    if given.get("when") or not (given.get("since") or given.get("until")):
        return given
    said = given.copy()
    said["when"] = BETWEEN
    return said


def read(form: forms.Form, given: Mapping[str, Any]) -> Period:
    """The days that `given`, what a form has cleaned, asks for; says so on the form where the last is before the
    first. Days without a word beside them mean those days."""
    when, since, until = given.get("when") or ALL, given.get("since"), given.get("until")
    if when not in (ALL, BETWEEN):
        return named(when)
    if since and until and until < since:
        form.add_error("until", gettext("This is before the first day."))
    return Period(first=since, last=until)
