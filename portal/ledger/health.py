"""How connections are: calls counted by hour, by what went wrong and by how long they took.

The only writer of CallCount. Nothing is written for it while somebody waits: each minute `fold` counts the exchanges
that came since; a look-up, whose row lives for minutes, is counted in the statement that erases it, and until then
where it stands. Every call is counted once, whatever dies in between and however often a task runs:

* the counts and the mark up to which was counted are one transaction, and the mark's row is held in it;
* ids are drawn before they are committed, so a smaller one may appear after a larger. Whoever has drawn one holds the
  lock that an INSERT takes on its table, until it commits. `_settled` reads the largest id, then who holds that lock,
  and waits for those to end: after that nothing below can appear any more. Nobody waits for us.

Lengths are kept in buckets that grow by the square root of two: medians and percentiles are right to within a fifth.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone

from portal.ledger.models import Folded
from portal.merchants import tenancy
from portal.merchants.models import Connection, Merchant
from portal.money import Money

DAYS = 30  # of which pages tell
LATELY = timedelta(hours=24)  # over which shares and lengths are told
_AT_A_TIME = 20_000  # exchanges counted in one transaction
_PATIENCE, _LOOK_AGAIN = 2.0, 0.05  # seconds to wait for those who are about to commit

_BUCKET = "greatest(ceil(2 * ln(greatest({ms}, 1)) / ln(2)), 0)::smallint"
_OF_EXCHANGES = f"""
SELECT e.merchant_id, o.connection_id, date_trunc('hour', e.at, 'UTC') AS hour,
       coalesce(nullif(e.cause, ''), e.reason) AS cause, {_BUCKET.format(ms="e.total_ms")} AS bucket,
       e.at, e.operation_id
FROM ledger_exchange e JOIN ledger_operation o ON o.id = e.operation_id
"""
_OF_LOOK_UPS = f"""
SELECT merchant_id, connection_id, date_trunc('hour', ended_at, 'UTC') AS hour,
       CASE WHEN failure IN ('', 'declined') AND reason <> 'throttled' THEN '' ELSE reason END AS cause,
       {_BUCKET.format(ms="took_ms")} AS bucket, ended_at AS at, NULL::bigint AS operation_id
FROM {{rows}} WHERE ended_at IS NOT NULL AND took_ms IS NOT NULL
"""
# In one order, so that two who count at the same time never wait for each other crosswise.
_COUNT = """
INSERT INTO ledger_callcount AS known (merchant_id, connection_id, hour, cause, bucket, calls, last_at, example)
SELECT merchant_id, connection_id, hour, cause, bucket, count(*), max(at), max(operation_id) FROM ({made}) made
GROUP BY merchant_id, connection_id, hour, cause, bucket ORDER BY connection_id, hour, cause, bucket
ON CONFLICT (connection_id, hour, cause, bucket) DO UPDATE SET calls = known.calls + excluded.calls,
    last_at = greatest(known.last_at, excluded.last_at), example = coalesce(excluded.example, known.example)
