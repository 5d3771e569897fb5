"""Operations from the wish to the end, at the real PayWizard sandbox, whose journal says what truly happened."""

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.functions import Now

from portal.ledger import calls, operations, settling
from portal.ledger.models import Exchange, Operation, OperationState, operation_writer
from portal.merchants.models import AuditEntry, Connection, Member
from tests.conftest import make_person
from tests.ledger.conftest import CARD, Till

S = OperationState


def write(operation: Operation, **values: object) -> None:
    """Change a row as no code of ours would, to see what is made of it."""
    before = operation_writer._open.set(True)
    try:
        Operation.objects.filter(pk=operation.pk).update(**values)
    finally:
        operation_writer._open.reset(before)


# ---- It goes well -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("verb", "amount", "moved"),
    [("pay", 1250, -1250), ("top_up", 2000, 2000), ("issue_points", 12, 12), ("redeem_points", 50, -50)],
)
def test_what_is_asked_happens_once_and_is_done(till: Till, verb, amount, moved):
    operation = till.gets(verb, amount)

    assert (operation.state, operation.settled_by, operation.attempt) == (S.DONE, "answer", 1)
    [effect] = till.effects()
    assert (effect["verb"], effect["reference"]) == (verb, operation.reference)
    assert operation.provider_reference == effect["provider_reference"]
    card = till.card()
    card.refresh_from_db()
    assert (card.balance_minor, card.points) == ((3010 + moved, 53) if "points" not in verb else (3010, 53 + moved))


def test_a_card_is_activated_with_its_customer(till: Till):
    operation = till.gets("activate", number="914639258868501", private={"first_name": "Max", "last_name": "Muster"})

    assert (operation.state, operation.sealed_input) == (S.DONE, None)
    assert [effect["verb"] for effect in till.effects()] == ["activate"]


def test_a_payment_is_voided_by_the_providers_reference_under_a_new_one_of_ours(till: Till):
    payment = till.gets("pay", 1250)
    void = till.gets("void", 1250, original=payment)

    assert void.state == S.DONE
    assert till.effects()[1]["original"] == payment.provider_reference
    assert void.reference != payment.reference
    card = till.card()
    card.refresh_from_db()
    assert card.balance_minor == 3010


def test_a_tip_is_added_to_a_payment(till: Till):
    payment = till.gets("pay", 1250)

    assert till.gets("tip", 200, original=payment).state == S.DONE


def test_the_evidence_is_kept_redacted_and_with_its_timing(till: Till):
    operation = till.gets("pay", 1250)

    kept = list(Exchange.objects.filter(operation=operation).order_by("id"))
    assert [each.purpose for each in kept] == ["before", "call", "after"]
    everything = "".join(f"{each.url}{each.request_headers}{each.request_body}{each.response_body}" for each in kept)
    for secret in (CARD, till.sandbox.credentials("paywizard")["token"]):
        assert secret not in everything
    assert operation.reference in kept[1].request_body


# ---- It does not ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "verb", "amount", "reason"),
    [
        ("914639258868503", "pay", 80_00, "not_enough"),
        ("914639258868501", "pay", 1_00, "card_inactive"),
        ("914639258868599", "pay", 1_00, "card_unknown"),
        ("914639258868500", "redeem_points", 54, "not_enough"),
    ],
)
def test_a_refusal_is_final_and_nothing_moved(till: Till, number, verb, amount, reason):
    operation = till.gets(verb, amount, number=number)

    assert (operation.state, operation.reason) == (S.REFUSED, reason)
    assert till.effects() == []


@pytest.mark.parametrize("number", ["914639258868506", "914639258868507", "914639258868508", "914639258868519"])
def test_an_answer_without_every_sign_of_success_is_checked_and_never_done_by_accident(till: Till, number):
    Connection.objects.filter(pk=till.connection.pk).update(reads_balance_first=False)
    operation = till.gets("pay", 1_00, number=number)

    assert operation.state == S.CHECKING
    assert len(till.effects()) == 1  # it did happen, and nobody said so


def test_refused_credentials_refuse_the_operation_and_pause_the_connection(till: Till):
    operation = till.gets("pay", 1_00, number="914639258868528")

    till.connection.refresh_from_db()
    assert (operation.state, till.connection.pause_reason) == (S.REFUSED, "key_refused")


