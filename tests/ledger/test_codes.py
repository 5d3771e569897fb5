"""Codes that give points, at the real Revenue Monster sandbox: made once, cancelled once, and what a lost answer
leaves."""

import time
import uuid
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from portal.codes import states
from portal.codes.states import CodeState
from portal.ledger import approvals, clock, codes, operations, outcome_words, settling
from portal.ledger.models import Approval, Code, Exchange, Limit, Operation, OperationState, limit_writer
from portal.merchants import tenancy
from portal.merchants.models import Connection
from portal.money import Money
from tests.conftest import make_person
from tests.ledger.conftest import Till
from tests.ledger.test_operations import write
from tests.sandboxes.conftest import until

S = OperationState
PHONE, MEMBER = "176473298", "2777058682717858418"
OTHER = {"paid_with": "other"}
SHORT = 666  # sen: the sandbox ends such a code after two seconds
MAKING, CANCELLING = "spending-reward$", "spending-reward/cancel$"


def works(operation: Operation) -> Operation:
    while operations.work():
        pass
    operation.refresh_from_db()
    return operation


def wish(till: Till, sen: int = 1250, **more) -> operations.Wish:
    amount = Money(sen, "MYR")
    return operations.Wish(verb="issue_code", card=None, connection=till.connection, amount=amount, extra=OTHER, **more)


def makes(till: Till, sen: int = 1250, *, key: uuid.UUID | None = None) -> Operation:
    return works(operations.request(member=till.member, key=key or uuid.uuid4(), wish=wish(till, sen)))


def cancelling(made: Operation) -> operations.Wish:
    amount = Money(made.amount_minor, made.currency)
    return operations.Wish(verb="void", card=None, connection=made.connection, amount=amount, original=made)


def cancels(till: Till, made: Operation, *, key: uuid.UUID | None = None) -> Operation:
    return works(operations.request(member=till.member, key=key or uuid.uuid4(), wish=cancelling(made)))


def claims(till: Till, made: Operation, phone: str = PHONE) -> None:
    """As the customer does: scans it and gives a telephone number."""
    address, parts = Code.objects.get(operation=made).address, urlsplit(till.sandbox.url)
    line = HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    line.request("POST", urlsplit(address).path, urlencode({"phone": phone}), form)
    assert line.getresponse().status == 200


def state_of(made: Operation) -> CodeState:
    made.refresh_from_db()
    return states.of(made, *states.read(made), clock.now())


def journal(till: Till) -> list[tuple[str, str | None]]:
    """What the provider says happened, and to which code."""
    return [(effect["verb"], effect["provider_reference"]) for effect in till.effects()]


# ---- Made ---------------------------------------------------------------------------------------------------------
def test_a_code_is_made_without_a_card_and_gives_nothing_by_itself(awards: Till):
    made = makes(awards)

    assert (made.state, made.settled_by, made.card, made.in_flight_key) == (S.DONE, "answer", None, None)
    assert made.predicted_points == 12
    assert journal(awards) == [("issue_code", made.provider_reference)]
    assert Code.objects.get().address.startswith(f"{awards.sandbox.url}/revenuemonster/qr/")
    assert state_of(made) == CodeState.OPEN


def test_asked_twice_under_one_key_one_code_is_made(awards: Till):
    key = uuid.uuid4()

    assert makes(awards, key=key).pk == makes(awards, key=key).pk
    assert len(journal(awards)) == 1
    with pytest.raises(operations.OtherContent):
        makes(awards, 1251, key=key)


def test_two_codes_do_not_wait_for_each_other(awards: Till):
    first, second = makes(awards), makes(awards)

    assert {first.state, second.state} == {S.DONE}
    assert first.provider_reference != second.provider_reference


def test_what_is_scanned_stands_nowhere_but_where_it_is_shown_from(awards: Till):
    made = makes(awards)
    secret = Code.objects.get().address.rsplit("/", 1)[1]

    kept = [str(row) for row in Exchange.objects.filter(operation=made).values()]
    assert kept
    assert secret not in "".join(kept) + str(Operation.objects.filter(pk=made.pk).values())


