"""Shifts: a person's time at a till, and what was done in it. The only writer of them.

A shift keeps no sums. What it says is read from the operations, so an answer that arrives after the shift is over is
told where it belongs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, Count, Q, QuerySet, Sum, Value, When
from django.http import HttpRequest
from django.utils import timezone

from portal.ledger.models import IN_FLIGHT, Operation, OperationState, Shift, shift_writer
from portal.merchants import access, audit
from portal.merchants.models import Member, Person, Till
from portal.merchants.roles import Permission

MOST_OPEN = 50
MOST_UNDER_WAY = 10
# A shift that nobody ended is not gone on with the next morning.
LONGEST = timedelta(hours=16)


@dataclass(frozen=True, kw_only=True)
class Total:
    """What was done of one kind at one provider: how many are done, what they moved, and how many have not ended."""

    kind: str
    connection: str
    environment: str
    currency: str
    done: int
    minor: int
    points: int
    unsettled: int


@shift_writer.writes
def start(member: Member, till: Till, *, request: HttpRequest) -> Shift:
    """Begin the member's shift at this till; the one that runs already, where there is one."""
    with transaction.atomic():
        access.still_may(member, Permission.LOOK_UP_CARDS)
        Till.objects.select_for_update(no_key=True).get(pk=till.pk)  # two taps begin one shift
        found = running(till, member.person)
        if found is not None:
            return found
        now = timezone.now()
        # One that was forgotten ends where nobody could have gone on with it.
        forgotten = Shift.objects.filter(merchant=member.merchant_id, till=till, person=member.person, ended_at=None)
        for shift in forgotten:
            Shift.objects.filter(pk=shift.pk).update(ended_at=min(now, shift.started_at + LONGEST))
        made = Shift(merchant=member.merchant, till=till, person=member.person, started_at=now)
        made.save(force_insert=True)
        audit.record("shift started", till.name, merchant=member.merchant, person=member.person, request=request)
    return made


@shift_writer.writes
def end(member: Member, shift: Shift, *, note: str, request: HttpRequest) -> bool:
    """End one's own shift, with a note for whoever comes next. False where it was over already."""
    with transaction.atomic():
        access.still_may(member, Permission.LOOK_UP_CARDS)
        ended = Shift.objects.filter(
            pk=shift.pk, merchant=member.merchant_id, person=member.person_id, ended_at=None
        ).update(ended_at=timezone.now(), note=note)
        if ended:
            audit.record(
                "shift ended", shift.till.name, merchant=member.merchant, person=member.person, request=request
            )
    return bool(ended)


def running(till: Till, person: Person) -> Shift | None:
    """The person's shift at this till that has not ended."""
    return (
        Shift.objects.select_related("till__store", "person")
        .filter(merchant=till.merchant_id, till=till, person=person, ended_at=None)
        .filter(started_at__gt=timezone.now() - LONGEST)
        .first()
    )


def is_first_today(till: Till, person: Person) -> bool:
    """Whether the person has begun no shift at this till since the merchant's midnight, and none runs."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    begun = Shift.objects.filter(merchant=till.merchant_id, till=till, person=person)
    return not begun.filter(Q(started_at__gte=midnight) | Q(ended_at=None, started_at__gt=_oldest_running())).exists()


def _oldest_running() -> datetime:
    return timezone.now() - LONGEST


def note_before(till: Till) -> Shift | None:
    """The newest shift at this till that ended, with the note it left."""
    return (
        Shift.objects.select_related("person")
        .filter(merchant=till.merchant_id, till=till, ended_at__isnull=False)
        .order_by("-ended_at")
        .first()
    )


def totals(shift: Shift) -> list[Total]:
    """By action and provider, in one query. Test connections stand apart from live ones."""
    rows = (
        _operations(shift)
        .annotate(kind=Case(When(verb="activate", in_flight_key=None, then=Value("make")), default="verb"))
        .values("kind", "connection__name", "connection__environment", "currency")
        .annotate(
            done=Count("pk", filter=Q(state=OperationState.DONE)),
            minor=Sum("amount_minor", filter=Q(state=OperationState.DONE), default=0),
            points_moved=Sum("points", filter=Q(state=OperationState.DONE), default=0),
            unsettled=Count("pk", filter=_unsettled()),
        )
        .order_by("connection__environment", "connection__name", "kind", "currency")
    )
    return [
        Total(
            kind=row["kind"],
            connection=row["connection__name"],
            environment=row["connection__environment"],
            currency=row["currency"],
            done=row["done"],
            minor=int(row["minor"]),
            points=int(row["points_moved"]),
            unsettled=row["unsettled"],
        )
        for row in rows
        if row["done"] or row["unsettled"]
    ]


def unsettled(shift: Shift) -> list[Operation]:
    """What has not ended yet, oldest first: the next person must know of it."""
    rows = _operations(shift).filter(_unsettled()).select_related("connection", "card", "original")
    return list(rows.order_by("id")[:MOST_OPEN])


def under_way(till: Till) -> list[Operation]:
    """What was asked at this till today and has not ended yet, by whomever, newest first."""
    since = timezone.now() - LONGEST
    rows = Operation.objects.filter(merchant=till.merchant_id, till=till, asked_at__gt=since, ended_at=None)
    return list(rows.select_related("connection", "card", "original").order_by("-asked_at")[:MOST_UNDER_WAY])


def _unsettled() -> Q:
    return Q(state__in=(OperationState.WAITING, *IN_FLIGHT))


def _operations(shift: Shift) -> QuerySet[Operation]:
    until = shift.ended_at or timezone.now()
    return Operation.objects.filter(
        merchant=shift.merchant_id,
        till=shift.till_id,
        asked_by=shift.person_id,
        asked_at__gte=shift.started_at,
        asked_at__lte=until,
    )
