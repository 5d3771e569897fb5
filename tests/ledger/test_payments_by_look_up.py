"""A card that was looked up pays, at the real CardInquiry sandbox, whose journal is the truth: once, come what may."""

import time
import uuid
from datetime import timedelta
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from portal.connectors.base import Reason
from portal.ledger import balances, operations, settling
from portal.ledger.models import OVER, Card, Exchange, Inquiry, Operation, OperationState, State
from portal.merchants import vault
from portal.merchants.models import Connection
from portal.money import Money
from tests.ledger import test_balances
from tests.ledger.conftest import Counter
from tests.ledger.test_operations import write
from tests.ledger.test_settling import Died

S = OperationState
CARD, SPENT_MEANWHILE, LAPSES = "6280390000012345", "6280390000000036", "6280390000000037"
RICH = "6280395550009753"
TIMED = {"slow": 0.1, "throttle": 1, "timeout_before": 2, "timeout_after": 2, "late": 1.5}


def pays(till: Counter, amount: int = 9_00, number: str = CARD) -> Operation:
    till.looks_up(number)
    return till.gets("pay", amount, number=number)


def looks(till: Counter, operation: Operation, times: int = 1) -> Operation:
    for _ in range(times):
        if operation.state == S.CHECKING:
            Connection.objects.filter(pk=till.connection.pk).update(held_until=None, paused_at=None)
            write(operation, next_attempt_at=Now() - timedelta(seconds=1))
            settling.settle_due()
            operation.refresh_from_db()
    return operation


def arm(till: Counter, kind: str, **more: object) -> None:
    till.arm(kind, "", **({"seconds": TIMED[kind]} if kind in TIMED else {}), **more)


# ---- Which card it is ---------------------------------------------------------------------------------------------
def test_a_card_looked_up_by_its_whole_number_is_remembered(counter: Counter):
    inquiry = counter.looks_up(CARD)

    assert inquiry.card is not None
    assert (inquiry.card.last_four, inquiry.card.balance_minor) == ("2345", 42_00)
    assert counter.card(CARD) == inquiry.card, "by the same number it is the same card"


def test_the_providers_own_spelling_of_the_number_makes_it_one_card(counter: Counter):
    small, large = counter.looks_up("abc123", "11243"), counter.looks_up("ABC123", "11243")

    assert small.card == large.card, "six characters, and the answer says that they are the whole number"


def test_by_its_end_no_card_is_remembered_since_two_may_have_it(counter: Counter):
    inquiry = counter.looks_up("12345")

    assert (inquiry.state, inquiry.balance_minor, inquiry.card) == (State.ANSWERED, 42_00, None)
    assert Card.objects.filter(connection=counter.connection).count() == 0


def test_where_nothing_can_be_paid_no_card_is_remembered(counter: Counter):
    options = {**counter.connection.options, "product": 0}
    Connection.objects.filter(pk=counter.connection.pk).update(options=options)
    counter.connection.refresh_from_db()

    assert counter.looks_up(CARD).card is None


@pytest.mark.parametrize("number", ["6280390000000003", "6280390000099999", "6280390000000007"])
def test_a_look_up_that_gives_no_token_remembers_no_card(counter: Counter, number: str):
    assert counter.looks_up(number).card is None


# ---- Taking a payment ---------------------------------------------------------------------------------------------
def test_a_payment_is_taken_once_the_card_was_looked_up(counter: Counter):
    operation = pays(counter)

    assert (operation.state, operation.settled_by, operation.sealed_input) == (S.DONE, "answer", None)
    assert counter.sold() == [(operation.reference, 9_00)]
    assert operation.provider_reference == counter.effects()[-1]["provider_reference"]
    sent = Exchange.objects.get(operation=operation)
    assert "‹UsageToken›" in sent.request_body
    assert counter.looks_up(CARD).balance_minor == 33_00


def test_a_look_up_pays_once(counter: Counter):
    pays(counter)

    with pytest.raises(operations.CannotAsk, match="look_up_again"):
        counter.asks("pay", 1_00, number=CARD)
    assert Inquiry.objects.filter(sealed_usage_token__isnull=False).count() == 0


def test_without_a_look_up_nothing_is_paid(counter: Counter):
    with pytest.raises(operations.CannotAsk, match="look_up_again"):
        counter.asks("pay", 1_00, number=CARD)


def test_a_newer_look_up_that_gave_nothing_takes_the_place_of_an_older_one(counter: Counter):
    first = counter.looks_up(CARD)
    counter.answers(balances.ask_again(member=counter.member, key=uuid.uuid4(), card=first.card), "9999")

    with pytest.raises(operations.CannotAsk, match="look_up_again"):
        counter.asks("pay", 1_00, number=CARD)


def test_a_payment_is_bound_to_the_look_up_it_was_asked_after_and_to_no_later_one(counter: Counter):
    first = counter.looks_up(CARD)
    operation = counter.asks("pay", 9_00, number=CARD)
    test_balances.write(first, sealed_usage_token=None)  # lapsed while it waited
    counter.looks_up(CARD)

    while operations.work():
        pass
    operation.refresh_from_db()

    assert (operation.state, operation.reason) == (S.REFUSED, Reason.TOKEN_LAPSED)
    assert (counter.sold(), Exchange.objects.filter(operation=operation).count()) == ([], 0)