# ---- The answer is lost -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "happened"),
    [
        ("timeout_after", True),
        ("cut", True),
        ("error_after", True),
        ("garbage", True),
        ("timeout_before", False),
        ("redirect", False),
    ],
)
def test_a_lost_answer_is_checked_and_only_the_balance_or_a_person_ends_it(till: Till, kind, happened):
    till.arm(kind, "giftTransaction", seconds=3)
    operation = till.gets("pay", 1250)
    assert operation.state == S.CHECKING

    settling.settle_due()

    operation.refresh_from_db()
    assert len(till.effects()) == (1 if happened else 0)
    assert (operation.state, operation.settled_by) == ((S.DONE, "balance") if happened else (S.NEEDS_PERSON, ""))
    assert operation.after_minor == (1760 if happened else 3010)
    assert till.card().balance_minor == operation.after_minor, "the card shows what was read of it last"


def test_where_others_move_the_cards_a_fitting_balance_is_evidence_and_no_proof(till: Till):
    Connection.objects.filter(pk=till.connection.pk).update(only_this_desk=False)
    till.arm("timeout_after", "giftTransaction", seconds=3)
    operation = till.gets("pay", 1250)

    settling.settle_due()

    operation.refresh_from_db()
    assert (operation.state, operation.before_minor, operation.after_minor) == (S.NEEDS_PERSON, 3010, 1760)


def test_a_balance_that_moved_by_another_amount_is_for_a_person(till: Till):
    till.arm("timeout_after", "giftTransaction", seconds=3)
    operation = till.gets("pay", 1250)
    write(operation, before_minor=3011)

    settling.settle_due()

    operation.refresh_from_db()
    assert operation.state == S.NEEDS_PERSON


def test_before_the_quiet_period_is_over_nobody_looks(till: Till, settings):
    settings.QUIET_SECONDS = 60
    till.arm("timeout_after", "giftTransaction", seconds=3)
    operation = till.gets("pay", 1250)

    assert settling.settle_due() == 0
    operation.refresh_from_db()
    assert operation.state == S.CHECKING


def test_a_balance_that_cannot_be_read_is_tried_again_and_then_shown_to_a_person(till: Till):
    till.arm("timeout_after", "giftTransaction", seconds=3)
    operation = till.gets("pay", 1250)
    for _ in range(settling.CHECKS):
        write(operation, next_attempt_at=Now() - timedelta(seconds=1))
        till.arm("error_after", "giftInquiry")
        settling.settle_due()

    operation.refresh_from_db()
    assert (operation.state, operation.checks) == (S.NEEDS_PERSON, settling.CHECKS)


def test_a_payment_the_provider_has_in_hand_is_settled_by_the_balance(till: Till):
    operation = till.gets("pay", 1_00, number="914639258868513")
    assert (operation.state, operation.reason) == (S.CHECKING, "pending")

    settling.settle_due()

    operation.refresh_from_db()
    assert (operation.state, operation.settled_by) == (S.DONE, "balance")
    assert till.gets("void", 1_00, number="914639258868513", original=operation).state == S.CHECKING, "in hand again"
    assert till.effects()[-1]["original"] == operation.provider_reference


# ---- Nothing left -------------------------------------------------------------------------------------------------
def test_an_unreachable_provider_is_tried_again_with_pauses_and_then_it_is_not_sent(till: Till, settings):
    settings.PROVIDER_ORIGINS_ALLOWED = ["http://127.0.0.1:1"]
    calls.wire.cache_clear()
    till.connection.options |= {"base_url": "http://127.0.0.1:1/paywizard"}
    till.connection.save()
    operation = till.asks("pay", 1250)
    for attempt in range(1, len(operations.UNSENT_PAUSES) + 2):
        operations.work()
        operation.refresh_from_db()
        assert operation.attempt == attempt
        if operation.state == S.WAITING:
            assert operation.next_attempt_at > operation.asked_at
            write(operation, next_attempt_at=Now())

    calls.wire.cache_clear()
    assert (operation.state, operation.settled_by) == (S.FAILED, "")
    assert till.effects() == []


def test_an_operation_that_no_worker_began_can_be_withdrawn_and_one_that_ran_cannot(till: Till):
    waiting, done = till.asks("pay", 1_00), till.gets("pay", 1_00, number="914639258868504")
    waiting.refresh_from_db()
    untouched = till.asks("pay", 2_00)

    assert operations.withdraw(untouched, member=till.member)
    assert not operations.withdraw(done, member=till.member)

    assert (untouched.state, untouched.reason) == (S.FAILED, "withdrawn")


