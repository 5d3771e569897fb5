"""The lists stay quick when they are long: each page asks as often as the first one, and each question is answered by
its index, read as the application's own role."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections as databases
from django.db import transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.ledger import finding, listing
from portal.ledger.models import Card, Operation
from portal.merchants import tenancy
from portal.merchants.models import Merchant, Person
from tests.bench import archive
from tests.bench.size import ASKED
from tests.conftest import typed_just_now

DESK, LIST, CARDS = "/m/archive-1/", "/m/archive-1/operations/", "/m/archive-1/cards/"


@contextmanager
def _as_owner() -> Iterator[Any]:
    databases["owner"].ensure_connection()
    with tenancy.every_merchant("a test arranges its rows"), databases["owner"].cursor() as cursor:
        yield cursor


@pytest.fixture(scope="module")
def _archive(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Two merchants with ten thousand operations each, committed and counted (ANALYZE) by the owner."""
    with django_db_blocker.unblock():
        try:
            with _as_owner() as cursor:
                archive.fill(cursor, merchants=2, cards=4_000, operations=20_000)
            yield
        finally:
            with _as_owner() as cursor:
                archive.clear(cursor)
            databases["owner"].close()


@pytest.fixture
def browser(_archive: None, db: None) -> Iterator[Client]:
    """The owner's of the first merchant, whose rows are open to the test, too."""
    with tenancy.every_merchant("a test looks for its merchant"):
        merchant, person = Merchant.objects.get(slug="archive-1"), Person.objects.get(email="archive0-0@example.com")
    client = Client(HTTP_HOST="localhost")
    client.force_login(person)
    typed_just_now(client, person)
    with tenancy.merchant(merchant.pk):
        client.get(LIST)  # the first page of a day notes that somebody was here
        yield client


def asked(browser: Client, path: str, posted: dict[str, str] | None = None) -> list[str]:
    """The statements that one page asks."""
    with CaptureQueriesContext(database) as queries:
        answer = browser.post(path, posted) if posted is not None else browser.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return [query["sql"] for query in queries if query["sql"].lstrip("(\n ").startswith("SELECT")]


def plans(statements: list[str]) -> Iterator[tuple[str, str]]:
    """What PostgreSQL does for each that reads operations or cards, where to read a table as a whole is dear: a test's
    table is so small that this would often be as cheap as its index."""
    for sql in statements:
        if re.search(r'FROM "ledger_(operation|card)"', sql):
            with transaction.atomic(), database.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + sql.replace("%", "%%"), [])
                plan = "\n".join(row[0] for row in cursor.fetchall())
                cursor.execute("SET LOCAL enable_seqscan = on")
            yield sql, plan


