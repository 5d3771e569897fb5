"""Who is at a merchant in which role: changing a role, removing somebody, leaving. Each leaves a line in the trail.

Nobody gives or takes what they do not have themselves (roles.may_give), and a merchant keeps an owner; the database
keeps that second promise too. Whoever is removed is out with their next request, because every request looks.
"""

import uuid

from django.db import transaction
from django.http import HttpRequest

from portal.merchants import audit, invitations, standing
from portal.merchants.models import Member, Person
from portal.merchants.roles import AboveYou, Permission, Role, may_give


class LastOwner(Exception):
    """The merchant would be left without an owner."""


def change_role(actor: Member, key: uuid.UUID, role: str, *, request: HttpRequest | None = None) -> Member:
    """Put the member with this key into another role.

    Raises Member.DoesNotExist, AboveYou, LastOwner; PermissionDenied if the actor may no longer. Whoever changes
    themselves can only go down. Invitations of theirs that they could not send any more are withdrawn.
    """
    with transaction.atomic(durable=True):
        mine, theirs = _hold(actor, key)
        if not may_give(mine, theirs.role) or not may_give(mine, role):
            raise AboveYou
        before = theirs.role
        if before == role:
            return theirs
        _leave_an_owner(theirs)
        theirs.role = role
        theirs.save(update_fields=["role"])
        audit.record(
            "role changed",
            theirs.person.name,
            merchant=actor.merchant,
            person=actor.person,
            request=request,
            email=theirs.person.email,
            before=before,
            after=role,
        )
        invitations.withdraw_of(theirs, role=role, by=actor.person, request=request)
    return theirs


def remove(actor: Member, key: uuid.UUID, *, request: HttpRequest | None = None) -> Member:
    """Take the member with this key out, with the invitations they sent. What they did stays under their name.

    Raises as change_role does.
    """
    with transaction.atomic(durable=True):
        mine, theirs = _hold(actor, key)
        if not may_give(mine, theirs.role):
            raise AboveYou
        _take_out(theirs, "person removed", by=actor.person, request=request)
    return theirs


def leave(actor: Member, *, request: HttpRequest | None = None) -> None:
    """Go oneself. Raises LastOwner; PermissionDenied if one was removed meanwhile."""
    with transaction.atomic(durable=True):
        standing.hold_people(actor.merchant_id)
        actor.role = standing.still_may(actor, Permission.LEAVE)
        _take_out(actor, "person left", by=actor.person, request=request)


def is_last_owner(member: Member) -> bool:
    """Whether nobody else could run the merchant; an owner whose account is closed does not count."""
    owners = Member.objects.filter(merchant=member.merchant_id, role=Role.OWNER, person__is_active=True)
    return member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists()


def _hold(actor: Member, key: uuid.UUID) -> tuple[str, Member]:
    """The actor's role as it is now, and the other member; both stay so until the transaction ends."""
    standing.hold_people(actor.merchant_id)
    mine = standing.still_may(actor, Permission.MANAGE_PEOPLE)
    theirs = Member.objects.select_for_update(no_key=True, of=("self",)).select_related("person")
    return mine, theirs.get(merchant=actor.merchant_id, key=key)


def _leave_an_owner(leaving: Member) -> None:
    if is_last_owner(leaving):
        raise LastOwner


def _take_out(theirs: Member, verb: str, *, by: Person, request: HttpRequest | None) -> None:
    _leave_an_owner(theirs)
    audit.record(
        verb,
        theirs.person.name,
        merchant=theirs.merchant,
        person=by,
        request=request,
        email=theirs.person.email,
        before=theirs.role,
        after=None,
    )
    invitations.withdraw_of(theirs, role="", by=by, request=request)
    Member.objects.filter(pk=theirs.pk, merchant=theirs.merchant_id).delete()
