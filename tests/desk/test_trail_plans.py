"""The trail stays quick when it is long: each question is answered by its index, as the application's own role."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections as databases

from portal.merchants import audit, tenancy
from portal.merchants.models import AuditEntry, Merchant, Person

LINES = """
INSERT INTO merchants_auditentry (merchant_id, at, person_id, verb, subject, request_id, detail)
SELECT m.id, now() - n * interval '1 minute', CASE WHEN n % 500 > 0 THEN p.ids[1 + n % 40] END,
       CASE WHEN n % 1000 = 0 THEN 'role changed' WHEN n % 3 = 0 THEN 'operation decided' ELSE 'operation asked' END,
       md5(n::text), '', '{}'
FROM generate_series(1, 100000) n, merchants_merchant m,
     (SELECT array_agg(id) ids FROM merchants_person WHERE email LIKE 'archive%') p
WHERE m.slug LIKE 'archive-%'
"""


@pytest.fixture(scope="module")
def _archive(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Two merchants with a hundred thousand lines each and forty people, committed and counted (ANALYZE) by the owner,
    so that the plans are those of a full house; taken away again afterwards."""
    with django_db_blocker.unblock():
        try:
            with _as_owner() as cursor:
                people = [Person(email=f"archive{n}@example.com", name=f"A{n}") for n in range(40)]
                Person.objects.using("owner").bulk_create(people)
                for slug in ("archive-1", "archive-2"):
                    Merchant.objects.using("owner").create(slug=slug, name="Archive", currency="EUR", time_zone="UTC")
                cursor.execute(LINES)
                cursor.execute("ANALYZE merchants_auditentry, merchants_person, merchants_merchant")
            yield
        finally:
            with _as_owner() as cursor:
                cursor.execute("ALTER TABLE merchants_auditentry DISABLE TRIGGER append_only")
                cursor.execute("DELETE FROM merchants_auditentry")
                cursor.execute("ALTER TABLE merchants_auditentry ENABLE TRIGGER append_only")
                cursor.execute("DELETE FROM merchants_merchant WHERE slug LIKE 'archive-%'")
                cursor.execute("DELETE FROM merchants_person WHERE email LIKE 'archive%'")
            databases["owner"].close()


@contextmanager
def _as_owner() -> Iterator[Any]:
    databases["owner"].ensure_connection()
    with tenancy.every_merchant("a test arranges its rows"), databases["owner"].cursor() as cursor:
        yield cursor


@pytest.fixture
def archive(_archive: None, db: None) -> Iterator[Merchant]:
    with tenancy.every_merchant("a test looks for its merchant"):
        merchant = Merchant.objects.get(slug="archive-1")
    with tenancy.merchant(merchant.pk):
        yield merchant


NOW = datetime.now(UTC)
A_DAY = {"since": NOW - timedelta(days=61), "until": NOW - timedelta(days=60)}


@pytest.mark.parametrize(
    ("which", "index"),
    [
        ({}, "audit_newest"),
        (A_DAY, "audit_newest"),
        ({"machine": True}, "audit_of_person"),
        ({"person": 0}, "audit_of_person"),
        ({"person": 0} | A_DAY, "audit_of_person"),
        ({"subjects": ("c4ca4238a0b923820dcc509a6f75849b",)}, "audit_of_subject"),
        ({"verbs": ("role changed",)}, "audit_of_verb"),
        ({"verbs": ("operation asked", "operation decided")}, "audit_newest"),
    ],
)
def test_each_question_is_answered_by_its_index(which, index, archive):
    person = AuditEntry.objects.exclude(person=None).values_list("person", flat=True).first()
    asked = audit.Which(**{name: person if name == "person" else value for name, value in which.items()})
    middle = AuditEntry.objects.order_by("-at")[50_000]

    for rows in (audit.newest(archive, asked), audit.newest(archive, asked, before=middle)):
        plan = rows[:51].explain(analyze=True)
        assert index in plan, plan
        assert max(map(int, re.findall(r"Rows Removed by Filter: (\d+)", plan)), default=0) < 1000, plan
        assert "Seq Scan on merchants_auditentry" not in plan


def test_who_appears_is_found_without_reading_every_line(archive):
    with database.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {audit._PEOPLE}", {"merchant": archive.pk})
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert len(audit.people(archive)) == 40
    # By merchant and person, or by person alone where one merchant has most lines: both step from one to the next.
    assert "Index" in plan, plan
    assert max(map(int, re.findall(r"Rows Removed by Filter: (\d+)", plan)), default=0) < 1000, plan
    assert plan.count(" on merchants_auditentry") == 1, plan
    assert "Seq Scan" not in plan
