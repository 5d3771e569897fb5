"""Wishes above somebody's limit: what waits for a second person, and that there is no way around it."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from portal.ledger import approvals, clock, limits, operations, settling, tasks
from portal.ledger.models import (
    Approval,
    ApprovalState,
    Limit,
    Operation,
    OperationState,
    approval_writer,
    limit_writer,
    operation_writer,
)
from portal.merchants import connections, tenancy
from portal.merchants.models import AuditEntry, Connection, Member, Merchant, Person
from portal.merchants.roles import Role
from portal.money import Money, Points
from tests.conftest import make_person
from tests.ledger.conftest import Till

S, A = OperationState, ApprovalState


def limit(merchant: Merchant, role: str, verb: str, most: int | None) -> None:
    """Set one limit as the page does."""
    with tenancy.every_merchant("a test arranges its rows"):
        before = limit_writer._open.set(True)
        Limit.objects.filter(merchant=merchant, role=role, verb=verb).delete()
        if most is not None:
            Limit.objects.create(merchant=merchant, role=role, verb=verb, most=most)
        limit_writer._open.reset(before)


def write(row: Approval | Operation, **values: object) -> None:
    """Change a row as no code of ours would, to see what the database makes of it."""
    writer = approval_writer if isinstance(row, Approval) else operation_writer
    before = writer._open.set(True)
    try:
        with transaction.atomic():
            type(row).objects.filter(pk=row.pk).update(**values)
    finally:
        writer._open.reset(before)


def member_of(person: Person) -> Member:
    return Member.objects.select_related("merchant", "person").get(person=person)


@pytest.fixture
def cautious(jung) -> Merchant:
    """Cashiers take up to 10.00 alone and give up to 20 points, managers take up to 20.00."""
    limit(jung, Role.CASHIER, "pay", 10_00)
    limit(jung, Role.CASHIER, "top_up", 10_00)
    limit(jung, Role.CASHIER, "void", 10_00)
    limit(jung, Role.CASHIER, "issue_points", 20)
    limit(jung, Role.MANAGER, "pay", 20_00)
    return jung


@pytest.fixture
def milan(till: Till, jung) -> Member:
    return member_of(make_person("Milan", (jung, "manager")))


@pytest.fixture
def owner(till: Till, olivia) -> Member:
    return member_of(olivia)


def wish(till: Till, verb: str = "pay", amount: int = 12_50, **more: object) -> operations.Wish:
    counts = verb.endswith("points")
    return operations.Wish(
        verb=verb,
        card=till.card(),
        amount=None if counts else Money(amount, "USD"),
        points=Points(amount) if counts else None,
        **more,
    )


def asks(till: Till, verb: str = "pay", amount: int = 12_50, key: uuid.UUID | None = None, **more: object):
    return approvals.request(member=till.member, key=key or uuid.uuid4(), wish=wish(till, verb, amount, **more))


def work() -> None:
    while operations.work():
        pass


# ---- What takes a second person -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("verb", "amount", "is_above"),
    [
        ("pay", 10_00, False),
        ("pay", 10_01, True),
        ("top_up", 10_01, True),
        ("issue_points", 20, False),
        ("issue_points", 21, True),
        ("redeem_points", 50, False),
    ],
)
def test_what_is_above_the_limit_of_its_role_and_kind_waits_for_somebody(till, cautious, owner, verb, amount, is_above):
    asked = asks(till, verb, amount)

    assert isinstance(asked, Approval if is_above else Operation)
    work()
    assert len(till.effects()) == (0 if is_above else 1)


def test_nothing_above_the_limit_gets_in_by_asking_for_operations_directly(till, cautious, owner):
    with pytest.raises(operations.AboveLimit):
        till.asks("pay", 12_50)

    assert not Operation.objects.exists()


def test_a_void_above_the_limit_waits_and_then_voids(till, cautious, owner):
    limit(cautious, Role.CASHIER, "pay", None)
    payment = till.gets("pay", 12_50)

    approval = asks(till, "void", 12_50, original=payment)
    approvals.approve(approval, member=owner)
    work()

    assert Operation.objects.get(key=approval.key).state == S.DONE
    assert [effect["verb"] for effect in till.effects()] == ["pay", "void"]


def test_a_limit_holds_by_its_number_in_another_currency(till, jung, owner):
    yen = Operation(verb="pay", amount_minor=1000, currency="JPY")
    dinar = Operation(verb="pay", amount_minor=1_000_001, currency="KWD")
    limit(jung, Role.CASHIER, "pay", 1000_00)

    assert limits.may_alone(jung, Role.CASHIER, yen)
    assert not limits.may_alone(jung, Role.CASHIER, dinar)
    assert limits.at("JPY", 1000_00, jung) == Money(1000, "JPY")


def test_a_limit_lowered_between_the_page_and_the_intake_holds(till, jung, owner, monkeypatch):
    """Lowered after the check of the wish: the transaction that takes it in looks again."""
    checked = operations._check

    def check_and_lower(*given):
        checked(*given)
        limit(jung, Role.CASHIER, "pay", 1_00)

    monkeypatch.setattr(operations, "_check", check_and_lower)

    assert isinstance(asks(till), Approval)


def test_a_role_lowered_meanwhile_counts_and_not_the_one_that_is_remembered(till, cautious, owner, alice):
    remembered = till.member
    remembered.role = Role.OWNER

    with pytest.raises(operations.AboveLimit):
        till.asks("pay", 12_50)


def test_where_nobody_else_may_approve_so_much_it_is_said_at_once(till, cautious, milan):
    with pytest.raises(operations.CannotAsk) as refusal:
        asks(till, amount=25_00)

    assert refusal.value.why == "nobody_may_approve"
    assert not Approval.objects.exists()


# ---- One key, one thing -------------------------------------------------------------------------------------------
def test_pressed_twice_it_is_one_approval_and_one_line_in_the_trail(till, cautious, owner):
    key = uuid.uuid4()

    first, second = asks(till, key=key), asks(till, key=key)

    assert first == second
    assert AuditEntry.objects.filter(verb="approval asked", subject=key.hex).count() == 1


@pytest.mark.parametrize("amount", [13_00, 5_00])
def test_another_amount_under_the_same_key_changes_nothing_above_or_below_the_limit(till, cautious, owner, amount):
    first = asks(till)

    with pytest.raises(approvals.OtherContent) as other:
        asks(till, amount=amount, key=first.key)

    assert other.value.approval == first
    assert not Operation.objects.exists()
    assert Approval.objects.get().amount_minor == 12_50


def test_a_limit_raised_meanwhile_does_not_let_the_waiting_wish_past_the_second_person(till, cautious, owner):
    first = asks(till)
    limit(cautious, Role.CASHIER, "pay", None)

    assert asks(till, key=first.key) == first
    assert not Operation.objects.exists()


def test_asked_again_after_the_approval_it_is_the_operation(till, cautious, owner):
    approval = asks(till)
    operation = approvals.approve(approval, member=owner)

    assert asks(till, key=approval.key) == operation
    with pytest.raises(operations.OtherContent):
        asks(till, key=approval.key, amount=13_00)


@pytest.mark.parametrize("end", ["refused", "withdrawn"])
def test_what_was_refused_or_taken_back_is_not_asked_anew_by_the_back_button(till, cautious, owner, end):
    approval = asks(till)
    if end == "refused":
        approvals.refuse(approval, member=owner)
    else:
        approvals.withdraw(approval, member=till.member)

    again = asks(till, key=approval.key)

    assert (again.pk, again.state) == (approval.pk, end)


# ---- Approving ----------------------------------------------------------------------------------------------------
def test_approved_it_is_the_askers_operation_with_the_approver_on_it(till, cautious, owner):
    approval = asks(till, private=None)

    operation = approvals.approve(approval, member=owner, reason=" He is a regular. ")
    work()

    operation.refresh_from_db()
    assert (operation.key, operation.state, operation.asked_by) == (approval.key, S.DONE, till.member.person)
    assert (operation.approval.decided_by, operation.approval.reason) == (owner.person, "He is a regular.")
    assert [effect["reference"] for effect in till.effects()] == [approval.reference]
    trail = AuditEntry.objects.filter(subject=approval.reference).order_by("id")
    assert list(trail.values_list("verb", "person__name")) == [
        ("approval asked", "Alice"),
        ("operation asked", "Alice"),
        ("approval given", "Olivia"),
    ]


def test_sealed_details_of_the_customer_reach_the_worker_and_leave_the_approval(till, cautious, owner):
    approval = asks(till, "top_up", 12_50, also_activate=True, private={"first_name": "Max", "last_name": "Muster"})
    assert approval.sealed_input

    approvals.approve(approval, member=owner)
    approval.refresh_from_db()
    assert approval.sealed_input is None
    assert Operation.objects.get().sealed_input
    work()

    assert Operation.objects.get().state == S.DONE


def test_the_asker_does_not_approve_whatever_their_limit_is(till, cautious, owner, arrange):
    approval = asks(till)
    with arrange():
        Member.objects.filter(pk=till.member.pk).update(role=Role.OWNER)

    with pytest.raises(approvals.NotTheirs):
        approvals.approve(approval, member=member_of(till.member.person))
    with pytest.raises(approvals.NotTheirs):
        approvals.refuse(approval, member=member_of(till.member.person))


def test_somebody_whose_own_limit_is_too_low_neither_approves_nor_refuses(till, cautious, owner, milan):
    approval = asks(till, amount=25_00)
    for decide in (approvals.approve, approvals.refuse):
        with pytest.raises(approvals.NotTheirs):
            decide(approval, member=milan)

    approval.refresh_from_db()
    assert approval.state == A.PENDING
    assert approvals.approvers(cautious, approval) == [owner]


def test_an_approvers_limit_lowered_meanwhile_holds(till, cautious, milan, owner):
    approval = asks(till, amount=15_00)
    assert approvals.may_decide(milan, approval)
    limit(cautious, Role.MANAGER, "pay", 14_99)

    with pytest.raises(approvals.NotTheirs):
        approvals.approve(approval, member=milan)

    assert not Operation.objects.exists()


@pytest.mark.parametrize("decide", [approvals.approve, approvals.refuse])
def test_an_approver_removed_meanwhile_is_refused(till, cautious, milan, arrange, decide):
    approval = asks(till)
    with arrange():
        Member.objects.filter(pk=milan.pk).delete()

    with pytest.raises(PermissionDenied):
        decide(approval, member=milan)

    approval.refresh_from_db()
    assert approval.state == A.PENDING


def test_the_wish_of_somebody_who_was_removed_is_not_done(till, cautious, owner, arrange):
    approval = asks(till)
    with arrange():
        Member.objects.filter(pk=till.member.pk).delete()

    with pytest.raises(operations.CannotAsk, match="asker_may_not"):
        approvals.approve(approval, member=owner)

    assert not Operation.objects.exists()


def test_the_wish_of_somebody_whose_role_was_lowered_is_not_done(till, cautious, owner, arrange):
    approval = asks(till)
    with arrange():
        Member.objects.filter(pk=till.member.pk).update(role=Role.MARKETING)

    with pytest.raises(operations.CannotAsk, match="asker_may_not"):
        approvals.approve(approval, member=owner)


def test_what_somebody_voided_meanwhile_is_not_voided_again_and_stays_pending(till, cautious, owner):
    limit(cautious, Role.CASHIER, "pay", None)
    payment = till.gets("pay", 12_50)
    approval = asks(till, "void", 12_50, original=payment)
    operations.request(member=owner, key=uuid.uuid4(), wish=wish(till, "void", 12_50, original=payment))

    with pytest.raises(operations.CannotAsk, match="voided_already"):
        approvals.approve(approval, member=owner)

    approval.refresh_from_db()
    assert approval.state == A.PENDING


def test_at_a_paused_connection_nothing_is_approved(till, cautious, owner):
    approval = asks(till)
    Connection.objects.filter(pk=till.connection.pk).update(paused_at=Now())

    with pytest.raises(connections.NotNow):
        approvals.approve(approval, member=owner)


def test_an_approved_wish_waits_for_what_is_unsettled_on_its_card(till, cautious, owner):
    till.arm("timeout_before", "giftTransaction", seconds=3)
    unclear = till.gets("pay", 5_00)
    approval = asks(till)

    operation = approvals.approve(approval, member=owner)
    assert not operations.work()
    settling.settle_due()
    settling.decide(unclear, member=owner, happened=False, reason="Looked.")
    work()

    operation.refresh_from_db()
    assert operation.state == S.DONE


# ---- Its end ------------------------------------------------------------------------------------------------------
@pytest.fixture
def expired(till, cautious, owner) -> Approval:
    """Asked an hour ago."""
    with clock.set_to(lambda: timezone.now() - timedelta(hours=1)):
        return asks(till)


@pytest.mark.parametrize("decide", [approvals.approve, approvals.refuse])
def test_past_its_time_it_is_neither_approved_nor_refused(till, expired, owner, decide):
    with pytest.raises(approvals.Over):
        decide(expired, member=owner)

    assert approvals.is_over(expired)
    assert not approvals.waiting(till.member.merchant_id).exists()


def test_the_sweep_closes_it_once_with_a_line_in_the_trail(till, expired):
    assert approvals.expire_due() == 1
    tasks.sweep_operations()

    expired.refresh_from_db()
    assert expired.state == A.EXPIRED
    assert AuditEntry.objects.filter(verb="approval expired", subject=expired.reference).count() == 1


def test_only_the_asker_takes_it_back(till, cautious, owner):
    approval = asks(till)

    assert not approvals.withdraw(approval, member=owner)
    assert approvals.withdraw(approval, member=till.member)
    assert not approvals.withdraw(approval, member=till.member)
    with pytest.raises(approvals.Over):
        approvals.approve(approval, member=owner)


# ---- What the database itself refuses -----------------------------------------------------------------------------
@pytest.mark.parametrize("state", [A.PENDING, A.APPROVED, A.EXPIRED])
def test_what_is_over_never_changes(till, cautious, owner, state):
    approval = asks(till)
    approvals.withdraw(approval, member=till.member)

    with pytest.raises(DatabaseError):
        write(approval, state=state)


@pytest.mark.parametrize(
    "values", [{"amount_minor": 1}, {"asked_by": 1}, {"expires_at": Now() + timedelta(days=1)}, {"key": uuid.uuid4()}]
)
def test_what_was_asked_never_changes(till, cautious, owner, values):
    with pytest.raises(DatabaseError):
        write(asks(till), **values)


def test_nobody_approves_for_themselves_not_even_by_sql(till, cautious, owner):
    with pytest.raises(IntegrityError, match="approval_never_by_the_asker"):
        write(asks(till), state=A.APPROVED, decided_by=till.member.person, ended_at=Now(), sealed_input=None)


def test_an_expired_one_is_not_approved_by_sql(till, expired, owner):
    with pytest.raises(DatabaseError, match="run out"):
        write(expired, state=A.APPROVED, decided_by=owner.person, ended_at=Now(), sealed_input=None)


def test_no_operation_takes_the_key_of_what_nobody_approved(till, cautious, owner, monkeypatch):
    approval = asks(till)
    fresh = operations.asked_for(approval)
    for approved in (approval, None):
        fresh.approval = approved
        before = operation_writer._open.set(True)
        with pytest.raises(IntegrityError, match="takes an approval"), transaction.atomic():
            fresh.save()
        operation_writer._open.reset(before)
        fresh.pk = None


def test_an_approval_is_good_for_its_own_wish_only(till, cautious, owner):
    approval = asks(till)
    approvals.approve(approval, member=owner)
    another = till.asks("pay", 1_00)

    with pytest.raises(DatabaseError):
        write(another, approval=approval)


def test_an_approval_is_never_deleted(till, cautious, owner):
    approval = asks(till)
    with pytest.raises(TypeError):
        approval.delete()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_approval")


# ---- Two at once --------------------------------------------------------------------------------------------------
def _race(*what) -> list[object]:
    """Do all of it at the same moment, each over a connection of its own; what came of each."""
    ready, ends = threading.Barrier(len(what)), []

    def run(one) -> None:
        with tenancy.merchant(MERCHANT[0]):
            ready.wait()
            try:
                ends.append(one())
            except Exception as refused:  # noqa: BLE001 - whatever it is, the test looks at it
                ends.append(refused)
        connection.close()

    racing = [threading.Thread(target=run, args=(one,)) for one in what]
    for each in racing:
        each.start()
    for each in racing:
        each.join()
    return ends


MERCHANT: list[int] = []


@pytest.fixture
def demo(till_for_good):
    """The demo's till, its owner and manager; rows that other connections see."""
    merchant = till_for_good.member.merchant
    MERCHANT[:] = [merchant.pk]
    limit(merchant, Role.CASHIER, "pay", 10_00)
    with tenancy.merchant(merchant.pk):
        people = [member_of(Person.objects.get(email=f"{name}@example.com")) for name in ("olivia", "milan")]
    return till_for_good, *people


