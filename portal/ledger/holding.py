"""Operations held over a pause: what waits, what became of it afterwards, and the pause's end, which wakes workers.

Held is what waited at the connection when the pause ended, or waits now while it lasts. Nothing is counted or written
down for it: the pause keeps the first and the last of them, the operations themselves say how they went on.
"""

from collections.abc import Mapping

from django.db import transaction
from django.db.models import Case, Count, F, Max, Min, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.http import HttpRequest

from portal.ledger import wake
from portal.ledger.models import Operation, OperationState
from portal.ledger.operations import WITHDRAWN
from portal.merchants import access, connections, pauses, tenancy
from portal.merchants.models import Connection, Member, Pause
from portal.merchants.roles import Permission


def waiting(connection: Connection) -> QuerySet[Operation]:
    """What waits at a connection, in the order in which it will run."""
    rows = Operation.objects.filter(
        merchant=connection.merchant_id, connection=connection, state=OperationState.WAITING
    )
    return rows.order_by("priority", "id")


def held(pause: Pause) -> QuerySet[Operation]:
    """What was held over a pause, in order: it waits still, began after the pause's end, or was taken back since."""
    if pause.ended_at is None:
        return waiting(pause.connection)
    went_on = Q(begun_at__gte=pause.ended_at) | Q(reason=WITHDRAWN, ended_at__gte=pause.ended_at)
    return Operation.objects.filter(
        went_on | Q(state=OperationState.WAITING),
        merchant=pause.merchant_id,
        connection=pause.connection_id,
        id__range=(pause.first_held or 0, pause.last_held or 0),
    ).order_by("priority", "id")


TAKEN_BACK = "taken_back"


def tally(pause: Pause) -> Mapping[str, int]:
    """How many of the held are in which state; those that somebody took back before they began are TAKEN_BACK."""
    became = Case(When(reason=WITHDRAWN, then=Value(TAKEN_BACK)), default=F("state"))
    counted = held(pause).order_by().values(became=became).annotate(rows=Count("id"))
    return {each["became"]: each["rows"] for each in counted}


def resume(pause: Pause, *, member: Member, request: HttpRequest | None = None) -> bool:
    """Ask again, as a person wishes. False where somebody was faster; PermissionDenied if they may no longer.

    Raises pauses.Untested where only a test ends it.
    """
    if pause.reason == connections.UNTESTED:
        raise pauses.Untested
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.PAUSE_CONNECTIONS)
        return _end(pause, member=member, request=request)


def resume_expired() -> int:
    """End the pauses whose time has come. Returns how many."""
    with tenancy.every_merchant("pauses whose time has come are ended"), transaction.atomic():
        due = Pause.objects.select_related("connection", "merchant").filter(ended_at=None, expires_at__lte=Now())
        return sum(_end(pause) for pause in due.select_for_update(of=("self",), skip_locked=True)[:50])


def _end(pause: Pause, *, member: Member | None = None, request: HttpRequest | None = None) -> bool:
    bounds = waiting(pause.connection).order_by().aggregate(first=Min("id"), last=Max("id"))
    person = member.person if member else None
    ended = pauses.end(pause, held=(bounds["first"], bounds["last"]), person=person, request=request)
    if ended:
        transaction.on_commit(wake.for_operations)
    return ended
