"""One filter for days, in the zone in force, whole days on the days the clocks change, too."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django import forms
from django.utils import timezone, translation

from portal import dates
from portal.dates import Period

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # the 21st in Berlin, Saturday


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    with timezone.override("Europe/Berlin"), translation.override("en"):
        yield


class Filter(forms.Form):
    def __init__(self, **given: str) -> None:
        super().__init__(given)
        self.fields |= dates.fields()

    def period(self) -> Period:
        assert self.is_valid() or self.errors
        return dates.read(self, self.cleaned_data)


@pytest.mark.parametrize(
    ("when", "first", "last"),
    [
        ("today", date(2026, 11, 21), date(2026, 11, 21)),
        ("yesterday", date(2026, 11, 20), date(2026, 11, 20)),
        ("7", date(2026, 11, 15), date(2026, 11, 21)),
        ("30", date(2026, 10, 23), date(2026, 11, 21)),
        ("month", date(2026, 11, 1), date(2026, 11, 21)),
        ("last_month", date(2026, 10, 1), date(2026, 10, 31)),
        ("", None, None),
    ],
)
def test_a_moving_period_is_counted_in_the_days_of_the_zone(berlin, when, first, last):
    assert Filter(when=when).period() == Period(first=first, last=last)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 11, 20), 24)]
)
def test_a_day_has_as_many_hours_as_the_clocks_give_it(berlin, day, hours):
    since, until = dates.bounds(day, day)

    assert until.astimezone(UTC) - since.astimezone(UTC) == timedelta(hours=hours)
    assert (since, until) == (Period(first=day, last=day).since, Period(first=day, last=day).until)


def test_days_without_a_word_mean_those_days(berlin):
    assert Filter(since="2026-05-01", until="2026-05-07").period() == Period(
        first=date(2026, 5, 1), last=date(2026, 5, 7)
    )
    assert Filter(when="between", until="2026-05-07").period().since is None


def test_days_left_over_beside_a_moving_period_do_not_matter(berlin):
    assert Filter(when="today", since="2026-05-01").period().first == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"since": "2026-05-07", "until": "2026-05-01"}, "until"),
        ({"since": "the first of May"}, "since"),
        ({"when": "whenever"}, "when"),
    ],
)
def test_what_is_no_period_is_said_beside_its_field(berlin, given, field):
    form = Filter(**given)
    form.period()

    assert list(form.errors) == [field]


@pytest.mark.parametrize(
    ("first", "last", "said", "wider"),
    [
        (date(2026, 5, 1), date(2026, 5, 7), "between 1 May 2026 and 7 May 2026", "Widen to 30 days"),
        (date(2026, 5, 1), date(2026, 5, 1), "on 1 May 2026", "Widen to 30 days"),
        (date(2026, 5, 1), None, "since 1 May 2026", "Widen to any time"),
        (None, date(2026, 5, 1), "until 1 May 2026", "Widen to any time"),
    ],
)
def test_an_empty_period_is_named_with_its_zone_and_the_way_to_a_wider_one(berlin, first, last, said, wider):
    period = Period(first=first, last=last)

    assert dates.nothing_in(period, "Europe/Berlin") == f"Nothing {said} in Europe/Berlin."
    assert (dates.wider(period) or ("", ""))[1] == wider


def test_nothing_is_wider_than_any_time():
    assert dates.wider(Period()) is None


def test_the_last_day_there_is_has_no_end_to_break_at(berlin):
    assert Period(last=date.max).until is None
    assert dates.bounds(date.max, date.max)[1] > NOW