# ---- Pressed twice, stale forms -----------------------------------------------------------------------------------
def test_the_same_key_is_one_operation_however_often_it_is_pressed(till: Till):
    key = uuid.uuid4()
    pressed = {till.asks("pay", 1250, key=key).pk for _ in range(5)}
    while operations.work():
        pass
    pressed.add(till.asks("pay", 1250, key=key).pk)

    assert len(pressed) == 1
    assert len(till.effects()) == 1
    assert AuditEntry.objects.filter(verb="operation asked").count() == 1


def test_a_void_pressed_twice_is_one_void_and_no_refusal(till: Till):
    payment = till.gets("pay", 1250)
    void = till.gets("void", 1250, original=payment)

    assert till.asks("void", 1250, original=payment, key=void.key) == void


def test_what_was_asked_before_a_pause_is_answered_and_not_refused(till: Till):
    first = till.asks("pay", 1250)
    Connection.objects.filter(pk=till.connection.pk).update(paused_at=Now())

    assert till.asks("pay", 1250, key=first.key) == first


@pytest.mark.parametrize("change", [{"amount": 1300}, {"verb": "top_up"}, {"number": "914639258868504"}])
def test_the_same_key_with_other_content_changes_nothing_and_shows_the_first(till: Till, change):
    key = uuid.uuid4()
    first = till.asks("pay", 1250, key=key)

    with pytest.raises(operations.OtherContent) as refusal:
        till.asks(**{"verb": "pay", "amount": 1250, "key": key, **change})

    assert refusal.value.operation.pk == first.pk
    assert Operation.objects.count() == 1


# ---- What is not even asked -----------------------------------------------------------------------------------
def test_what_cannot_work_is_refused_before_a_row_exists(till: Till):
    payment = till.gets("pay", 1250)
    points = till.gets("issue_points", 5)
    for why, wish in {
        "amount_wanted": {"verb": "pay"},
        "amount_out_of_range": {"verb": "pay", "amount": -5},
        "no_amount_wanted": {"verb": "activate", "amount": 5},
        "original_wanted": {"verb": "void", "amount": 12},
        "only_the_whole": {"verb": "void", "amount": 1249, "original": payment},
        "no_original_wanted": {"verb": "pay", "amount": 1, "original": payment},
    }.items():
        with pytest.raises(operations.CannotAsk) as refusal:
            till.asks(**wish)
        assert refusal.value.why == why
    with pytest.raises(operations.CannotAsk):
        till.asks("void", 5, original=points)
    assert Operation.objects.count() == 2


def test_nothing_is_voided_twice_nor_with_a_tip_on_it(till: Till):
    voided, tipped = till.gets("pay", 1_00), till.gets("pay", 2_00)
    till.gets("void", 1_00, original=voided)
    till.gets("tip", 50, original=tipped)

    for original, why in ((voided, "voided_already"), (tipped, "has_a_tip")):
        with pytest.raises(operations.CannotAsk) as refusal:
            till.asks("void", original.amount_minor, original=original)
        assert refusal.value.why == why


def test_a_role_without_the_right_cannot_ask(till: Till, jung):
    reader = make_person("Rita", (jung, "read_only"))
    till.member = Member.objects.select_related("merchant", "person").get(person=reader)

    with pytest.raises(PermissionDenied):
        till.asks("pay", 1250)
    assert Operation.objects.count() == 0


# ---- One at a time, and in order ----------------------------------------------------------------------------------
def test_while_one_is_unclear_the_next_on_the_same_card_waits_and_other_cards_go_on(till: Till):
    till.arm("timeout_after", "giftTransaction", seconds=3)
    unclear = till.gets("pay", 1250)
    same, other = till.gets("pay", 1_00), till.gets("pay", 1_00, number="914639258868504")

    assert (unclear.state, same.state, other.state) == (S.CHECKING, S.WAITING, S.DONE)
    settling.settle_due()
    while operations.work():
        pass
    same.refresh_from_db()
    assert same.state == S.DONE


def test_the_database_itself_allows_one_in_flight_on_a_card(till: Till):
    first, second = till.asks("pay", 1_00), till.asks("pay", 2_00)
    write(first, state=S.RUNNING, lease_until=Now())

    with pytest.raises(IntegrityError, match="one_in_flight"), transaction.atomic():
        write(second, state=S.RUNNING, lease_until=Now())


