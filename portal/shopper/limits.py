"""How many tries there are, and for whom. Counted in the database by its own clock, in one query, under a lock.

Six things are counted: the address, its network, the card, the PIN, the merchant, and what is under way at the
provider. What each leads to stands in `judge`. Whoever counts holds the page's row, so that fifty tries at the same
moment are counted one after the other. Where the database does not answer in SHOPPER_PATIENCE_MS, nobody is let in.

A stranger can use up a card's tries on the public page and nothing else: the shop, the staff and a browser that has
looked this card up before go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection as database

from portal.shopper.fingerprints import Print
from portal.shopper.models import BalancePage

NETWORK_TIMES, PIN_TIMES, STEP_UP_TIMES = 4, 8, 8
STEP_UP_SHARE = 0.25  # of the day's budget, within an hour


class NotNow(Exception):
    """The page takes no try at the moment, for a reason that says nothing about a card."""


class TooMany(NotNow):
    """From this address; `seconds` until the next may be taken."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many tries")
        self.seconds = seconds


class Closed(NotNow):
    """The day's wrong tries at this merchant are used up, or the page is switched off."""


class Busy(NotNow):
    """As many shoppers wait as may."""


class WholeNumberOnly(NotNow):
    """There were so many wrong tries that the end of a number will not do at the moment."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Who tries what, as keyed hashes. `known` belongs to a browser that has looked this card up before."""

    address: Print
    network: Print
    card: Print
    pin: Print
    known: Print | None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was counted, each at most as far as it matters."""

    address_minute: int
    address_hour: int
    address_day: int
    network_hour: int
    card_quarter: int
    card_day: int
    card_month: int
    pin_cards: int
    wrong_hour: int
    wrong_day: int
    slow_ms: int | None
    usual_ms: int | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a try that is taken: so many times the usual work, and asked, or silently not."""

    times: int
    silenced: bool


# Only as many rows are read as the limit counts. `{0}` is a column, `{1}` the window, `{2}` the name of the limit.
_TRIES = """(SELECT count(*) FROM (SELECT FROM shopper_try WHERE merchant_id = %(merchant)s AND {0} = ANY(%({0})s)
  AND at > statement_timestamp() - interval '{1}' LIMIT %({2})s) t)"""
_WRONG = """(SELECT count(*) FROM (SELECT FROM shopper_try WHERE merchant_id = %(merchant)s AND {0} = ANY(%({0})s)
  AND outcome IN ('asked', 'refused') AND NOT forgiven AND at > statement_timestamp() - interval '{1}'
  LIMIT %({2})s) t)"""
_WRONG_OF_ALL = """(SELECT count(*) FROM (SELECT FROM shopper_try WHERE merchant_id = %(merchant)s
  AND outcome IN ('asked', 'refused') AND at > greatest(statement_timestamp() - interval '{1}', %(since)s::timestamptz)
  LIMIT %(budget)s) t)"""
_PIN_CARDS = """(SELECT count(DISTINCT card) FROM (SELECT card FROM shopper_try WHERE merchant_id = %(merchant)s
  AND pin = ANY(%(pin)s) AND at > statement_timestamp() - interval '1 hour' ORDER BY at DESC LIMIT 500) t)"""
# Of the last 200 answers: enough for 95 of 100, and never more to read.
_SLOW = """(SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY took_ms) FROM (SELECT took_ms FROM shopper_try
  WHERE merchant_id = %(merchant)s AND at > statement_timestamp() - interval '1 hour' AND connection_id = %(connection)s
  AND outcome IN ('found', 'refused') AND took_ms IS NOT NULL ORDER BY at DESC LIMIT 200) t)"""
# One of the latest, by lot: a try that is never asked takes as long as one that was.
_USUAL = """(SELECT took_ms FROM (SELECT took_ms FROM shopper_try WHERE merchant_id = %(merchant)s
  AND connection_id = %(connection)s AND outcome IN ('found', 'refused', 'silenced') AND took_ms IS NOT NULL
  ORDER BY at DESC LIMIT 200) t ORDER BY random() LIMIT 1)"""


