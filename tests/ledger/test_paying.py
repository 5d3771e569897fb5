"""Payments from cards whose provider keeps a record of each: the ledger says what the provider's own journal says."""

import random
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from portal.connectors.results import LineKind, ReceiptLine
from portal.ledger import operations, settling
from portal.ledger.models import Exchange, Operation, OperationState
from tests.ledger.conftest import Till
from tests.ledger.test_operations import write

S = OperationState
RICH, SEED, LOCKED = "9276100000000100", "9276004424644352", "9276004424644002"  # 1,000.00; 2.00 and 0.20 bonus
START = "/*/start/loyalty$"


def looks(till: Till, operation: Operation, times: int = 1) -> Operation:
    """Past its quiet period, until it is over or was looked at so often."""
    for _ in range(times):
        if operation.state == S.CHECKING:
            write(operation, next_attempt_at=Now() - timedelta(seconds=1))
            settling.settle_due()
            operation.refresh_from_db()
    return operation


def told_by_both(till: Till) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Reference and amount of each payment: by the ledger, and by the provider's journal."""
    ours = Operation.objects.filter(connection=till.connection, verb="pay", state=S.DONE)
    theirs = [(each["reference"], each["amount"]) for each in till.effects() if each["verb"] == "pay"]
    return sorted((each.reference, each.amount_minor or 0) for each in ours), sorted(theirs)


def agree(till: Till) -> bool:
    ours, theirs = told_by_both(till)
    return ours == theirs


def test_a_payment_is_taken_and_its_receipt_kept(loads: Till):
    operation = loads.gets("pay", 12_50, number=RICH)

    assert (operation.state, operation.settled_by) == (S.DONE, "answer")
    assert agree(loads)
    assert loads.card(RICH).balance_minor == 987_50
    lines = [ReceiptLine.from_plain(each) for each in operation.receipt_lines]
    assert lines[0] == ReceiptLine.separator("Kundenkarte Zahlung")
    assert {line.kind for line in lines} == {LineKind.SEPARATOR, LineKind.PAIR, LineKind.TEXT, LineKind.SPACE}
    assert RICH not in str(operation.receipt_lines)


def test_what_the_card_does_not_cover_is_refused_and_nothing_is_started(loads: Till):
    operation = loads.gets("pay", 2_21, number=SEED)

    assert (operation.state, operation.reason) == (S.REFUSED, "not_enough")
    assert not [each for each in Exchange.objects.filter(operation=operation) if "/start" in each.url]
    assert loads.effects() == []
    assert loads.gets("pay", 2_20, number=SEED).state == S.DONE


def test_a_locked_card_pays_nothing(loads: Till):
    operation = loads.gets("pay", 1_00, number=LOCKED)

    assert operation.state == S.REFUSED
    assert loads.effects() == []


@pytest.mark.parametrize("kind", ["timeout_after", "cut", "error_after", "garbage"])
def test_a_payment_whose_answer_is_lost_is_done_by_the_record(loads: Till, kind: str):
    loads.arm(kind, START, seconds=3)
    operation = loads.gets("pay", 12_50, number=RICH)
    assert (operation.state, len(loads.effects())) == (S.CHECKING, 1)

    looks(loads, operation)

    assert (operation.state, operation.settled_by) == (S.DONE, "record")
    assert agree(loads)
    assert operation.receipt_lines


@pytest.mark.parametrize("kind", ["timeout_before", "redirect", "throttle"])
def test_a_payment_that_never_arrived_is_refused_by_the_record(loads: Till, kind: str):
    loads.arm(kind, START, seconds=3)
    operation = loads.gets("pay", 12_50, number=RICH)
    assert operation.state == S.CHECKING

    looks(loads, operation, times=2)

    assert (operation.state, operation.reason) == (S.REFUSED, settling.RECORDED_NOT)
    assert loads.effects() == []
    assert operation.receipt_lines == []


def test_a_payment_that_arrives_late_is_done(loads: Till):
    loads.arm("late", START, seconds=3)
    operation = loads.gets("pay", 12_50, number=RICH)
    looks(loads, operation)
    assert operation.state == S.CHECKING

    until = time.monotonic() + 20
    while not loads.effects() and time.monotonic() < until:
        time.sleep(0.1)
    looks(loads, operation)

    assert (operation.state, agree(loads)) == (S.DONE, True)


@pytest.mark.parametrize("kind", ["cut", "error_after", "garbage"])
@pytest.mark.parametrize("path", ["$", "/*/preTransaction$"])
def test_what_is_lost_before_the_start_is_tried_again_and_taken_once(loads: Till, path: str, kind: str):
    loads.arm(kind, path)
    operation = loads.gets("pay", 12_50, number=RICH)
    assert (operation.state, loads.effects()) == (S.WAITING, [])

    write(operation, next_attempt_at=Now() - timedelta(seconds=1))
    while operations.work():
        pass
    operation.refresh_from_db()

    assert (operation.state, operation.attempt, agree(loads)) == (S.DONE, 2, True)


def test_a_payment_is_voided_and_comes_back(loads: Till):
    payment = loads.gets("pay", 1_50, number=SEED)

    void = loads.gets("void", 1_50, number=SEED, original=payment)

    assert void.state == S.DONE
    assert loads.card(SEED).balance_minor == 2_20


def test_forty_payments_in_bad_weather_are_what_the_journal_says(loads: Till):
    """Half of the starts go wrong in some way; all of it ends by the record alone, without a person."""
    weather = random.Random(7)
    for place in range(40):
        if weather.random() < 0.5:
            kind = weather.choice(["cut", "error_after", "garbage", "redirect", "refuse"])
            loads.arm(kind, START)
        paid = loads.gets("pay", 100 + place, number=str(int(RICH) + 1 + place % 10))
        looks(loads, paid, times=2)

    states = set(Operation.objects.filter(connection=loads.connection).values_list("state", flat=True))
    assert states == {S.DONE, S.REFUSED}
    ours, theirs = told_by_both(loads)
    assert ours == theirs
    assert 20 < len(ours) < 40
