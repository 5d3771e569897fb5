"""Merchants are kept apart by the database itself, not only by the views."""

import ast
import time
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, IntegrityError, connection, connections, transaction

from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Connection, Member, Merchant, Store
from tests.conftest import make_connection, make_person

PORTAL = Path(__file__).resolve().parents[2] / "portal"

# Every place that opens all merchants' rows, with its reason. A new one is added here by hand, after thinking.
EVERY_MERCHANT_CALLS = {
    ("desk/alerts.py", "alerts are found in the facts of all merchants"),
    ("desk/administration/site.py", "administrators look after all merchants"),
    ("desk/demo.py", "the demo makes its own merchants"),
    ("ledger/balances.py", "a worker claims a look-up by its id"),
    ("merchants/audit.py", "a line of the trail about no merchant is the administrators'"),
    ("merchants/connecting.py", "the sweep finds tests of dead workers and old drafts"),
    ("merchants/trials.py", "a worker claims the test of a connection by its id"),
    ("merchants/invitations.py", "whoever is invited knows a token and no merchant"),
    ("ledger/finding.py", "an administrator looks a reference up and does not know whose it is"),
    ("ledger/operations.py", "a worker claims the operation that is due first"),
    ("merchants/switches.py", "switches whose time has come are noted as ended"),
    ("ledger/health.py", "the calls of all merchants are counted"),
    ("ledger/holding.py", "pauses whose time has come are ended"),
    ("ledger/approvals.py", "wishes that nobody approved in time are closed"),
    ("ledger/settling.py", "operations whose quiet period is over are looked at"),
    ("ledger/operations.py", "the sweep finds operations of dead workers and forgotten ones"),
    ("ledger/balances.py", "the sweep finds look-ups of dead workers and old ones"),
    ("merchants/provider_tokens.py", "the sweep forgets providers' tokens that expired"),
    ("merchants/practice.py", "practice connections follow the sandboxes to another port"),
    ("management/commands/keyring.py", "every box is opened once, to see whether the key ring fits"),
    ("management/commands/rotate_keys.py", "keys rotate: the boxes of all merchants are sealed anew"),
    ("ledger/balances.py", "a worker wakes others for look-ups that waited for this one"),
    ("codes/callbacks.py", "a provider's message names a connection by its key"),
    ("codes/callbacks.py", "what is kept of providers' old messages is erased"),
    ("ledger/codes.py", "addresses of codes that are over are erased"),
    ("shopper/shops.py", "a shopper's address names a merchant by its slug"),
    ("shopper/tries.py", "the sweep carries over how shoppers' look-ups ended"),
    ("mail/outbox.py", "a mail of the site itself belongs to no merchant"),
    ("mail/outbox.py", "a worker claims the mail that is due first"),
    ("mail/outbox.py", "the sweep finds mails of dead workers, forgotten ones and old ones"),
}


@pytest.fixture
def stores(arrange, jung, kauri) -> None:
    with arrange():
        Store.objects.create(merchant=jung, name="Hauptstraße")
        Store.objects.create(merchant=kauri, name="Queen Street")


def test_without_a_context_no_row_of_any_merchant_is_shown(stores):
    assert list(Merchant.objects.all()) == []
    assert list(Store.objects.all()) == []


def test_one_merchant_sees_its_own_rows_even_when_the_query_names_no_merchant(stores, jung):
    with tenancy.merchant(jung.pk):
        assert [store.name for store in Store.objects.all()] == ["Hauptstraße"]


def test_leaving_the_block_closes_the_rows_again(stores, jung):
    with tenancy.merchant(jung.pk):
        pass

    assert Store.objects.count() == 0


def test_an_inner_context_gives_way_to_the_outer_one(stores, jung, kauri):
    with tenancy.merchant(jung.pk):
        with tenancy.merchant(kauri.pk):
            assert Store.objects.get().name == "Queen Street"
        assert Store.objects.get().name == "Hauptstraße"