def test_a_person_goes_before_a_file(till: Till):
    from portal.money import Money

    wish = operations.Wish(verb="pay", card=till.card("914639258868504"), amount=Money(100, "USD"))
    of_a_file = operations.request(member=till.member, key=uuid.uuid4(), wish=wish, priority=10)
    of_a_person = till.asks("pay", 1_00)

    assert [operations._claim().pk for _ in range(2)] == [of_a_person.pk, of_a_file.pk]


def test_no_more_run_at_a_connection_than_it_allows(till: Till):
    Connection.objects.filter(pk=till.connection.pk).update(concurrency=2)
    for end in ("00", "03", "04"):
        till.asks("pay", 1_00, number=f"9146392588685{end}")

    assert [operations._claim() is not None for _ in range(3)] == [True, True, False]


def test_no_more_begin_in_a_second_than_the_connection_allows(till: Till):
    Connection.objects.filter(pk=till.connection.pk).update(per_second=1)
    for end in ("00", "03"):
        till.asks("pay", 1_00, number=f"9146392588685{end}")

    assert [operations._claim() is not None for _ in range(2)] == [True, False]


def test_at_a_paused_connection_a_person_is_told_and_a_file_is_held(till: Till):
    from portal.merchants import connections

    till.asks("pay", 1_00)
    Connection.objects.filter(pk=till.connection.pk).update(paused_at=Now(), pause_reason="key_refused")
    till.connection.refresh_from_db()

    with pytest.raises(connections.NotNow):
        till.asks("pay", 1_00)
    assert operations._claim() is None


# ---- Workers that die -----------------------------------------------------------------------------------------
def test_a_lease_that_lapses_once_bytes_may_have_left_means_checking_and_never_waiting(till: Till):
    till.asks("pay", 1250)
    operation = operations._claim()
    assert operations._may_send(operation, None)
    write(operation, lease_until=Now() - timedelta(seconds=1))

    operations.sweep()

    operation.refresh_from_db()
    assert (operation.state, operation.reason) == (S.CHECKING, "worker_lost")


def test_a_lease_that_lapses_before_anything_could_leave_means_waiting_again(till: Till):
    till.asks("pay", 1250)
    operation = operations._claim()
    write(operation, lease_until=Now() - timedelta(seconds=1))

    operations.sweep()
    operation.refresh_from_db()
    assert (operation.state, operation.reason, operation.attempt) == (S.WAITING, "worker_lost", 1)
    write(operation, next_attempt_at=Now() - timedelta(seconds=1))
    operations.work()

    operation.refresh_from_db()
    assert (operation.state, operation.attempt, len(till.effects())) == (S.DONE, 2, 1)


def test_the_first_attempts_leave_does_not_count_for_the_second(till: Till):
    till.asks("pay", 1250)
    operation = operations._claim()
    assert operations._may_send(operation, None)
    write(operation, state=S.WAITING, lease_until=None)  # it proved unsent

    again = operations._claim()

    assert again.attempt == 2
    assert again.unsent


def test_what_its_workers_die_of_before_sending_ends_as_not_sent(till: Till):
    till.asks("pay", 1250)
    for attempt in range(1, len(operations.UNSENT_PAUSES) + 2):
        operation = operations._claim()
        assert operation.attempt == attempt
        write(operation, lease_until=Now() - timedelta(seconds=1))
        operations.sweep()
        operation.refresh_from_db()
        if operation.state == S.WAITING:
            write(operation, next_attempt_at=Now() - timedelta(seconds=1))

    assert (operation.state, operation.reason) == (S.FAILED, "worker_lost")
    assert till.effects() == []


def test_a_worker_that_slept_through_its_lease_sends_nothing(till: Till):
    till.asks("pay", 1250)
    operation = operations._claim()
    write(operation, lease_until=Now() - timedelta(seconds=1))

    operations._run(operation)

    assert till.effects() == []


def test_an_answer_after_the_lease_moves_nothing_and_is_kept_as_evidence(till: Till):
    till.asks("pay", 1250)
    operation = operations._claim()
    caller = operations.Caller(operation)
    assert operations._may_send(operation, operations.calls.levels_of(caller.read("before")))
    receipt = caller.call()
    write(operation, lease_until=Now() - timedelta(seconds=1))
    operations.sweep()

    operations._store_receipt(caller, receipt)

    operation.refresh_from_db()
    assert operation.state == S.CHECKING
    assert receipt.provider_reference in Exchange.objects.get(operation=operation, purpose="call").response_body


