"""Seals secrets so that the web can put them away but only workers can take them out.

A sealed box (libsodium's, through PyNaCl) is made with a public key; opening it takes the private half, which web
processes do not have. Inside every box stands its context (merchant, table, row, field): a box copied into another
row is refused on opening. Keys live in two files outside the database, each key with an id, so that rows can be
re-sealed under a new key while the old one still opens.

Card numbers are found again by a keyed hash. Never by a plain one: twelve digits are guessed in minutes.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from nacl.encoding import Base64Encoder
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.utils import random

_FORMAT = b"1"


class CannotOpen(Exception):
    """The box is damaged, its key is not on the ring, or it was sealed for another row. Holds no part of the secret."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """The one place a box belongs to. `row` is a name that never changes, such as the row's UUID key."""

    merchant: int
    table: str
    row: str
    field: str

    def as_bytes(self) -> bytes:
        return json.dumps([self.merchant, self.table, self.row, self.field]).encode()


def seal(context: Context, plaintext: bytes) -> bytes:
    """A box that only workers can open, and only for this context. It names its key: `1:<key id>:<box>`."""
    ring = _sealing()
    key_id = ring["current"]
    place = context.as_bytes()
    content = len(place).to_bytes(2) + place + plaintext
    box: bytes = SealedBox(PublicKey(ring["keys"][key_id].encode(), Base64Encoder)).encrypt(content)
    return b":".join([_FORMAT, key_id.encode(), box])


def open_sealed(context: Context, sealed: bytes | memoryview) -> bytes:
    """The plaintext of a box. Raises CannotOpen; in a process without the private ring, ImproperlyConfigured."""
    ring = _opening()
    try:
        version, key_id, box = bytes(sealed).split(b":", 2)
    except ValueError:
        raise CannotOpen("This is not a sealed value.") from None
    private = ring["keys"].get(key_id.decode("ascii", "replace"))
    if version != _FORMAT or private is None:
        raise CannotOpen(f"The key {key_id.decode('ascii', 'replace')} is not on the ring.")
    try:
        content = SealedBox(PrivateKey(private.encode(), Base64Encoder)).decrypt(box)
    except CryptoError:
        raise CannotOpen("The sealed value is damaged.") from None
    size = int.from_bytes(content[:2])
    if not hmac.compare_digest(content[2 : 2 + size], context.as_bytes()):
        raise CannotOpen("The sealed value belongs to another row.")
    plaintext: bytes = content[2 + size :]
    return plaintext


def card_index(*, merchant: int, provider: str, number: str) -> bytes:
    """A keyed hash under which a card is found again: `<key id>:` and 32 bytes of HMAC-SHA-256.

    `number` is the number as the provider's connector normalises it.
    """
    return _keyed(b"\x00".join([str(merchant).encode(), provider.encode(), number.encode()]))


def verifier(purpose: str, secret: str, *, like: bytes | memoryview = b"") -> bytes:
    """A keyed hash by which a secret is known again, in the form of card_index; `purpose` keeps uses apart.

    `like` is an older verifier: the new one is made under the same key. Raises CannotOpen if that is not on the ring.
    """
    # A card's message begins with a merchant's number, so the two are never the same.
    return _keyed(b"\x00".join([b"", purpose.encode(), secret.encode()]), bytes(like).partition(b":")[0].decode())


def verifies(stored: bytes | memoryview | None, purpose: str, secret: str) -> bool:
    """Whether `stored` is the verifier of this secret. Not, where its key is no longer on the ring."""
    if not stored:
        return False
    try:
        return hmac.compare_digest(bytes(stored), verifier(purpose, secret, like=stored))
    except CannotOpen:
        return False


def _keyed(message: bytes, key_id: str = "") -> bytes:
    ring = _sealing()["index"]
    key_id = key_id or ring["current"]
    if key_id not in ring["keys"]:
        raise CannotOpen("The key of this keyed hash is not on the ring.")
    key = bytes.fromhex(ring["keys"][key_id])
    return b":".join([key_id.encode(), hmac.new(key, message, hashlib.sha256).digest()])


def token_hash(purpose: str, token: str) -> bytes:
    """What is kept of a secret that was handed out in a link: `<key id>:` and 32 bytes of HMAC-SHA-256.

    The table is then of no use to whoever reads it. `purpose` keeps a token for one thing from opening another.
    """
    return _token_hash(_sealing()["index"]["current"], purpose, token)


def token_hashes(purpose: str, token: str) -> list[bytes]:
    """Its hash under every key of the ring, to find a row that was written before the current key."""
    return [_token_hash(key_id, purpose, token) for key_id in _sealing()["index"]["keys"]]


def _token_hash(key_id: str, purpose: str, token: str) -> bytes:
    key = bytes.fromhex(_sealing()["index"]["keys"][key_id])
    message = b"\x00".join([b"token", purpose.encode(), token.encode()])
    return b":".join([key_id.encode(), hmac.new(key, message, hashlib.sha256).digest()])


def create_ring(folder: Path) -> bool:
    """Write a new key ring, `sealing.json` for all and `opening.json` for workers. False if one is there already."""
    sealing, opening = folder / "sealing.json", folder / "opening.json"
    if sealing.exists() and opening.exists():
        return False
    if sealing.exists() or opening.exists():
        # A new half would not fit the old one, and what was sealed could never be opened again.
        raise ImproperlyConfigured(f"The key ring in {folder} is incomplete. Put both files back from the backup.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = PrivateKey.generate()
    public = private.public_key.encode(Base64Encoder).decode()
    index = {"current": "i1", "keys": {"i1": random(32).hex()}}
    _write_private(sealing, {"current": "k1", "keys": {"k1": public}, "index": index})
    _write_private(opening, {"keys": {"k1": private.encode(Base64Encoder).decode()}})
    return True


def _write_private(path: Path, content: object) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))


@cache
def _sealing() -> dict:  # type: ignore[type-arg]
    return _read(settings.SEALING_KEYS, "SEALING_KEYS")


@cache
def _opening() -> dict:  # type: ignore[type-arg]
    if settings.OPENING_KEYS is None:
        raise ImproperlyConfigured("This process may seal but not open: it has no OPENING_KEYS.")
    return _read(settings.OPENING_KEYS, "OPENING_KEYS")


def _read(path: Path, name: str) -> dict:  # type: ignore[type-arg]
    try:
        ring = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ImproperlyConfigured(
            f"{name} names {path}, which cannot be read as a key ring. Make one: manage.py keyring --create DIR."
        ) from None
    if not isinstance(ring, dict) or "keys" not in ring:
        raise ImproperlyConfigured(f"{path} is not a key ring.")
    return ring
