"""The merchant's yesterday in one line per connection, read from the operations asked on that day.

A day begins and ends at the merchant's midnight. What moved is told from the card's side, as the providers keep it:
a void of a payment puts money back onto the card, and of a sale only what it loaded is known to be on it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date as Date
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum

from portal import dates, formats
from portal.ledger.models import IN_FLIGHT, Operation, OperationState
from portal.merchants.models import Merchant
from portal.money import Money

ONTO, FROM = "onto", "from"
_WAYS = {"top_up": ONTO, "sale": ONTO, "issue_points": ONTO, "pay": FROM, "tip": FROM, "redeem_points": FROM}
_BACK = {ONTO: FROM, FROM: ONTO}
_CONNECTION = ("connection__environment", "connection__name", "connection__key")
_OPEN = (OperationState.WAITING, *IN_FLIGHT)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A connection's day. Money is one text per currency; test connections never share a line with live ones."""

    connection: str
    key: UUID
    environment: str
    done: int
    onto: list[str]
    taken: list[str]
    points: list[str]
    refused: int
    open: int


@dataclass(kw_only=True)
class _Sums:
    states: Counter[str] = field(default_factory=Counter)
    money: Counter[tuple[str, str]] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)


def date() -> Date:
    """Yesterday, by the clock in force: inside a merchant's page that is the merchant's."""
    return dates.today() - timedelta(days=1)


def lines(merchant: Merchant, day: Date) -> list[Line]:
    """One line per connection that was asked for something on `day`, live ones first."""
    since, until = dates.bounds(day, day)
    # All of the day in one query, by what tells the lines apart: some dozen rows however busy the day was.
    grouped = (
        Operation.objects.filter(merchant=merchant, asked_at__gte=since, asked_at__lt=until)
        .values(*_CONNECTION, "verb", "original__verb", "currency", "state")
        .annotate(
            count=Count("pk"),
            minor=Sum("amount_minor"),
            loaded=Sum("load_minor"),
            undone=Sum("original__load_minor"),
            moved=Sum("points"),
        )
        .order_by()
    )
    found: dict[tuple[str, str, UUID], _Sums] = {}
    for row in grouped:
        sums = found.setdefault(tuple(row[name] for name in _CONNECTION), _Sums())
        sums.states[row["state"]] += row["count"]
        if row["state"] == OperationState.DONE and (way := _way(row["verb"], row["original__verb"])):
            sums.money[way, row["currency"]] += _minor(row)
            sums.points[way] += int(row["moved"] or 0)
    return [_line(*connection, sums) for connection, sums in sorted(found.items(), key=lambda each: each[0])]


def _way(verb: str, original: str | None) -> str:
    """Onto the card or from it; a void goes back the way its original came."""
    if verb == "void":
        return _BACK.get(_WAYS.get(original or "", ""), "")
    return _WAYS.get(verb, "")


def _minor(row: Mapping[str, Any]) -> int:
    """What the group moved on cards. The rest of a sale is goods, and what it earned stands at the provider."""
    if row["verb"] == "sale":
        return int(row["loaded"] or 0)
    return int((row["undone"] if row["original__verb"] == "sale" else row["minor"]) or 0)


def _line(environment: str, name: str, key: UUID, sums: _Sums) -> Line:
    return Line(
        connection=name,
        key=key,
        environment=environment,
        done=sums.states[OperationState.DONE],
        onto=_money(sums, ONTO),
        taken=_money(sums, FROM),
        points=[
            f"{sign}{formats.number(sums.points[way])}"
            for way, sign in ((ONTO, "+"), (FROM, "\N{MINUS SIGN}"))
            if sums.points[way]
        ],
        refused=sums.states[OperationState.REFUSED] + sums.states[OperationState.FAILED],
        open=sum(sums.states[state] for state in _OPEN),
    )


def _money(sums: _Sums, way: str) -> list[str]:
    return [
        formats.money(Money(minor, currency))
        for (direction, currency), minor in sorted(sums.money.items())
        if direction == way and minor
    ]