"""


# ---- Counting -------------------------------------------------------------------------------------------------
def fold() -> int:
    """Count what came since, and forget what is too old. Returns how far it came: the last exchange that is counted."""
    with tenancy.every_merchant("the calls of all merchants are counted"):
        up_to = _settled()
        while (counted := _fold(up_to)) < up_to:
            pass
        with database.cursor() as cursor:
            cursor.execute(
                "DELETE FROM ledger_callcount WHERE hour < now() - make_interval(days => %s)",
                [settings.HEALTH_KEPT_DAYS],
            )
    return counted


def _fold(up_to: int) -> int:
    with transaction.atomic():
        Folded.objects.get_or_create(name="exchanges", defaults={"up_to": 0})
        mark = Folded.objects.select_for_update().get(name="exchanges")
        if mark.up_to >= up_to:
            return mark.up_to
        end = min(up_to, mark.up_to + _AT_A_TIME)
        with database.cursor() as cursor:
            made = f"{_OF_EXCHANGES} WHERE e.id > %s AND e.id <= %s"
            cursor.execute(_COUNT.format(made=made), [mark.up_to, end])
        mark.up_to = end
        mark.save()
    return end


def _settled() -> int:
    """The largest id of an exchange below which no other will appear any more; 0 if that cannot be said just now."""
    with database.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM ledger_exchange")
        [up_to] = cursor.fetchone()
        writing = _writing(cursor)
        given_up = time.monotonic() + _PATIENCE
        while writing:
            if time.monotonic() > given_up:
                return 0
            time.sleep(_LOOK_AGAIN)
            writing &= _writing(cursor)
    return int(up_to)


def _writing(cursor: Any) -> set[str]:
    """The transactions that may have drawn ids of exchanges and have not ended."""
    cursor.execute(
        "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted"
        " AND relation = 'ledger_exchange'::regclass AND pid <> pg_backend_pid()"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return {row[0] for row in cursor.fetchall()}


def erase_look_ups(*, older_than: timedelta) -> None:
    """Erase look-ups that were asked so long ago, and count them, in one statement. For balances.py, their writer."""
    gone = "DELETE FROM ledger_inquiry WHERE asked_at < statement_timestamp() - make_interval(secs => %s) RETURNING *"
    with database.cursor() as cursor:
        cursor.execute(
            f"WITH gone AS ({gone}) {_COUNT.format(made=_OF_LOOK_UPS.format(rows='gone'))}",
            [older_than.total_seconds()],
        )


# ---- Telling --------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Health:
    """How one connection is. Numbers are of the last 24 hours, the moments of the last 30 days; None: never.

    `causes` are what went wrong, the most frequent first, and `lengths` the calls that were answered, by bucket.
    `unclear` operations are Checking or need a person; the money in them is `unclear_money`.
    """

    connection: Connection
    calls: int
    causes: Sequence[tuple[str, int]]
    good_at: datetime | None
    bad_at: datetime | None
    lengths: Mapping[int, int]
    median_ms: int | None
    p95_ms: int | None
    unclear: int
    unclear_money: Money | None

    @property
    def errors(self) -> int:
        return sum(count for _cause, count in self.causes)

    @property
    def share(self) -> float:
        """Of the calls, how many went wrong: 0 to 1."""
        return self.errors / self.calls if self.calls else 0.0


_HEALTH = """
WITH made AS (
    SELECT connection_id, hour AS at, cause, bucket, calls, last_at FROM ledger_callcount
    WHERE {mine} AND hour >= statement_timestamp() - make_interval(days => %(days)s)
    UNION ALL
    SELECT connection_id, at, cause, bucket, 1, at FROM ({look_ups}) l WHERE {mine}
), told AS (
    SELECT connection_id, jsonb_agg(jsonb_build_array(cause, bucket, calls)) AS counts,
           max(last_at) FILTER (WHERE cause = '') AS good_at, max(last_at) FILTER (WHERE cause <> '') AS bad_at
    FROM (SELECT connection_id, cause, bucket, max(last_at) AS last_at, coalesce(sum(calls)
            FILTER (WHERE at > statement_timestamp() - make_interval(secs => %(lately)s)), 0) AS calls
          FROM made GROUP BY connection_id, cause, bucket) summed GROUP BY connection_id
), unclear AS (
    SELECT connection_id, count(*) AS many, sum(amount_minor) AS minor, max(currency) AS currency
    FROM (
        SELECT connection_id, amount_minor, currency FROM ledger_operation WHERE {mine} AND state = 'checking'
        UNION ALL
        SELECT connection_id, amount_minor, currency FROM ledger_operation WHERE {mine} AND state = 'needs_person'
    ) open GROUP BY connection_id
)
SELECT c.*, told.counts, told.good_at, told.bad_at, unclear.many, unclear.minor, unclear.currency
FROM merchants_connection c
LEFT JOIN told ON told.connection_id = c.id LEFT JOIN unclear ON unclear.connection_id = c.id
WHERE {mine_too} ORDER BY c.name, c.id
"""


def of_connections(merchant: Merchant, *, days: int = DAYS) -> list[Health]:
    """All connections of a merchant by name, in one query however many there are. `days` is how far back their moments
    are looked for."""
    return _told("merchant_id = %(merchant)s", "c.merchant_id = %(merchant)s", merchant.pk, days=days)


def of_everybody() -> list[Health]:
    """The same of all merchants, for administrators: their page has opened all rows. Its moments are of the last 24
    hours, too: those of 30 days would be millions of counts."""
    found = _told("true", "true", None, days=1)
    prefetch_related_objects([each.connection for each in found], "merchant")
    return found


def _told(mine: str, mine_too: str, merchant: int | None, *, days: int) -> list[Health]:
    look_ups = _OF_LOOK_UPS.format(rows="ledger_inquiry")
    rows = Connection.objects.raw(
        _HEALTH.format(mine=mine, mine_too=mine_too, look_ups=look_ups),
        {"merchant": merchant, "days": days, "lately": LATELY.total_seconds()},
    )
    return [_health(row) for row in rows]


def _health(row: Any) -> Health:
    causes: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    for cause, bucket, calls in json.loads(row.counts or "[]"):
        causes[cause] += calls
        if not cause:
            lengths[bucket] += calls
    return Health(
        connection=row,
        calls=sum(causes.values()),
        causes=[(cause, count) for cause, count in causes.most_common() if cause and count],
        good_at=row.good_at,
        bad_at=row.bad_at,
        lengths=lengths,
        median_ms=length(lengths, 0.5),
        p95_ms=length(lengths, 0.95),
        unclear=row.many or 0,
        unclear_money=Money(int(row.minor), row.currency) if row.minor else None,
    )


def length(buckets: Mapping[int, int], part: float) -> int | None:
    """About how many milliseconds that part (0 to 1) of the calls took at most: the middle of the bucket it falls into.
    None where there were no calls."""
    wanted, seen = part * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen and seen >= wanted:
            return round(2 ** (bucket / 2 - 0.25))
    return None


@dataclass(frozen=True, kw_only=True)
class Day:
    """What one connection did on one day of the merchant's."""

    on: date
    calls: int
    errors: int


