"""The on-call page stays quick in a full house: each of its questions is answered by an index, as the application's own
role with every merchant's rows open, and none by reading all operations."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections as databases
from django.db import transaction

from portal.desk import facts, references
from portal.ledger import finding, health
from portal.merchants import tenancy
from portal.merchants.models import Connection, Merchant

# A hundred thousand that are done, over a year; a hundred waiting, ten at Checking, and a few of the last minutes.
OPERATIONS = """
INSERT INTO ledger_operation (merchant_id, connection_id, key, verb, amount_minor, currency, also_activate, extra,
    fingerprint, priority, asked_at, begun_at, ended_at, state, attempt, checks, provider_reference, reason,
    provider_text, trace, settled_by, decision, decision_reason, in_flight_key, next_attempt_at)
SELECT c.merchant_id, c.id, gen_random_uuid(), 'pay', 1000, 'EUR', false, '{}', '', 0, at, at,
    CASE WHEN state IN ('done', 'refused') THEN at END, state, 1, 0, md5(n::text || c.id), '', '', '',
    CASE WHEN state = 'done' THEN 'answer' ELSE '' END, '', '', decode(md5(n::text), 'hex'),
    CASE WHEN state = 'checking' THEN now() + interval '1 minute' END
FROM (
    SELECT n, now() - n * interval '5 minutes' AS at,
        CASE WHEN n <= 100 THEN 'waiting' WHEN n <= 110 THEN 'checking' WHEN n % 50 = 0 THEN 'refused' ELSE 'done'
        END AS state
    FROM generate_series(1, 100000) n
) o, merchants_connection c JOIN merchants_merchant m ON m.id = c.merchant_id WHERE m.slug LIKE 'house-%'
"""


@contextmanager
def _as_owner() -> Iterator[Any]:
    databases["owner"].ensure_connection()
    with tenancy.every_merchant("a test arranges its rows"), databases["owner"].cursor() as cursor:
        yield cursor


@pytest.fixture(scope="module")
def _house(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        try:
            with _as_owner() as cursor:
                for slug in ("house-1", "house-2"):
                    merchant = Merchant.objects.using("owner").create(
                        slug=slug, name="House", currency="EUR", time_zone="UTC"
                    )
                    Connection.objects.using("owner").create(
                        merchant=merchant, provider="paywizard", name="P", environment="sandbox", sealed_secrets=b""
                    )
                cursor.execute("ALTER TABLE ledger_operation DISABLE TRIGGER USER")
                cursor.execute(OPERATIONS)
                cursor.execute("ALTER TABLE ledger_operation ENABLE TRIGGER USER")
                cursor.execute("ANALYZE ledger_operation, merchants_connection, merchants_merchant")
            yield
        finally:
            with _as_owner() as cursor:
                cursor.execute("ALTER TABLE ledger_operation DISABLE TRIGGER USER")
                cursor.execute("DELETE FROM ledger_operation")
                cursor.execute("ALTER TABLE ledger_operation ENABLE TRIGGER USER")
                cursor.execute("DELETE FROM merchants_connection")
                cursor.execute("DELETE FROM merchants_merchant WHERE slug LIKE 'house-%'")
            databases["owner"].close()


@pytest.fixture
def house(_house: None, db: None) -> Iterator[list[int]]:
    with tenancy.every_merchant("a test looks at all merchants"):
        yield list(Merchant.objects.values_list("pk", flat=True))


def plan(statement: str, **values: Any) -> str:
    with database.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", values)
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.parametrize("name", ["_QUEUE", "_UNCLEAR", "_SHARES", "_NORMAL", "_FAILURES", "_DOUBLED"])
def test_no_number_of_the_page_reads_all_operations(name, house):
    values = {"most": facts.MOST, "listed": facts.LISTED, "lately": facts.LATELY, "merchants": house}
    values["connection"] = Connection.objects.first().pk
    statement = getattr(facts, name)
    used = {key: value for key, value in values.items() if f"%({key})s" in statement}
    found = plan(statement, **used)

    assert "Seq Scan on ledger_operation" not in found, found
    removed = max(map(int, re.findall(r"Rows Removed by Filter: (\d+)", found)), default=0)
    assert removed < 2000, found


# Ninety days of two connections, four lines for each hour.
COUNTS = """
INSERT INTO ledger_callcount (merchant_id, connection_id, hour, cause, bucket, calls, last_at)
SELECT c.merchant_id, c.id, date_trunc('hour', now()) - h * interval '1 hour', '', b, 5, now()
FROM merchants_connection c, generate_series(1, 2160) h, generate_series(8, 11) b
"""


def test_how_every_connection_is_reads_one_day_of_calls_and_what_is_unclear(house):
    look_ups = health._OF_LOOK_UPS.format(rows="ledger_inquiry")
    statement = health._HEALTH.format(mine="true", mine_too="true", look_ups=look_ups)
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute(COUNTS)
        cursor.execute("ANALYZE ledger_callcount")
        found = plan(statement, merchant=None, days=1, lately=86400.0)
        days = plan(
            health._DAYS_OF, connections=list(Connection.objects.values_list("pk", flat=True)), zone="UTC", days=31
        )
        transaction.set_rollback(True)

    assert "Seq Scan on ledger_operation" not in found, found
    assert "Seq Scan on ledger_callcount" not in found + days, found + days
    removed = max(map(int, re.findall(r"Rows Removed by Filter: (\d+)", found + days)), default=0)
    assert removed < 2000, found


def test_a_whole_look_is_a_few_queries(house, django_assert_max_num_queries):
    with django_assert_max_num_queries(20):
        seen = facts.gather()

    assert (seen.queue.waiting, seen.count("checking")) == (200, 20)


def test_a_reference_is_found_in_each_merchants_part_of_its_index(house):
    with database.cursor() as cursor:
        cursor.execute("SELECT key, provider_reference FROM ledger_operation ORDER BY id LIMIT 1 OFFSET 777")
        key, theirs = cursor.fetchone()
    for reference in (key.hex, theirs):
        assert [each.key for each in finding.anywhere(reference)] == [key]
        assert [each.key for each in references.find(reference).operations] == [key]
    rows = "SELECT id FROM ledger_operation WHERE merchant_id = ANY (%(merchants)s) AND key = %(key)s"
    assert "operation_key_once" in plan(rows, merchants=house, key=key)