def deep(rows: Any, at: str) -> str:
    """The place of the row in the middle of all."""
    row = rows.order_by(f"-{at}", "-id")[rows.count() // 2]
    return str(listing.Place(at=getattr(row, at), number=row.pk))


SEARCHES = ["{key}", "{short}", "{theirs}", "{begins}", "req-", "{four}", "{four} 12,50", "8.51", "2026-05-01"]


def typed(text: str) -> str:
    row = Operation.objects.exclude(provider_reference="").select_related("card").first()
    theirs = row.provider_reference
    return text.format(key=row.key, short=row.key.hex[:8], theirs=theirs, begins=theirs[:12], four=row.card.last_four)


@pytest.mark.parametrize(
    "query",
    [
        *("", "sort=oldest", "when=30", "state=done", "state=refused", "state=needs_person", "state=waiting"),
        *("settled=balance", "settled=person", "verb=tip", "verb=void", "least=5&state=refused&when=30"),
    ],
)
def test_every_way_of_narrowing_the_operations_is_answered_by_an_index(browser, query):
    middle = deep(Operation.objects.all(), "asked_at")

    for path in (f"{LIST}?{query}", f"{LIST}?{query}&after={middle}"):
        _by_index(asked(browser, path), "ledger_operation")


@pytest.mark.parametrize("query", ["", "sort=oldest", "when=7", "status=empty"])
def test_every_way_of_narrowing_the_cards_is_answered_by_an_index(browser, query):
    middle = deep(Card.objects.all(), "first_seen_at")

    for path in (f"{CARDS}?{query}", f"{CARDS}?{query}&after={middle}"):
        _by_index(asked(browser, path), "ledger_card")


@pytest.mark.parametrize("text", SEARCHES)
def test_every_kind_of_search_is_answered_by_an_index(browser, text):
    _by_index(asked(browser, LIST, {"q": typed(text)}), "ledger_operation")
    _by_index(asked(browser, CARDS, {"q": typed(text)[-4:]}), "ledger_card")


def test_an_administrators_search_looks_into_each_merchants_part_of_the_index(browser):
    for text in ("{key}", "{short}", "{theirs}", "{begins}"):
        wanted = typed(text)
        with CaptureQueriesContext(database) as queries:
            assert finding.anywhere(wanted)
        with tenancy.every_merchant("a test reads plans of what asks for every merchant"):
            _by_index(
                [query["sql"] for query in queries if query["sql"].lstrip("(\n ").startswith("SELECT")],
                "ledger_operation",
            )


def test_the_pages_around_are_answered_by_an_index_too(browser):
    operation = Operation.objects.exclude(original=None).select_related("card").first()

    for path in (f"{LIST}{operation.key}/", f"{CARDS}{operation.card.key}/"):
        _by_index(asked(browser, path), "ledger_(operation|card)")


def _by_index(statements: list[str], table: str) -> None:
    read = list(plans(statements))
    for sql, plan in read:
        assert not re.search(f"Seq Scan on {table}", plan), f"{sql}\n{plan}"
        # The most that is looked through for what no index holds.
        removed = max(map(int, re.findall(r"Rows Removed by Filter: (\d+)", plan)), default=0)
        assert removed <= listing.WALK, f"{sql}\n{plan}"


@pytest.mark.parametrize(
    ("path", "at", "rows"), [(LIST, "asked_at", Operation.objects), (CARDS, "first_seen_at", Card.objects)]
)
def test_any_page_asks_as_often_as_the_first_one(browser, path, at, rows):
    middle = deep(rows.all(), at)

    counts = {len(asked(browser, path + query)) for query in ("", f"?after={middle}", f"?before={middle}")}

    assert len(counts) == 1, counts


def test_each_page_asks_no_more_often_than_is_stated(browser):
    """`make bench` holds a million rows to the same numbers."""
    middle = deep(Operation.objects.all(), "asked_at")
    row = Operation.objects.exclude(original=None).exclude(provider_reference="").select_related("card").first()

    counts = {
        "list": len(asked(browser, LIST)),
        "list, 10,000 pages on": len(asked(browser, f"{LIST}?after={middle}")),
        "search by reference": len(asked(browser, LIST, {"q": row.provider_reference})),
        "search by last four": len(asked(browser, LIST, {"q": row.card.last_four})),
        "cards": len(asked(browser, CARDS)),
        "card": len(asked(browser, f"{CARDS}{row.card.key}/")),
        "operation": len(asked(browser, f"{LIST}{row.key}/")),
        "desk": len(asked(browser, DESK)),
    }

    assert {name: count for name, count in counts.items() if count > ASKED[name]} == {}
    assert counts["list"] == counts["list, 10,000 pages on"] == ASKED["list"]


def test_a_page_of_the_list_reads_no_more_rows_than_it_shows(browser):
    middle = deep(Operation.objects.all(), "asked_at")

    for query in ("", f"?after={middle}", f"?before={middle}"):
        [page] = [plan for sql, plan in plans(asked(browser, LIST + query)) if "last_four" in sql]
        read = [int(rows) for rows in re.findall(r"on ledger_operation[^\n]*rows=(\d+)", page)]
        assert max(read) <= listing.PAGE + 1, page
        assert "operation_newest" in page
