"""What people on call look at, in numbers, over all merchants: what waits, what nobody knows, what failed.

Read as the application's role, by few queries that each use an index and stop after MOST rows: a backlog of a million
is told from one of ten thousand by its age. Whoever calls has opened every merchant's rows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import F, Min, Q
from django.utils import timezone
from kombu.exceptions import ChannelError, OperationalError

from portal.celery import app
from portal.connectors import provider_name
from portal.desk import workers
from portal.desk.models import FailedTask
from portal.desk.workers import Crew
from portal.ledger.models import Inquiry, State
from portal.mail.models import MailState, OutgoingMail
from portal.merchants.models import Connection, Merchant
from portal.shopper.closing import ClosedPage, closed_pages

MOST = 10_000  # rows of a kind that are looked at
LISTED = 50  # lines of a list
DAY = timedelta(hours=24)
LATELY = timedelta(minutes=15)  # for shares of a connection: long enough for a quiet shop, short enough for tonight


class Queue(NamedTuple):
    """What waits. Of it `ready` could begin now, and has been so since `since`; the rest waits for a connection, a
    card or its time. `bulk` comes from files."""

    waiting: int
    ready: int
    since: datetime | None
    bulk: int


class Unclear(NamedTuple):
    """Operations in one state, of one merchant at one provider."""

    merchant: str
    slug: str
    provider: str
    state: str
    number: int
    oldest: datetime

    @property
    def provider_name(self) -> str:
        return provider_name(self.provider)


class MailGroup(NamedTuple):
    """Mails in one state for one reason; the ended ones of a day. `since`: the first was due, or ended."""

    state: str
    reason: str
    number: int
    since: datetime


class Failing(NamedTuple):
    """What was refused or not sent in a day, for one reason, at one provider for one merchant."""

    provider: str
    merchant: str
    slug: str
    state: str
    reason: str
    number: int
    last: datetime
    example: int  # the number of the last one

    @property
    def provider_name(self) -> str:
        return provider_name(self.provider)


class Share(NamedTuple):
    """A connection's operations of the last minutes, and how many of them nobody knew the end of at first."""

    connection: int
    name: str
    merchant: str
    slug: str
    asked: int
    unclear: int
    failed: int


