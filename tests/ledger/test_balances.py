"""Look-ups, asked of the real sandbox by the real connector: from the scanned number to the balance."""

import json
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models.functions import Now

from portal.connectors.base import ClientContext
from portal.ledger import balances
from portal.ledger.models import Inquiry, Pulse, State, inquiry_writer
from portal.merchants import connections, tenancy, vault
from portal.merchants.models import AuditEntry, Connection, Member
from tests.conftest import make_connection

CARD = "6280390000000001"
PIN = "1234"


@pytest.fixture
def at_jung(jung, alice, connection):
    """Alice stands at Jung's till, with its connection to the sandbox."""
    with tenancy.merchant(jung.pk):
        yield Member.objects.get(person=alice)


@pytest.fixture
def ask(at_jung, connection):
    """`ask(number, pin)`: type both, let the worker work, return the look-up."""

    def asking(number: str, pin: str = PIN, *, client: ClientContext | None = None) -> Inquiry:
        inquiry = opened(at_jung, connection, number, client=client)
        balances.give_pin(inquiry, pin=pin)
        balances.answer(inquiry.pk)
        inquiry.refresh_from_db()
        return inquiry

    return asking


def opened(member, connection, number, *, key=None, client=None) -> Inquiry:
    return balances.open_look_up(
        member=member, key=key or uuid.uuid4(), connection=connection, number=number, client=client
    )


def write(inquiry: Inquiry, **values: object) -> None:
    """Change a row as no code of ours would, to see what is made of it."""
    before = inquiry_writer._open.set(True)
    try:
        Inquiry.objects.filter(pk=inquiry.pk).update(**values)
    finally:
        inquiry_writer._open.reset(before)


def test_a_usable_card_shows_its_balance(ask):
    inquiry = ask(CARD)

    assert (inquiry.state, inquiry.card_status) == (State.ANSWERED, "usable")
    assert (inquiry.balance_minor, inquiry.balance_currency) == (2550, "EUR")
    assert inquiry.last_four == "0001"


@pytest.mark.parametrize(
    ("number", "status", "minor"),
    [
        ("6280390000000002", "empty", 0),
        ("6280390000000003", "expired", None),
        ("6280390000099999", "not_found", None),
        ("6280390000000008", "not_found", None),
        ("6280390000000016", "not_found", None),
        ("6280390000000018", "not_found", None),
    ],
)
def test_each_documented_answer_ends_the_look_up_in_its_own_status(ask, number, status, minor):
    inquiry = ask(number)

    assert (inquiry.state, inquiry.card_status, inquiry.balance_minor) == (State.ANSWERED, status, minor)


@pytest.mark.parametrize(
    ("number", "failure", "reason"),
    [
        ("6280390000000007", "unclear", "unknown_word"),
        ("6280390000000030", "declined", "refused"),
        ("6280390000000009", "misconfigured", "access_refused"),
        ("6280390000000010", "declined", "throttled"),
        ("6280390000000011", "unclear", "unreadable"),
        ("6280390000000013", "unclear", "unreadable"),
        ("6280390000000014", "unclear", "unreadable"),
        ("6280390000000015", "unclear", "redirected"),
        ("6280390000000019", "unclear", "server_error"),
        ("6280390000000022", "unclear", "unreadable"),
        ("6280390000000026", "unclear", "unreadable"),
        ("6280390000031500", "unclear", "unreadable"),
    ],
)
def test_an_answer_that_cannot_be_trusted_is_shown_as_a_failure_and_never_as_a_balance(ask, number, failure, reason):
    inquiry = ask(number)

    assert (inquiry.state, inquiry.failure, inquiry.reason) == (State.FAILED, failure, reason)
    assert (inquiry.card_status, inquiry.balance_minor, inquiry.sealed_usage_token) == ("", None, None)


def test_what_was_typed_is_erased_when_the_answer_is_stored(ask):
    inquiry = ask(CARD, client=ClientContext(address="198.51.100.7", headers=(("User-Agent", "till"),)))

    assert (inquiry.sealed_number, inquiry.sealed_pin, inquiry.sealed_client) == (None, None, None)


def test_what_was_typed_is_erased_when_the_look_up_fails(ask):
    inquiry = ask("6280390000000011")

    assert (inquiry.sealed_number, inquiry.sealed_pin) == (None, None)


def test_the_database_refuses_a_finished_look_up_that_keeps_the_password(at_jung, connection):
    inquiry = opened(at_jung, connection, CARD)

    with pytest.raises(IntegrityError, match="keeps_no_secret"), transaction.atomic():
        write(inquiry, state=State.ANSWERED, ended_at=Now())


