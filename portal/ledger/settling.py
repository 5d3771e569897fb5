"""What became of an operation whose end is not known: every way out of CHECKING and NEEDS PERSON.

    CHECKING ─┬→ DONE                by the balance, the provider's record or resending, after a quiet period
              ├→ REFUSED             by its record or by resending, told twice, a quiet period apart
              └→ NEEDS PERSON → DONE / REFUSED, by a named person with a reason, or by the provider's own news

Looking is not sending, but for one case: a provider that does the same thing once, however often it is sent, is sent
the same bytes again. What was asked of any other is asked once.
"""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from portal.connectors.base import Declined, Failure, Misconfigured, Reading, Reason, Receipt, Unclear
from portal.ledger import calls, cards, clock, limits
from portal.ledger.calls import Caller, Levels
from portal.ledger.models import Exchange, Operation, OperationState, operation_writer
from portal.ledger.operations import CannotAsk, ended, no_code_shown, proof, refresh_card, told
from portal.merchants import access, audit, connections, pauses, standing, switches, tenancy, vault
from portal.merchants.models import Member, Person
from portal.merchants.roles import Permission

# How often is looked at what cannot be told before a person is asked.
CHECKS = 5

DECIDED_NOT = "decided_not"
RECORDED_NOT = "recorded_not"

# Nothing is sent from there: so nothing sealed is kept for it.
_LEFT_TO_A_PERSON: dict[str, object] = {
    "state": OperationState.NEEDS_PERSON,
    "next_attempt_at": None,
    "sealed_input": None,
}

# What each verb moves on the card: +1 adds, -1 takes, 0 neither, or, of a sale and of the points for a purchase, what
# only the provider can say.
_MOVES = {
    "activate": 0,
    "top_up": 1,
    "sale": 0,
    "pay": -1,
    "tip": -1,
    "award": 0,
    "issue_code": 0,
    "issue_points": 1,
    "redeem_points": -1,
}


def settle_due() -> int:
    """Look once at each operation whose quiet period is over. Returns how many."""
    with tenancy.every_merchant("operations whose quiet period is over are looked at"):
        due = _take_due()
    for operation in due:
        with tenancy.merchant(operation.merchant_id):
            calls.give_back_database()
            _settle(operation)
    return len(due)


def settle(operation: Operation) -> None:
    """Look at this one now. Who calls it knows by other means that the quiet period is not needed."""
    with tenancy.merchant(operation.merchant_id):
        if _take(operation.pk):
            calls.give_back_database()
            _settle(calls.with_everything(operation.pk))


@operation_writer.writes
def _take_due() -> list[Operation]:
    """Each with a new time to look, so that no second worker looks at the same moment. Not at a connection that is
    paused or switched off: the look is a call, too, and it has time."""
    with transaction.atomic():
        ids = list(
            Operation.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(state=OperationState.CHECKING, next_attempt_at__lte=Now(), connection__paused_at=None)
            .exclude(switches.stopped())
            .order_by("next_attempt_at")
            .values_list("pk", flat=True)[:50]
        )
        _take(*ids)
    return [calls.with_everything(pk) for pk in ids]


@operation_writer.writes
def _take(*ids: int) -> int:
    pause = timedelta(seconds=settings.OPERATION_LEASE_SECONDS)
    taken = Operation.objects.filter(pk__in=ids, state=OperationState.CHECKING)
    return taken.update(checks=F("checks") + 1, next_attempt_at=Now() + pause)


def _settle(operation: Operation) -> None:
    """As the provider can be asked."""
    caller = Caller(operation)
    if operation.verb == "issue_code":  # its worker died over it
        _close(caller, None, **no_code_shown())
    elif calls.settles_by_record(operation):
        _settle_by_word(caller, caller.find, by="record")
    elif calls.settles_by_resending(operation) and operation.sealed_input:
        _settle_by_word(caller, caller.resend, by="resending")
    else:
        _settle_by_balance(caller)


