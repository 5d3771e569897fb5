"""What happened between two moments, over all merchants: for whoever writes it up when the night is over.

Operations are named by reference. Nothing of a person, of a card or of what somebody typed is in it, so that it may go
into a ticket or a mail. Whoever calls has opened every merchant's rows.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection as database
from django.db.models import Q
from django.utils.translation import gettext

from portal.desk import facts, on_call_words
from portal.desk.models import Alert
from portal.merchants import connections, switches
from portal.merchants.models import Pause, Switch
from portal.money import Money


class Event(NamedTuple):
    """Something began or ended."""

    at: datetime
    what: str
    who: str


class Affected(NamedTuple):
    """What one connection was asked, and of how much of it nobody knew the end at first: what became of that since."""

    merchant_id: int
    merchant: str
    connection: str
    asked: int
    lost: int
    done: int
    not_done: int
    unclear: int
    failed: int


class Sum(NamedTuple):
    """Money whose end nobody knew at first, in one currency."""

    lost: Money
    done: Money
    not_done: Money
    unclear: Money


class Lost(NamedTuple):
    """One operation whose end nobody knew at first."""

    reference: str
    merchant: str
    connection: str
    verb: str
    amount: Money | None
    points: int | None
    begun_at: datetime
    state: str
    settled_by: str
    ended_at: datetime | None
    provider_reference: str


@dataclass(frozen=True, kw_only=True)
class Incident:
    """All of it. `lost` stops after facts.MOST."""

    since: datetime
    until: datetime
    events: list[Event]
    affected: list[Affected]
    sums: list[Sum]
    lost: list[Lost]

    @property
    def merchants(self) -> set[int]:
        return {each.merchant_id for each in self.affected}


def gather(since: datetime, until: datetime) -> Incident:
    """Look at everything that was so at any moment from `since` until before `until`."""
    return Incident(
        since=since,
        until=until,
        events=sorted(each for each in _events(since, until) if since <= each.at < until),
        affected=[Affected(*row) for row in _rows(_AFFECTED, since, until)],
        sums=[
            Sum(*(Money(int(minor or 0), currency) for minor in sums)) for currency, *sums in _rows(_SUMS, since, until)
        ],
        lost=[_lost(row) for row in _rows(_LOST, since, until)],
    )


# ---- What began and ended -------------------------------------------------------------------------------------
def _events(since: datetime, until: datetime) -> list[Event]:
    return [*_alerts(since, until), *_switches(since, until), *_pauses(since, until)]


def _alerts(since: datetime, until: datetime) -> list[Event]:
    """An alert begins when it was so, before anybody noticed; one that began long before is told at `since`."""
    found = []
    for alert in Alert.objects.filter(Q(resolved_at=None) | Q(resolved_at__gte=since), since__lt=until):
        view = on_call_words.view(alert)
        found.append(Event(max(alert.since, since), gettext("Alert: %(what)s") % {"what": view.title}, view.who))
        if alert.resolved_at:
            found.append(Event(alert.resolved_at, gettext("Over: %(what)s") % {"what": view.title}, view.who))
    return found


def _switches(since: datetime, until: datetime) -> list[Event]:
    rows = Switch.objects.filter(Q(ended_at=None) | Q(ended_at__gte=since), thrown_at__lt=until)
    found = []
    for each in rows.select_related("connection__merchant"):
        what = switches.title(each)
        who = each.connection.merchant.name if each.connection else gettext("everybody")
        found.append(Event(each.thrown_at, gettext("Switched off: %(what)s") % {"what": what}, who))
        if each.ended_at:
            found.append(Event(each.ended_at, gettext("Switched on again: %(what)s") % {"what": what}, who))
    return found


def _pauses(since: datetime, until: datetime) -> list[Event]:
    rows = Pause.objects.filter(Q(ended_at=None) | Q(ended_at__gte=since), begun_at__lt=until)
    found = []
    for each in rows.select_related("connection", "merchant"):
        words = {"what": each.connection.name, "why": _why(each)}
        found.append(Event(each.begun_at, gettext("Paused: %(what)s (%(why)s)") % words, each.merchant.name))
        if each.ended_at:
            found.append(Event(each.ended_at, gettext("Resumed: %(what)s") % words, each.merchant.name))
    return found


def _why(pause: Pause) -> str:
    """Our own word for it; what a person said is theirs."""
    return gettext("by a person") if pause.begun_by_id else connections.reason_words(pause.reason)


# ---- What was asked -------------------------------------------------------------------------------------------
# By the index of when they were begun.
_ASKED = f"""
SELECT o.*, {facts.LOST} AS lost FROM ledger_operation o WHERE o.begun_at >= %(since)s AND o.begun_at < %(until)s
"""
_AFFECTED = f"""
SELECT m.id, m.name, c.name, count(*), count(*) FILTER (WHERE lost), count(*) FILTER (WHERE lost AND state = 'done'),
    count(*) FILTER (WHERE lost AND state IN ('refused', 'failed')),
    count(*) FILTER (WHERE state IN ('running', 'checking', 'needs_person')),
    count(*) FILTER (WHERE NOT lost AND state IN ('refused', 'failed'))
FROM ({_ASKED}) a
JOIN merchants_connection c ON c.id = a.connection_id JOIN merchants_merchant m ON m.id = c.merchant_id
GROUP BY m.id, m.name, c.id, c.name ORDER BY 5 DESC, 9 DESC, 4 DESC
"""
_SUMS = f"""
SELECT currency, sum(amount_minor), sum(amount_minor) FILTER (WHERE state = 'done'),
    sum(amount_minor) FILTER (WHERE state IN ('refused', 'failed')),
    sum(amount_minor) FILTER (WHERE state IN ('checking', 'needs_person'))
FROM ({_ASKED}) a WHERE lost AND currency > '' GROUP BY currency ORDER BY currency
"""
_LOST = f"""
SELECT a.key, m.name, c.name, a.verb, a.amount_minor, a.currency, a.points, a.begun_at, a.state, a.settled_by,
    a.ended_at, a.provider_reference
FROM ({_ASKED}) a
JOIN merchants_connection c ON c.id = a.connection_id JOIN merchants_merchant m ON m.id = c.merchant_id
WHERE lost ORDER BY a.begun_at, a.id LIMIT {facts.MOST}
"""


def _lost(row: tuple[Any, ...]) -> Lost:
    key, merchant, name, verb, minor, currency, *rest = row
    amount = None if minor is None else Money(minor, currency)
    return Lost(key.hex, merchant, name, verb, amount, *rest)


def _rows(statement: str, since: datetime, until: datetime) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(statement, {"since": since, "until": until})
        return list(cursor.fetchall())