class Database(NamedTuple):
    size: int
    oldest: datetime | None  # when the oldest open transaction of ours began
    pending: list[str]  # migrations


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All of it, at one moment."""

    now: datetime
    crew: Crew
    queue: Queue
    look_ups: Queue
    mails: list[MailGroup]
    mail_sent_at: datetime | None
    unclear: list[Unclear]
    shares: list[Share]
    halted: list[Connection]  # paused, or held for a while
    tasks: list[FailedTask]
    database: Database
    doubled: list[tuple[str, str, str]]  # merchant, connection, the provider's reference
    closed_pages: list[ClosedPage]

    def oldest(self, state: str) -> datetime | None:
        return min((each.oldest for each in self.unclear if each.state == state), default=None)

    def count(self, state: str) -> int:
        return sum(each.number for each in self.unclear if each.state == state)


def gather() -> Facts:
    """Look at everything once."""
    now = timezone.now()
    queue, look_ups, mails = _queue(), _look_ups(now), _mails(now)
    waits = bool(queue.ready or look_ups.ready or any(each.state in _DUE and each.since < now for each in mails))
    return Facts(
        now=now,
        crew=workers.look(now, waits=waits),
        queue=queue,
        look_ups=look_ups,
        mails=mails,
        mail_sent_at=_mail_sent_at(),
        unclear=_unclear(),
        shares=_shares(),
        halted=list(
            Connection.objects.filter(Q(paused_at__isnull=False) | Q(held_until__gt=now))
            .select_related("merchant")
            .order_by(F("paused_at").desc(nulls_last=True), "id")[:LISTED]
        ),
        tasks=list(FailedTask.objects.filter(last_at__gt=now - DAY).order_by("-last_at")[:LISTED]),
        database=_database(),
        doubled=_doubled(),
        closed_pages=closed_pages(),
    )


# ---- What waits -----------------------------------------------------------------------------------------------
# Ready: nothing but a thread is missing. The order is that of the index the claim walks, which is read no further.
_QUEUE = """
SELECT count(*), count(*) FILTER (WHERE ready), min(since) FILTER (WHERE ready), count(*) FILTER (WHERE priority > 0)
FROM (
    SELECT o.priority, coalesce(o.next_attempt_at, o.asked_at) AS since,
        (o.next_attempt_at IS NULL OR o.next_attempt_at <= now())
        AND c.paused_at IS NULL AND (c.held_until IS NULL OR c.held_until <= now())
        AND NOT EXISTS (
            SELECT FROM merchants_switch t
            WHERE t.ended_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()) AND t.scope <> 'public_page'
            AND (t.connection_id = c.id
                 OR t.connection_id IS NULL AND t.provider IN ('', c.provider) AND t.verb IN ('', o.verb))
        )
        AND NOT EXISTS (
            SELECT FROM ledger_operation f WHERE f.connection_id = o.connection_id
            AND f.in_flight_key = o.in_flight_key AND f.state IN ('running', 'checking', 'needs_person') OFFSET 0
        ) AS ready
    FROM ledger_operation o JOIN merchants_connection c ON c.id = o.connection_id
    WHERE o.state = 'waiting' ORDER BY o.connection_id, o.verb, o.priority, o.id LIMIT %(most)s
) w
"""


def _queue() -> Queue:
    return Queue(*_rows(_QUEUE, most=MOST)[0])


def _look_ups(now: datetime) -> Queue:
    waiting = Inquiry.objects.filter(state=State.WAITING)
    found = waiting.aggregate(since=Min("woken_at"))
    count = waiting[:MOST].count()
    return Queue(count, count, found["since"], 0)


_DUE = (MailState.QUEUED, MailState.WILL_RETRY)
_MAILS = """
SELECT state, reason, count(*), min(since) FROM (
    (SELECT state, reason, next_attempt_at AS since FROM mail_outgoingmail
     WHERE state IN ('queued', 'will_retry') ORDER BY priority, next_attempt_at LIMIT %(most)s)
    UNION ALL
    (SELECT state, reason, begun_at FROM mail_outgoingmail WHERE state = 'sending' LIMIT %(most)s)
    UNION ALL
    (SELECT state, reason, ended_at FROM mail_outgoingmail
     WHERE ended_at > now() - interval '24 hours' AND state IN ('failed', 'withheld')
     ORDER BY ended_at DESC LIMIT %(most)s)
) m GROUP BY state, reason ORDER BY state, count(*) DESC
"""


def _mails(now: datetime) -> list[MailGroup]:
    return [MailGroup(state, reason, count, since or now) for state, reason, count, since in _rows(_MAILS, most=MOST)]


def _mail_sent_at() -> datetime | None:
    ended = OutgoingMail.objects.filter(ended_at__isnull=False, ended_at__gt=timezone.now() - DAY)
    return ended.filter(state=MailState.SENT).order_by("-ended_at").values_list("ended_at", flat=True).first()


# ---- What nobody knows, and what failed -----------------------------------------------------------------------
_UNCLEAR = """
SELECT m.name, m.slug, c.provider, u.state, count(*), min(u.since)
FROM (
    (SELECT connection_id, state, begun_at AS since FROM ledger_operation WHERE state = 'running' LIMIT %(most)s)
    UNION ALL
    (SELECT connection_id, state, coalesce(begun_at, asked_at) FROM ledger_operation
     WHERE state = 'checking' ORDER BY next_attempt_at LIMIT %(most)s)
    UNION ALL
    (SELECT connection_id, state, coalesce(begun_at, asked_at) FROM ledger_operation
     WHERE state = 'needs_person' LIMIT %(most)s)
) u JOIN merchants_connection c ON c.id = u.connection_id JOIN merchants_merchant m ON m.id = c.merchant_id
GROUP BY m.name, m.slug, c.provider, u.state ORDER BY min(u.since)
"""


def _unclear() -> list[Unclear]:
    return [Unclear(*row) for row in _rows(_UNCLEAR, most=MOST)]


# A lost answer is one that was settled afterwards, or still is not.
LOST = "(o.state IN ('checking', 'needs_person') OR o.settled_by IN ('balance', 'record', 'resending', 'person'))"
_SHARES = f"""
SELECT s.connection_id, c.name, m.name, m.slug, s.asked, s.unclear, s.failed
FROM (
    SELECT o.connection_id, count(*) AS asked, count(*) FILTER (WHERE {LOST}) AS unclear,
        count(*) FILTER (WHERE o.state IN ('refused', 'failed')) AS failed
    FROM (SELECT * FROM ledger_operation WHERE begun_at > now() - %(lately)s ORDER BY begun_at DESC LIMIT %(most)s) o
    GROUP BY o.connection_id
) s JOIN merchants_connection c ON c.id = s.connection_id JOIN merchants_merchant m ON m.id = c.merchant_id
ORDER BY s.unclear * 1.0 / s.asked DESC, s.failed * 1.0 / s.asked DESC, s.asked DESC LIMIT %(listed)s
"""


def _shares() -> list[Share]:
    return [Share(*row) for row in _rows(_SHARES, most=MOST, lately=LATELY, listed=LISTED)]


_NORMAL = f"""
SELECT count(*), count(*) FILTER (WHERE {LOST})
FROM (
    SELECT state, settled_by FROM ledger_operation
    WHERE begun_at > now() - interval '24 hours' AND begun_at <= now() - %(lately)s AND connection_id = %(connection)s
    ORDER BY begun_at DESC LIMIT %(most)s
) o
"""


def normal_share(connection_id: int) -> float:
    """How many of a hundred are unclear at this connection on an ordinary day. Asked for only where tonight looks
    bad: nothing but the day narrows it."""
    asked, unclear = _rows(_NORMAL, most=MOST, lately=LATELY, connection=connection_id)[0]
    return 100 * unclear / asked if asked else 0.0


# The index holds what was not done, by merchant: each one's part of the day is looked into.
_FAILURES = """
SELECT c.provider, m.name, m.slug, f.state, f.reason, count(*), max(f.asked_at), max(f.id)
FROM (
    SELECT id, connection_id, state, reason, asked_at FROM ledger_operation
    WHERE merchant_id = ANY (%(merchants)s) AND state IN ('refused', 'failed')
      AND asked_at > now() - interval '24 hours' LIMIT %(most)s
) f JOIN merchants_connection c ON c.id = f.connection_id JOIN merchants_merchant m ON m.id = c.merchant_id
GROUP BY c.provider, m.name, m.slug, f.state, f.reason ORDER BY count(*) DESC, max(f.asked_at) DESC LIMIT %(listed)s
"""


def failures() -> list[Failing]:
    """What was refused or not sent within a day, most frequent first."""
    merchants = list(Merchant.objects.values_list("pk", flat=True))
    return [Failing(*row) for row in _rows(_FAILURES, merchants=merchants, most=MOST, listed=LISTED)]


# The same reference twice means that one of two receipts tells of the other's money. What belongs together by itself,
# a payment and its void or tip, may share one.
_DOUBLED = """
SELECT DISTINCT m.name, c.name, o.provider_reference
FROM (
    SELECT id, merchant_id, connection_id, provider_reference, original_id FROM ledger_operation
    WHERE begun_at > now() - interval '24 hours' AND state = 'done' AND provider_reference > ''
    ORDER BY begun_at DESC LIMIT 2000
) o
JOIN ledger_operation other ON other.merchant_id = o.merchant_id AND other.provider_reference = o.provider_reference
    AND other.provider_reference > '' AND other.connection_id = o.connection_id AND other.state = 'done'
    AND other.id <> o.id AND other.id IS DISTINCT FROM o.original_id AND other.original_id IS DISTINCT FROM o.id
    AND (o.original_id IS NULL OR other.original_id IS DISTINCT FROM o.original_id)
