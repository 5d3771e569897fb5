"""The merchant's connections on the desk: in which state each is, and when it last answered well."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max
from django.urls import reverse
from django.utils import timezone

from portal.ledger.models import Inquiry, Operation, OperationState, State
from portal.merchants import connections
from portal.merchants.access import StaffRequest
from portal.merchants.models import Connection

# So far back a good call is looked for; look-ups are kept for minutes only.
LATELY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One connection. `good_at` is None where it was not asked lately, or never answered well."""

    name: str
    url: str
    environment: str
    shape: str
    state: str
    good_at: datetime | None


def of(request: StaffRequest, mine: Sequence[Connection]) -> list[Tile]:
    """A tile for each of the merchant's connections, in two queries however many there are."""
    good = _last_good(request.merchant.pk)
    return [_tile(request.merchant.slug, each, good.get(each.pk)) for each in mine]


def _tile(slug: str, connection: Connection, good_at: datetime | None) -> Tile:
    shape, state = connections.state_words(connection)
    return Tile(
        name=connection.name,
        url=reverse("connection", args=[slug, connection.key]),
        environment=connection.environment,
        shape=shape,
        state=state,
        good_at=good_at,
    )


def _last_good(merchant_id: int) -> dict[int, datetime]:
    """By connection: when it last said something we understood."""
    since = timezone.now() - LATELY
    done = (
        Operation.objects.filter(merchant=merchant_id, asked_at__gt=since, state=OperationState.DONE)
        .exclude(settled_by="person")
        .values("connection")
        .annotate(at=Max("ended_at"))
    )
    answered = Inquiry.objects.filter(merchant=merchant_id, state=State.ANSWERED)
    found: dict[int, datetime] = {}
    for row in [*done, *answered.values("connection").annotate(at=Max("ended_at"))]:
        if row["at"] is not None:
            found[row["connection"]] = max(row["at"], found.get(row["connection"], row["at"]))
    return found