def test_only_where_codes_are_made_and_in_its_currency(awards: Till, paywizard):
    elsewhere = operations.Wish(
        verb="issue_code", card=None, connection=paywizard, amount=Money(100, "USD"), extra=OTHER
    )
    with pytest.raises(operations.CannotAsk, match="not_offered"):
        operations.request(member=awards.member, key=uuid.uuid4(), wish=elsewhere)
    euros = operations.Wish(verb="issue_code", card=None, connection=awards.connection, amount=Money(1, "EUR"))
    with pytest.raises(operations.CannotAsk, match="other_currency"):
        operations.request(member=awards.member, key=uuid.uuid4(), wish=euros)
    with pytest.raises(operations.CannotAsk, match="not_offered"):  # a code is nobody's
        awards.asks("issue_code", 1250, number=MEMBER, extra=OTHER)

    assert journal(awards) == []


def test_an_unsent_one_is_tried_again_and_made_once(awards: Till):
    awards.sandbox.call(
        "POST", "/_sandbox/faults", {"provider": "revenuemonster", "kind": "throttle", "path": "/v1/token", "times": 2}
    )
    made = operations.request(member=awards.member, key=uuid.uuid4(), wish=wish(awards))
    operations.work()
    made.refresh_from_db()
    assert (made.state, made.reason) == (S.WAITING, "throttled")

    write(made, next_attempt_at=Now() - timedelta(seconds=1))
    Connection.objects.filter(pk=awards.connection.pk).update(held_until=None)

    assert works(made).state == S.DONE
    assert len(journal(awards)) == 1


# ---- Its answer is lost -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "made_there"),
    [
        ("timeout_before", 0),
        ("timeout_after", 1),
        ("late", 1),
        ("cut", 1),
        ("error_after", 1),
        ("garbage", 1),
        ("redirect", 0),
    ],
)
def test_a_lost_answer_closes_at_once_and_another_is_made(awards: Till, kind, made_there):
    awards.arm(kind, MAKING, seconds=3)
    lost = makes(awards)

    assert (lost.state, lost.reason, lost.provider_reference) == (S.REFUSED, operations.NO_CODE_SHOWN, "")
    assert state_of(lost) == CodeState.NONE
    assert not Code.objects.exists()
    assert outcome_words.ending(lost)[0] == "No code was shown."
    assert Exchange.objects.filter(operation=lost, purpose="call").exists(), "the evidence is kept all the same"

    another = makes(awards)
    assert another.state == S.DONE
    # The journal holds what we know of, and at most the one that nobody has seen.
    until(lambda: len(journal(awards)) == 1 + made_there)
    assert [reference for _verb, reference in journal(awards)].count(another.provider_reference) == 1


def test_an_orphan_nobody_saw_stays_unclaimed_and_is_no_operations(awards: Till):
    awards.arm("cut", MAKING)
    makes(awards)

    [(verb, orphan)] = journal(awards)
    assert verb == "issue_code"
    assert not Operation.objects.filter(provider_reference=orphan).exists()
    settling.settle_due()
    assert not Operation.objects.filter(state__in=(S.CHECKING, S.NEEDS_PERSON)).exists()


def test_what_a_dead_worker_left_closes_without_a_person(awards: Till):
    made = operations.request(member=awards.member, key=uuid.uuid4(), wish=wish(awards))
    write(made, state=S.RUNNING, attempt=1, lease_until=Now() - timedelta(seconds=1), unsent=False)
    operations.sweep()
    made.refresh_from_db()
    assert made.state == S.CHECKING

    write(made, next_attempt_at=Now() - timedelta(seconds=1))
    settling.settle_due()

    made.refresh_from_db()
    assert (made.state, made.reason) == (S.REFUSED, operations.NO_CODE_SHOWN)
    assert journal(awards) == []


