"""The desk stays quick in a full house: an index answers each of its questions, as the application's own role."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections as databases
from django.test.utils import CaptureQueriesContext

from portal import dates
from portal.desk import connection_tiles, needs, today, yesterday
from portal.merchants import tenancy
from portal.merchants.models import Connection, Merchant
from portal.merchants.roles import Role

# A busy month of two merchants, a handful of each state that is rare.
OPERATIONS = """
INSERT INTO ledger_operation
    (merchant_id, connection_id, key, verb, amount_minor, currency, also_activate, extra, fingerprint, priority,
     asked_at, state, attempt, checks, ended_at, provider_reference, reason, provider_text, trace, settled_by,
     decision, decision_reason)
SELECT m.id, c.id, gen_random_uuid(), 'pay', 100 + n % 900, 'EUR', false, '{}', '', 0,
       now() - n * interval '40 seconds', s.state, 1, 0,
       CASE WHEN s.state IN ('done', 'refused') THEN now() END, '', '', '', '',
       CASE WHEN s.state = 'done' THEN 'answer' ELSE '' END, '', ''
FROM generate_series(1, 60000) n, merchants_merchant m JOIN merchants_connection c ON c.merchant_id = m.id,
     LATERAL (SELECT CASE WHEN n % 5000 = 0 THEN 'checking' WHEN n % 4999 = 0 THEN 'needs_person'
                          WHEN n % 50 = 0 THEN 'refused' ELSE 'done' END AS state) s
WHERE m.slug LIKE 'busy-%'
"""
TABLES = ["ledger_operation", "merchants_connection", "merchants_merchant"]


@contextmanager
def _as_owner() -> Iterator[Any]:
    databases["owner"].ensure_connection()
    with tenancy.every_merchant("a test arranges its rows"), databases["owner"].cursor() as cursor:
        yield cursor


@pytest.fixture(scope="module")
def _busy(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Rows committed and counted (ANALYZE) by the owner, so that plans are those of a full house; gone afterwards."""
    with django_db_blocker.unblock():
        try:
            with _as_owner() as cursor:
                for slug in ("busy-1", "busy-2"):
                    made = Merchant.objects.using("owner").create(slug=slug, name="B", currency="EUR", time_zone="UTC")
                    Connection.objects.using("owner").create(
                        merchant=made, provider="paywizard", name=slug, environment="live", sealed_secrets=b""
                    )
                cursor.execute("ALTER TABLE ledger_operation DISABLE TRIGGER USER")
                cursor.execute(OPERATIONS)
                cursor.execute("ALTER TABLE ledger_operation ENABLE TRIGGER USER")
                cursor.execute(f"ANALYZE {', '.join(TABLES)}")
            yield
        finally:
            with _as_owner() as cursor:
                cursor.execute("ALTER TABLE ledger_operation DISABLE TRIGGER USER")
                cursor.execute("DELETE FROM ledger_operation")
                cursor.execute("ALTER TABLE ledger_operation ENABLE TRIGGER USER")
                cursor.execute("DELETE FROM merchants_connection WHERE name LIKE 'busy-%'")
                cursor.execute("DELETE FROM merchants_merchant WHERE slug LIKE 'busy-%'")
                cursor.execute("ANALYZE ledger_operation")
            databases["owner"].close()


@pytest.fixture
def request_of_owner(_busy: None, db: None) -> Iterator[Any]:
    with tenancy.every_merchant("a test looks for its merchant"):
        merchant = Merchant.objects.get(slug="busy-1")
    with tenancy.merchant(merchant.pk):
        # as much of an owner's request as the desk's parts read
        yield SimpleNamespace(merchant=merchant, by_pin=False, member=SimpleNamespace(role=Role.OWNER))


@pytest.mark.parametrize(
    ("ask", "most"),
    [
        (lambda request: needs.of(request), 200),
        (lambda request: today.rows(request, list(request.merchant.connection_set.all())), 50),
        (lambda request: connection_tiles.of(request), 3_000),
        (lambda request: yesterday.lines(request.merchant, dates.today()), 3_000),
    ],
    ids=["needs", "today", "tiles", "yesterday"],
)
def test_no_part_of_the_desk_reads_more_operations_than_it_tells_of(ask, most, request_of_owner):
    with CaptureQueriesContext(database) as asked:
        ask(request_of_owner)

    for query in asked.captured_queries:
        if '"ledger_operation"' not in query["sql"]:
            continue
        with database.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {query['sql']}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Seq Scan on ledger_operation" not in plan, plan
        read = [int(float(rows)) for rows in re.findall(r"ledger_operation.* rows=([0-9.]+) loops", plan)]
        dropped = [int(rows) for rows in re.findall(r"Rows Removed by Filter: ([0-9]+)", plan)]
        assert max([*read, *dropped], default=0) <= most, plan
