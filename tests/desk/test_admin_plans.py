"""The administration's lists stay quick over a full house: all merchants together, as the application's own role."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections as databases
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from portal.desk.administration.lists import PAGE, Listed
from portal.desk.administration.pages import site
from portal.ledger.models import Operation
from portal.merchants import audit, tenancy
from portal.merchants.models import AuditEntry, Merchant, Person
from tests.conftest import make_connection

SOMEWHERE = {"merchant": "full-0"}
# A hundred merchants; two of them with most of the rows.
OPERATIONS = """
INSERT INTO ledger_operation (merchant_id, connection_id, key, verb, amount_minor, currency, also_activate, extra,
    fingerprint, priority, asked_at, state, attempt, ended_at, checks, provider_reference, reason, provider_text, trace,
    settled_by, decision, decision_reason)
SELECT c.merchant_id, c.id, gen_random_uuid(), 'pay', 100, 'EUR', false, '{}', '', 0,
    now() - n * interval '1 minute', CASE WHEN n % 20000 = 0 THEN 'needs_person' ELSE 'done' END, 1,
    CASE WHEN n % 20000 > 0 THEN now() END, 0, 'P' || n, '', '', '', '', '', ''
FROM generate_series(1, 40000) n JOIN merchants_connection c ON c.name = 'Full house ' || n % 2
ORDER BY n
"""
LINES = """
INSERT INTO merchants_auditentry (merchant_id, at, person_id, verb, subject, request_id, detail)
SELECT c.merchant_id, now() - n * interval '1 minute', NULL, 'operation asked', md5(n::text), '', '{}'
FROM generate_series(1, 40000) n JOIN merchants_connection c ON c.name = 'Full house ' || n % 2
ORDER BY n
"""


@pytest.fixture(scope="module")
def _full_house(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), tenancy.every_merchant("a test arranges its rows"):
        databases["owner"].ensure_connection()
        with databases["owner"].cursor() as cursor:
            try:
                for n in range(100):
                    merchant = Merchant.objects.create(
                        slug=f"full-{n}", name=f"Full {n}", currency="EUR", time_zone="UTC"
                    )
                    connection = make_connection(merchant)
                    type(connection).objects.filter(pk=connection.pk).update(name=f"Full house {n}")
                Person.objects.create_user("full@example.com", name="Full")
                cursor.execute("ALTER TABLE ledger_operation DISABLE TRIGGER USER")  # it would let none begin as done
                cursor.execute(OPERATIONS)
                cursor.execute(LINES)
                cursor.execute(
                    "ANALYZE ledger_operation, merchants_auditentry, merchants_merchant, merchants_connection"
                )
                yield
            finally:
                cursor.execute("ALTER TABLE merchants_auditentry DISABLE TRIGGER append_only")
                cursor.execute("DELETE FROM merchants_auditentry")
                cursor.execute("ALTER TABLE merchants_auditentry ENABLE TRIGGER append_only")
                cursor.execute("DELETE FROM ledger_operation WHERE provider_reference LIKE 'P%'")
                cursor.execute("ALTER TABLE ledger_operation ENABLE TRIGGER USER")
                cursor.execute("DELETE FROM merchants_connection WHERE name LIKE 'Full house %'")
                cursor.execute("DELETE FROM merchants_merchant WHERE slug LIKE 'full-%'")
                cursor.execute("DELETE FROM merchants_person WHERE email = 'full@example.com'")
        databases["default"].close()
        databases["owner"].close()


@pytest.fixture
def full_house(_full_house: None, db: None) -> Iterator[None]:
    with tenancy.every_merchant("a test looks"):
        yield


def plans(model: Any, query: dict[str, str]) -> list[str]:
    """The plans of all that a list asks of its table, read as the application's role."""
    kind = site._registry[model]
    deep = model.objects.order_by("-pk").values_list("pk", flat=True)[30_000]
    request = RequestFactory().get("/", {name: text.replace("DEEP", str(deep)) for name, text in query.items()})
    with CaptureQueriesContext(database) as asked:
        listed = Listed(
            request, model, kind.get_list_display(request), (), kind.list_filter, None, (), (), PAGE,
            kind.list_max_show_all, (), kind, kind.sortable_by, kind.search_help_text,
        )  # fmt: skip
        list(listed.result_list)
    found = []
    with database.cursor() as cursor:
        for each in asked:
            if each["sql"].startswith("SET LOCAL"):
                cursor.execute(each["sql"])
            elif f'"{model._meta.db_table}"' in each["sql"] and each["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {each['sql']}")
                found.append("\n".join(row[0] for row in cursor.fetchall()))
    assert found
    return found


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Operation, {}),
        (Operation, {"after": "DEEP"}),
        (Operation, {"before": "DEEP"}),
        (Operation, {"after": "DEEP"} | SOMEWHERE),
        (Operation, {"after": "DEEP", "merchant": "full-57"}),
        (Operation, SOMEWHERE),
        (Operation, {"merchant": "full-57"}),
        (Operation, {"state": "needs_person"}),
        (Operation, {"state": "needs_person"} | SOMEWHERE),
        (Operation, {"state": "checking"}),
        (Operation, {"q": "P31234"}),
        (Operation, {"q": "0f2d3a68-44cc-4615-9737-6d29105a3aae"}),
        (AuditEntry, {}),
        (AuditEntry, SOMEWHERE),
        (AuditEntry, {"after": "DEEP"}),
        (AuditEntry, {"after": "DEEP"} | SOMEWHERE),
        (AuditEntry, {"merchant": "full-57"}),
        (AuditEntry, {"q": "c4ca4238a0b923820dcc509a6f75849b"}),
        (AuditEntry, {"q": "c4ca4238a0b923820dcc509a6f75849b"} | SOMEWHERE),
    ],
)
def test_no_list_reads_more_than_it_can_show(model, query, full_house):
    for plan in plans(model, query):
        table = model._meta.db_table
        read = [
            int(rows) * int(loops)
            for rows, loops in re.findall(rf" on {table}.*?rows=(\d+)(?:\.\d+)? loops=(\d+)", plan)
        ]
        removed = [int(rows) for rows in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
        assert max([*read, *removed], default=0) <= PAGE + 1, plan


def test_who_looked_lately_is_found_by_its_index(full_house, rf):
    request = rf.get("/")
    request.user = Person.objects.get(email="full@example.com")
    merchants = list(Merchant.objects.filter(slug__startswith="full-").values_list("pk", flat=True)[:50])
    with CaptureQueriesContext(database) as asked:
        audit.looked("operations", merchants=merchants, request=request)

    assert len(asked) == 2
    with database.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {asked[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Seq Scan on merchants_auditentry" not in plan, plan
    assert AuditEntry.objects.filter(verb="administrator looked").count() == 50
