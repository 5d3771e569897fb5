"""Approvals: wishes above somebody's limit, put before a second person. The only writer of them.

    PENDING ─┬→ APPROVED     by somebody else whose own limit covers it; in the same transaction it becomes an operation
             ├→ REFUSED      by the same people
             ├→ WITHDRAWN    by the asker
             └→ EXPIRED      by the clock

Each transition is one conditional update, so of two people, or of a person and the clock, exactly one is in time. The
states are final and nobody approves for themselves, by the database, too: see migration 0007.
"""

import uuid
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from portal.ledger import clock, limits, operations
from portal.ledger.models import Approval, ApprovalState, Operation, approval_writer
from portal.merchants import access, audit, tenancy
from portal.merchants.models import Member, Merchant, Person, Till
from portal.merchants.roles import Permission, may

REASON_LENGTH = 500
_WITH = ("connection", "card", "original__asked_by", "asked_by", "till", "decided_by")


class OtherContent(Exception):
    """This key was used for another wish, which is or was before a second person. Nothing was changed."""

    def __init__(self, approval: Approval) -> None:
        super().__init__("The same form asked for something else before.")
        self.approval = approval


class Over(Exception):
    """Too late: somebody approved, refused or withdrew it, or its time has run out. Nothing was changed."""


class NotTheirs(Exception):
    """This person may not decide it: it is their own wish, or above their own limit, too."""


# ---- Asking -----------------------------------------------------------------------------------------------------
def request(*, member: Member, key: uuid.UUID, wish: operations.Wish, till: Till | None = None) -> Operation | Approval:
    """Ask for a wish as operations.request does; what is above the member's limit waits for a second person instead.

    Returns the operation or the approval, also where this key made it before. Raises what operations.request raises but
    AboveLimit, OtherContent, and CannotAsk `nobody_may_approve` where no other member's limit covers it.
    """
    try:
        return operations.request(member=member, key=key, wish=wish, till=till)
    except operations.AboveLimit as above:
        return _put_forward(member, above.operation)


@approval_writer.writes
def _put_forward(member: Member, fresh: Operation) -> Operation | Approval:
    now = clock.now()
    approval = Approval(
        **{name: getattr(fresh, name) for name in operations.ASKED},
        asked_at=now,
        expires_at=now + timedelta(seconds=settings.APPROVAL_SECONDS),
    )
    with transaction.atomic(durable=True):
        access.still_may(member, operations.PERMISSIONS[fresh.verb])
        if made := operations.made_before(fresh):
            return made  # the limit was higher a moment ago
        known = of_key(member.merchant, fresh.key)
        if known is None:
            if not approvers(member.merchant, approval):
                raise operations.CannotAsk("nobody_may_approve")
            Approval.objects.bulk_create([approval], ignore_conflicts=True)
            known = of_key(member.merchant, fresh.key)
            assert known is not None
            if known.asked_at == now:
                _tell("approval asked", known, member, what=known.verb)
    if not operations.is_same(fresh, known.fingerprint):
        raise OtherContent(known)
    return known


@approval_writer.writes
def withdraw(approval: Approval, *, member: Member, request: HttpRequest | None = None) -> bool:
    """The asker takes it back. False where it is over already; that leaves it as it is."""
    with transaction.atomic(durable=True):
        taken = _pending(approval).filter(asked_by=member.person_id).update(**_end(ApprovalState.WITHDRAWN))
        if taken:
            _tell("approval withdrawn", approval, member, request)
    return bool(taken)


# ---- Deciding ---------------------------------------------------------------------------------------------------
@approval_writer.writes
def approve(approval: Approval, *, member: Member, reason: str = "", request: HttpRequest | None = None) -> Operation:
    """Say yes: the wish becomes an operation of the asker's, with the approver on it, and a worker is woken.

    Raises Over, NotTheirs, PermissionDenied where the member may no longer, CannotAsk (`asker_may_not`, and what has
    become impossible meanwhile, such as voiding what somebody else voided), NotNow, operations.OtherContent. Whatever
    is raised, it is as pending as before.
    """
    with transaction.atomic(durable=True):
        held = _hold(approval, member)
        asker = _member(member.merchant, held.asked_by)
        if asker is None:
            raise operations.CannotAsk("asker_may_not")
        _decide(held, ApprovalState.APPROVED, member, reason)
        try:
            operation = operations.take_in_approved(held, asker=asker, approver=member)
        except operations.AboveLimit:
            raise NotTheirs from None
        _tell("approval given", held, member, request, reason=_short(reason))
    return operation