def test_the_database_keeps_the_binding(counter: Counter):
    counter.looks_up(CARD)
    operation = counter.asks("pay", 9_00, number=CARD)

    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        write(operation, looked_up=uuid.uuid4())


def test_what_another_merchants_look_up_gave_is_not_found(counter: Counter):
    inquiry = counter.looks_up(CARD)
    stranger = Card(merchant_id=counter.member.merchant_id + 1, pk=inquiry.card_id)

    assert balances.usage_token(inquiry.card, inquiry.key)
    assert balances.usage_token(stranger, inquiry.key) == ""


def test_what_was_spent_meanwhile_is_refused(counter: Counter):
    operation = pays(counter, 20_00, SPENT_MEANWHILE)

    assert (operation.state, operation.reason, counter.sold()) == (S.REFUSED, Reason.NOT_ENOUGH, [])


def test_a_lapsed_token_is_refused_and_a_fresh_look_up_pays(counter: Counter):
    operation = pays(counter, 9_00, LAPSES)

    assert (operation.state, operation.reason, counter.sold()) == (S.REFUSED, Reason.TOKEN_LAPSED, [])


def test_the_time_of_the_sale_is_the_shops_when_it_was_asked(counter: Counter):
    operation = pays(counter)
    (sent,) = Exchange.objects.filter(operation=operation)
    local = operation.asked_at.astimezone(ZoneInfo(counter.member.merchant.time_zone))

    assert local.strftime('"CompletedDt":"%Y-%m-%dT%H:%M:%S"') in sent.request_body


# ---- The answer is lost: the same is sent again --------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind", ["timeout_before", "timeout_after", "cut", "error_after", "garbage", "throttle", "redirect"]
)
def test_a_lost_sale_is_sent_again_byte_for_byte_and_paid_once(counter: Counter, kind: str):
    counter.looks_up(CARD)
    arm(counter, kind)
    operation = counter.gets("pay", 9_00, number=CARD)
    assert operation.state == S.CHECKING

    looks(counter, operation)

    assert (operation.state, operation.settled_by, operation.sealed_input) == (S.DONE, "resending", None)
    assert counter.sold() == [(operation.reference, 9_00)]
    assert counter.bytes_sent(operation) == [2], "twice in one wording"
    purposes = Exchange.objects.filter(operation=operation).order_by("id").values_list("purpose", flat=True)
    assert list(purposes) == ["call", "resend"]


def test_the_same_bytes_are_sent_again_after_the_settings_changed(counter: Counter):
    counter.looks_up(CARD)
    arm(counter, "cut")
    operation = counter.gets("pay", 9_00, number=CARD)
    options = {**counter.connection.options, "product": 99, "payment_type": "voucher"}
    Connection.objects.filter(pk=counter.connection.pk).update(options=options)

    looks(counter, operation)

    assert (operation.state, counter.bytes_sent(operation)) == (S.DONE, [2])


def test_at_another_address_nobody_knows_the_sale_so_it_is_not_sent_there(counter: Counter):
    counter.looks_up(CARD)
    arm(counter, "cut")
    operation = counter.gets("pay", 9_00, number=CARD)
    options = {**counter.connection.options, "base_url": f"{counter.sandbox.url}/cardinquiry/elsewhere"}
    Connection.objects.filter(pk=counter.connection.pk).update(options=options)

    looks(counter, operation, times=settling.CHECKS)

    assert (operation.state, operation.sealed_input) == (S.NEEDS_PERSON, None)
    assert Exchange.objects.filter(operation=operation, purpose="resend").count() == 0


def test_a_sale_that_arrives_late_is_paid_once(counter: Counter):
    counter.looks_up(CARD)
    arm(counter, "late")
    operation = counter.gets("pay", 9_00, number=CARD)

    looks(counter, operation)
    time.sleep(3)  # the late one has come by now

    assert (operation.state, counter.sold()) == (S.DONE, [(operation.reference, 9_00)])


def test_what_was_not_stored_and_cannot_be_is_refused_when_it_is_said_twice(counter: Counter):
    counter.looks_up(SPENT_MEANWHILE)
    arm(counter, "timeout_before")
    operation = counter.gets("pay", 20_00, number=SPENT_MEANWHILE)

    looks(counter, operation)
    assert (operation.state, operation.missing_since is not None) == (S.CHECKING, True)
    looks(counter, operation)

    assert (operation.state, operation.reason, operation.settled_by) == (S.REFUSED, Reason.NOT_ENOUGH, "resending")
    assert counter.sold() == []


def test_a_no_is_believed_only_a_quiet_period_after_it_was_first_said(counter: Counter, settings):
    counter.looks_up(LAPSES)
    arm(counter, "timeout_before")
    operation = counter.gets("pay", 9_00, number=LAPSES)
    settings.QUIET_SECONDS = 60

    looks(counter, operation, times=3)
    assert operation.state == S.CHECKING
    write(operation, missing_since=operation.missing_since - timedelta(seconds=61))
    looks(counter, operation)

    assert (operation.state, operation.reason) == (S.REFUSED, Reason.TOKEN_LAPSED)


