"""The merchant's connections on the desk: in which state each is, and when it last answered well."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from portal.ledger import health
from portal.ledger.health import Health
from portal.merchants import connections
from portal.merchants.access import StaffRequest


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One connection. `good_at` is None where it was not asked in the last day, or never answered well."""

    name: str
    url: str
    environment: str
    shape: str
    state: str
    good_at: datetime | None


def of(request: StaffRequest) -> list[Tile]:
    """A tile for each of the merchant's connections, in one query however many there are. A call is known here once it
    is counted: within a minute."""
    return [_tile(request.merchant.slug, each) for each in health.of_connections(request.merchant, days=1)]


def _tile(slug: str, found: Health) -> Tile:
    connection = found.connection
    shape, state = connections.state_words(connection)
    return Tile(
        name=connection.name,
        url=reverse("connection", args=[slug, connection.key]),
        environment=connection.environment,
        shape=shape,
        state=state,
        good_at=found.good_at,
    )