def test_the_usage_token_is_kept_sealed_and_only_for_its_own_row(ask):
    inquiry = ask(CARD)
    place = vault.Context(
        merchant=inquiry.merchant_id, table="ledger_inquiry", row=str(inquiry.key), field="usage token"
    )

    assert vault.open_sealed(place, inquiry.sealed_usage_token)


def test_a_near_miss_asks_for_the_password_again_and_keeps_the_number(ask, sandbox):
    inquiry = ask("ABC123", "11234")
    assert (inquiry.state, inquiry.card_status, inquiry.sealed_pin) == (State.WANTS_PIN, "near_miss", None)

    balances.give_pin(inquiry, pin="11243")
    balances.answer(inquiry.pk)

    inquiry.refresh_from_db()
    assert (inquiry.state, inquiry.balance_minor) == (State.ANSWERED, 2000)


def test_the_whole_number_is_asked_for_and_the_password_typed_before_is_kept(ask):
    inquiry = ask("00005")
    assert (inquiry.state, inquiry.card_status) == (State.WANTS_NUMBER, "needs_full_number")

    balances.give_number(inquiry, number="6280390000000005")
    balances.answer(inquiry.pk)

    inquiry.refresh_from_db()
    assert (inquiry.state, inquiry.balance_minor, inquiry.last_four) == (State.ANSWERED, 1250, "0005")


def test_pressing_twice_asks_the_provider_once(at_jung, connection, sandbox):
    key = uuid.uuid4()
    first, second = (opened(at_jung, connection, CARD, key=key) for _ in range(2))
    for inquiry in (first, second):
        balances.give_pin(inquiry, pin=PIN)
        balances.answer(inquiry.pk)
        balances.answer(inquiry.pk)

    assert first.pk == second.pk
    assert sandbox.call("GET", "/_sandbox/calls")["cardinquiry"]["total"] == 1


def test_another_card_on_a_stale_form_is_a_look_up_of_its_own(at_jung, connection):
    key = uuid.uuid4()
    first = opened(at_jung, connection, CARD, key=key)
    second = opened(at_jung, connection, "6280390000012345", key=key)

    assert first.pk != second.pk
    assert second.last_four == "2345"


def test_a_message_for_a_look_up_that_does_not_wait_does_nothing(at_jung, connection, sandbox):
    inquiry = opened(at_jung, connection, CARD)

    balances.answer(inquiry.pk)
    balances.answer(999_999_999)

    inquiry.refresh_from_db()
    assert inquiry.state == State.WANTS_PIN
    assert sandbox.call("GET", "/_sandbox/calls")["cardinquiry"]["total"] == 0


def test_a_box_copied_from_another_row_is_not_opened(at_jung, connection, sandbox):
    mine, other = opened(at_jung, connection, CARD), opened(at_jung, connection, "6280390000012345")
    for inquiry in (mine, other):
        balances.give_pin(inquiry, pin=PIN)
    write(mine, sealed_number=bytes(other.sealed_number))

    balances.answer(mine.pk)

    mine.refresh_from_db()
    assert (mine.state, mine.reason) == (State.FAILED, "sealed_elsewhere")
    assert sandbox.call("GET", "/_sandbox/calls")["cardinquiry"]["total"] == 0


def test_secrets_copied_from_another_merchants_connection_are_not_opened(at_jung, connection, kauri, arrange, sandbox):
    with arrange():
        foreign = make_connection(kauri, api_key="their-key")
        Connection.objects.filter(pk=connection.pk).update(sealed_secrets=foreign.sealed_secrets)
    connection.refresh_from_db()
    inquiry = opened(at_jung, connection, CARD)
    balances.give_pin(inquiry, pin=PIN)

    balances.answer(inquiry.pk)

    inquiry.refresh_from_db()
    assert (inquiry.state, inquiry.reason) == (State.FAILED, "sealed_elsewhere")


# ---- Connections that refuse ------------------------------------------------------------------------------------
def test_refused_credentials_pause_the_connection_once_and_leave_one_line(ask, at_jung, connection):
    ask("6280390000000009")

    connection.refresh_from_db()
    assert connection.paused_at is not None
    assert connection.pause_reason == "access_refused"
    assert [line.verb for line in AuditEntry.objects.all()] == ["connection paused"]
    with pytest.raises(connections.NotNow):
        opened(at_jung, connection, CARD)


def test_being_told_to_slow_down_holds_the_connection_as_long_as_asked(ask, at_jung, connection):
    ask("6280390000000010")

    connection.refresh_from_db()
    assert connection.held_until is not None
    with pytest.raises(connections.NotNow):
        opened(at_jung, connection, CARD)


