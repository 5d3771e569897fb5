"""One box finds by name, address, number and card; by indexes, also under row-level security."""

import time
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from portal.customers import finding
from portal.customers.models import Customer, Purpose
from portal.ledger import cards, holders
from portal.merchants import tenancy
from portal.merchants.models import Merchant
from tests.conftest import make_connection


def found(jung, typed: str, *, consenting_only: bool = False) -> list[str]:
    rows = finding.matching(
        finding.live(jung, consenting_only=consenting_only),
        typed,
        region="DE",
        holders=lambda last_four: holders.who_hold(jung, last_four),
    )
    return [row.last_name for row in finding.page(rows, sort="name", after=None)]


@pytest.fixture
def people(keeps, jung, arrange) -> None:
    with arrange():
        card = cards.card_of(make_connection(jung), "9276004424644352")
    keeps(first_name="Zoë", last_name="Jäger", email="zoe@example.com", phone="+4930901820", card=card)
    keeps(first_name="Max", last_name="Jagerhaus", email="max@beispiel.example", agrees=(Purpose.MAILS,))
    keeps(first_name="Percy", last_name="100% & Söhne", phone="+4989123456")


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("", ["100% & Söhne", "Jäger", "Jagerhaus"]),
        ("jag", ["Jäger", "Jagerhaus"]),
        ("JÄGER", ["Jäger", "Jagerhaus"]),
        ("Jäger, Z", ["Jäger"]),
        ("zoe jä", ["Jäger"]),
        ("max@bei", ["Jagerhaus"]),
        ("030 9018", ["Jäger"]),
        ("+49 89", ["100% & Söhne"]),
        ("4352", ["Jäger"]),
        ("100%", ["100% & Söhne"]),
        ("%", []),
        ("_", []),
        ("ger", []),
        ("(a+)+$", []),
        ("\u202ejag", ["Jäger", "Jagerhaus"]),
        ("a" * 100_000, []),
    ],
)
def test_one_box_finds_by_how_it_begins(typed, names, people, jung):
    began = time.monotonic()

    assert found(jung, typed) == names

    assert time.monotonic() - began < 10  # a busy machine; what goes astray in such a text takes for ever


def test_those_who_may_see_consenting_ones_only_find_no_others(people, jung):
    assert found(jung, "", consenting_only=True) == ["Jagerhaus"]
    assert found(jung, "zoe", consenting_only=True) == []


@pytest.mark.parametrize("sort", finding.SORTS)
def test_pages_follow_each_other_without_gap_or_repetition(sort, keeps, jung):
    for place in range(7):
        keeps(last_name="Same" if place % 2 else f"Name {place}", email=f"{place}@example.com")
    rows = finding.live(jung, consenting_only=False)
    whole = [row.pk for row in finding.page(rows, sort=sort, after=None, size=100)]

    after, walked = None, []
    while part := finding.page(rows, sort=sort, after=after, size=2)[:2]:
        walked += [row.pk for row in part]
        after = part[-1]

    assert len(whole) == 7
    assert walked == whole


# ---- The plan, as the application's role ----------------------------------------------------------------------------
@pytest.fixture
def many(for_good) -> Merchant:
    """Enough rows among those of another merchant, truly there and counted, that an index pays."""
    merchant, other = for_good.merchant, Merchant.objects.get(slug="kauri-books")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO customers_customer (merchant_id, key, salutation, title, first_name, last_name, email, phone,
                language, street, postal_code, city, country, by_last, by_first, has_consent, created_at, version)
            SELECT CASE WHEN n %% 20 = 0 THEN %s ELSE %s END,
                gen_random_uuid(), '', '', 'F' || n, 'L' || md5(n::text), n || '@example.com',
                '+4930' || (1000000 + n), '', '', '', '', '', 'l' || md5(n::text) || ' f' || n,
                'f' || n || ' l' || md5(n::text), n %% 400 = 0, now(), 1
            FROM generate_series(1, 40000) AS n
            """,
            [merchant.pk, other.pk],
        )
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE customers_customer")
    return merchant


def plan(ask: Callable[[], object]) -> str:
    """How PostgreSQL answers, asked by our own role on behalf of one merchant."""
    with CaptureQueriesContext(connection) as seen:
        ask()
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + seen.captured_queries[-1]["sql"].replace("%", "%%"))
        return "\n".join(row[0] for row in cursor.fetchall())


def test_every_way_to_find_somebody_has_its_index_under_row_level_security(many):
    def looks_for(typed: str) -> str:
        rows = finding.matching(
            finding.live(many, consenting_only=False),
            typed,
            region="DE",
            holders=lambda last_four: holders.who_hold(many, last_four),
        )
        return plan(lambda: finding.page(rows, sort="name", after=None))

    with tenancy.merchant(many.pk):
        told = {typed: looks_for(typed) for typed in ("l00ab", "f1777", "1777@", "030 100177", "4352")}

        for typed, index in (
            ("l00ab", "customer_by_last"),
            ("f1777", "customer_by_first"),
            ("1777@", "customer_by_email"),
            ("030 100177", "customer_by_phone"),
            ("4352", "customer_by_last"),
        ):
            assert index in told[typed], told[typed]
            assert "Seq Scan on customers_customer" not in told[typed], told[typed]
        like = plan(lambda: list(Customer.objects.filter(merchant=many, email__startswith="1777@")))
        assert "customer_by_email" not in like, "LIKE would do: the ranges are no longer needed"


def test_a_page_far_down_is_read_from_its_index_in_order(many):
    with tenancy.merchant(many.pk):
        for sort, consenting_only, index in (
            ("name", False, "customer_by_last"),
            ("newest", False, "customer_of_merchant"),
            ("name", True, "customer_consenting"),
        ):
            rows = finding.live(many, consenting_only=consenting_only)
            after = finding.page(rows, sort=sort, after=None, size=50)[49]

            told = plan(partial(finding.page, rows, sort=sort, after=after))

            assert index in told, told
            assert "Sort" not in told, told
