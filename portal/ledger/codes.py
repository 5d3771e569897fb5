"""Codes that a customer scans: kept when they are made, told claimed, and no longer shown when they are over. The only
writer of them.

A code is written in the transaction in which its operation is Done, so there is none without the other. Nobody can be
asked what became of it (see portal/codes/states.py), so it is shown for a day at most: then its address is erased,
whatever became of it.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from portal.connectors.base import Reason
from portal.ledger import clock
from portal.ledger.models import Code, Operation, OperationState, code_writer
from portal.merchants import tenancy

OVER = (Reason.CLAIMED, Reason.ENDED, Reason.TOO_LATE)
"""Why a provider does not cancel a code that is not to be shown any more."""


@code_writer.writes
def keep(operation: Operation, address: str) -> None:
    """Keep what is to be shown of a code that has just been made."""
    Code.objects.bulk_create(
        [Code(merchant_id=operation.merchant_id, operation=operation, address=address, made_at=clock.now())]
    )


@code_writer.writes
def claimed(operation: Operation, *, points: int | None, at: datetime) -> bool:
    """Note what the provider tells: the code that `operation` made is claimed. Returns whether that is new."""
    return bool(
        Code.objects.filter(merchant=operation.merchant_id, operation=operation, claimed_at=None).update(
            address="", claimed_at=at, claimed_points=points
        )
    )


@code_writer.writes
def erase_due() -> int:
    """Erase the addresses of codes that are over, and of those that have been shown long enough; how many."""
    with tenancy.every_merchant("addresses of codes that are over are erased"), transaction.atomic():
        oldest = clock.now() - timedelta(hours=settings.CODE_HOURS)
        return Code.objects.exclude(address="").filter(Q(made_at__lte=oldest) | Exists(_ends())).update(address="")


def _ends() -> QuerySet[Operation]:
    cancelling = Operation.objects.filter(merchant=OuterRef("merchant"), original=OuterRef("operation"), verb="void")
    return cancelling.filter(Q(state=OperationState.DONE) | Q(state=OperationState.REFUSED, reason__in=OVER))