def test_a_failed_transaction_inside_the_block_leaves_no_context_behind(stores, jung):
    with pytest.raises(IntegrityError), tenancy.merchant(jung.pk), transaction.atomic():
        Store.objects.create(merchant=jung, name="Hauptstraße")

    assert Store.objects.count() == 0


def test_a_context_opened_inside_a_transaction_that_fails_is_gone_with_it(stores, jung):
    with pytest.raises(IntegrityError), transaction.atomic(), tenancy.merchant(jung.pk):
        Store.objects.create(merchant=jung, name="Hauptstraße")

    assert Store.objects.count() == 0


def test_a_savepoint_that_is_rolled_back_takes_no_context_from_the_statement_after_it(stores, jung, kauri):
    with transaction.atomic(), tenancy.merchant(jung.pk):
        with pytest.raises(IntegrityError), transaction.atomic():
            Store.objects.create(merchant=jung, name="Hauptstraße")
        assert Store.objects.get().name == "Hauptstraße", "said inside the savepoint, and unsaid with it"

        Store.objects.count()
        point = transaction.savepoint()
        with tenancy.merchant(kauri.pk):
            assert Store.objects.get().name == "Queen Street"
        transaction.savepoint_rollback(point)
        assert Store.objects.get().name == "Hauptstraße"
    assert Store.objects.count() == 0


def asked(session) -> list[str]:
    """What a session really says, whoever makes it say so."""
    said: list[str] = []
    real = session.connection.execute

    def execute(sql, *rest):
        said.append(str(sql))
        return real(sql, *rest)

    session.connection.execute = execute
    return said


def test_a_context_is_told_with_the_first_statement_and_once(jung, kauri):
    session = connection.copy()
    try:
        session.ensure_connection()
        said = asked(session)
        with tenancy.merchant(jung.pk):
            pass
        assert said == [], "a block that asks nothing costs nothing"
        with tenancy.merchant(jung.pk):
            assert [_setting(session), _setting(session)] == [str(jung.pk)] * 2
            assert len(said) == 1
            with tenancy.merchant(kauri.pk):
                assert _setting(session) == str(kauri.pk)
            assert _setting(session) == str(jung.pk)
        assert _setting(session) == ""
        assert len(said) == 4
    finally:
        session.close()


def test_what_was_told_in_a_transaction_is_told_again_after_it_was_rolled_back(jung):
    session = connection.copy()
    try:
        session.ensure_connection()
        with tenancy.merchant(jung.pk):
            session.set_autocommit(False)
            assert _setting(session) == str(jung.pk)
            session.rollback()
            assert _setting(session) == str(jung.pk)
            session.rollback()
            session.set_autocommit(True)
            assert _setting(session) == str(jung.pk)
        assert _setting(session) == ""
    finally:
        session.close()


def test_a_row_of_another_merchant_cannot_be_written(jung, kauri):
    with (
        tenancy.merchant(jung.pk),
        pytest.raises(DatabaseError, match="row-level security"),
        transaction.atomic(),
    ):
        Store.objects.create(merchant=kauri, name="Stolen")


def test_a_person_sees_their_own_memberships_and_merchants_and_nobody_elses(arrange, jung, kauri):
    with arrange():
        olivia = make_person("Olivia", (jung, "owner"), (kauri, "read_only"))
        make_person("Ben", (kauri, "cashier"))

    with tenancy.memberships_of(olivia.pk):
        assert {member.person_id for member in Member.objects.all()} == {olivia.pk}
        assert {merchant.slug for merchant in Merchant.objects.all()} == {"baeckerei-jung", "kauri-books"}
        assert Store.objects.count() == 0


def test_the_memberships_context_reads_and_never_writes(arrange, jung):
    with arrange():
        olivia = make_person("Olivia", (jung, "cashier"))

    with tenancy.memberships_of(olivia.pk):
        changed = Member.objects.filter(person=olivia).update(role="owner")

    assert changed == 0


def test_opening_every_merchant_wants_a_reason():
    with pytest.raises(ValueError, match="reason"):
        tenancy.every_merchant("")


