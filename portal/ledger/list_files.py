"""The lists as files for a spreadsheet: the rows their pages show, all of them, under names that stay.

Columns and codes are English in every language, so that what reads them need not know who took the file away. Times
stand in UTC and as the merchant's clocks showed them. Of a card's number there is nothing but its end.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Model

from portal import spreadsheet
from portal.ledger import listing
from portal.ledger.list_forms import Around
from portal.ledger.listing import Place, Wanted
from portal.ledger.models import Card, Operation
from portal.merchants import tenancy
from portal.merchants.models import Connection, Merchant
from portal.money import Money

AT_ONCE = 1000  # rows held in memory while a file is written
M = TypeVar("M", bound=Model)

OPERATIONS = (
    *("asked_at_utc", "asked_at_local", "ended_at_utc", "ended_at_local", "time_zone"),
    *("reference", "verb", "state", "amount", "currency", "points", "card_last_four"),
    *("provider", "connection", "environment", "store", "till", "asked_by"),
    *("settled_by", "reason", "provider_reference", "provider_trace", "refers_to", "loaded"),
)
CARDS = (
    *("first_seen_at_utc", "first_seen_at_local", "read_at_utc", "read_at_local", "time_zone"),
    *("card_last_four", "status", "balance", "currency", "points", "expires_on"),
    *("provider", "connection", "environment"),
)


def operations(wanted: Wanted[Operation], around: Around) -> Iterator[str]:
    """The operations of the list, as CSV."""
    zone, connections = around.merchant.time_zone, {each.pk: each for each in around.connections}
    tills = {each.pk: (each.store.name, each.name) for each in around.tills}
    people = {each.pk: each.name for each in around.people}
    rows = wanted.rows.select_related("card", "original").defer("sealed_input", "extra", "receipt_lines", "basket")

    def cells(row: Operation) -> list[str]:
        return [
            *_times(row.asked_at, zone),
            *_times(row.ended_at, zone),
            *(zone, row.reference, row.verb, row.state),
            *_money(row.amount_minor, row.currency),
            _number(row.points),
            row.card.last_four if row.card else "",
            *_connection(connections, row.connection_id),
            *tills.get(row.till_id or 0, ("", "")),
            people.get(row.asked_by_id or 0, ""),
            *(row.settled_by, row.reason, row.provider_reference, row.trace),
            row.original.reference if row.original else "",
            _money(row.load_minor, row.currency)[0],
        ]

    return _written(around.merchant, OPERATIONS, replace(wanted, rows=rows), cells)


def cards(wanted: Wanted[Card], around: Around) -> Iterator[str]:
    """The cards of the list, as CSV."""
    zone, connections = around.merchant.time_zone, {each.pk: each for each in around.connections}
    rows = wanted.rows.defer("sealed_number")

    def cells(row: Card) -> list[str]:
        return [
            *_times(row.first_seen_at, zone),
            *_times(row.read_at, zone),
            *(zone, row.last_four, row.card_status),
            *_money(row.balance_minor, row.balance_currency),
            *(_number(row.points), row.expires_on.isoformat() if row.expires_on else ""),
            *_connection(connections, row.connection_id),
        ]

    return _written(around.merchant, CARDS, replace(wanted, rows=rows), cells)


def _written(
    merchant: Merchant, head: tuple[str, ...], wanted: Wanted[M], cells: Callable[[M], list[str]]
) -> Iterator[str]:
    """A thousand rows a piece. The view has long returned when a piece is asked for: so each says again on whose behalf
    it reads."""
    yield spreadsheet.MARK + spreadsheet.line(head)
    after: Place | None = None
    while True:
        with tenancy.merchant(merchant.pk):
            found = listing.page(wanted, after=after, before=None, size=AT_ONCE)
        yield "".join(spreadsheet.line(cells(row)) for row in found.rows)
        if found.next is None:
            return
        after = found.next


def _times(at: datetime | None, zone: str) -> tuple[str, str]:
    if at is None:
        return "", ""
    local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return at.isoformat(timespec="milliseconds"), local.isoformat(sep=" ", timespec="seconds")


def _money(minor: int | None, currency: str) -> tuple[str, str]:
    return (Money(minor, currency).decimal_text(), currency) if minor is not None else ("", "")


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def _connection(connections: Mapping[int, Connection], pk: int) -> tuple[str, str, str]:
    found = connections[pk]
    return found.provider, found.name, found.environment
