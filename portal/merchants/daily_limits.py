"""Daily limits: how much of something a merchant may do in 24 hours, and the only writer of them.

The installation has a number for everybody (MAIL_MERCHANT_DAY, INVITATIONS_A_DAY). A merchant asks for another one and
an administrator approves it; or an administrator sets one unasked:

    WAITING ─┬→ APPROVED ─→ ENDED         by the next one, or because the installation's number holds again
             ├→ REFUSED
             └→ WITHDRAWN                 by the merchant

Of a kind a merchant has one that is approved and one that waits, at most. Nothing is kept but these rows: what holds
is asked for when it is about to be reached.
"""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from portal import formats
from portal.merchants import audit, owners, standing, tenancy
from portal.merchants.fields import one_line
from portal.merchants.models import DailyLimit, LimitKind, LimitState, Member, Merchant, Person, daily_limit_writer
from portal.merchants.roles import Permission

TEXT_LENGTH = 300
MOST = 1_000_000  # of anything, by whomever


class NotMore(Exception):
    """So much is allowed already. Nothing was written."""


class DecidedAlready(Exception):
    """Somebody else was faster. Nothing was changed."""


# ---- What holds -----------------------------------------------------------------------------------------------
def of(merchant_id: int, kind: LimitKind) -> int:
    """How many a merchant may have in 24 hours."""
    own = DailyLimit.objects.filter(merchant=merchant_id, kind=kind, state=LimitState.APPROVED)
    most = own.values_list("most", flat=True).first()
    return ordinary(kind) if most is None else most


def ordinary(kind: LimitKind) -> int:
    """How many every merchant may have."""
    most: int = {
        LimitKind.MAILS: settings.MAIL_MERCHANT_DAY,
        LimitKind.INVITATIONS: settings.INVITATIONS_A_DAY,
    }[kind]
    return most


def last_of(merchant: Merchant, kind: LimitKind) -> DailyLimit | None:
    """What was last asked for or set."""
    return DailyLimit.objects.filter(merchant=merchant, kind=kind).order_by("-id").first()


# ---- Asking ---------------------------------------------------------------------------------------------------
@daily_limit_writer.writes
def ask(member: Member, kind: LimitKind, most: int, *, reason: str, request: HttpRequest | None = None) -> DailyLimit:
    """Ask the administrators for more of a kind; what waits already is returned as it is.

    Raises NotMore, and PermissionDenied if the member may no longer.
    """
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.SET_LIMITS)
        before = _hold(member.merchant, kind)
        if most <= before:
            raise NotMore
        fresh = DailyLimit(
            merchant=member.merchant,
            kind=kind,
            most=most,
            reason=one_line(reason)[:TEXT_LENGTH],
            asked_by=member.person,
        )
        DailyLimit.objects.bulk_create([fresh], ignore_conflicts=True)
        stored = DailyLimit.objects.get(merchant=member.merchant, kind=kind, state=LimitState.WAITING)
        if stored.key == fresh.key:
            _note("daily limit asked", stored, member.person, request, before=before, after=most, reason=stored.reason)
    return stored


@daily_limit_writer.writes
def take_back(member: Member, limit: DailyLimit, *, request: HttpRequest | None = None) -> bool:
    """The merchant needs it no longer. False where it was decided meanwhile; that leaves it as it is."""
    with transaction.atomic(durable=True):
        standing.still_may(member, Permission.SET_LIMITS)
        taken = _move(limit, LimitState.WAITING, LimitState.WITHDRAWN, member.person, "")
        if taken:
            _note("daily limit request withdrawn", limit, member.person, request)
    return taken


# ---- Deciding -------------------------------------------------------------------------------------------------
@daily_limit_writer.writes
def decide(limit: DailyLimit, *, by: Person, approve: bool, note: str, request: HttpRequest | None = None) -> None:
    """An administrator says yes or no; the owners are told by mail. Raises DecidedAlready, and PermissionDenied for
    whoever is no administrator (any more)."""
    state = LimitState.APPROVED if approve else LimitState.REFUSED
    with tenancy.merchant(limit.merchant_id), transaction.atomic(durable=True):
        standing.still_administers(by)
        before = _hold(limit.merchant, LimitKind(limit.kind))
        if approve:
            _end(limit.merchant, LimitKind(limit.kind))
        if not _move(limit, LimitState.WAITING, state, by, note):
            raise DecidedAlready
        limit.refresh_from_db()
        if approve:
            _note("daily limit approved", limit, by, request, before=before, after=limit.most, note=limit.note)
        else:
            _note("daily limit refused", limit, by, request, note=limit.note)
        _tell_owners(limit.merchant, LimitKind(limit.kind), refused=not approve, note=limit.note)


@daily_limit_writer.writes
def put(
    merchant: Merchant, kind: LimitKind, most: int | None, *, by: Person, note: str, request: HttpRequest | None = None
) -> None:
    """An administrator sets a number unasked, lower or higher; None: the installation's holds again. What a merchant
    has asked for goes on waiting. Raises PermissionDenied as `decide` does."""
    with tenancy.merchant(merchant.pk), transaction.atomic(durable=True):
        standing.still_administers(by)
        before = _hold(merchant, kind)
        _end(merchant, kind)
        limit = DailyLimit(merchant=merchant, kind=kind, most=most or ordinary(kind), asked_by=by, decided_by=by)
        limit.note, limit.decided_at = one_line(note)[:TEXT_LENGTH], Now()
        limit.state = LimitState.ENDED if most is None else LimitState.APPROVED
        limit.save(force_insert=True)
        _note("daily limit set", limit, by, request, before=before, after=limit.most, note=limit.note)
        _tell_owners(merchant, kind, refused=False, note=limit.note)


def _hold(merchant: Merchant, kind: LimitKind) -> int:
    """What holds now, and until the end of the transaction: others who decide wait."""
    Merchant.objects.select_for_update(no_key=True).filter(pk=merchant.pk).values_list("pk").first()
    return of(merchant.pk, kind)


def _end(merchant: Merchant, kind: LimitKind) -> None:
    own = DailyLimit.objects.filter(merchant=merchant, kind=kind, state=LimitState.APPROVED)
    own.update(state=LimitState.ENDED)


def _move(limit: DailyLimit, before: LimitState, after: LimitState, by: Person, note: str) -> bool:
    rows = DailyLimit.objects.filter(pk=limit.pk, merchant=limit.merchant_id, state=before)
    note = one_line(note)[:TEXT_LENGTH]
    return bool(rows.update(state=after, decided_by=by, decided_at=Now(), note=note))


def _note(verb: str, limit: DailyLimit, person: Person, request: HttpRequest | None, **detail: Any) -> None:
    detail = {name: value for name, value in detail.items() if value != ""}
    merchant = limit.merchant
    audit.record(verb, merchant.name, merchant=merchant, person=person, request=request, kind=limit.kind, **detail)


def _tell_owners(merchant: Merchant, kind: LimitKind, *, refused: bool, note: str) -> None:
    def write(owner: Person) -> tuple[str, str]:
        words = {
            "merchant": one_line(merchant.name),
            "kind": str(kind.label),
            "most": formats.number(of(merchant.pk, kind)),
            "refused": refused,
            "note": note,
            "link": settings.PUBLIC_URL + reverse("daily_limits", args=[merchant.slug]),
        }
        subject = (
            _("%(kind)s at %(merchant)s: it stays at %(most)s")
            if refused
            else _("%(kind)s at %(merchant)s: now %(most)s")
        )
        return subject % words, render_to_string("merchants/daily_limit_mail.txt", words)

    owners.tell(merchant, write)
