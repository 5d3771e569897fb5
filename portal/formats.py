"""How dates, times, numbers and money are written: in the reader's language, in the merchant's zone, by Babel.

Every page, paper and mail writes them through this module; templates through the filters of the same names. The zone
is the one in force (`timezone.override`), the country the one of `at_home_in`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from html import escape

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time, get_datetime_format, get_time_format
from babel.languages import get_official_languages
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, get_decimal_symbol, get_group_symbol
from django.conf import settings
from django.utils import timezone, translation
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext

from portal.money import Money

_country: ContextVar[str] = ContextVar("country", default="")


@contextmanager
def at_home_in(country: str) -> Iterator[None]:
    """Within this block a language that is at home in `country` (ISO 3166 alpha-2, or "") is written as there.

    So English is 3 November 2026 in New Zealand and November 3, 2026 in the United States, and German francs are
    1’234.50. At a bakery in Berlin English stays what it is everywhere: the place changes no foreign language.
    """
    before = _country.set(country)
    try:
        yield
    finally:
        _country.reset(before)


# ---- Money and numbers --------------------------------------------------------------------------------------------
def money(amount: Money) -> str:
    """€12.50; 12,50 €."""
    return _money(amount.minor, amount.currency, _numbers())


def typed(amount: Money) -> str:
    """12.50; 12,50: as a person of this language types it into a field, without thousands or currency."""
    return amount.decimal_text().replace(".", decimal_sign())


def points(count: int) -> str:
    """12 points."""
    return ngettext("%(count)s point", "%(count)s points", count) % {"count": number(count)}


def masked(last_four: str) -> str:
    """•••• 8500: a card, as far as anybody sees its number, in one piece wherever a line ends."""
    return f"••••\u00a0{last_four}"


def number(count: int | float | Decimal, pattern: str | None = None) -> str:
    """12,345; 12.345. `pattern` is one of CLDR's, such as 0.# for one decimal at most."""
    return str(format_decimal(count, format=pattern, locale=_numbers()))


def tag() -> str:
    """en-NZ: whose conventions these are, for the page's script to write amounts alike."""
    return str(_numbers()).replace("_", "-")


def decimal_sign() -> str:
    """What stands before the cents."""
    return str(get_decimal_symbol(_numbers()))


def group_sign() -> str:
    """What stands between thousands."""
    return str(get_group_symbol(_numbers()))


# ---- Days and times -----------------------------------------------------------------------------------------------
def day(on: date) -> str:
    """20 November 2026. A moment is a day only in a zone: the merchant's."""
    return _long(_on(on), _dates())


def weekday(on: date) -> str:
    """Friday, 20 November 2026."""
    return str(format_date(_local(on), format="full", locale=_dates()))


def day_of_year(on: date) -> str:
    """20 November, where the year is plain."""
    return str(format_skeleton("MMMMd", _local(on), locale=_dates()))


def clock(at: datetime) -> str:
    """10:14."""
    return _short_time(timezone.localtime(at).time().replace(second=0, microsecond=0), _dates())


def clock_exact(at: datetime) -> str:
    """10:14:03."""
    return str(format_time(timezone.localtime(at).time(), format="medium", locale=_dates()))


def in_utc(at: datetime) -> str:
    """09:14:03 UTC, beside a local time, for whoever reads logs; with its day where that is another."""
    return _in_utc(timezone.localtime(at))


def _in_utc(local: datetime) -> str:
    there = local.astimezone(UTC)
    if there.date() == local.date():
        return f"{there.time().isoformat('seconds')} UTC"
    return f"{there.replace(tzinfo=None).isoformat(' ', 'seconds')} UTC"


def exact(at: datetime) -> str:
    """20 November 2026, 10:14:03."""
    return Moments().exact(at)


def in_one_line(at: datetime) -> str:
    """20 Nov 2026, 10:14:03, which no end of a line takes apart: exact, and short enough for a column."""
    return Moments().in_one_line(at)


def moment(at: datetime, *, now: datetime | None = None) -> str:
    """10:14 today, Tue this week, 12 May before; the exact time stands in the title."""
    return Moments(now).moment(at)


class Moments:
    """Many moments of one page. Whose zone and language they are written in is looked up once: a list has hundreds."""

    def __init__(self, now: datetime | None = None) -> None:
        self._zone, self._locale = timezone.get_current_timezone(), _dates()
        self._today = (now or timezone.now()).astimezone(self._zone).date()
        self._together = _day_and_time(self._locale)
        self._clock = get_time_format("medium", locale=self._locale)

    def exact(self, at: datetime) -> str:
        """20 November 2026, 10:14:03."""
        local = at.astimezone(self._zone)
        clock = self._clock.apply(local.time(), self._locale)
        return self._both(_long(local.date(), self._locale), clock)

    def in_one_line(self, at: datetime) -> str:
        """20 Nov 2026, 10:14:03."""
        local = at.astimezone(self._zone)
        clock = self._clock.apply(local.time(), self._locale)
        return self._both(_unbroken_day(local.date(), self._locale), clock).replace(" ", "\N{NO-BREAK SPACE}")

    def moment(self, at: datetime) -> str:
        """10:14 today, Tue this week, 12 May before."""
        local = at.astimezone(self._zone)
        day = local.date()
        if day == self._today:
            return _short_time(local.time().replace(second=0, microsecond=0), self._locale)
        if timedelta() <= self._today - day < timedelta(days=7):
            return _short_weekday(day.weekday(), self._locale)
        return _short_day("MMMd" if day.year == self._today.year else "yMMMd", day, self._locale)

    def tag(self, at: datetime) -> SafeString:
        """The moment as an element: short, with the exact time and the one of UTC in its title; and as paper says it,
        which outlives the day it was printed on: 20 Nov 2026, 10:14:03."""
        local = at.astimezone(self._zone)
        iso = local.isoformat(timespec="seconds")  # digits and signs, so nothing to escape
        day, clock = local.date(), self._clock.apply(local.time(), self._locale)
        title = escape(f"{self._both(_long(day, self._locale), clock)} ({_in_utc(local)})")
        paper = escape(self._both(_unbroken_day(day, self._locale), clock))
        return mark_safe(
            f'<time datetime="{iso}" title="{title}" data-paper="{paper}">{escape(self.moment(local))}</time>'
        )

    def _both(self, day: str, clock: str) -> str:
        return self._together.replace("{1}", day).replace("{0}", clock)