def test_the_places_that_open_every_merchant_are_the_listed_ones():
    found = set()
    for path in PORTAL.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "attr", getattr(node.func, "id", "")) == "every_merchant"
            ):
                reason = node.args[0]
                assert isinstance(reason, ast.Constant), f"{path}: the reason must be written out"
                found.add((path.relative_to(PORTAL).as_posix(), reason.value))

    assert found == EVERY_MERCHANT_CALLS


def tables(sql: str) -> set[str]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(sql)
        return {row[0] for row in cursor.fetchall()}


@pytest.mark.django_db(databases=["default", "owner"])
def test_every_table_with_a_merchant_has_a_policy_that_binds_even_the_owner():
    with_merchant = tables(
        "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'merchant_id'"
    ) | {"merchants_merchant"}
    bound = tables(
        "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
        " WHERE c.relrowsecurity AND c.relforcerowsecurity"
    )

    assert len(with_merchant) >= 6
    assert with_merchant - bound == set()


@pytest.mark.django_db(databases=["default", "owner"])
def test_every_link_between_two_tables_of_merchants_carries_the_merchant():
    loose = tables(
        """
        WITH owned AS (SELECT attrelid AS oid FROM pg_attribute WHERE attname = 'merchant_id' AND NOT attisdropped),
        links AS (
            SELECT k.conrelid, k.confrelid, k.conkey, c.relname || '.' || a.attname AS name, a.attnum
            FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
            WHERE k.contype = 'f' AND a.attname <> 'merchant_id'
              AND k.conrelid IN (SELECT oid FROM owned) AND k.confrelid IN (SELECT oid FROM owned)
        )
        SELECT name FROM links GROUP BY name, conrelid, attnum HAVING max(cardinality(conkey)) < 2
        """
    )

    assert loose == set()


def test_a_row_cannot_point_to_another_merchants_connection(arrange, jung, kauri):
    with arrange():
        foreign = make_connection(kauri)
        with pytest.raises(IntegrityError, match="same_merchant"), transaction.atomic():
            _point_to(foreign, merchant=jung)


def _point_to(foreign: Connection, *, merchant: Merchant) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_inquiry (merchant_id, connection_id, key, state, card_index, last_four, attempt,"
            " card_status, balance_currency, description, failure, reason, provider_text, trace, extra, holder)"
            " VALUES (%s, %s, gen_random_uuid(), 'wants_pin', '', '4352', 0, '', '', '', '', '', '', '', '{}', '{}')",
            [merchant.pk, foreign.pk],
        )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_the_trail_is_never_changed_or_deleted_not_even_by_sql(arrange, jung):
    with arrange():
        AuditEntry(merchant=jung, verb="tested", subject="the trail").save()
        for statement in (
            "UPDATE merchants_auditentry SET verb = 'never mind'",
            "DELETE FROM merchants_auditentry",
        ):
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement)


@pytest.mark.django_db(databases=["default", "owner"])
def test_a_role_that_stands_above_the_policies_is_refused():
    connections["owner"].ensure_connection()

    with pytest.raises(ImproperlyConfigured, match="owner of the tables"):
        tenancy.refuse_powerful_role(connections["owner"])


@pytest.mark.django_db
def test_the_applications_own_role_is_accepted():
    connection.ensure_connection()

    tenancy.refuse_powerful_role(connection)


def test_a_connection_that_goes_back_to_the_pool_takes_no_context_along(jung):
    session = connection.copy()
    try:
        with tenancy.merchant(jung.pk):
            session.ensure_connection()
            assert _setting(session) == str(jung.pk)
            raw = session.connection
            taken = session.pool.get_stats()["pool_available"]
            session.close()

        given_up = time.monotonic() + 5
        while session.pool.get_stats()["pool_available"] <= taken and time.monotonic() < given_up:
            time.sleep(0.01)  # a thread of the pool clears it
        assert raw.execute("SELECT current_setting('tillside.merchant', true)").fetchone()[0] in ("", None)
    finally:
        session.close()


def _setting(session) -> str:
    with session.cursor() as cursor:
        cursor.execute("SELECT current_setting('tillside.merchant', true)")
        return cursor.fetchone()[0]
