"""Rows of the lists, said before the template is asked: it only puts them down, so that fifty cost little.

What is somebody's own words is escaped here, once; the template need not look at it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from portal import formats
from portal.ledger import operation_words, words
from portal.ledger.card_words import levels
from portal.ledger.listing import COUNTED, WALK
from portal.ledger.models import Card, Operation, OperationState
from portal.merchants.models import Connection, Environment

# What a row needs; the sealed and the long columns stay where they are.
OPERATION_COLUMNS = (
    *("key", "merchant", "connection", "verb", "amount_minor", "currency", "points"),
    *("asked_by", "asked_at", "state", "card__last_four"),
)
CARD_COLUMNS = (
    *("key", "merchant", "connection", "last_four", "first_seen_at", "balance_minor", "balance_currency"),
    *("points", "card_status", "read_at"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """A moment as a row shows it: for machines, exact, and short."""

    iso: SafeString
    exact: SafeString
    short: SafeString


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationLine:
    """One operation in the list."""

    url: SafeString
    title: SafeString
    last_four: SafeString
    connection: SafeString
    sandbox: bool
    amount: SafeString
    shape: str
    word: SafeString
    by: SafeString
    when: When


@dataclass(frozen=True, kw_only=True, slots=True)
class CardLine:
    """One card in the list; without an address for whoever may not open cards."""

    url: SafeString
    last_four: SafeString
    connection: SafeString
    sandbox: bool
    balance: SafeString
    shape: str
    word: SafeString
    read: When | None
    seen: When


class OperationWriter:
    """Says operations as lines. What is the same for many rows is said once: words, names, addresses."""

    def __init__(self, *, prefix: str, connections: Mapping[int, Connection], people: Mapping[int, str]) -> None:
        self._prefix, self._now = escape(prefix), timezone.now()
        self._connections = {pk: (escape(each.name), _is_sandbox(each)) for pk, each in connections.items()}
        self._people = {pk: escape(name) for pk, name in people.items()}
        self._machine = escape(operation_words.name_of(None))
        self._titles = {verb: escape(str(title)) for verb, title in operation_words.TITLES.items()}
        self._outcomes = {
            str(state): (operation_words.SHAPES[state], escape(str(state.label))) for state in OperationState
        }

    def line(self, row: Operation) -> OperationLine:
        """The operation as it stands in the list."""
        connection, sandbox = self._connections[row.connection_id]
        shape, word = self._outcomes[row.state]
        by = self._people.get(row.asked_by_id, SafeString("")) if row.asked_by_id else self._machine
        return OperationLine(
            url=mark_safe(f"{self._prefix}{row.key}/"),  # a path of ours and a UUID
            title=self._titles[row.verb],
            last_four=escape(row.card.last_four) if row.card else SafeString(""),
            connection=connection,
            sandbox=sandbox,
            amount=escape(operation_words.amount(row)),
            shape=shape,
            word=word,
            by=by,
            when=when(row.asked_at, now=self._now),
        )


class CardWriter:
    """Says cards as lines. `prefix` is where a card's page stands, or nothing."""

    def __init__(self, *, prefix: str, connections: Mapping[int, Connection]) -> None:
        self._prefix, self._now = escape(prefix), timezone.now()
        self._connections = {pk: (escape(each.name), _is_sandbox(each)) for pk, each in connections.items()}
        self._statuses = {status: (shape, escape(str(text))) for status, (shape, text) in words.STATUS_WORDS.items()}

    def line(self, row: Card) -> CardLine:
        """The card as it stands in the list."""
        connection, sandbox = self._connections[row.connection_id]
        shape, word = self._statuses.get(row.card_status, ("waiting", escape(gettext("Not read yet"))))
        return CardLine(
            url=mark_safe(f"{self._prefix}{row.key}/") if self._prefix else SafeString(""),
            last_four=escape(row.last_four),
            connection=connection,
            sandbox=sandbox,
            balance=escape(" · ".join(filter(None, levels(row)))),
            shape=shape,
            word=word,
            read=when(row.read_at, now=self._now) if row.read_at else None,
            seen=when(row.first_seen_at, now=self._now),
        )


def when(at: datetime, *, now: datetime) -> When:
    """The moment, written for a row."""
    local = timezone.localtime(at)
    return When(
        iso=mark_safe(local.isoformat(timespec="seconds")),  # digits and signs
        exact=escape(f"{formats.exact(local)} ({formats.in_utc(local)})"),
        short=escape(formats.moment(local, now=now)),
    )


def how_many(count: int, *, looked_through: bool) -> str:
    """37 in all, or 1,000+; `looked_through` says that it counts those among the next WALK rows only."""
    shown = formats.number(COUNTED) + "+" if count > COUNTED else formats.number(count)
    if looked_through and count <= COUNTED:
        return gettext("%(count)s among the latest %(most)s") % {"count": shown, "most": formats.number(WALK)}
    return gettext("%(count)s in all") % {"count": shown}


def _is_sandbox(connection: Connection) -> bool:
    return connection.environment == Environment.SANDBOX