_DAYS_OF = """
SELECT connection_id, (hour AT TIME ZONE %(zone)s)::date, sum(calls), coalesce(sum(calls) FILTER (WHERE cause > ''), 0)
FROM ledger_callcount
WHERE connection_id = ANY (%(connections)s) AND hour >= statement_timestamp() - make_interval(days => %(days)s)
GROUP BY 1, 2
"""


def days_of(connections: Sequence[int], *, today: date) -> dict[int, list[Day]]:
    """The last 30 days of each of these connections, the oldest first, by the clock in force. What was looked up in
    the last minutes is not in them yet."""
    with database.cursor() as cursor:
        zone = timezone.get_current_timezone_name()
        cursor.execute(_DAYS_OF, {"connections": list(connections), "zone": zone, "days": DAYS + 1})
        told = {(row[0], row[1]): (int(row[2]), int(row[3])) for row in cursor.fetchall()}
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return {
        each: [Day(on=on, calls=told.get((each, on), (0, 0))[0], errors=told.get((each, on), (0, 0))[1]) for on in days]
        for each in connections
    }


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What went wrong at one connection in the last 30 days: how often, when last, and an operation to look at."""

    cause: str
    count: int
    last_at: datetime
    example: int | None


_DAYS = """
SELECT (at AT TIME ZONE %(zone)s)::date AS day, cause, sum(calls), max(last_at), max(example) FROM (
    SELECT hour AS at, cause, calls, last_at, example FROM ledger_callcount
    WHERE connection_id = %(connection)s AND hour >= statement_timestamp() - make_interval(days => %(days)s)
    UNION ALL
    SELECT at, cause, 1, at, NULL FROM ({look_ups}) l
    WHERE merchant_id = %(merchant)s AND connection_id = %(connection)s
) made GROUP BY day, cause
"""


def history(connection: Connection, *, today: date, zone: str) -> tuple[list[Day], list[Cause]]:
    """The last 30 days of one connection, the oldest first and each of them, and what went wrong, the latest first."""
    with database.cursor() as cursor:
        cursor.execute(
            _DAYS.format(look_ups=_OF_LOOK_UPS.format(rows="ledger_inquiry")),
            {"connection": connection.pk, "merchant": connection.merchant_id, "days": DAYS + 1, "zone": zone},
        )
        rows = cursor.fetchall()
    calls: Counter[date] = Counter()
    errors: Counter[date] = Counter()
    causes: dict[str, Cause] = {}
    for day, cause, count, last_at, example in rows:
        calls[day] += int(count)
        if not cause:
            continue
        errors[day] += int(count)
        known = causes.get(cause)
        if known is not None:
            count, last_at = count + known.count, max(last_at, known.last_at)
            example = max(filter(None, (example, known.example)), default=None)
        causes[cause] = Cause(cause=cause, count=int(count), last_at=last_at, example=example)
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    return (
        [Day(on=day, calls=calls[day], errors=errors[day]) for day in days],
        sorted(causes.values(), key=lambda each: each.last_at, reverse=True),
    )