@approval_writer.writes
def refuse(approval: Approval, *, member: Member, reason: str = "", request: HttpRequest | None = None) -> None:
    """Say no. Raises Over, NotTheirs, PermissionDenied where the member may no longer."""
    with transaction.atomic(durable=True):
        held = _hold(approval, member)
        role = access.still_may(member, Permission.APPROVE)
        if not limits.may_alone(member.merchant, role, held):
            raise NotTheirs
        _decide(held, ApprovalState.REFUSED, member, reason)
        _tell("approval refused", held, member, request, reason=_short(reason))


def _hold(approval: Approval, member: Member) -> Approval:
    """The row as it stands, held until the end of the transaction."""
    rows = Approval.objects.select_related(*_WITH).select_for_update(of=("self",))
    held = rows.get(pk=approval.pk, merchant=member.merchant_id)
    if held.asked_by_id == member.person_id:
        raise NotTheirs
    return held


def _decide(held: Approval, state: ApprovalState, member: Member, reason: str) -> None:
    in_time = _pending(held).filter(expires_at__gt=Now())
    if not in_time.update(**_end(state), decided_by=member.person, reason=_short(reason)):
        raise Over


@approval_writer.writes
def expire_due() -> int:
    """End what nobody decided in time; how many that were."""
    with tenancy.every_merchant("wishes that nobody approved in time are closed"), transaction.atomic():
        due = Approval.objects.filter(state=ApprovalState.PENDING, expires_at__lte=Now())
        late = list(due.select_for_update(skip_locked=True).select_related("merchant")[:50])
        Approval.objects.filter(pk__in=[each.pk for each in late]).update(**_end(ApprovalState.EXPIRED))
        for each in late:
            audit.record("approval expired", each.reference, merchant=each.merchant)
    return len(late)


# ---- Looking ----------------------------------------------------------------------------------------------------
def of_key(merchant: Merchant, key: uuid.UUID) -> Approval | None:
    """The approval of this key, with all that its page shows."""
    return Approval.objects.select_related(*_WITH).filter(merchant=merchant, key=key).first()


def waiting(merchant_id: int) -> QuerySet[Approval]:
    """What waits for a second person, oldest first. What is past its time is not shown, swept or not."""
    rows = Approval.objects.filter(merchant=merchant_id, state=ApprovalState.PENDING, expires_at__gt=Now())
    return rows.order_by("id")


def is_over(approval: Approval) -> bool:
    """Whether it ended without becoming an operation; also where the clock has ended it and nobody swept yet."""
    if approval.state == ApprovalState.PENDING:
        return approval.expires_at <= timezone.now()
    return approval.state != ApprovalState.APPROVED


def may_decide(member: Member, approval: Approval) -> bool:
    """Whether this member is a second person for it: somebody else who approves at all, and whose own limit covers
    it."""
    return approval.pk in what_may_be_decided(member, [approval])


def what_may_be_decided(member: Member, rows: Iterable[Approval]) -> set[int]:
    """The ids of those this member may decide; asks the database once per kind of operation, not once per row."""
    if not may(member.role, Permission.APPROVE):
        return set()
    limit_of = cache(lambda verb: limits.of(member.merchant, member.role, verb))
    others = [row for row in rows if row.asked_by_id != member.person_id]
    return {row.pk for row in others if limits.exceeded(row, member.merchant, limit_of) is None}


def approvers(merchant: Merchant, approval: Approval) -> list[Member]:
    """Who could approve it, by name."""
    others = Member.objects.filter(merchant=merchant).exclude(person=approval.asked_by_id)
    may_all = cache(lambda role: may(role, Permission.APPROVE) and limits.may_alone(merchant, role, approval))
    return [each for each in others.select_related("person").order_by("person__name", "id") if may_all(each.role)]


# ---- Small things -----------------------------------------------------------------------------------------------
def _pending(approval: Approval) -> QuerySet[Approval]:
    return Approval.objects.filter(pk=approval.pk, merchant=approval.merchant_id, state=ApprovalState.PENDING)


def _member(merchant: Merchant, person: Person) -> Member | None:
    return Member.objects.select_related("merchant", "person").filter(merchant=merchant, person=person).first()


def _short(reason: str) -> str:
    return reason.strip()[:REASON_LENGTH]


def _end(state: ApprovalState) -> dict[str, object]:
    return {"state": state, "ended_at": clock.now(), "sealed_input": None}


def _tell(verb: str, approval: Approval, member: Member, request: HttpRequest | None = None, **detail: Any) -> None:
    audit.record(verb, approval.reference, merchant=member.merchant, person=member.person, request=request, **detail)
