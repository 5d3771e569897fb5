"""Tills: browsers that cashiers share, and who is at each of them. The only writer of them.

A till's cookie says which browser it is. Who is at it says the till's row, together with the session of the browser: a
PIN starts no Django session of the person (for the site they stay signed out), so what a PIN opens is decided in one
place, access.member. The lock is a time in the row, looked at with every request; scripts only make it visible sooner.
"""

import re
import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone

from portal.merchants import audit, pins, tenancy, vault
from portal.merchants.models import Member, Merchant, Person, Store, Till, till_writer
from portal.merchants.roles import Permission, Role, may
from portal.merchants.standing import still_may

COOKIE = "__Host-till" if settings.HTTPS else "tillside_till"
COOKIE_DAYS = 365
# A PIN opens the till for a working day at most, however busy it is.
LONGEST = timedelta(hours=12)
# Tries at one till, whoever's PIN: after so many wrong ones each further one waits longer, in seconds.
FREE_FAILURES = 10
FIRST_WAIT, LONGEST_WAIT = 30, 900
# The row is not written for every request: this many seconds too early is soon enough to lock.
COARSE = timedelta(seconds=5)
LOCK_CHOICES = (30, 60, 120, 300, 600)  # seconds
# What was half typed is kept so long, in seconds, for the person who typed it.
DRAFT_SECONDS = 15 * 60
DRAFT_FIELDS = ("do", "of", "amount", "points", "minor", "also_activate")
# What a basket is put together from, or comes back as from its sentence: kept together, as one part of the draft.
BASKET_FIELDS = re.compile("line[0-9]{1,4}_[a-z]+|scan|load|basket|load_minor")
# Pages one comes back to after unlocking. The others are answers to a form.
_BACK = {"desk", "card", "operation", "look_up", "attention", "shift"}
# What stays in a session when somebody signs in with a password where another person was at the till: that they did.
# Everything else was the other's, whichever page put it there.
_SIGN_IN = ("_auth_user", "_session_", "account_", "mfa")


class NameTaken(Exception):
    """A till of this name is open already."""


# ---- Opening and ending -------------------------------------------------------------------------------------------
@till_writer.writes
def open_here(member: Member, *, name: str, store: Store, request: HttpRequest) -> tuple[Till, str]:
    """Make this browser a till. Returns it with the value of its cookie, see `remember`. Raises NameTaken."""
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        still_may(member, Permission.MANAGE_TILLS)
        Merchant.objects.select_for_update(no_key=True).get(pk=member.merchant_id)  # two of one name at once
        if Till.objects.filter(merchant=member.merchant_id, name=name, ended_at=None).exists():
            raise NameTaken
        till = Till(merchant=member.merchant, store=store, name=name, opened_by=member.person)
        till.opened_at = till.active_at = timezone.now()
        till.token_verifier = vault.verifier("till", f"{till.key.hex}:{token}")
        till.save(force_insert=True)
        audit.record(
            "till opened", name, merchant=member.merchant, person=member.person, request=request, store=store.name
        )
    return till, signing.dumps([till.merchant_id, till.key.hex, token], salt="till")


def remember(response: HttpResponse, cookie: str) -> None:
    """Give the browser the till's cookie."""
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=COOKIE_DAYS * 24 * 3600,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


@till_writer.writes
def end(member: Member, till: Till, *, request: HttpRequest) -> bool:
    """End a till: whoever is at it is out with the next request. False where it was over already."""
    with transaction.atomic():
        still_may(member, Permission.MANAGE_TILLS)
        ended = Till.objects.filter(pk=till.pk, merchant=member.merchant_id, ended_at=None).update(
            ended_at=timezone.now(), ended_by=member.person, cashier=None, unlock_verifier=None
        )
        if ended:
            audit.record("till ended", till.name, merchant=member.merchant, person=member.person, request=request)
    return bool(ended)


def lock_after(member: Member, seconds: int, *, request: HttpRequest) -> None:
    """Let the merchant's tills lock themselves after so long. Raises PermissionDenied."""
    with transaction.atomic():
        still_may(member, Permission.MANAGE_TILLS)
        before = member.merchant.lock_after_seconds
        if (
            Merchant.objects.filter(pk=member.merchant_id)
            .exclude(lock_after_seconds=seconds)
            .update(lock_after_seconds=seconds)
        ):
            audit.record(
                "till lock changed",
                member.merchant.name,
                merchant=member.merchant,
                person=member.person,
                request=request,
                before=before,
                after=seconds,
            )


def of(request: HttpRequest) -> Till | None:
    """The till this browser is, or None. Looked up once a request."""
    if not hasattr(request, "_till"):
        request._till = _of(request)  # type: ignore[attr-defined]
    found: Till | None = request._till  # type: ignore[attr-defined]
    return found


