"""Invitations: the only writer of them. A mail with a one-time link brings somebody to a merchant in a role.

Of the token in the link only a keyed hash is kept. Whoever holds the token reads the mail of that address, so the
address counts as verified; what else it takes to accept is being signed in as that address, or making the account.
"""

import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from portal import formats
from portal.merchants import accounts, audit, daily_limits, standing, tenancy, vault
from portal.merchants.fields import one_line
from portal.merchants.models import (
    Invitation,
    InvitationState,
    LimitKind,
    Member,
    Merchant,
    Person,
    invitation_writer,
)
from portal.merchants.roles import AboveYou, Permission, may, may_give

A_DAY = timedelta(days=1)


class AlreadyMember(Exception):
    """This person works there already."""

    def __init__(self, member: Member) -> None:
        super().__init__("This person works there already.")
        self.member = member


class AlreadyInvited(Exception):
    """An invitation to this address is still open: it can be sent anew or withdrawn."""


class TooMany(Exception):
    """The merchant, or this address at the merchant, has had its mails for a day."""


class NotOpen(Exception):
    """The invitation is over: accepted, declined, withdrawn, sent anew, or its time has passed."""


class AccountThere(Exception):
    """Somebody has an account with this address: they sign in instead of making another."""


# ---- Inviting -------------------------------------------------------------------------------------------------
@invitation_writer.writes
def invite(actor: Member, *, email: str, role: str, request: HttpRequest | None = None) -> Invitation:
    """Invite an address and queue the mail. The same happens whether somebody has an account with it or not.

    Raises AboveYou, AlreadyMember, AlreadyInvited, TooMany; PermissionDenied if the actor may no longer.
    """
    with transaction.atomic(durable=True):
        mine = _hold(actor)
        if not may_give(mine, role):
            raise AboveYou
        there = Member.objects.filter(merchant=actor.merchant_id, person__email=email).select_related("person").first()
        if there is not None:
            raise AlreadyMember(there)
        earlier = _pending(actor.merchant_id).filter(email=email).first()
        if earlier is not None and not is_over(earlier):
            raise AlreadyInvited
        return _send(actor.merchant, actor.person, email=email, role=role, earlier=earlier, request=request)


@invitation_writer.writes
def resend(actor: Member, key: uuid.UUID, *, request: HttpRequest | None = None) -> Invitation:
    """Send it anew: another link, another week. The old link is dead from now on.

    Raises Invitation.DoesNotExist, NotOpen, AboveYou, TooMany; PermissionDenied if the actor may no longer.
    """
    with transaction.atomic(durable=True):
        mine = _hold(actor)
        earlier = _find(actor, key, mine)
        return _send_anew(earlier, by=actor.person, inviting=actor.person, request=request)


@invitation_writer.writes
def resend_for(invitation: Invitation, *, by: Person, reason: str, request: HttpRequest | None = None) -> Invitation:
    """An administrator sends it anew, in the name of whoever invited. Raises NotOpen, TooMany; PermissionDenied for
    whoever is no administrator any more."""
    with transaction.atomic(durable=True):
        standing.hold_people(invitation.merchant_id)
        standing.still_administers(by)
        earlier = Invitation.objects.select_related("merchant", "invited_by").get(pk=invitation.pk)
        if earlier.state != InvitationState.PENDING:
            raise NotOpen
        return _send_anew(earlier, by=by, inviting=earlier.invited_by, request=request, reason=reason)


@invitation_writer.writes
def withdraw(actor: Member, key: uuid.UUID, *, request: HttpRequest | None = None) -> Invitation:
    """Take it back: its link is dead. Raises as `resend` does."""
    with transaction.atomic(durable=True):
        mine = _hold(actor)
        invitation = _find(actor, key, mine)
        _end(invitation, InvitationState.REVOKED)
        _note("invitation withdrawn", invitation, person=actor.person, request=request)
    return invitation


@invitation_writer.writes
def withdraw_of(sender: Member, *, role: str, by: Person, request: HttpRequest | None = None) -> None:
    """Take back what a member sent and could not send in `role` (empty: has gone altogether). For people.py, in its
    transaction: nobody comes back through a door they left open for themselves."""
    for invitation in _pending(sender.merchant_id).filter(invited_by=sender.person_id):
        if not may_send(role, invitation.role):
            _end(invitation, InvitationState.REVOKED)
            _note("invitation withdrawn", invitation, person=by, request=request)


def may_send(role: str, invited: str) -> bool:
    """Whether somebody in this role may invite into the role `invited`."""
    return may(role, Permission.MANAGE_PEOPLE) and may_give(role, invited)


def is_over(invitation: Invitation) -> bool:
    """Whether its time has passed."""
    return invitation.expires_at <= timezone.now()


# ---- The link -------------------------------------------------------------------------------------------------
def by_token(token: str) -> Invitation | None:
    """The invitation whose link was followed, in whatever state it is."""
    return _open(token_hash__in=vault.token_hashes("invitation", token))


def by_key(key: uuid.UUID) -> Invitation | None:
    """The same, for a browser that has shown its token before."""
    return _open(key=key)


def _open(**one: object) -> Invitation | None:
    with tenancy.every_merchant("whoever is invited knows a token and no merchant"):
        return Invitation.objects.select_related("merchant", "invited_by").filter(**one).first()


def membership(invitation: Invitation, person: Person) -> Member | None:
    """Whether this person works there already."""
    with tenancy.memberships_of(person.pk):
        return Member.objects.filter(merchant=invitation.merchant_id, person=person).first()