def test_an_answer_that_came_after_its_lease_is_shown_to_nobody(awards: Till, monkeypatch):
    made = operations.request(member=awards.member, key=uuid.uuid4(), wish=wish(awards))
    leave = operations._leave

    def slept(caller, *code, **values):
        write(made, state=S.CHECKING, lease_until=None, next_attempt_at=Now())
        return leave(caller, *code, **values)

    monkeypatch.setattr(operations, "_leave", slept)
    works(made)

    assert made.state == S.CHECKING
    assert not Code.objects.exists()


# ---- Cancelled ----------------------------------------------------------------------------------------------------
def test_a_code_is_cancelled_once(awards: Till):
    made = makes(awards)
    gone = cancels(awards, made)

    assert (gone.state, gone.settled_by, gone.card) == (S.DONE, "answer", None)
    assert journal(awards) == [("issue_code", made.provider_reference), ("void", made.provider_reference)]
    assert state_of(made) == CodeState.CANCELLED
    with pytest.raises(operations.CannotAsk, match="voided_already"):
        cancels(awards, made)


def test_a_claimed_code_is_not_cancelled_and_that_is_what_is_said(awards: Till):
    made = makes(awards)
    claims(awards, made)

    refused = cancels(awards, made)

    assert (refused.state, refused.reason) == (S.REFUSED, "claimed")
    assert outcome_words.ending(refused)[0] == "The code has been claimed already."
    assert state_of(made) == CodeState.CLAIMED
    assert [verb for verb, _code in journal(awards)] == ["issue_code", "claim_code"]


def test_that_a_code_has_ended_is_learnt_by_cancelling_it(awards: Till):
    made = makes(awards, SHORT)
    assert state_of(made) == CodeState.OPEN
    time.sleep(2.1)  # the sandbox's own clock

    refused = cancels(awards, made)

    assert (refused.state, refused.reason) == (S.REFUSED, "ended")
    assert state_of(made) == CodeState.EXPIRED


@pytest.mark.parametrize(
    ("kind", "done"),
    [("timeout_before", 0), ("timeout_after", 1), ("late", 1), ("cut", 1), ("error_after", 1), ("garbage", 1)],
)
def test_a_lost_answer_to_a_cancelling_is_for_a_person_and_nothing_is_sent_again(awards: Till, kind, done):
    made = makes(awards)
    awards.arm(kind, CANCELLING, seconds=3)
    lost = cancels(awards, made)
    assert (lost.state, state_of(made)) == (S.CHECKING, CodeState.UNCLEAR)

    settling.settle_due()

    lost.refresh_from_db()
    assert (lost.state, state_of(made)) == (S.NEEDS_PERSON, CodeState.UNCLEAR)
    until(lambda: [verb for verb, _code in journal(awards)] == ["issue_code", *["void"] * done])


def test_whoever_says_it_was_not_cancelled_may_cancel_again_and_is_told_what_there_is_to_say(awards: Till, jung):
    made = makes(awards)
    awards.arm("cut", CANCELLING)
    lost = cancels(awards, made)
    settling.settle_due()
    make_person("Milan", (jung, "manager"))
    manager = jung.member_set.select_related("merchant", "person").get(person__name="Milan")
    settling.decide(lost, member=manager, happened=False, reason="It looks open in the provider's list.")
    assert state_of(made) == CodeState.OPEN

    again = cancels(awards, made)

    assert (again.state, again.reason) == (S.REFUSED, "too_late")
    assert state_of(made) == CodeState.UNKNOWN
    assert [verb for verb, _code in journal(awards)] == ["issue_code", "void"]


def test_what_is_told_of_a_claim_ends_the_doubt_about_its_cancelling(awards: Till):
    made = makes(awards)
    awards.arm("timeout_before", CANCELLING, seconds=3)
    lost = cancels(awards, made)
    settling.settle_due()

    codes.claimed(made, points=12, at=clock.now())
    settling.told_claimed(made)

    lost.refresh_from_db()
    assert (lost.state, lost.reason, lost.settled_by) == (S.REFUSED, "claimed", "record")
    assert state_of(made) == CodeState.CLAIMED


