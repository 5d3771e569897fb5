"""What a merchant decides about a connection that is there: its name, its stores, its limits, and that it goes.

Its secrets and what else the provider asks for are changed by connecting.py, which has them tested first.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest

from portal.merchants import audit, provider_tokens, standing
from portal.merchants.audit import Value
from portal.merchants.models import Connection, Member, ServedStore, Store
from portal.merchants.roles import Permission

MOST_AT_ONCE = 50  # one worker's threads; no provider here lets a shop do more
MOST_PER_SECOND = 100


class NameTaken(Exception):
    """The merchant has another connection of this name."""


class InUse(Exception):
    """Cards, operations or look-ups belong to it, so it stays; it can be paused."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """All that is decided on a connection's page. No stores: it serves all of them, those to come included."""

    name: str
    stores: Collection[Store]
    concurrency: int
    per_second: int
    public_use: bool
    only_this_desk: bool
    reads_balance_first: bool
    credentials_until: date | None


# By their own names, on the page as in the trail.
_PLAIN = (
    *("name", "concurrency", "per_second", "public_use", "only_this_desk", "reads_balance_first"),
    "credentials_until",
)


def stores_of(connection: Connection) -> list[Store]:
    """The stores it serves, by name; none means all."""
    return list(
        Store.objects.filter(merchant=connection.merchant_id, servedstore__connection=connection).order_by("name")
    )


def serves(store: Store) -> Q:
    """A filter for connections: those that serve this store."""
    return Q(servedstore=None) | Q(servedstore__store=store)


def change(member: Member, connection: Connection, wanted: Wanted, *, request: HttpRequest | None = None) -> bool:
    """Make it so. False where it was so already. Raises NameTaken; PermissionDenied if the member may no longer."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        row = Connection.objects.select_for_update(no_key=True).get(merchant=member.merchant_id, pk=connection.pk)
        others = Connection.objects.filter(merchant=member.merchant_id, name=wanted.name).exclude(pk=row.pk)
        if others.exists():
            raise NameTaken
        before = _decided(row)
        for name in _PLAIN:
            setattr(row, name, getattr(wanted, name))
        row.save(update_fields=list(_PLAIN))
        _serve(row, wanted.stores)
        changes = {name: (before[name], value) for name, value in _decided(row).items() if value != before[name]}
        if changes:
            audit.record(
                "connection changed",
                row.name,
                merchant=member.merchant,
                person=member.person,
                request=request,
                changes=changes,
            )
    return bool(changes)


def _decided(connection: Connection) -> Mapping[str, Value]:
    stores = ", ".join(store.name for store in stores_of(connection))
    until = connection.credentials_until
    plain = {name: getattr(connection, name) for name in _PLAIN}
    return plain | {"stores": stores, "credentials_until": until.isoformat() if until else None}


def _serve(connection: Connection, stores: Collection[Store]) -> None:
    served = ServedStore.objects.filter(merchant=connection.merchant_id, connection=connection)
    served.exclude(store__in=stores).delete()
    ServedStore.objects.bulk_create(
        [ServedStore(merchant_id=connection.merchant_id, connection=connection, store=store) for store in stores],
        ignore_conflicts=True,
    )


# ---- Taking it away -------------------------------------------------------------------------------------------
# What goes with it and holds nothing of anybody's.
_ONLY_ABOUT_IT = {
    "merchants.ServedStore",
    "merchants.Pause",
    "merchants.ConnectionDraft",
    "merchants.Switch",
    "ledger.CallCount",
    "shopper.Try",
}


def is_in_use(connection: Connection) -> bool:
    """Whether anything belongs to it but what is only about it."""
    return any(
        link.related_model._base_manager.filter(**{link.field.name: connection}).exists()
        for link in Connection._meta.related_objects
        if link.related_model._meta.label not in _ONLY_ABOUT_IT
    )


def retire(member: Member, connection: Connection, *, request: HttpRequest | None = None) -> None:
    """Take it away with its secrets, for good. Raises InUse; PermissionDenied if the member may no longer."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.CONNECT)
        # Nothing can begin to point to it from here on: a link to a row waits for this lock, and then finds none.
        row = Connection.objects.select_for_update().get(merchant=member.merchant_id, pk=connection.pk)
        if is_in_use(row):
            raise InUse
        row.delete()
        provider_tokens.throw_away(row)
        audit.record("connection retired", row.name, merchant=member.merchant, person=member.person, request=request)
