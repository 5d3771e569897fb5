"""Where a person is signed in: each browser a row, none for longer than half a day, and all others ended at once.

Django's session table stays the truth about a browser's cookie. `Person.sessions_ended` is part of what every session
of the person is signed with: counting it up ends them all at their next request, wherever they are.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import logout, update_session_auth_hash
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.connectors.redaction import clean
from portal.merchants import audit, standing
from portal.merchants.models import BrowserSession, Person
from portal.middleware import client_address

Respond = Callable[[HttpRequest], HttpResponse]

SEEN_EVERY = 60  # seconds: as exact as a list of sessions has to be, and no write at every click
_KEY = "browser_session"


def watch(get_response: Respond) -> Respond:
    """Middleware, behind signing in: keep the row of this session, and end a session that has lasted its time."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            _watch(request)
        return get_response(request)

    return middleware


def strict_for_administrators(get_response: Respond) -> Respond:
    """Middleware, in front of the sessions': a link from another site finds no administrator signed in."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        cookie = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if cookie is not None and request.user.is_authenticated and request.user.is_staff:
            cookie["samesite"] = "Strict"
        return response

    return middleware


def _watch(request: HttpRequest) -> None:
    now, known = time.time(), request.session.get(_KEY)
    if known is None:
        _begin(request, now)
    elif now - known["begun"] > settings.SESSION_LASTS_SECONDS:
        BrowserSession.objects.filter(pk=known["id"]).delete()
        logout(request)
    elif now - known["seen"] > SEEN_EVERY or known["key"] != request.session.session_key:
        _see(request, now, known)


def _begin(request: HttpRequest, now: float) -> None:
    row = BrowserSession.objects.create(person=cast(Person, request.user), **_seen(request))
    request.session[_KEY] = {"id": row.pk, "key": row.session_key, "begun": now, "seen": now}


def _see(request: HttpRequest, now: float, known: dict[str, Any]) -> None:
    seen = _seen(request)
    BrowserSession.objects.filter(pk=known["id"]).update(seen_at=timezone.now(), **seen)
    request.session[_KEY] = known | {"key": seen["session_key"], "seen": now}


def _seen(request: HttpRequest) -> dict[str, Any]:
    return {
        "session_key": request.session.session_key,
        "address": client_address(request),
        "browser": clean(request.headers.get("User-Agent", ""), limit=200),
    }


def open_ones(person: Person) -> QuerySet[BrowserSession]:
    """The person's sessions that would be let in now, the latest seen first."""
    now = timezone.now()
    return BrowserSession.objects.filter(
        person=person,
        seen_at__gt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE),
        begun_at__gt=now - timedelta(seconds=settings.SESSION_LASTS_SECONDS),
    ).order_by("-seen_at", "-id")


def current_id(request: HttpRequest) -> int:
    """The row of the session that asks, or 0 where it has none."""
    return int(request.session.get(_KEY, {}).get("id", 0))


def end_others(request: HttpRequest) -> None:
    """End all sessions of this person but the one that asks, which gets a new id."""
    person = cast(Person, request.user)
    _count_up(person)
    BrowserSession.objects.filter(person=person).exclude(pk=current_id(request)).delete()
    update_session_auth_hash(request, person)


def end_all(person: Person) -> None:
    """End every session of a person, as when the account is closed."""
    _count_up(person)
    BrowserSession.objects.filter(person=person).delete()


def end_this(request: HttpRequest) -> None:
    """Call before signing out: the row goes with the session."""
    BrowserSession.objects.filter(pk=current_id(request)).delete()


def end_all_of(person: Person, *, by: Person, reason: str, request: HttpRequest) -> None:
    """An administrator ends every session of somebody: a lost telephone, a browser left open. Raises PermissionDenied
    for whoever is no administrator any more."""
    with transaction.atomic():
        standing.still_administers(by)
        end_all(person)
        audit.record("sessions ended", person.name, merchant=None, person=by, request=request, reason=reason)


def _count_up(person: Person) -> None:
    Person.objects.filter(pk=person.pk).update(sessions_ended=F("sessions_ended") + 1)
    person.refresh_from_db(fields=["sessions_ended"])


def on_proof_changed(*, request: HttpRequest, user: Person, **about: object) -> None:
    """What proves who a person is has changed, as allauth's signals tell: nobody who used the old proof stays in."""
    if about.get("from_email_address", user) is None:
        return  # not a change: the first address, confirmed at signing up
    if request.user.is_authenticated and request.user.pk == user.pk:
        end_others(request)
    else:
        end_all(user)
    audit.record("sign-in changed", user.name, merchant=None, person=user, request=request)