def test_a_reading_of_an_earlier_attempt_is_never_taken_for_the_one_before_this(till: Till):
    till.asks("pay", 1250)
    operation = operations._claim()
    operations._may_send(operation, operations.Levels(minor=1, points=1))
    write(operation, state=S.WAITING, lease_until=None)

    again = operations._claim()

    assert (again.attempt, again.before_minor, again.before_at) == (2, None, None)


# ---- A person decides ---------------------------------------------------------------------------------------------
@pytest.fixture
def unclear(till: Till) -> Operation:
    """A payment nobody knows the end of."""
    till.arm("timeout_before", "giftTransaction", seconds=3)
    operation = till.gets("pay", 1250)
    settling.settle_due()
    operation.refresh_from_db()
    assert operation.state == S.NEEDS_PERSON
    return operation


@pytest.fixture
def milan(till: Till, jung) -> Member:
    return Member.objects.select_related("merchant", "person").get(person=make_person("Milan", (jung, "manager")))


@pytest.mark.parametrize(("happened", "state"), [(True, S.DONE), (False, S.REFUSED)])
def test_a_manager_decides_with_a_reason_and_it_stands_in_the_trail(till: Till, unclear, milan, happened, state):
    settling.decide(unclear, member=milan, happened=happened, reason="PayWizard said so on the phone.")

    assert (unclear.state, unclear.settled_by, unclear.decided_by) == (state, "person", milan.person)
    assert AuditEntry.objects.filter(verb="operation decided", person=milan.person).count() == 1


def test_a_decision_without_a_reason_is_refused(till: Till, unclear, milan):
    with pytest.raises(operations.CannotAsk):
        settling.decide(unclear, member=milan, happened=True, reason="  ")


def test_a_cashier_does_not_decide(till: Till, unclear):
    with pytest.raises(PermissionDenied):
        settling.decide(unclear, member=till.member, happened=True, reason="I think so.")


def test_a_decision_is_made_once(till: Till, unclear, milan):
    settling.decide(unclear, member=milan, happened=True, reason="Seen on the statement.")

    with pytest.raises(operations.CannotAsk):
        settling.decide(unclear, member=milan, happened=False, reason="Or not.")


def test_above_the_limit_two_people_have_to_say_the_same(till: Till, unclear, milan, jung):
    jung.second_person_from = 1000
    jung.save()
    olivia = Member.objects.select_related("merchant", "person").get(person=make_person("Olivia", (jung, "owner")))
    milan = Member.objects.select_related("merchant", "person").get(pk=milan.pk)

    settling.decide(unclear, member=milan, happened=False, reason="Not on the statement.")
    assert (unclear.state, unclear.decision) == (S.NEEDS_PERSON, "did_not")
    with pytest.raises(operations.CannotAsk):
        settling.decide(unclear, member=milan, happened=False, reason="Really not.")
    settling.decide(unclear, member=olivia, happened=False, reason="I looked, too.")

    assert (unclear.state, unclear.decided_by, unclear.seconded_by) == (S.REFUSED, milan.person, olivia.person)


def test_after_the_decision_the_card_is_free_again(till: Till, unclear, milan):
    next_one = till.asks("pay", 1_00)
    settling.decide(unclear, member=milan, happened=False, reason="Not on the statement.")
    operations.work()

    next_one.refresh_from_db()
    assert next_one.state == S.DONE


# ---- What the database itself refuses -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_operation SET state = 'waiting'",
        "UPDATE ledger_operation SET state = 'refused'",
        "UPDATE ledger_operation SET provider_reference = 'x'",
        "UPDATE ledger_operation SET amount_minor = 1",
        "DELETE FROM ledger_operation",
        "UPDATE ledger_exchange SET response_body = ''",
        "DELETE FROM ledger_exchange",
    ],
)
def test_what_is_over_and_its_evidence_cannot_change_even_by_sql_as_the_applications_role(till: Till, statement):
    till.gets("pay", 1250)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_operation SET state = 'done', ended_at = now()",
        "UPDATE ledger_operation SET state = 'needs_person'",
        "UPDATE ledger_operation SET amount_minor = 1",
        "UPDATE ledger_operation SET card_id = NULL",
        "UPDATE ledger_operation SET points = 5",
    ],
)
def test_an_operation_takes_no_forbidden_step_and_what_was_asked_never_changes(till: Till, statement):
    till.asks("pay", 1250)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
