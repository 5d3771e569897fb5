"""What became of it, told by the provider's own record, at the real secuconnect sandbox, whose journal is the truth."""

import time
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from portal.connectors.base import Misconfigured, Reason
from portal.connectors.secuconnect import Secuconnect
from portal.ledger import calls, operations, settling, story_words
from portal.ledger.models import Exchange, Operation, OperationState
from portal.merchants.models import Connection
from tests.ledger.conftest import Till
from tests.ledger.test_operations import write

S = OperationState
EMPTY, FOREVER, STRANGE = "9276004424644001", "9276004424644007", "9276004424644009"
AFTER_CREATING = "/"  # of a transaction: its start, its cancellation, reading it


class Died(BaseException):
    """Nothing of ours catches this, as nothing catches kill -9."""


def loaded(till: Till, **more) -> Operation:
    return till.gets("top_up", 2000, number=EMPTY, **more)


def looks(till: Till, operation: Operation, times: int = 1) -> Operation:
    for _ in range(times):
        write(operation, next_attempt_at=Now() - timedelta(seconds=1))
        settling.settle_due()
    operation.refresh_from_db()
    return operation


def moved(till: Till) -> list[tuple[str, int | None]]:
    return [(effect["verb"], effect["amount"]) for effect in till.effects()]


# ---- The answer to a start is lost --------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["timeout_after", "cut", "error_after", "garbage"])
def test_a_lost_answer_to_what_is_done_is_done_by_the_providers_record(loads: Till, kind):
    loads.arm(kind, AFTER_CREATING, seconds=3)
    operation = loaded(loads)
    assert (operation.state, bool(operation.provider_reference)) == (S.CHECKING, True)

    looks(loads, operation)

    assert (operation.state, operation.settled_by) == (S.DONE, "record")
    assert moved(loads) == [("top_up", 2000)]
    assert operation.provider_reference == loads.effects()[0]["provider_reference"]
    assert operation.receipt_lines, "the provider's receipt is kept as if it had come at once"
    assert loads.card(EMPTY).balance_minor == 2000


@pytest.mark.parametrize("kind", ["timeout_before", "redirect"])
def test_what_is_not_done_is_refused_when_the_record_says_so_twice(loads: Till, kind):
    loads.arm(kind, AFTER_CREATING, seconds=3)
    operation = loaded(loads)

    looks(loads, operation)
    assert (operation.state, operation.missing_since is not None) == (S.CHECKING, True)
    looks(loads, operation)

    assert (operation.state, operation.settled_by, operation.reason) == (S.REFUSED, "record", settling.RECORDED_NOT)
    assert loads.effects() == []
    starts = [each for each in Exchange.objects.filter(operation=operation) if each.url.endswith("/start")]
    assert len(starts) == 1, "nothing is ever sent again"
    assert loaded(loads).state == S.DONE, "the card is free for a new one"


def test_not_done_is_believed_only_a_quiet_period_after_it_was_first_said(loads: Till, settings):
    loads.arm("timeout_before", AFTER_CREATING, seconds=3)
    operation = loaded(loads)
    settings.QUIET_SECONDS = 60

    looks(loads, operation, times=3)
    assert operation.state == S.CHECKING
    write(operation, missing_since=operation.missing_since - timedelta(seconds=61))
    looks(loads, operation)

    assert operation.state == S.REFUSED


def test_what_arrives_between_the_two_looks_is_done(loads: Till):
    loads.arm("late", AFTER_CREATING, seconds=3)
    operation = loaded(loads)
    looks(loads, operation)
    assert (operation.state, operation.missing_since is not None) == (S.CHECKING, True)

    until = time.monotonic() + 20
    while not loads.effects() and time.monotonic() < until:
        time.sleep(0.1)
    looks(loads, operation)

    assert (operation.state, operation.settled_by) == (S.DONE, "record")
    assert moved(loads) == [("top_up", 2000)]


def test_a_lost_answer_to_a_cancellation_is_done_by_the_record_of_what_it_cancels(loads: Till):
    load = loaded(loads)
    loads.arm("cut", AFTER_CREATING)
    void = loads.gets("void", 2000, number=EMPTY, original=load)
    assert void.state == S.CHECKING

    looks(loads, void)

    assert (void.state, void.settled_by) == (S.DONE, "record")
    assert moved(loads) == [("top_up", 2000), ("void", 2000)]


