"""What became of a code, read from its row and from the operation that would cancel it.

Nobody can be asked. A claim is told by the provider itself, or by its refusal to cancel; that a code ended, only by
that refusal. So an open code is one of which we know nothing else, and one that was shown for a day is unknown.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings

from portal.connectors.base import Reason
from portal.ledger.models import OVER, Code, Operation, OperationState


class CodeState(StrEnum):
    """Where a code stands."""

    ASKED = "asked"  # it is being made
    NONE = "none"  # there is none: refused, not sent, or its answer got lost
    OPEN = "open"
    CANCELLING = "cancelling"
    UNCLEAR = "unclear"  # whether it was cancelled is not known
    CLAIMED = "claimed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


_REFUSED: dict[str, CodeState] = {
    Reason.CLAIMED: CodeState.CLAIMED,
    Reason.ENDED: CodeState.EXPIRED,
    Reason.TOO_LATE: CodeState.UNKNOWN,  # it was cancelled before, perhaps; nobody says so
}
_UNDER_WAY: dict[str, CodeState] = {
    OperationState.WAITING: CodeState.CANCELLING,
    OperationState.RUNNING: CodeState.CANCELLING,
    OperationState.CHECKING: CodeState.UNCLEAR,
    OperationState.NEEDS_PERSON: CodeState.UNCLEAR,
    OperationState.DONE: CodeState.CANCELLED,
}


def of(made_by: Operation, code: Code | None, cancelling: Operation | None, now: datetime) -> CodeState:
    """Where the code stands that `made_by` makes or made; `cancelling` is the newest that would cancel it."""
    if code is None:
        return CodeState.NONE if made_by.state in OVER else CodeState.ASKED
    if code.claimed_at is not None:
        return CodeState.CLAIMED
    if cancelling is not None and (known := _UNDER_WAY.get(cancelling.state) or _REFUSED.get(cancelling.reason)):
        return known
    shown_enough = now - code.made_at >= timedelta(hours=settings.CODE_HOURS)
    return CodeState.UNKNOWN if shown_enough or not code.address else CodeState.OPEN


def read(made_by: Operation) -> tuple[Code | None, Operation | None]:
    """Its code, and the newest operation that would cancel it."""
    mine = {"merchant": made_by.merchant_id}
    if made_by.state != OperationState.DONE:
        return None, None
    cancelling = Operation.objects.filter(**mine, original=made_by, verb="void").order_by("-id").first()
    return Code.objects.filter(**mine, operation=made_by).first(), cancelling