JOIN merchants_connection c ON c.id = o.connection_id JOIN merchants_merchant m ON m.id = o.merchant_id
LIMIT 20
"""


def _doubled() -> list[tuple[str, str, str]]:
    return [(merchant, name, reference) for merchant, name, reference in _rows(_DOUBLED)]


# ---- The parts it stands on -----------------------------------------------------------------------------------
def _database() -> Database:
    size = _rows("SELECT pg_database_size(current_database())")[0][0]
    oldest = _rows(
        "SELECT min(xact_start) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )[0][0]
    applied = set(_rows("SELECT app, name FROM django_migrations"))
    return Database(size, oldest, sorted(f"{app_label} {name}" for app_label, name in _migrations() - applied))


@lru_cache(maxsize=1)
def _migrations() -> set[tuple[str, str]]:
    """Those of this version of the program, which do not change while it runs."""
    return set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def messages() -> dict[str, int] | None:
    """How many messages wait at the broker, by queue; None where it does not answer. What is to be done stands in the
    database: these only wake workers, and a great many of them say that nobody listens."""
    try:
        with app.connection_for_write(connect_timeout=1) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=1)
            with broker.channel() as channel:
                # Declared as workers do it, so that a queue that is not there yet is one without messages.
                return {
                    queue.name: int(queue.bind(channel).queue_declare().message_count) for queue in app.conf.task_queues
                }
    except (OSError, OperationalError, ChannelError):
        return None


def _rows(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def stale_after() -> timedelta:
    """So long without any real work means that no worker does any."""
    return timedelta(seconds=settings.ALERT_IDLE_SECONDS)
