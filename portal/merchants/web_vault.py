"""Seals what only web processes need again: sessions, and the seeds of second factors.

The opposite of vault.py: that one lets the web put away what it cannot take out; here workers hold no key at all. The
keys (SIGN_IN_KEYS) are neither in the database nor Django's SECRET_KEY, so a dump yields no code, no seed and no
half-typed form, and a SECRET_KEY that got out does not either. Inside each box stands the place it belongs to.
"""

import base64
import hashlib
from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

_FORMAT = "1"


class CannotOpen(Exception):
    """The box is damaged, its key is gone, or it belongs elsewhere. Holds no part of what is in it."""


def seal(place: str, text: str) -> str:
    """A box for this place: `1:<key id>:<base64>`, made with the first of the keys."""
    key_id, box = next(iter(_boxes(settings.SIGN_IN_KEYS).items()))
    sealed = box.encrypt(_content(place) + text.encode())
    return ":".join([_FORMAT, key_id, base64.b64encode(sealed).decode()])


def open_sealed(place: str, sealed: str) -> str:
    """What is in the box. Raises CannotOpen."""
    try:
        version, key_id, encoded = sealed.split(":")
        content = _boxes(settings.SIGN_IN_KEYS)[key_id].decrypt(base64.b64decode(encoded, validate=True))
    except (ValueError, KeyError, CryptoError):
        raise CannotOpen("This box cannot be opened with the keys at hand.") from None
    start = _content(place)
    if version != _FORMAT or not content.startswith(start):
        raise CannotOpen("This box belongs elsewhere.")
    return content[len(start) :].decode()


def check_keys() -> None:
    """Raise ImproperlyConfigured unless there is a key, and each is one."""
    if not _boxes(settings.SIGN_IN_KEYS):
        raise ImproperlyConfigured(
            "SIGN_IN_KEYS is not set. Give web processes 32 random bytes in base64: openssl rand -base64 32"
        )


def _content(place: str) -> bytes:
    named = place.encode()
    return len(named).to_bytes(2) + named


@cache
def _boxes(keys: str) -> dict[str, SecretBox]:
    """By key id, in the order given: the first seals, all open."""
    boxes = {}
    for key in filter(None, (key.strip() for key in keys.split(","))):
        try:
            raw = base64.b64decode(key, validate=True)
            box = SecretBox(raw)
        except ValueError:
            raise ImproperlyConfigured("Each of SIGN_IN_KEYS must be 32 bytes in base64.") from None
        boxes[hashlib.sha256(raw).hexdigest()[:8]] = box
    return boxes