def _settle_by_word(caller: Caller, ask: Callable[[], Receipt], *, by: str) -> None:
    """The provider's own word on this one operation decides: from its record, or its answer to the same once more.
    "Done" is believed at once; "not done" only when it is said again a quiet period later, since what was on its way
    may arrive meanwhile."""
    operation = caller.operation
    try:
        receipt = ask()
    except (Failure, vault.CannotOpen) as failure:
        if isinstance(failure, Failure) and failure.reason == Reason.THROTTLED:
            connections.hold(operation.connection, seconds=failure.retry_after or 60)
        found = _unfound(operation, failure, by)
        if found.get("state") == OperationState.NEEDS_PERSON:
            found |= _read_for_a_person(caller)
        _close(caller, None, **found)
        if isinstance(failure, Misconfigured):
            pauses.because_refused(operation.connection, failure.reason)
        return
    _close(caller, None, **ended(OperationState.DONE), settled_by=by, **proof(operation, receipt))
    refresh_card(caller, receipt)


def _read_for_a_person(caller: Caller) -> dict[str, object]:
    """The card's levels now, as evidence beside those from before; nothing where they cannot be read."""
    if caller.operation.card_id is None:
        return {}
    try:
        return _levels_after(calls.levels_of(caller.read("check")))
    except (Failure, vault.CannotOpen):
        return {}


def _levels_after(levels: Levels) -> dict[str, object]:
    return {"after_minor": levels.minor, "after_points": levels.points, "after_at": clock.now()}


def _unfound(operation: Operation, failure: Exception, by: str) -> dict[str, object]:
    """What becomes of an operation that the provider's word did not show as done, and why it did not."""
    quiet = timedelta(seconds=settings.QUIET_SECONDS)
    if isinstance(failure, Declined) and failure.reason != Reason.THROTTLED:
        if operation.missing_since is None:
            return {"missing_since": clock.now(), "next_attempt_at": Now() + quiet}
        if clock.now() - operation.missing_since >= quiet:
            why = {"reason": RECORDED_NOT} if by == "record" else told(failure)
            return {**ended(OperationState.REFUSED), "settled_by": by, **why}
        return {}  # somebody had it looked at earlier
    if isinstance(failure, Misconfigured):
        return {}  # it has time until somebody has seen to the connection
    if isinstance(failure, Unclear) and failure.reason in (Reason.PENDING, Reason.UNKNOWN_WORD):
        known: dict[str, object] = {"missing_since": None}  # it is there after all, and at work
    else:
        known = {}
    at_once = isinstance(failure, Unclear) and failure.reason == Reason.DUPLICATE
    if at_once or operation.checks >= CHECKS:
        return {**known, **_LEFT_TO_A_PERSON}
    return known


def _settle_by_balance(caller: Caller) -> None:
    """The balance decides only where nobody else moves the card and it moved by exactly our amount; everywhere else
    both readings are evidence for a person."""
    operation = caller.operation
    if not calls.settles_by_balance(operation) or expected(operation) is None:
        _close(caller, None, **_LEFT_TO_A_PERSON, **_read_for_a_person(caller))
        return
    try:
        reading = caller.read("check")
    except (Failure, vault.CannotOpen):
        _close(caller, **(_LEFT_TO_A_PERSON if operation.checks >= CHECKS else {"state": OperationState.CHECKING}))
        return
    levels = calls.levels_of(reading)
    after = _levels_after(levels)
    if operation.connection.only_this_desk and levels.moved_since(operation) == expected(operation):
        _close(caller, reading, **ended(OperationState.DONE), settled_by="balance", **after)
    else:
        _close(caller, reading, **_LEFT_TO_A_PERSON, **after)


def expected(operation: Operation) -> tuple[int, int] | None:
    """What the operation moves on its card if it happens: (minor units, points), or None where no balance can tell."""
    if operation.verb == "void":
        assert operation.original is not None
        sign = -_MOVES[operation.original.verb]
    else:
        sign = _MOVES[operation.verb]
    if sign == 0:
        return None
    return sign * (operation.amount_minor or 0), sign * (operation.points or 0)


@operation_writer.writes
def _close(caller: Caller, reading: Reading | None = None, **values: object) -> None:
    """Leave CHECKING as this look found it, unless another look was faster, and store the evidence and what the card
    holds now."""
    operation = caller.operation
    with transaction.atomic():
        if reading is not None:
            cards.remember(operation.card_id, reading, operation.connection.merchant)
        rows = Operation.objects.filter(pk=operation.pk, state=OperationState.CHECKING, checks=operation.checks)
        if values:
            rows.update(**values)
        Exchange.objects.bulk_create(caller.evidence)
    caller.evidence.clear()


