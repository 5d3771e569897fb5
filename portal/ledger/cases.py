"""Cases: a provider said that it is done, and the card's balance does not fit that. The only writer of them.

Done stays done: a case lies beside its operation, changes nothing about it, and is closed by a person with a reason.

Compared is what was paid in, and only where it can be known: the operation says how much it loads (what is given beside
it is the provider's own rule), the card was read before it was sent, and only this desk moves the card. Held against it
are the balance in the answer and the card's balance read afterwards, unless another operation of ours has begun on the
card by then.
"""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import QuerySet

from portal.connectors import PROVIDERS
from portal.connectors.base import Reading, Receipt
from portal.ledger import cards, clock
from portal.ledger.models import Case, Exchange, Operation, OperationState, case_writer
from portal.merchants import access, audit
from portal.merchants.models import Member
from portal.merchants.roles import Permission

REASON_LENGTH = 500

# Why nobody can say whether a balance fits.
MOVED_BY_OTHERS = "moved_by_others"
NOT_READ_BEFORE = "not_read_before"
NOT_READ_AFTER = "not_read_after"
MOVED_MEANWHILE = "moved_meanwhile"


class CannotClose(Exception):
    """The case stays as it is. `why` is one of our words: reason_wanted or closed_already."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def loads(operation: Operation) -> int | None:
    """How far what is paid in on the card rises, in minor units, or None where the operation does not say."""
    match operation.verb:
        case "top_up":
            return operation.amount_minor
        case "sale":
            return operation.load_minor or 0
    return None


def expected(operation: Operation) -> int | None:
    """What is to be paid in on the card once it is done, in minor units, or None where that is not known."""
    rise = loads(operation)
    return None if rise is None or operation.before_cash_minor is None else operation.before_cash_minor + rise


# ---- A worker compares --------------------------------------------------------------------------------------------
@case_writer.writes
def compare(operation: Operation, receipt: Receipt, reading: Reading | None = None) -> None:
    """Open a case where the answer's balance, or the card's afterwards, does not fit what `operation` did: one, however
    often it is compared. `reading` is None where the card was not read."""
    answered, read = cards.paid_in(receipt.balances), cards.paid_in(reading.balances) if reading else None
    if (answered is None and read is None) or not operation.connection.only_this_desk or loads(operation) is None:
        return
    stored = Operation.objects.filter(pk=operation.pk, state=OperationState.DONE).first()
    wanted = expected(stored) if stored is not None else None
    if stored is None or wanted is None:
        return
    if read is not None and begun_after(stored).exists():
        read = None  # it may tell of both
    if all(told is None or told == wanted for told in (answered, read)):
        return
    now = clock.now()
    found = {"answered_minor": answered, "read_minor": read, "read_at": None if read is None else now, "opened_at": now}
    with transaction.atomic():
        _case, is_new = Case.objects.get_or_create(merchant_id=stored.merchant_id, operation=stored, defaults=found)
        if is_new:
            audit.record("case opened", stored.reference, merchant=operation.connection.merchant)


def begun_after(operation: Operation) -> QuerySet[Operation]:
    """What began on the card after it, and may have moved it. By the database's clock, and one at a time for each card:
    so none that began before it was still under way."""
    same = Operation.objects.filter(merchant=operation.merchant_id, card=operation.card_id)
    return same.filter(begun_at__gt=operation.begun_at).exclude(pk=operation.pk)


def doubt(operation: Operation, exchanges: Sequence[Exchange]) -> str:
    """Why nobody can say whether the balance fits; "" where it was compared, or nothing is to be compared."""
    tells = PROVIDERS[operation.connection.provider].tells_paid_in
    is_about = operation.state == OperationState.DONE and operation.in_flight_key is not None
    if not (tells and is_about) or loads(operation) is None:
        return ""
    if not operation.connection.only_this_desk:
        return MOVED_BY_OTHERS
    if operation.before_cash_minor is None:
        return NOT_READ_BEFORE
    read = next((each for each in exchanges if each.purpose == "after" and not each.reason and not each.cause), None)
    if read is None:
        return NOT_READ_AFTER
    return MOVED_MEANWHILE if begun_after(operation).filter(begun_at__lte=read.at).exists() else ""


# ---- People -------------------------------------------------------------------------------------------------------
def waiting(merchant_id: int) -> QuerySet[Case]:
    """The open cases, oldest first."""
    return Case.objects.filter(merchant=merchant_id, closed_at=None).order_by("id")


@case_writer.writes
def close(case: Case, *, member: Member, reason: str) -> None:
    """Close it: somebody has seen to it, and says how. Nothing about the operation changes.

    Raises CannotClose; PermissionDenied for whoever may no longer.
    """
    said = reason.strip()[:REASON_LENGTH]
    if not said:
        raise CannotClose("reason_wanted")
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.DECIDE)
        closed = Case.objects.filter(pk=case.pk, merchant=member.merchant_id, closed_at=None).update(
            closed_at=clock.now(), closed_by=member.person, reason=said
        )
        if not closed:
            raise CannotClose("closed_already")
        audit.record(
            "case closed", case.operation.reference, merchant=member.merchant, person=member.person, reason=said
        )
    case.refresh_from_db()