def test_of_taking_back_and_approving_exactly_one_is_in_time(demo):
    till, olivia, _milan = demo
    for _ in range(6):
        with tenancy.merchant(MERCHANT[0]):
            approval = asks(till)
        ends = _race(
            lambda approval=approval: approvals.withdraw(approval, member=till.member),
            lambda approval=approval: approvals.approve(approval, member=olivia),
        )

        with tenancy.merchant(MERCHANT[0]):
            approval.refresh_from_db()
            made = Operation.objects.filter(key=approval.key).count()
        if approval.state == A.APPROVED:
            assert (made, False in ends) == (1, True)
        else:
            assert (approval.state, made, True in ends) == (A.WITHDRAWN, 0, True)
            assert any(isinstance(end, approvals.Over) for end in ends)


def test_two_who_decide_differently_at_the_same_moment_end_it_once(demo):
    till, olivia, milan = demo
    for _ in range(6):
        with tenancy.merchant(MERCHANT[0]):
            approval = asks(till)
        ends = _race(
            lambda approval=approval: approvals.refuse(approval, member=milan),
            lambda approval=approval: approvals.approve(approval, member=olivia),
            lambda approval=approval: approvals.approve(approval, member=olivia),
        )

        assert sum(isinstance(end, approvals.Over) for end in ends) == 2
        with tenancy.merchant(MERCHANT[0]):
            approval.refresh_from_db()
            assert Operation.objects.filter(key=approval.key).count() == (approval.state == A.APPROVED)