def _of(request: HttpRequest) -> Till | None:
    cookie = request.COOKIES.get(COOKIE, "")
    if not cookie:
        return None
    try:
        merchant_id, key, token = signing.loads(cookie, salt="till", max_age=COOKIE_DAYS * 24 * 3600)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    with tenancy.merchant(merchant_id):
        till = (
            Till.objects.select_related("merchant", "store", "cashier", "last_cashier")
            .filter(merchant_id=merchant_id, key=uuid.UUID(key), ended_at=None)
            .first()
        )
    if till is None or not vault.verifies(till.token_verifier, "till", f"{key}:{token}"):
        return None
    if not vault.is_current(till.token_verifier):
        _hash_anew(till, token)
    return till


@till_writer.writes
def _hash_anew(till: Till, token: str) -> None:
    """Keep the till under a newer key, in the one moment in which its token is known."""
    with tenancy.merchant(till.merchant_id):
        Till.objects.filter(pk=till.pk, token_verifier=till.token_verifier).update(
            token_verifier=vault.verifier("till", f"{till.key.hex}:{token}")
        )


# ---- Who is at it -------------------------------------------------------------------------------------------------
def cashier(request: HttpRequest, till: Till) -> Member | None:
    """The member whose PIN has unlocked this till, acting as a cashier; None where it is locked.

    Locks it where it was left alone or open for too long, and where the person may not work here any more.
    """
    if till.cashier_id is None or not vault.verifies(
        till.unlock_verifier, "unlock", f"{till.key.hex}:{request.session.get('unlock', '')}"
    ):
        return None
    now = timezone.now()
    assert till.unlocked_at is not None, "set with the cashier"
    with tenancy.merchant(till.merchant_id):
        member = (
            Member.objects.select_related("merchant", "person")
            .filter(merchant=till.merchant_id, person=till.cashier_id, person__is_active=True)
            .first()
        )
        if member is None or not may(member.role, Permission.CHOOSE_PIN):
            lock(request, till, why="may not")
            return None
        if till.active_at + _idle(till) < now or till.unlocked_at + LONGEST < now:
            lock(request, till, why="left alone" if till.active_at + _idle(till) < now else "the day is over")
            return None
        if _is_somebodys_doing(request):
            _stay_awake(till, now)
    # Whoever unlocks with a PIN is a cashier until the till locks, also where a view or a write asks for the role.
    member.role = Role.CASHIER
    return member


def was_left_alone(request: HttpRequest, till: Till) -> bool:
    """For somebody who signed in with a password on a till: whether it was left alone for too long.

    Notes that it is not, drops what the session still holds of the person before, and lets the session itself end as
    early, for pages that do not ask here.
    """
    session, now = request.session, time.time()
    idle = till.merchant.lock_after_seconds
    if session.get("cashier") != request.user.pk:
        _forget_person(request)
        session["cashier"] = request.user.pk
    if "active" not in session:
        session.set_expiry(idle)
    elif now - session["active"] > idle:
        return True
    if "active" not in session or _is_somebodys_doing(request):
        session["active"] = now
    return False


def _forget_person(request: HttpRequest) -> None:
    for name in [each for each, _kept in request.session.items() if not each.startswith(_SIGN_IN)]:
        del request.session[name]


@till_writer.writes
def unlock(request: HttpRequest, till: Till, *, who: uuid.UUID, digits: str) -> Member | None:
    """Open the till for the person whose PIN this is. None for every refusal; why stands in the trail only."""
    with tenancy.merchant(till.merchant_id), transaction.atomic():
        row = Till.objects.select_for_update().get(pk=till.pk)
        now = timezone.now()
        refused = "till waits" if row.blocked_until and row.blocked_until > now else ""
        refused = "till ended" if row.ended_at else refused
        member, why = pins.check(till.merchant_id, who, digits, refused=refused)
        if member is None:
            if why in ("wrong", "dead now", "unknown"):
                row.failures = min(row.failures + 1, 1000)
                row.blocked_until = _wait(row.failures, now)
                row.save(update_fields=["failures", "blocked_until"])
            _record_refusal(request, till, who, why)
            return None
        nonce = secrets.token_urlsafe(32)
        row.cashier = row.last_cashier = member.person
        row.unlock_verifier = vault.verifier("unlock", f"{till.key.hex}:{nonce}")
        row.unlocked_at = row.active_at = now
        row.failures, row.blocked_until = 0, None
        row.save()
        audit.record("till unlocked", till.name, merchant=till.merchant, person=member.person, request=request)
    _take_over_session(request, member.person, nonce)
    return member