def count(page: BalancePage, visit: Visit, *, connection: int, budget: int) -> Counts:
    """All counts for one visit, in one query."""
    who = "known" if visit.known else "card"
    parts = {
        "address_minute": _TRIES.format("address", "1 minute", "address_minute"),
        "address_hour": _TRIES.format("address", "1 hour", "address_hour"),
        "address_day": _TRIES.format("address", "1 day", "address_day"),
        "network_hour": _TRIES.format("network", "1 hour", "network_hour"),
        "card_quarter": _WRONG.format(who, "15 minutes", "card_quarter"),
        "card_day": _WRONG.format(who, "1 day", "card_day"),
        "card_month": _WRONG.format(who, "30 days", "card_month"),
        "pin_cards": _PIN_CARDS,
        "wrong_hour": _WRONG_OF_ALL.format("", "1 hour"),
        "wrong_day": _WRONG_OF_ALL.format("", "1 day"),
        "slow_ms": _SLOW,
        "usual_ms": _USUAL,
    }
    values: dict[str, int | str | datetime | list[bytes]] = {
        "merchant": page.merchant_id,
        "connection": connection,
        "since": page.forgiven_at or "-infinity",
        "budget": budget,
        "address": list(visit.address.all),
        "network": list(visit.network.all),
        "card": list(visit.card.all),
        "pin": list(visit.pin.all),
        "known": list(visit.known.all) if visit.known else [],
        "address_minute": settings.SHOPPER_ADDRESS_MINUTE,
        "address_hour": settings.SHOPPER_ADDRESS_HOUR,
        "address_day": settings.SHOPPER_ADDRESS_DAY,
        "network_hour": settings.SHOPPER_NETWORK_HOUR,
        "card_quarter": settings.SHOPPER_CARD_QUARTER,
        "card_day": settings.SHOPPER_CARD_DAY,
        "card_month": settings.SHOPPER_CARD_MONTH,
    }
    with database.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts.values())}", values)
        return Counts(**dict(zip(parts, cursor.fetchone(), strict=True)))


def judge(counts: Counts, *, budget: int, is_known: bool, whole: bool, waiting: int) -> Verdict:
    """What these counts lead to. Raises TooMany, Closed, Busy, WholeNumberOnly."""
    for counted, most, seconds in _of_address(counts):
        if counted >= most:
            raise TooMany(seconds)
    return judge_held(counts, budget=budget, is_known=is_known, whole=whole, waiting=waiting)


def judge_held(counts: Counts, *, budget: int, is_known: bool, whole: bool, waiting: int) -> Verdict:
    """What a try has to pass again that was taken from its address before, and held. Raises Closed, Busy,
    WholeNumberOnly.

    A browser that knows this card is asked neither to prove more nor to wait for others: whatever it tries, it learns
    nothing about any other card.
    """
    if waiting >= settings.SHOPPERS_WAITING:
        raise Busy
    if is_known:
        return Verdict(times=1, silenced=_is_silenced(counts))
    if counts.wrong_day >= budget:
        raise Closed
    stepped_up = steps_up(counts.wrong_hour, budget)
    if stepped_up and not whole:
        raise WholeNumberOnly
    times = max(
        STEP_UP_TIMES if stepped_up else 1,
        PIN_TIMES if counts.pin_cards >= settings.SHOPPER_PIN_CARDS else 1,
        NETWORK_TIMES if counts.network_hour >= settings.SHOPPER_NETWORK_HOUR else 1,
    )
    return Verdict(times=times, silenced=_is_silenced(counts))


def steps_up(wrong_hour: int, budget: int) -> bool:
    """Whether so many tries were wrong within an hour that everybody has to prove more."""
    return wrong_hour >= budget * STEP_UP_SHARE


def _of_address(counts: Counts) -> Sequence[tuple[int, int, int]]:
    return (
        (counts.address_day, settings.SHOPPER_ADDRESS_DAY, 24 * 3600),
        (counts.address_hour, settings.SHOPPER_ADDRESS_HOUR, 3600),
        (counts.address_minute, settings.SHOPPER_ADDRESS_MINUTE, 60),
    )


def _is_silenced(counts: Counts) -> bool:
    """Whether so many tries at the card were wrong that it is not asked about."""
    return (
        counts.card_quarter >= settings.SHOPPER_CARD_QUARTER
        or counts.card_day >= settings.SHOPPER_CARD_DAY
        or counts.card_month >= settings.SHOPPER_CARD_MONTH
    )