@invitation_writer.writes
def accept(invitation: Invitation, person: Person, *, request: HttpRequest | None = None) -> Member:
    """Make the person a member. Raises NotOpen, AlreadyMember; ValueError for somebody with another address."""
    if person.email != invitation.email:
        raise ValueError("An invitation is accepted by the address it went to.")
    with tenancy.merchant(invitation.merchant_id), transaction.atomic(durable=True):
        return _take_in(invitation, person, request)


@invitation_writer.writes
def join(invitation: Invitation, *, name: str, password: str, request: HttpRequest | None = None) -> Member:
    """Make an account for the invited address and accept. Raises NotOpen, AccountThere."""
    try:
        with tenancy.merchant(invitation.merchant_id), transaction.atomic(durable=True):
            person = Person.objects.create_user(invitation.email, password, name=name)
            accounts.confirm_address(person)
            return _take_in(invitation, person, request)
    except IntegrityError:
        if Person.objects.filter(email=invitation.email).exists():
            raise AccountThere from None
        raise


@invitation_writer.writes
def decline(invitation: Invitation, *, person: Person | None, request: HttpRequest | None = None) -> None:
    """Say no; holding the link is enough for that. Raises NotOpen."""
    with tenancy.merchant(invitation.merchant_id), transaction.atomic(durable=True):
        standing.hold_people(invitation.merchant_id)
        _end(_still_open(invitation), InvitationState.DECLINED)
        _note("invitation declined", invitation, person=person, request=request)


# ---- One row --------------------------------------------------------------------------------------------------
def _hold(actor: Member) -> str:
    standing.hold_people(actor.merchant_id)
    return standing.still_may(actor, Permission.MANAGE_PEOPLE)


def _find(actor: Member, key: uuid.UUID, mine: str) -> Invitation:
    """One the actor may do something about. An expired one counts: it waits to be sent anew or taken back."""
    found = Invitation.objects.get(merchant=actor.merchant_id, key=key)
    if not may_give(mine, found.role):
        raise AboveYou
    if found.state != InvitationState.PENDING:
        raise NotOpen
    return found


def _pending(merchant_id: int) -> QuerySet[Invitation]:
    return Invitation.objects.filter(merchant=merchant_id, state=InvitationState.PENDING)


def _send_anew(
    earlier: Invitation, *, by: Person, inviting: Person, request: HttpRequest | None, **detail: Any
) -> Invitation:
    merchant, email, role = earlier.merchant, earlier.email, earlier.role
    return _send(merchant, inviting, email=email, role=role, earlier=earlier, request=request, by=by, **detail)


def _send(
    merchant: Merchant,
    inviting: Person,
    *,
    email: str,
    role: str,
    earlier: Invitation | None,
    request: HttpRequest | None,
    by: Person | None = None,
    **detail: Any,
) -> Invitation:
    _count(merchant, email)
    if earlier is not None:
        _end(earlier, InvitationState.REPLACED)
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        merchant=merchant,
        email=email,
        role=role,
        token_hash=vault.token_hash("invitation", token),
        invited_by=inviting,
        expires_at=timezone.now() + timedelta(days=settings.INVITATION_DAYS),
    )
    _note(
        "person invited" if earlier is None else "invitation sent anew",
        invitation,
        person=by or inviting,
        request=request,
        **detail,
    )
    _mail(invitation, token)
    return invitation


def _count(merchant: Merchant, email: str) -> None:
    today = Invitation.objects.filter(merchant=merchant, invited_at__gt=Now() - A_DAY)
    if today.count() >= daily_limits.of(merchant.pk, LimitKind.INVITATIONS) or (
        today.filter(email=email).count() >= settings.INVITATIONS_TO_ONE_ADDRESS_A_DAY
    ):
        raise TooMany


def _mail(invitation: Invitation, token: str) -> None:
    """Queued in the same transaction: no invitation without its mail, no mail without its invitation.

    In the merchant's language: which one a stranger reads is not known.
    """
    merchant = invitation.merchant
    with (
        translation.override(merchant.language),
        timezone.override(merchant.time_zone),
        formats.at_home_in(merchant.country),
    ):
        words = {
            "person": one_line(invitation.invited_by.name),
            "merchant": one_line(merchant.name),
            "role": invitation.get_role_display(),
            "link": settings.PUBLIC_URL + reverse("invitation_link", args=[token]),
            "until": invitation.expires_at,
            "zone": merchant.time_zone,
            "email": invitation.email,
        }
        subject = _("%(person)s invites you to %(merchant)s at Tillside") % words
        send_mail(subject, render_to_string("merchants/invitation_mail.txt", words), None, [invitation.email])


def _still_open(invitation: Invitation) -> Invitation:
    found = _pending(invitation.merchant_id).select_for_update().filter(pk=invitation.pk).first()
    if found is None or is_over(found):
        raise NotOpen
    return found


def _take_in(invitation: Invitation, person: Person, request: HttpRequest | None) -> Member:
    standing.hold_people(invitation.merchant_id)
    found = _still_open(invitation)
    there = Member.objects.filter(merchant=found.merchant_id, person=person).first()
    if there is not None:
        raise AlreadyMember(there)
    member = Member.objects.create(merchant=invitation.merchant, person=person, role=found.role)
    _end(found, InvitationState.ACCEPTED, accepted_by=person)
    _note("invitation accepted", invitation, person=person, request=request)
    return member


def _end(invitation: Invitation, state: InvitationState, *, accepted_by: Person | None = None) -> None:
    invitation.state, invitation.ended_at, invitation.accepted_by = state, timezone.now(), accepted_by
    invitation.save(update_fields=["state", "ended_at", "accepted_by"])


def _note(
    verb: str, invitation: Invitation, *, person: Person | None, request: HttpRequest | None, **detail: Any
) -> None:
    audit.record(
        verb,
        invitation.email,
        merchant=invitation.merchant,
        person=person,
        request=request,
        role=invitation.role,
        **detail,
    )