def _wait(failures: int, now: datetime) -> datetime | None:
    if failures < FREE_FAILURES:
        return None
    return now + timedelta(seconds=min(FIRST_WAIT * 2 ** min(failures - FREE_FAILURES, 10), LONGEST_WAIT))


def _record_refusal(request: HttpRequest, till: Till, who: uuid.UUID, why: str) -> None:
    member = Member.objects.select_related("person").filter(merchant=till.merchant_id, pin__key=who).first()
    audit.record(
        "PIN refused",
        till.name,
        merchant=till.merchant,
        person=member.person if member else None,
        request=request,
        why=why,
    )


def _take_over_session(request: HttpRequest, person: Person, nonce: str) -> None:
    """The browser's session becomes this person's: a new one, unless it was theirs before."""
    session = request.session
    if request.user.is_authenticated or session.get("cashier") != person.pk:
        auth.logout(request)
    else:
        session.cycle_key()
    rotate_token(request)  # forms drawn for somebody else before are worth nothing now
    request.session["cashier"], request.session["unlock"] = person.pk, nonce


@till_writer.writes
def lock(request: HttpRequest, till: Till, *, why: str) -> None:
    """Lock the till; somebody signed in with a password is signed out of this browser."""
    with tenancy.merchant(till.merchant_id), transaction.atomic():
        locked = Till.objects.filter(pk=till.pk, unlock_verifier=till.unlock_verifier, cashier__isnull=False).update(
            cashier=None, unlock_verifier=None
        )
        if locked:
            audit.record(
                "till locked", till.name, merchant=till.merchant, person=till.cashier, request=request, why=why
            )
    if request.user.is_authenticated:
        auth.logout(request)
    request.session.pop("unlock", None)


@till_writer.writes
def _stay_awake(till: Till, now: datetime) -> None:
    if now - till.active_at > COARSE:
        Till.objects.filter(pk=till.pk, unlock_verifier=till.unlock_verifier).update(active_at=now)


def _idle(till: Till) -> timedelta:
    return timedelta(seconds=till.merchant.lock_after_seconds)


def _is_somebodys_doing(request: HttpRequest) -> bool:
    """Whether a person did something, or a page only asked for itself again: by htmx, or by a refresh without it."""
    if request.method not in ("GET", "HEAD"):
        return True
    is_new = not getattr(request, "htmx", False) and request.session.get("at") != request.path
    if is_new:
        request.session["at"] = request.path
    return is_new


# ---- What the next page needs -------------------------------------------------------------------------------------
def people(till: Till) -> list[Member]:
    """Who has a PIN here, by name."""
    with tenancy.merchant(till.merchant_id):
        members = Member.objects.select_related("person", "pin").filter(
            merchant=till.merchant_id, pin__isnull=False, person__is_active=True
        )
        return [each for each in members.order_by("person__name", "id") if may(each.role, Permission.CHOOSE_PIN)]


def keep(request: HttpRequest, *, path: str, typed: Mapping[str, str]) -> None:
    """Keep where the person was, and what they had half typed there, until they unlock the till again."""
    path = urlsplit(path).path.removesuffix("confirm/")
    if "cashier" not in request.session or not _comes_back_to(path):
        return
    request.session["back"] = path
    draft: dict[str, Any] = {name: str(typed[name])[:100] for name in DRAFT_FIELDS if typed.get(name)}
    basket = {name: str(text) for name, text in typed.items() if text and BASKET_FIELDS.fullmatch(name)}
    if basket:
        draft["basket"] = basket
    if draft:
        request.session["draft"] = {"path": path, "typed": draft, "at": time.time()}


def draft(request: HttpRequest, verb: str) -> dict[str, Any]:
    """What this person had half typed for `verb` on this page before the till locked; once, and not after a quarter of
    an hour."""
    kept = request.session.get("draft")
    if not kept or kept["path"] != request.path or kept["typed"].get("do", verb) != verb:
        return {}
    del request.session["draft"]
    return dict(kept["typed"]) if time.time() - kept["at"] < DRAFT_SECONDS else {}


def back(request: HttpRequest, till: Till) -> str:
    """Where the person goes after unlocking: to where they were, or to the desk."""
    path = str(request.session.pop("back", ""))
    kept = request.session.get("draft")
    desk = reverse("desk", args=[till.merchant.slug])
    if not path.startswith(desk) or not _comes_back_to(path):
        return desk
    verb = kept["typed"].get("do", "") if kept and kept["path"] == path else ""
    return f"{path}?do={verb}" if verb.replace("_", "").isalpha() else path


def _comes_back_to(path: str) -> bool:
    try:
        return len(path) < 300 and resolve(path).url_name in _BACK
    except Resolver404:
        return False