# ---- A worker dies ------------------------------------------------------------------------------------------------
def dies(till: Till, where: str) -> Operation:
    operation = till.asks("top_up", 2000, number=EMPTY)
    with patch(where, side_effect=Died), pytest.raises(Died):
        operations.work()
    write(operation, lease_until=Now() - timedelta(seconds=1))
    operations.sweep()
    operation.refresh_from_db()
    assert (operation.state, operation.reason, operation.provider_reference) == (S.CHECKING, "worker_lost", "")
    return operation


def test_a_worker_that_died_between_creating_and_starting_has_done_nothing(loads: Till):
    operation = dies(loads, "portal.connectors.secuconnect.Secuconnect._commit")

    looks(loads, operation, times=2)

    assert (operation.state, operation.reason, loads.effects()) == (S.REFUSED, settling.RECORDED_NOT, [])


def test_what_a_dead_worker_had_started_is_found_by_our_reference(loads: Till):
    operation = dies(loads, "portal.ledger.operations._store_receipt")

    looks(loads, operation)

    assert (operation.state, operation.settled_by) == (S.DONE, "record")
    assert operation.provider_reference == loads.effects()[0]["provider_reference"]


# ---- The record does not tell -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("number", "reason"), [(FOREVER, "pending"), (STRANGE, "unknown_word")])
def test_what_the_record_does_not_end_goes_to_a_person_with_what_is_on_the_card(loads: Till, settings, number, reason):
    settings.OPERATION_SECONDS = 1  # what is pending is asked about for so long
    operation = loads.gets("top_up", 2000, number=number)
    assert (operation.state, operation.reason) == (S.CHECKING, reason)

    looks(loads, operation, times=settling.CHECKS)

    assert (operation.state, operation.missing_since) == (S.NEEDS_PERSON, None)
    assert (operation.before_minor, operation.after_at is not None) == (5000, True)


def test_a_record_that_cannot_be_read_says_nothing(loads: Till):
    loads.arm("cut", AFTER_CREATING)
    operation = loaded(loads)
    for _ in range(2):
        loads.arm("error_after", AFTER_CREATING)
        looks(loads, operation)
    assert (operation.state, operation.missing_since) == (S.CHECKING, None)

    looks(loads, operation)

    assert operation.state == S.DONE


def test_what_is_there_twice_goes_to_a_person_at_once(loads: Till):
    operation = dies(loads, "portal.ledger.operations._store_receipt")
    with patch.object(calls.Caller, "read"):
        calls.Caller(operation).call()  # as no code of ours would

    looks(loads, operation)

    assert (operation.state, len(loads.effects())) == (S.NEEDS_PERSON, 2)


def test_refused_credentials_pause_the_connection_and_it_is_settled_when_it_resumes(loads: Till):
    loads.arm("cut", AFTER_CREATING)
    operation = loaded(loads)
    with patch.object(Secuconnect, "find", side_effect=Misconfigured(reason=Reason.KEY_REFUSED)):
        looks(loads, operation, times=2)
    loads.connection.refresh_from_db()
    assert (operation.state, operation.checks, loads.connection.pause_reason) == (S.CHECKING, 1, "key_refused")

    Connection.objects.filter(pk=loads.connection.pk).update(paused_at=None, pause_reason="")
    looks(loads, operation)

    assert operation.state == S.DONE


# ---- It is told, and the database stands by it --------------------------------------------------------------------
def told(operation: Operation) -> list[str]:
    found = Operation.objects.select_related("connection", "asked_by").get(pk=operation.pk)
    return [moment.text for moment in story_words.story(found, list(found.exchange_set.order_by("id")))]


def test_the_operation_tells_how_it_was_found_out(loads: Till):
    loads.arm("timeout_before", AFTER_CREATING, seconds=3)
    lines = told(looks(loads, loaded(loads), times=2))

    begun = ["Told secuconnect what is to be done, which moves nothing yet: answered", "Told secuconnect to do it: no"]
    for line in begun:
        assert sum(each.startswith(line) for each in lines) == 1
    assert sum(line.startswith("Read what secuconnect has on record of it: answered") for line in lines) == 2
    assert "The record of secuconnect does not show it as done. It may still arrive, so we ask once more." in lines
    assert lines[-1] == "Refused: It did not happen: the card company's own record says so."


def test_what_the_record_settled_is_over_for_good(loads: Till):
    loads.arm("cut", AFTER_CREATING)
    operation = looks(loads, loaded(loads))

    for values in ({"state": S.REFUSED}, {"settled_by": "person"}, {"card": None}):
        with pytest.raises(DatabaseError), transaction.atomic():
            write(operation, **values)