@operation_writer.writes
def told_claimed(operation: Operation) -> None:
    """The provider tells that the code which `operation` made is claimed: then a cancelling of it whose end nobody
    knows did not happen."""
    unknown = (OperationState.CHECKING, OperationState.NEEDS_PERSON)
    rows = Operation.objects.filter(merchant=operation.merchant_id, original=operation, verb="void", state__in=unknown)
    rows.update(**ended(OperationState.REFUSED), settled_by="record", reason=Reason.CLAIMED)


# ---- An administrator helps ----------------------------------------------------------------------------------
@operation_writer.writes
def hand_over(operation: Operation, *, by: Person, reason: str, request: HttpRequest | None = None) -> None:
    """Stop looking what became of it, and let the merchant's people say. Nothing is decided by this.

    Raises CannotAsk: `not_checking`, also while the quiet period lasts, in which the provider may still be at work;
    PermissionDenied for whoever is no administrator any more.
    """
    with transaction.atomic(durable=True):
        standing.still_administers(by)
        if not _quietly_checking(operation).update(**_LEFT_TO_A_PERSON):
            raise CannotAsk("not_checking")
        _helped("operation handed over", operation, by, reason, request)


@operation_writer.writes
def look_again(operation: Operation, *, by: Person, reason: str, request: HttpRequest | None = None) -> None:
    """Look now what became of it, rather than at the next time. Raises as `hand_over` does."""
    with transaction.atomic(durable=True):
        standing.still_administers(by)
        if not _quietly_checking(operation).update(next_attempt_at=Now()):
            raise CannotAsk("not_checking")
        _helped("operation looked at again", operation, by, reason, request)


def is_quietly_checking(operation: Operation) -> bool:
    """Whether it is being looked at and the quiet period is over."""
    return _quietly_checking(operation).exists()


def _quietly_checking(operation: Operation) -> QuerySet[Operation]:
    quiet = timedelta(seconds=settings.OPERATION_LEASE_SECONDS + settings.QUIET_SECONDS)
    rows = Operation.objects.filter(pk=operation.pk, merchant=operation.merchant_id, state=OperationState.CHECKING)
    return rows.filter(Q(checks__gt=0) | Q(begun_at__lt=Now() - quiet))


def _helped(verb: str, operation: Operation, by: Person, reason: str, request: HttpRequest | None) -> None:
    merchant = operation.merchant
    audit.record(verb, operation.reference, merchant=merchant, person=by, request=request, reason=reason)


# ---- A person decides -----------------------------------------------------------------------------------------
@operation_writer.writes
def decide(operation: Operation, *, member: Member, happened: bool, reason: str) -> Operation:
    """It happened, or it did not: said by a person, with a reason, audited. Above the merchant's limit a second person
    has to say the same; until then the operation waits with the first one's word on it.

    Raises CannotAsk: `reason_wanted`, `decided_already`, or `second_person_wanted` where the first comes again.
    """
    if not reason.strip():
        raise CannotAsk("reason_wanted")
    verdict = "happened" if happened else "did_not"
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.DECIDE)
        row = Operation.objects.select_for_update().get(pk=operation.pk, merchant=member.merchant_id)
        if row.state != OperationState.NEEDS_PERSON:
            raise CannotAsk("decided_already")
        alone = not limits.wants_two(member.merchant, row)
        if not alone and row.decision == verdict and row.decided_by_id == member.person_id:
            raise CannotAsk("second_person_wanted")
        if alone or row.decision != verdict:
            said = {"decided_by": member.person, "decided_at": clock.now(), "decision": verdict}
            said["decision_reason"] = reason.strip()[:500]
        else:
            said = {"seconded_by": member.person}
        final = alone or row.decision == verdict
        state = OperationState.DONE if happened else OperationState.REFUSED
        end = {**ended(state), "settled_by": "person"} if final else {}
        if final and not happened:
            end["reason"] = DECIDED_NOT
        Operation.objects.filter(pk=row.pk, state=OperationState.NEEDS_PERSON).update(**said, **end)
        audit.record(
            "operation decided" if final else "decision proposed",
            row.reference,
            merchant=member.merchant,
            person=member.person,
            verdict=verdict,
            reason=reason.strip()[:500],
        )
    operation.refresh_from_db()
    return operation
