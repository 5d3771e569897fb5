"""Dates, times, numbers and money, as each language and each country writes them."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from django.template import engines
from django.utils import timezone, translation

from portal import formats
from portal.money import Money

ROOT = Path(__file__).resolve().parent.parent
AT = datetime(2026, 11, 3, 9, 14, 3, tzinfo=UTC)


@pytest.fixture
def berlin():
    with timezone.override("Europe/Berlin"):
        yield


def written(language: str, country: str, *texts: str) -> tuple[str, ...]:
    """Templates' answers with `at` and `amount`, odd spaces made plain."""
    context = {"at": AT, "amount": Money(1234550, "EUR"), "count": 12345}
    with translation.override(language), formats.at_home_in(country):
        made = [engines["django"].from_string(text).render(context) for text in texts]
    return tuple(text.translate({0xA0: " ", 0x202F: " "}) for text in made)


@pytest.mark.parametrize(
    ("language", "country", "expected"),
    [
        ("en", "", ("3 November 2026, 10:14:03", "€12,345.50", "12,345 points")),
        ("en", "DE", ("3 November 2026, 10:14:03", "€12,345.50", "12,345 points")),
        ("en", "NZ", ("3 November 2026, 10:14:03 am", "€12,345.50", "12,345 points")),
        ("en", "US", ("November 3, 2026, 10:14:03 AM", "€12,345.50", "12,345 points")),
        ("de", "DE", ("3. November 2026, 10:14:03", "12.345,50 €", "12.345")),
        ("de", "NZ", ("3. November 2026, 10:14:03", "12.345,50 €", "12.345")),
        ("de", "AT", ("3. November 2026, 10:14:03", "€ 12.345,50", "12.345")),
        ("en", "QQ", ("3 November 2026, 10:14:03", "€12,345.50", "12,345 points")),
    ],
)
def test_each_language_writes_in_its_own_way_and_as_the_country_does_where_it_is_at_home(
    berlin, language, country, expected
):
    last = "{{ count|points }}" if language == "en" else "{{ count|number }}"

    assert written(language, country, "{{ at|exact }}", "{{ amount|money }}", last) == expected


def test_a_merchants_own_currency_is_plain_and_a_foreign_one_is_named():
    assert written("en", "NZ", "{{ amount|money }}")[0] == "€12,345.50"
    with translation.override("en"), formats.at_home_in("NZ"):
        assert (formats.money(Money(1250, "NZD")), formats.money(Money(1250, "USD"))) == ("$12.50", "US$12.50")


def test_times_are_in_the_merchants_zone_and_say_where_utc_is_another_day():
    with timezone.override("Pacific/Auckland"):
        assert written("en", "", "{{ at|clock }}", "{{ at|in_utc }}", "{{ at|iso }}") == (
            "22:14",
            "09:14:03 UTC",
            "2026-11-03T22:14:03+13:00",
        )
        assert formats.in_utc(AT + timedelta(hours=4)) == "2026-11-03 13:14:03 UTC"


def test_a_moment_is_a_time_today_a_weekday_this_week_and_a_date_before(berlin):
    now = AT + timedelta(hours=1)
    with translation.override("de"):
        told = [formats.moment(AT - timedelta(days=days), now=now) for days in (0, 2, 20, 400)]

    assert told == ["10:14", "So.", "14. Okt.", "29. Sept. 2025"]


def test_a_day_without_a_time_is_the_same_everywhere():
    with timezone.override("Pacific/Auckland"), translation.override("de"):
        assert formats.day(date(2026, 12, 31)) == "31. Dezember 2026"


@pytest.mark.parametrize(("language", "expected"), [("en", "a, b and c"), ("de", "a, b und c")])
def test_a_list_is_joined_as_the_language_joins(language, expected):
    with translation.override(language):
        assert formats.listed(["a", "b", "c"]) == expected


def test_the_script_follows_the_same_conventions():
    with translation.override("en"):
        assert formats.tag() == "en"
        with formats.at_home_in("NZ"):
            assert formats.tag() == "en-NZ"


def test_nothing_is_written_as_nothing():
    assert written("en", "", "{{ none|exact }}{{ none|money }}{{ none|points }}{{ none|iso }}") == ("",)


def test_no_country_stays_behind():
    with formats.at_home_in("US"):
        pass

    assert written("en", "", "{{ at|day }}") == ("3 November 2026",)


def test_an_amount_is_typed_as_the_reader_types_it():
    with translation.override("de"):
        assert formats.typed(Money(123450, "EUR")) == "1234,50"


def test_no_page_writes_a_date_or_an_amount_in_another_way():
    """Django's own date filter and strftime know one order and one language's words."""
    own_ways = re.compile(
        r"\|date:(?!\"U\")|strftime\((?!\"%Y-%m-%d)|\|time\b|floatformat|intcomma|get_text_list|date_format\(|\|utc\b"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in [*ROOT.glob("templates/**/*.html"), *ROOT.glob("templates/**/*.txt"), *_pages()]
        for match in own_ways.finditer(path.read_text())
    ]

    assert found == [], "write it by portal/formats.py or by the filters of the same names"


def _pages() -> list[Path]:
    """Modules that speak to people of the staff."""
    told = [path for path in ROOT.glob("portal/**/*.py") if not {"sandboxes", "running", "connectors"} & {*path.parts}]
    assert len(told) > 30
    return told
