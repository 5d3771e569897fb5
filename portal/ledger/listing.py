"""One page of a long list, from either end and from any place in it, at the same cost everywhere.

Rows stand in the order of a moment and their number. What an index holds in that order is the list; a condition no
index holds is looked for in at most WALK rows of it at a time, and the page says how far it looked. Counts stop at
COUNTED: nobody reads further, and an exact count would read every row.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

PAGE = 50
COUNTED = 1000
WALK = 10_000

M = TypeVar("M", bound=Model)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
MOST = 2**63 - 1  # the largest number a row can have


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place in the list: where the row with this moment and number stands, whether or not it is there."""

    at: datetime
    number: int

    def __str__(self) -> str:
        """As it stands in an address: microseconds since 1970, and the number."""
        return f"{(self.at - EPOCH) // timedelta(microseconds=1)}-{self.number}"


def place(text: str) -> Place | None:
    """The place an address names, or None for what names none."""
    parts = re.fullmatch(r"(-?[0-9]{1,17})-([0-9]{1,19})", text)
    if parts is None:
        return None
    try:
        at = EPOCH + timedelta(microseconds=int(parts[1]))
    except OverflowError:
        return None
    return Place(at=min(max(at, FIRST), LAST), number=min(int(parts[2]), MOST))


@dataclass(frozen=True, kw_only=True)
class Wanted(Generic[M]):
    """A list. `rows` are what an index holds in the order of `at`, `rest` is what no index holds (or nothing).

    Of `few` rows, those found by their numbers, all are read and cut afterwards: told of an end, PostgreSQL would
    rather walk through the list until it has met so many. `columns` are read of each row, if not all.
    """

    rows: QuerySet[M]
    at: str
    rest: Q
    oldest_first: bool = False
    few: bool = False
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Page(Generic[M]):
    """`previous` and `next` are places to go on from, in reading direction. `looked_to` says that the rest was looked
    for only so far, and that `next` goes on there."""

    rows: list[M]
    previous: Place | None = None
    next: Place | None = None
    looked_to: datetime | None = None

    @property
    def is_all(self) -> bool:
        """Whether there is nothing before it, behind it, or beyond what was looked through."""
        return self.previous is None and self.next is None and self.looked_to is None


def page(wanted: Wanted[M], *, after: Place | None, before: Place | None, size: int = PAGE) -> Page[M]:
    """The rows that follow `after`, or those that come right before `before`, or the first ones."""
    if before is not None:
        # The same, read from the other end.
        turned = _read(wanted, before, size, oldest_first=not wanted.oldest_first)
        if turned.next is not None:
            return Page(rows=turned.rows[::-1], previous=turned.next, next=_of(wanted, turned.rows[:1]) or before)
        after = None  # the beginning is reached: a whole page from there
    found = _read(wanted, after, size, oldest_first=wanted.oldest_first)
    back = (_of(wanted, found.rows[:1]) or after) if after is not None else None
    return Page(rows=found.rows, previous=back, next=found.next, looked_to=found.looked_to)


def count(wanted: Wanted[Any]) -> tuple[int, bool]:
    """How many rows there are, at most COUNTED and one more; and whether all were looked through to find them, or WALK
    of them."""
    edge = _edge(wanted, wanted.rows, oldest_first=wanted.oldest_first)
    rows = _within(wanted, wanted.rows, edge, wanted.oldest_first)
    # In order: a row of the merchant's is then found where the list is, and not among everybody's.
    ordered = rows.order_by(*_order(wanted, oldest_first=wanted.oldest_first))
    return ordered[: COUNTED + 1].count(), edge is None


# ---- How it is read -------------------------------------------------------------------------------------------------
def _read(wanted: Wanted[M], start: Place | None, size: int, *, oldest_first: bool) -> Page[M]:
    rows = _beyond(wanted, start, oldest_first=oldest_first)
    edge = _edge(wanted, rows, oldest_first=oldest_first)
    ordered = _within(wanted, rows, edge, oldest_first).order_by(*_order(wanted, oldest_first=oldest_first))
    read: Any = ordered.values_list(*wanted.columns, named=True) if wanted.columns else ordered
    found = list(read)[: size + 1] if wanted.few else list(read[: size + 1])
    if len(found) > size:
        return Page(rows=found[:size], next=_of(wanted, found[size - 1 : size]))
    if edge is None:
        return Page(rows=found)
    # Those at the same moment as the edge were looked at, too.
    return Page(rows=found, next=Place(at=edge, number=MOST if oldest_first else 0), looked_to=edge)


def _order(wanted: Wanted[Any], *, oldest_first: bool) -> list[str]:
    return [wanted.at, "id"] if oldest_first else [f"-{wanted.at}", "-id"]


def _beyond(wanted: Wanted[M], start: Place | None, *, oldest_first: bool) -> QuerySet[M]:
    if start is None:
        return wanted.rows
    # Bound first, then the equals taken out: a range the index can begin at, which a pair of ORs is not.
    bound, past = ("gte", "lte") if oldest_first else ("lte", "gte")
    return wanted.rows.filter(**{f"{wanted.at}__{bound}": start.at}).exclude(
        **{wanted.at: start.at, f"id__{past}": start.number}
    )


def _edge(wanted: Wanted[M], rows: QuerySet[M], *, oldest_first: bool) -> datetime | None:
    """The moment up to which is looked for what no index holds, or None where all is looked at. Asked for by itself:
    PostgreSQL plans with a moment it knows, and would guess at one it has to find first."""
    if not wanted.rest:
        return None
    order = _order(wanted, oldest_first=oldest_first)
    at: datetime | None = rows.order_by(*order).values_list(wanted.at, flat=True)[WALK : WALK + 1].first()
    return at


def _within(wanted: Wanted[M], rows: QuerySet[M], edge: datetime | None, oldest_first: bool) -> QuerySet[M]:
    """Those up to the edge that are wanted."""
    if edge is not None:
        rows = rows.filter(**{f"{wanted.at}__{'lte' if oldest_first else 'gte'}": edge})
    return rows.filter(wanted.rest)


def _of(wanted: Wanted[M], rows: list[M]) -> Place | None:
    return next((Place(at=getattr(row, wanted.at), number=row.pk) for row in rows), None)
