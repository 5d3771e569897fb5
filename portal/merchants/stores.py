"""Stores: where a merchant sells. The first may come with the merchant (founding.py); all others are written here.

None is removed: tills, receipts and shifts name the store they belong to."""

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from portal.merchants import audit, standing
from portal.merchants.models import Member, Store
from portal.merchants.roles import Permission

MOST = 500  # of one merchant; more is a mistake or a flood


class NameTaken(Exception):
    """The merchant has another store of this name. Nothing was written."""


class TooMany(Exception):
    """The merchant has as many stores as any may have."""


def add(member: Member, *, name: str, address: str, request: HttpRequest | None = None) -> Store:
    """A new store of the member's merchant. Raises NameTaken, TooMany, and PermissionDenied if they may no longer."""
    try:
        with transaction.atomic(durable=True):
            standing.still_may(member, Permission.MANAGE_STORES)
            if member.merchant.store_set.count() >= MOST:
                raise TooMany
            made = Store.objects.create(merchant=member.merchant, name=name, address=address)
            audit.record("store added", name, merchant=member.merchant, person=member.person, request=request)
    except IntegrityError:
        raise NameTaken from None
    return made


def change(member: Member, store: Store, *, name: str, address: str, request: HttpRequest | None = None) -> bool:
    """Another name or address for it, and whether that changed anything. Raises NameTaken, and PermissionDenied if the
    member may no longer."""
    try:
        with transaction.atomic(durable=True):
            standing.still_may(member, Permission.MANAGE_STORES)
            held = Store.objects.select_for_update(no_key=True).get(merchant=member.merchant, pk=store.pk)
            before = _in_one_line(held)
            held.name, held.address = name, address
            if _in_one_line(held) == before:
                return False
            held.save()
            audit.record(
                "store changed",
                name,
                merchant=member.merchant,
                person=member.person,
                request=request,
                before=before,
                after=_in_one_line(held),
            )
    except IntegrityError:
        raise NameTaken from None
    return True


def _in_one_line(store: Store) -> str:
    return ", ".join(filter(None, (store.name, store.address)))
