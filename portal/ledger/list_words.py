"""Rows of the lists, written here whole: the template only puts them down, so that fifty cost little.

What is somebody's own words is escaped, each piece where it is first seen.
"""

from collections.abc import Iterable, Sequence
from html import escape  # Django's looks for sentences still to be translated, some microseconds for each of hundreds
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from portal import formats
from portal.ledger import operation_words, outcome_words, words
from portal.ledger.card_words import levels
from portal.ledger.listing import COUNTED, WALK
from portal.ledger.models import OperationState
from portal.merchants.models import Connection, Environment

# What a row needs; the sealed and the long columns stay where they are.
OPERATION_COLUMNS = (
    *("pk", "key", "connection_id", "verb", "amount_minor", "currency", "points", "asked_at", "state"),
    *("in_flight_key", "asked_by_id", "asked_by__name", "card__last_four"),
)
CARD_COLUMNS = (
    *("pk", "key", "connection_id", "last_four", "first_seen_at", "balance_minor", "balance_currency"),
    *("points", "card_status", "read_at"),
)

_OPERATION = (
    '<tr><td class="lead"><a href="{url}">{title}</a></td><td class="minor of-card">{card}</td>'
    '<td class="minor unlabelled">{connection}</td><td class="amount">{amount}</td>'
    '<td class="state">{outcome}</td><td class="minor by">{by}</td>'
    '<td class="minor unlabelled when">{when}</td></tr>'
)
_CARD = (
    '<tr><td class="lead">{card}</td><td class="minor unlabelled">{connection}</td><td class="amount">{balance}</td>'
    '<td class="state">{status}</td><td class="minor by" data-label="{read_label}">{read}</td>'
    '<td class="minor unlabelled when">{seen}</td></tr>'
)


class OperationWriter:
    """Writes operations as rows of a table. What is the same for many is written once: words, names, connections."""

    def __init__(self, *, prefix: str, connections: Sequence[Connection]) -> None:
        self._prefix, self._moments = escape(prefix), formats.Moments()
        self._connections = _connections(connections)
        self._machine = escape(operation_words.name_of(None))
        self._titles = {verb: escape(str(title)) for verb, title in operation_words.TITLES.items()}
        self._outcomes = {
            str(state): _outcome(outcome_words.SHAPES[state], str(state.label)) for state in OperationState
        }
        self._ending = _ending()

    def rows(self, operations: Iterable[Any]) -> SafeString:
        """The operations, with OPERATION_COLUMNS each, as they stand in the list."""
        return mark_safe("\n".join(map(self._row, operations)))  # escaped above and below, each piece

    def _row(self, row: Any) -> str:
        return _OPERATION.format(
            url=f"{self._prefix}{row.key}/",  # a path of ours and a UUID
            title=self._titles[operation_words.made_or(row.verb, row.in_flight_key)],
            card=_card(self._ending, row.card__last_four) if row.card__last_four is not None else "",
            connection=self._connections[row.connection_id],
            amount=escape(operation_words.amount(row)),
            outcome=self._outcomes[row.state],
            by=escape(row.asked_by__name) if row.asked_by_id else self._machine,
            when=self._moments.tag(row.asked_at),
        )


class CardWriter:
    """Writes cards as rows of a table. `prefix` is where a card's page stands, or nothing for whoever may open none."""

    def __init__(self, *, prefix: str, connections: Sequence[Connection]) -> None:
        self._prefix, self._moments = escape(prefix), formats.Moments()
        self._connections = _connections(connections)
        self._statuses = {status: _outcome(shape, str(text)) for status, (shape, text) in words.STATUS_WORDS.items()}
        self._unread = _outcome("waiting", gettext("Not read yet"))
        self._ending, self._read_label = _ending(), escape(gettext("Last read"))

    def rows(self, cards: Iterable[Any]) -> SafeString:
        """The cards, with CARD_COLUMNS each, as they stand in the list."""
        return mark_safe("\n".join(map(self._row, cards)))  # escaped above and below, each piece

    def _row(self, row: Any) -> str:
        card = _card(self._ending, row.last_four)
        return _CARD.format(
            card=f'<a href="{self._prefix}{row.key}/">{card}</a>' if self._prefix else card,
            connection=self._connections[row.connection_id],
            balance=" · ".join(f'<span class="together">{escape(each)}</span>' for each in levels(row) if each) or "–",
            status=self._statuses.get(row.card_status, self._unread),
            read_label=self._read_label,
            read=self._moments.tag(row.read_at) if row.read_at else "–",
            seen=self._moments.tag(row.first_seen_at),
        )


def _connections(connections: Sequence[Connection]) -> dict[int, str]:
    tag = format_html(' <span class="tag tag-sandbox">{}</span>', gettext("sandbox"))
    return {
        each.pk: escape(each.name) + (tag if each.environment == Environment.SANDBOX else "") for each in connections
    }


def _outcome(shape: str, word: str) -> str:
    return format_html('<span class="outcome outcome-still outcome-{}">{}</span>', shape, word)


def _ending() -> str:
    return format_html('<span aria-hidden="true">••••</span> <span class="unseen">{}</span>', gettext("Card ending in"))


def _card(ending: str, last_four: str) -> str:
    return f'<span class="together">{ending} {escape(last_four)}</span>'


def how_many(count: int, *, of_all: bool, oldest_first: bool) -> str:
    """37 in all, or 1,000+; where not `of_all`, 37 among the WALK rows the list begins with."""
    shown = formats.number(COUNTED) + "+" if count > COUNTED else formats.number(count)
    if not of_all and count <= COUNTED:
        among = (
            gettext("%(count)s among the oldest %(most)s")
            if oldest_first
            else gettext("%(count)s among the latest %(most)s")
        )
        return among % {"count": shown, "most": formats.number(WALK)}
    return gettext("%(count)s in all") % {"count": shown}