def test_after_so_many_tries_a_person_is_asked_and_the_token_is_gone(counter: Counter):
    counter.looks_up(CARD)
    arm(counter, "cut", times=settling.CHECKS + 1)
    operation = counter.gets("pay", 9_00, number=CARD)

    looks(counter, operation, times=settling.CHECKS + 3)

    assert (operation.state, operation.checks, operation.sealed_input) == (S.NEEDS_PERSON, settling.CHECKS, None)
    assert counter.bytes_sent(operation) == [settling.CHECKS + 1]
    assert len(counter.sold()) == 1


def test_while_the_connection_is_paused_nothing_is_sent_again(counter: Counter):
    counter.looks_up(CARD)
    arm(counter, "cut")
    operation = counter.gets("pay", 9_00, number=CARD)
    Connection.objects.filter(pk=counter.connection.pk).update(paused_at=Now())
    write(operation, next_attempt_at=Now() - timedelta(seconds=1))

    assert settling.settle_due() == 0


def test_one_card_has_one_payment_at_a_time(counter: Counter):
    counter.looks_up(CARD)
    arm(counter, "cut")
    first = counter.gets("pay", 9_00, number=CARD)
    counter.looks_up(CARD)
    second = counter.gets("pay", 1_00, number=CARD)
    assert (first.state, second.state) == (S.CHECKING, S.WAITING)

    looks(counter, first)
    while operations.work():
        pass
    second.refresh_from_db()

    assert second.state == S.DONE
    assert [amount for _, amount in counter.sold()] == [9_00, 1_00]


# ---- A worker dies ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("where", "state"),
    [
        ("portal.ledger.balances.usage_token", S.WAITING),
        ("portal.ledger.operations._may_send", S.WAITING),
        ("portal.ledger.balances.use_up", S.WAITING),
        ("portal.connectors.cardinquiry.CardInquiry.pay", S.CHECKING),
        ("portal.ledger.operations._store_receipt", S.CHECKING),
    ],
)
def test_wherever_a_worker_dies_the_payment_is_taken_once(counter: Counter, where: str, state: str):
    counter.looks_up(CARD)
    operation = counter.asks("pay", 9_00, number=CARD)
    with patch(where, side_effect=Died), pytest.raises(Died):
        operations.work()
    write(operation, lease_until=Now() - timedelta(seconds=1))
    operations.sweep()
    operation.refresh_from_db()
    assert operation.state == state

    write(operation, next_attempt_at=Now() - timedelta(seconds=1))
    while operations.work():
        pass
    operation.refresh_from_db()
    looks(counter, operation)

    assert (operation.state, counter.sold()) == (S.DONE, [(operation.reference, 9_00)])


def test_what_provably_never_left_goes_with_the_letter_that_was_written(counter: Counter):
    inquiry = counter.looks_up(CARD)
    operation = counter.asks("pay", 9_00, number=CARD)
    with patch("portal.connectors.http.addresses.check", side_effect=OSError):
        operations.work()
    operation.refresh_from_db()
    inquiry.refresh_from_db()
    assert (operation.state, bool(operation.sealed_input), inquiry.sealed_usage_token) == (S.WAITING, True, None)

    write(operation, next_attempt_at=Now() - timedelta(seconds=1))
    while operations.work():
        pass
    operation.refresh_from_db()

    assert (operation.state, counter.sold()) == (S.DONE, [(operation.reference, 9_00)])


def test_a_letter_opens_only_in_its_own_operation(counter: Counter):
    counter.looks_up(CARD)
    arm(counter, "cut")
    operation = counter.gets("pay", 9_00, number=CARD)
    other = vault.Context(merchant=operation.merchant_id, table="ledger_operation", row=uuid.uuid4().hex, field="input")

    with pytest.raises(vault.CannotOpen):
        vault.open_sealed(other, operation.sealed_input)


# ---- Every fault ---------------------------------------------------------------------------------------------------
KINDS = (
    *("refuse", "timeout_before", "timeout_after", "cut", "error_after", "garbage"),
    *("slow", "throttle", "redirect", "foreign"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ledger_is_what_the_journal_says(counter: Counter, kind: str):
    counter.looks_up(RICH)
    arm(counter, kind)
    operation = counter.gets("pay", 9_00, number=RICH)

    looks(counter, operation, times=3)

    assert operation.state in OVER, (operation.state, operation.reason)
    assert counter.sold() == ([(operation.reference, 9_00)] if operation.state == S.DONE else [])
    assert (operation.state == S.REFUSED) == (kind == "refuse")


def test_a_wish_of_a_card_of_another_currency_is_not_asked(counter: Counter):
    card = counter.looks_up(CARD).card
    wish = operations.Wish(verb="pay", card=card, amount=Money(100, "USD"))

    with pytest.raises(operations.CannotAsk, match="other_currency"):
        operations.request(member=counter.member, key=uuid.uuid4(), wish=wish)
