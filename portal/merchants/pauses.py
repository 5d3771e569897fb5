"""Pauses: the only writer of them, and of what a connection carries of the one under way.

While a connection is paused nothing is asked of its provider. What was accepted before waits; a person's new wish is
told so at once, rows of files are taken in and wait, too. Ended, it lets them run in the order they would have had.
"""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from portal import formats
from portal.connectors.base import Reason
from portal.merchants import audit, connections, standing
from portal.merchants.models import Connection, Member, Pause, Person, pause_writer
from portal.merchants.roles import Permission, Role

REASON_LENGTH = 200
# Who is told when a provider refuses our key: those who can do something about it.
TOLD = (Role.OWNER, Role.MANAGER)


class PausedAlready(Exception):
    """Somebody, or the machine, has paused it before. Nothing was changed."""


class Untested(Exception):
    """Only a test that it passes ends this pause."""


@pause_writer.writes
def because_refused(connection: Connection, reason: str) -> None:
    """Stop asking, because the provider refuses our key, and write to owners and managers, once: the refusals of calls
    that were under way say nothing new. Only a person ends it."""
    with transaction.atomic():
        now = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        if now.options != connection.options or not connections.same_secrets(now, connection):
            return  # what was refused has been replaced meanwhile; it says nothing of what is there now
        pause = _begin(connection, reason=reason, address=str(connection.options.get("base_url", ""))[:500])
        if pause is not None:
            audit.record("connection paused", connection.name, merchant=connection.merchant, reason=str(reason))
            _tell(pause)


@pause_writer.writes
def until_tested(connection: Connection, *, by: Person) -> None:
    """It was added while its provider was away: it is not asked before it has passed its test. In the caller's
    transaction."""
    _begin(connection, reason=connections.UNTESTED, begun_by=by)


@pause_writer.writes
def tested(connection: Connection, *, by: Person | None) -> None:
    """It has passed its test; whatever else it is paused for stays. In the caller's transaction."""
    pause = under_way(connection)
    if pause is not None and pause.reason == connections.UNTESTED:
        end(pause, held=(None, None), person=by)
        connection.refresh_from_db(fields=["paused_at", "pause_reason"])


@pause_writer.writes
def may_be_called(connection: Connection) -> None:
    """Its address is one we may call from now on; whatever else it is paused for stays. In the caller's transaction."""
    pause = under_way(connection)
    if pause is not None and pause.reason == Reason.ADDRESS_REFUSED:
        end(pause, held=(None, None), person=None)
        connection.refresh_from_db(fields=["paused_at", "pause_reason"])


@pause_writer.writes
def begin(
    connection: Connection,
    *,
    member: Member,
    reason: str,
    expires_at: datetime | None = None,
    request: HttpRequest | None = None,
) -> Pause:
    """Pause it, with a reason that the tills show. Raises PausedAlready; PermissionDenied if the member may no longer;
    ValueError without a reason or for a time that is over."""
    if not reason or (expires_at is not None and expires_at <= timezone.now()):
        raise ValueError("A pause has a reason, and does not end before it begins.")
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.PAUSE_CONNECTIONS)
        pause = _begin(connection, reason=reason[:REASON_LENGTH], begun_by=member.person, expires_at=expires_at)
        if pause is None:
            raise PausedAlready
        audit.record(
            "connection paused",
            connection.name,
            merchant=member.merchant,
            person=member.person,
            request=request,
            reason=pause.reason,
            until=expires_at.isoformat(timespec="minutes") if expires_at else None,
        )
    return pause


def _begin(connection: Connection, *, reason: str, **pause: object) -> Pause | None:
    paused = Connection.objects.filter(pk=connection.pk, paused_at=None)
    if not paused.update(paused_at=Now(), pause_reason=reason):
        return None
    connection.refresh_from_db(fields=["paused_at", "pause_reason"])
    begun_at: Any = connection.paused_at
    begun = Pause(merchant_id=connection.merchant_id, connection=connection, begun_at=begun_at, reason=reason, **pause)
    begun.save(force_insert=True)
    return begun


@pause_writer.writes
def end(
    pause: Pause, *, held: tuple[int | None, int | None], person: Person | None, request: HttpRequest | None = None
) -> bool:
    """Ask again. False where it was over already. `held` are the first and the last operation that wait for it. In the
    caller's transaction."""
    first, last = held
    ended = Pause.objects.filter(pk=pause.pk, ended_at=None).update(
        ended_at=Now(), ended_by=person, first_held=first, last_held=last
    )
    if ended:
        Connection.objects.filter(pk=pause.connection_id).update(paused_at=None, pause_reason="", held_until=None)
        audit.record(
            "connection resumed",
            pause.connection.name,
            merchant=pause.merchant,
            person=person,
            request=request,
        )
    return bool(ended)


def of(merchant_id: int, connection_key: uuid.UUID, key: uuid.UUID) -> Pause | None:
    """The pause of an address."""
    pauses = Pause.objects.select_related("connection", "merchant", "begun_by", "ended_by")
    return pauses.filter(merchant=merchant_id, connection__key=connection_key, key=key).first()


def under_way(connection: Connection) -> Pause | None:
    """The pause of a connection that is paused."""
    return (
        Pause.objects.select_related("connection", "merchant", "begun_by")
        .filter(connection=connection, merchant=connection.merchant_id, ended_at=None)
        .first()
    )


# ---- The notice -----------------------------------------------------------------------------------------------
def _tell(pause: Pause) -> None:
    """A mail to everybody who can do something about it, each in their own language."""
    merchant = pause.connection.merchant
    told = Member.objects.filter(merchant=merchant, role__in=TOLD, person__is_active=True).select_related("person")
    page = reverse("pause_report", args=[merchant.slug, pause.connection.key, pause.key])
    for member in told.order_by("person__email"):
        with (
            translation.override(member.person.language or merchant.language),
            timezone.override(merchant.time_zone),
            formats.at_home_in(merchant.country),
        ):
            words = {
                "connection": pause.connection.name,
                "merchant": merchant.name,
                "zone": merchant.time_zone,
                "since": pause.begun_at,
                "why": connections.reason_words(pause.reason),
                "address": pause.address,
                "is_address": pause.reason == Reason.ADDRESS_REFUSED,
                "link": settings.PUBLIC_URL + page,
            }
            subject = (
                _("%(connection)s is paused at %(merchant)s: its address may not be called")
                if words["is_address"]
                else _("%(connection)s is paused at %(merchant)s: its key is refused")
            )
            send_mail(subject % words, render_to_string("merchants/pause_mail.txt", words), None, [member.person.email])