def test_one_merchants_refused_key_leaves_the_others_connections_alone(ask, kauri, arrange):
    with arrange():
        theirs = make_connection(kauri)
    ask("6280390000000009")

    with arrange():
        theirs.refresh_from_db()
    assert theirs.paused_at is None


# ---- The clock --------------------------------------------------------------------------------------------------
def test_a_connection_that_hangs_and_a_provider_that_does_hold_only_their_share_of_the_workers(
    at_jung, connection, kauri, arrange, settings
):
    Connection.objects.filter(pk=connection.pk).update(concurrency=1)
    first, second = (opened(at_jung, connection, f"628039000000000{digit}") for digit in "12")
    with arrange():
        elsewhere = make_connection(kauri)
        third = Inquiry(merchant=kauri, connection=elsewhere, key=uuid.uuid4(), state=State.WAITING, card_index=b"x")
        inquiry_writer._open.set(True)
        third.save()
        inquiry_writer._open.set(False)
    for each in (first, second):
        balances.give_pin(each, pin=PIN)

    with tenancy.every_merchant("a worker's part of a test"):
        assert balances._claim(first.pk) is not None
        assert balances._claim(second.pk) is None, "the connection has one under way"
        settings.LOOK_UPS_AT_A_PROVIDER = 1
        assert balances._claim(third.pk) is None, "the provider has"
        settings.LOOK_UPS_AT_A_PROVIDER = 2
        assert balances._claim(third.pk) is not None, "another merchant's connection waits for nobody"


def test_a_look_up_of_a_dead_worker_is_asked_again(at_jung, connection):
    inquiry = asking_since(opened(at_jung, connection, CARD), attempt=1)

    balances.sweep()

    inquiry.refresh_from_db()
    assert inquiry.state == State.WAITING


def test_after_the_second_dead_worker_a_person_is_told(at_jung, connection):
    inquiry = asking_since(opened(at_jung, connection, CARD), attempt=2)

    balances.sweep()

    inquiry.refresh_from_db()
    assert (inquiry.state, inquiry.reason, inquiry.sealed_number) == (State.FAILED, "worker_lost", None)


def asking_since(inquiry: Inquiry, *, attempt: int) -> Inquiry:
    write(inquiry, state=State.ASKING, attempt=attempt, lease_until=Now() - timedelta(seconds=1))
    return inquiry


def test_a_worker_given_up_for_dead_writes_nothing_when_it_comes_back(at_jung, connection):
    inquiry = opened(at_jung, connection, CARD)
    balances.give_pin(inquiry, pin=PIN)
    late = balances._claim(inquiry.pk)
    write(inquiry, state=State.ASKING, attempt=late.attempt + 1, lease_until=Now() + timedelta(seconds=60))

    balances._store_failure(late, balances.Declined(reason=balances.Reason.REFUSED))

    inquiry.refresh_from_db()
    assert inquiry.state == State.ASKING


def test_a_look_up_that_nobody_took_is_found_by_the_sweep(at_jung, connection):
    inquiry = opened(at_jung, connection, CARD)
    balances.give_pin(inquiry, pin=PIN)
    assert inquiry.pk not in balances.sweep()
    write(inquiry, woken_at=Now() - timedelta(seconds=60))

    assert inquiry.pk in balances.sweep()


def test_a_look_up_is_erased_after_a_quarter_of_an_hour(ask):
    old, young = ask(CARD), ask("6280390000012345")
    write(old, asked_at=Now() - timedelta(minutes=15, seconds=1))
    write(young, asked_at=Now() - timedelta(minutes=14, seconds=50))

    balances.sweep()

    assert list(Inquiry.objects.values_list("pk", flat=True)) == [young.pk]


def test_the_sweep_is_the_workers_sign_of_life(db):
    balances.sweep()

    assert Pulse.objects.get().name == "sweep"


# ---- What stands in the database ----------------------------------------------------------------------------------
def test_nothing_typed_stands_in_the_row_in_clear(at_jung, connection):
    inquiry = opened(
        at_jung,
        connection,
        CARD,
        client=ClientContext(address="198.51.100.7", headers=(("User-Agent", "canary"),)),
    )
    balances.give_pin(inquiry, pin="canary-pin")

    row = whole_row(inquiry)

    for secret in (CARD, CARD[:12], "canary", "198.51.100.7"):
        assert secret not in row
        assert secret.encode().hex() not in row


def whole_row(inquiry: Inquiry) -> str:
    with database.cursor() as cursor:
        cursor.execute("SELECT row_to_json(i)::text FROM ledger_inquiry i WHERE id = %s", [inquiry.pk])
        return json.dumps(json.loads(cursor.fetchone()[0]))