def test_pressed_twice_at_the_same_moment_it_is_one_approval(demo):
    till, _olivia, _milan = demo
    for _ in range(6):
        key = uuid.uuid4()
        ends = _race(*[lambda key=key: asks(till, key=key)] * 3)

        assert len({end.pk for end in ends if isinstance(end, Approval)}) == 1, ends
        assert len(ends) == sum(isinstance(end, Approval) for end in ends)


def test_two_amounts_under_one_key_at_the_same_moment_are_one_thing(demo):
    till, _olivia, _milan = demo
    for _ in range(6):
        key = uuid.uuid4()
        ends = _race(lambda key=key: asks(till, key=key), lambda key=key: asks(till, amount=5_00, key=key))

        others = (approvals.OtherContent, operations.OtherContent)
        assert sum(isinstance(end, others) for end in ends) == 1, ends
        with tenancy.merchant(MERCHANT[0]):
            made = Operation.objects.filter(key=key).count() + Approval.objects.filter(key=key).count()
        assert made == 1


def test_two_who_approve_each_others_wishes_do_not_wait_for_each_other(demo):
    till, olivia, milan = demo
    merchant = till.member.merchant

    def asks_limited(member: Member) -> Approval:
        limit(merchant, member.role, "pay", 10_00)
        with tenancy.merchant(merchant.pk):
            asked = approvals.request(member=member, key=uuid.uuid4(), wish=wish(till))
        limit(merchant, member.role, "pay", None)
        assert isinstance(asked, Approval)
        return asked

    for _ in range(6):
        hers, his = asks_limited(olivia), asks_limited(milan)
        ends = _race(
            lambda hers=hers: approvals.approve(hers, member=milan),
            lambda his=his: approvals.approve(his, member=olivia),
        )

        assert all(isinstance(end, Operation) for end in ends), ends


# ---- Kept apart ---------------------------------------------------------------------------------------------------
def test_another_merchant_sees_neither_limits_nor_approvals(till, cautious, owner, kauri):
    asks(till)

    with tenancy.merchant(kauri.pk):
        assert not Approval.objects.exists()
        assert not Limit.objects.exists()
