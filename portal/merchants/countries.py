"""What follows from a country: its money, its clock, its language and the providers usual there.

From the tables of Babel (CLDR) and tzdata; everything is a proposal and can be chosen otherwise.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from zoneinfo import available_timezones

from babel import Locale
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies
from django.conf import settings

from portal import formats
from portal.connectors import PROVIDERS
from portal.money import MoneyError, minor_digits


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """For one country: ISO 4217 code, IANA zone, language of ours, names of providers. Unknown is empty."""

    currency: str = ""
    time_zone: str = ""
    language: str = settings.LANGUAGE_CODE
    providers: tuple[str, ...] = ()


def propose(country: str, *, browser_zone: str = "") -> Proposal:
    """What a merchant in this country (ISO 3166) most likely wants. A browser's time zone decides between several."""
    if country not in _zones_by_country():
        return Proposal()
    zones = zones_of(country)
    spoken = get_official_languages(country, de_facto=True)
    ours = [language for language, _name in settings.LANGUAGES if language in spoken]
    return Proposal(
        currency=next(iter(_currencies_of(country)), ""),
        time_zone=browser_zone if browser_zone in zones else zones[0],
        language=ours[0] if ours else settings.LANGUAGE_CODE,
        providers=tuple(provider.name for provider in PROVIDERS.values() if country in provider.countries),
    )


def from_browser(accepted_languages: str) -> str:
    """The country in a browser's Accept-Language (`de-AT,de;q=0.9`), or an empty text."""
    for tag in accepted_languages[:200].split(","):
        _language, _dash, country = tag.split(";")[0].strip().partition("-")
        if country.upper() in _zones_by_country():
            return country.upper()
    return ""


def countries() -> list[tuple[str, str]]:
    """(code, name in the reader's language) of all countries, by name."""
    names = _locale().territories
    return sorted(((code, names.get(code, code)) for code in _zones_by_country()), key=lambda pair: pair[1].casefold())


def currencies() -> list[tuple[str, str]]:
    """(code, `EUR · Euro`) of all currencies that are money somewhere today, by code."""
    names = _locale().currencies
    codes = {code for country in _zones_by_country() for code in _currencies_of(country)}
    return [(code, f"{code} · {names.get(code, code)}") for code in sorted(codes)]


def zones_of(country: str) -> list[str]:
    """The IANA zones of a country, the one of most people usually first."""
    return list(_zones_by_country().get(country, ()))


def other_zones(country: str) -> list[str]:
    """All other zones of the world where somebody lives, by name."""
    mine = set(zones_of(country))
    return sorted({zone for zones in _zones_by_country().values() for zone in zones} - mine)


def _locale() -> Locale:
    return formats.spoken()


@cache
def _currencies_of(country: str) -> tuple[str, ...]:
    return tuple(code for code in get_territory_currencies(country) if _is_money(code))


def _is_money(code: str) -> bool:
    try:
        minor_digits(code)
    except MoneyError:
        return False
    return True


@cache
def _zones_by_country() -> dict[str, tuple[str, ...]]:
    known = available_timezones()
    found: dict[str, list[str]] = {}
    for line in files("tzdata").joinpath("zoneinfo/zone.tab").read_text().splitlines():
        if not line.startswith("#"):
            country, _place, zone = line.split("\t")[:3]
            if zone in known:
                found.setdefault(country, []).append(zone)
    return {country: tuple(zones) for country, zones in found.items()}
