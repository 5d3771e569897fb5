"""Saved views: a person's own names for ways of narrowing a list. Nobody else sees them, so the trail says nothing.

The only writer of SavedView. What a view holds is an address and no more: opened, it is read like any other, so a
connection that is gone is said beside its field.
"""

from django.db import IntegrityError, transaction

from portal.ledger.models import SavedView, SavedViewRows, view_writer
from portal.merchants import access
from portal.merchants.models import Member
from portal.merchants.roles import Permission

MOST = 20  # of one list: more would be a list to search in


class NameTaken(Exception):
    """This person has another view of this list by that name."""


class TooMany(Exception):
    """This person has as many views of this list as there may be."""


def of(member: Member, page: str) -> list[SavedView]:
    """The member's views of a list, by name."""
    mine = SavedView.objects.filter(merchant=member.merchant_id, person=member.person_id, page=page)
    return list(mine.order_by("name", "id"))


@view_writer.writes
def save(member: Member, *, page: str, name: str, query: str, is_start: bool) -> SavedView:
    """Keep a view. Raises NameTaken, TooMany, PermissionDenied."""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.SEE_OPERATIONS)  # holds the member's row: two presses come one by one
        known = of(member, page)
        if any(view.name == name for view in known):
            raise NameTaken
        if len(known) >= MOST:
            raise TooMany
        if is_start:
            _no_start(member, page)
        return SavedView.objects.create(
            merchant_id=member.merchant_id,
            person_id=member.person_id,
            page=page,
            name=name,
            query=query,
            is_start=is_start,
        )


@view_writer.writes
def change(member: Member, view: SavedView, *, name: str, is_start: bool) -> None:
    """Give it another name, or make it what the list starts with, or no longer. Raises NameTaken, PermissionDenied."""
    try:
        with transaction.atomic(durable=True):
            access.still_may(member, Permission.SEE_OPERATIONS)
            if is_start:
                _no_start(member, view.page)
            _mine(member).filter(pk=view.pk).update(name=name, is_start=is_start)
    except IntegrityError:
        raise NameTaken from None


@view_writer.writes
def delete(member: Member, view: SavedView) -> None:
    """Forget it. Raises PermissionDenied."""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.SEE_OPERATIONS)
        _mine(member).filter(pk=view.pk).delete()


def _no_start(member: Member, page: str) -> None:
    _mine(member).filter(page=page, is_start=True).update(is_start=False)


def _mine(member: Member) -> SavedViewRows:
    return SavedView.objects.filter(merchant=member.merchant_id, person=member.person_id)
