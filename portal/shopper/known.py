"""Browsers that have looked a card up before: a cookie bound to the card, without anything of the card in it.

Whoever guesses at somebody's card uses up that card's tries for strangers. The owner's browser has tries of its own.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from portal.merchants import vault
from portal.shopper import fingerprints
from portal.shopper.fingerprints import Print

COOKIE = "__Host-cards" if settings.HTTPS else "tillside_cards"
DAYS = 180
MOST = 5  # cards a browser knows; the oldest is forgotten
_SALT = "portal.shopper.known"


@dataclass(frozen=True, kw_only=True)
class _Card:
    nonce: str
    verifier: bytes


def browser(request: HttpRequest, merchant: int, card: Print) -> Print | None:
    """The keyed hash of this browser for this card, if it has looked it up before."""
    for each in _read(request):
        if any(vault.verifies(each.verifier, "shopper knows", _bound(merchant, one, each.nonce)) for one in card.all):
            return fingerprints.of_known(merchant, each.nonce)
    return None


def remember(request: HttpRequest, response: HttpResponse, merchant: int, card: bytes) -> None:
    """Let this browser know the card whose keyed hash this is. Only after a balance was shown."""
    if browser(request, merchant, Print(now=card, all=[card])):
        return
    nonce = secrets.token_urlsafe(12)
    fresh = _Card(nonce=nonce, verifier=vault.verifier("shopper knows", _bound(merchant, card, nonce)))
    kept = [[each.nonce, each.verifier.hex()] for each in [fresh, *_read(request)][:MOST]]
    response.set_cookie(
        COOKIE,
        signing.dumps(kept, salt=_SALT),
        max_age=DAYS * 24 * 3600,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def _bound(merchant: int, card: bytes, nonce: str) -> str:
    return f"{merchant}:{card.hex()}:{nonce}"


def _read(request: HttpRequest) -> Sequence[_Card]:
    try:
        kept = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=DAYS * 24 * 3600)
        return [_Card(nonce=nonce, verifier=bytes.fromhex(verifier)) for nonce, verifier in kept]
    except (signing.BadSignature, ValueError, TypeError):
        return []