def age(since: timedelta) -> str:
    """How long something has been waiting: 40 s, 42 min, 3 h, 12 days."""
    seconds = max(int(since.total_seconds()), 0)
    if seconds < 60:
        return gettext("%(count)s s") % {"count": number(seconds)}
    if seconds < 3600:
        return gettext("%(count)s min") % {"count": number(seconds // 60)}
    if seconds < 48 * 3600:
        return gettext("%(count)s h") % {"count": number(seconds // 3600)}
    days = seconds // 86400
    return ngettext("%(count)s day", "%(count)s days", days) % {"count": number(days)}


def read_day(text: str) -> date | None:
    """The day somebody of this language wrote in figures, such as 20.11.2026, or as the calendar of a browser does,
    2026-11-20. None where it is no day, or no year stands in it."""
    parts = re.fullmatch(r"([0-9]{1,4})([-./])([0-9]{1,2})\2([0-9]{1,4})", text)
    if parts is None:
        return None
    first, _sign, second, third = parts.groups()
    pattern = str(_dates().date_formats["short"].pattern)
    order = "yMd" if len(first) == 4 else "".join(sorted("dMy", key=pattern.index))
    read = dict(zip(order, map(int, (first, second, third)), strict=True))
    try:
        return date(read["y"] + (2000 if read["y"] < 100 else 0), read["M"], read["d"])
    except ValueError:
        return None


# ---- Lists --------------------------------------------------------------------------------------------------------
def listed(texts: Sequence[str]) -> str:
    """Owner, Manager and Cashier."""
    return str(format_list(list(texts), locale=_dates()))


def listed_or(texts: Sequence[str]) -> str:
    """Owner, Manager or Cashier."""
    return str(format_list(list(texts), style="or", locale=_dates()))


def spoken() -> Locale:
    """The reader's language, for the names of countries, currencies and languages."""
    return _numbers()


# ---- Whose conventions --------------------------------------------------------------------------------------------
def _local(on: date) -> date:
    return timezone.localtime(on) if isinstance(on, datetime) else on


def _on(moment_or_day: date) -> date:
    return timezone.localtime(moment_or_day).date() if isinstance(moment_or_day, datetime) else moment_or_day


def _language() -> str:
    return translation.get_language() or settings.LANGUAGE_CODE


def _numbers() -> Locale:
    return _locale(_language(), _country.get())


def _dates() -> Locale:
    # Where no country says otherwise, English dates are Europe's: a till's "11/03" would be read in two ways.
    found = _numbers()
    return _locale("en", "GB") if found.language == "en" and found.territory is None else found


@lru_cache(maxsize=256)
def _locale(language: str, country: str) -> Locale:
    """Babel's locale; a language it does not know is written as English."""
    try:
        general = Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        general = Locale("en")
    if country and general.language in get_official_languages(country, regional=True, de_facto=True):
        try:
            return Locale(general.language, country)
        except UnknownLocaleError:
            return general
    return general


# ---- Kept, since a list writes the same days and amounts again and again ------------------------------------------
@lru_cache(maxsize=4096)
def _money(minor: int, currency: str, locale: Locale) -> str:
    return str(format_currency(Decimal(Money(minor, currency).decimal_text()), currency, locale=locale))


@lru_cache(maxsize=1024)
def _long(day: date, locale: Locale) -> str:
    return str(format_date(day, format="long", locale=locale))


@lru_cache(maxsize=1024)
def _unbroken_day(day: date, locale: Locale) -> str:
    """20 Nov 2026, which no end of a line takes apart."""
    return _short_day("yMMMd", day, locale).replace(" ", "\N{NO-BREAK SPACE}")


@lru_cache(maxsize=1024)
def _short_day(skeleton: str, day: date, locale: Locale) -> str:
    return str(format_skeleton(skeleton, day, locale=locale))


@lru_cache(maxsize=256)
def _short_weekday(number: int, locale: Locale) -> str:
    return str(locale.days["format"]["abbreviated"][number])


@lru_cache(maxsize=4096)
def _short_time(at: time, locale: Locale) -> str:
    return str(format_time(at, format="short", locale=locale))


@lru_cache(maxsize=256)
def _day_and_time(locale: Locale) -> str:
    return str(get_datetime_format("medium", locale=locale))