def test_a_code_of_another_connection_or_in_parts_is_not_cancelled(awards: Till):
    made = makes(awards)
    twin = Connection.objects.get(pk=awards.connection.pk)
    twin.pk, twin.key, twin.name = None, uuid.uuid4(), "The other"
    twin.save()
    other = operations.Wish(verb="void", card=None, connection=twin, amount=Money(1250, "MYR"), original=made)
    with pytest.raises(operations.CannotAsk, match="original_wanted"):
        operations.request(member=awards.member, key=uuid.uuid4(), wish=other)
    part = operations.Wish(verb="void", card=None, connection=made.connection, amount=Money(1, "MYR"), original=made)
    with pytest.raises(operations.CannotAsk, match="only_the_whole"):
        operations.request(member=awards.member, key=uuid.uuid4(), wish=part)

    assert len(journal(awards)) == 1


# ---- No longer shown ----------------------------------------------------------------------------------------------
def test_what_is_over_is_erased_and_what_is_open_is_kept(awards: Till):
    opened, gone, claimed = makes(awards), makes(awards), makes(awards)
    cancels(awards, gone)
    claims(awards, claimed)
    cancels(awards, claimed)

    codes.erase_due()

    shown = {code.operation_id: bool(code.address) for code in Code.objects.all()}
    assert shown == {opened.pk: True, gone.pk: False, claimed.pk: False}
    assert state_of(gone) == CodeState.CANCELLED


def test_after_a_day_a_code_is_unknown_and_may_still_be_cancelled(awards: Till, settings):
    made = makes(awards)
    later = clock.now() + timedelta(hours=settings.CODE_HOURS)
    with clock.set_to(lambda: later):
        assert state_of(made) == CodeState.UNKNOWN
        codes.erase_due()
    assert (state_of(made), Code.objects.get().address) == (CodeState.UNKNOWN, "")

    cancels(awards, made)

    assert state_of(made) == CodeState.CANCELLED


def test_the_database_lets_a_code_be_erased_and_claimed_once_and_nothing_else(awards: Till):
    made = makes(awards)
    code = Code.objects.get()
    codes.claimed(made, points=12, at=clock.now())
    for change in ({"address": code.address}, {"claimed_points": 13}, {"claimed_at": None}, {"made_at": clock.now()}):
        codes.code_writer._open.set(True)
        try:
            with pytest.raises(DatabaseError), transaction.atomic():
                Code.objects.filter(pk=code.pk).update(**change)
        finally:
            codes.code_writer._open.set(False)


def test_a_code_of_one_merchant_is_no_others(awards: Till, kauri):
    makes(awards)

    with tenancy.merchant(kauri.pk):
        assert not Code.objects.exists()


# ---- Above a limit ------------------------------------------------------------------------------------------------
@pytest.fixture
def limited(awards: Till) -> Till:
    """Alice gives points for purchases up to 10.00 alone."""
    limit_writer._open.set(True)
    try:
        Limit.objects.create(merchant=awards.member.merchant, role="cashier", verb="award", most=1000)
    finally:
        limit_writer._open.set(False)
    return awards


def test_a_code_is_no_way_around_the_limit_of_points_for_a_purchase(limited: Till, arrange, jung):
    assert makes(limited, 1000).state == S.DONE
    with pytest.raises(operations.AboveLimit):
        makes(limited, 1001)
    make_person("Milan", (jung, "manager"))
    manager = jung.member_set.select_related("merchant", "person").get(person__name="Milan")

    asked = approvals.request(member=limited.member, key=uuid.uuid4(), wish=wish(limited, 1250))
    assert isinstance(asked, Approval)
    assert asked.card is None
    made = works(approvals.approve(asked, member=manager))

    assert (made.state, made.asked_by.name, made.amount_minor) == (S.DONE, "Alice", 1250)
    assert state_of(made) == CodeState.OPEN
