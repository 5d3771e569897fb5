"""Seals secrets so that the web can put them away but only workers can take them out.

A sealed box (libsodium's, through PyNaCl) is made with a public key; opening it takes the private half, which web
processes do not have. Inside every box stands its context (merchant, table, row, field): a box copied into another
row is refused on opening. The keys (ring.py) each have an id, so that rows can be re-sealed under a new key while the
old one still opens; columns of boxes are called `sealed_…`, by which resealing.py finds them.

Card numbers are found again by a keyed hash. Never by a plain one: twelve digits are guessed in minutes.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass

from nacl.encoding import Base64Encoder
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from portal.merchants import ring

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
    place = context.as_bytes()
    return _boxed(len(place).to_bytes(2) + place + plaintext)


def _boxed(content: bytes) -> bytes:
    keys = ring.sealing()
    key_id = keys["current"]
    box: bytes = SealedBox(PublicKey(keys["keys"][key_id].encode(), Base64Encoder)).encrypt(content)
    return b":".join([_FORMAT, key_id.encode(), box])


def open_sealed(context: Context, sealed: bytes | memoryview) -> bytes:
    """The plaintext of a box. Raises CannotOpen; in a process without the private ring, ImproperlyConfigured."""
    content = _content(sealed)
    size = int.from_bytes(content[:2])
    if not hmac.compare_digest(content[2 : 2 + size], context.as_bytes()):
        raise CannotOpen("The sealed value belongs to another row.")
    plaintext: bytes = content[2 + size :]
    return plaintext


def resealed(sealed: bytes | memoryview) -> bytes:
    """The same in a box under the current key. Its context goes along unread: a box copied into another row stays one
    that does not open there. Raises CannotOpen, ImproperlyConfigured."""
    return _boxed(_content(sealed))


def opens(sealed: bytes | memoryview) -> bool:
    """Whether this ring opens the box, in whichever place it stands."""
    try:
        _content(sealed)
    except CannotOpen:
        return False
    return True


def is_current_box(sealed: bytes | memoryview) -> bool:
    """Whether this box was made with the current key."""
    return bytes(sealed).startswith(b":".join([_FORMAT, ring.sealing()["current"].encode(), b""]))


def _content(sealed: bytes | memoryview) -> bytes:
    keys = ring.opening()["keys"]
    try:
        version, key_id, box = bytes(sealed).split(b":", 2)
    except ValueError:
        raise CannotOpen("This is not a sealed value.") from None
    private = keys.get(key_id.decode("ascii", "replace"))
    if version != _FORMAT or private is None:
        raise CannotOpen(f"The key {key_id.decode('ascii', 'replace')} is not on the ring.")
    try:
        content: bytes = SealedBox(PrivateKey(private.encode(), Base64Encoder)).decrypt(box)
    except CryptoError:
        raise CannotOpen("The sealed value is damaged.") from None
    return content


def card_index(*, merchant: int, provider: str, number: str, like: bytes | memoryview = b"") -> bytes:
    """A keyed hash under which a card is found again: `<key id>:` and 32 bytes of HMAC-SHA-256.

    `number` is the number as the provider's connector normalises it. `like` is an older index: the new one is made
    under the same key. Raises CannotOpen if that is not on the ring.
    """
    return _keyed(_card(merchant, provider, number), _key_of(like))


def card_indexes(*, merchant: int, provider: str, number: str) -> list[bytes]:
    """The card's index under every key of the ring, the oldest first: as long as keys change, a card may stand under
    any of them."""
    return _keyed_by_all(_card(merchant, provider, number))


def _card(merchant: int, provider: str, number: str) -> bytes:
    return b"\x00".join([str(merchant).encode(), provider.encode(), number.encode()])


def verifier(purpose: str, secret: str, *, like: bytes | memoryview = b"") -> bytes:
    """A keyed hash by which a secret is known again, in the form of card_index; `purpose` keeps uses apart.

    `like` is an older verifier: the new one is made under the same key. Raises CannotOpen if that is not on the ring.
    """
    # A card's message begins with a merchant's number, so the two are never the same.
    return _keyed(b"\x00".join([b"", purpose.encode(), secret.encode()]), _key_of(like))


def verifies(stored: bytes | memoryview | None, purpose: str, secret: str) -> bool:
    """Whether `stored` is the verifier of this secret. Not, where its key is no longer on the ring."""
    if not stored:
        return False
    try:
        return hmac.compare_digest(bytes(stored), verifier(purpose, secret, like=stored))
    except CannotOpen:
        return False


def is_current(stored: bytes | memoryview) -> bool:
    """Whether a keyed hash was made with the current key."""
    return bool(_key_of(stored) == ring.sealing()["index"]["current"])


def _key_of(stored: bytes | memoryview) -> str:
    return bytes(stored).partition(b":")[0].decode("ascii", "replace")


def token_hash(purpose: str, token: str) -> bytes:
    """What is kept of a secret that was handed out in a link: `<key id>:` and 32 bytes of HMAC-SHA-256.

    The table is then of no use to whoever reads it. `purpose` keeps a token for one thing from opening another.
    """
    return _keyed(_token(purpose, token))


def token_hashes(purpose: str, token: str) -> list[bytes]:
    """Its hash under every key of the ring, to find a row that was written before the current key."""
    return _keyed_by_all(_token(purpose, token))


def _token(purpose: str, token: str) -> bytes:
    return b"\x00".join([b"token", purpose.encode(), token.encode()])


# ---- Hashing --------------------------------------------------------------------------------------------------
def _keyed(message: bytes, key_id: str = "") -> bytes:
    index = ring.sealing()["index"]
    key_id = key_id or index["current"]
    if key_id not in index["keys"]:
        raise CannotOpen("The key of this keyed hash is not on the ring.")
    return _hashed(message, key_id, index["keys"][key_id])


def _keyed_by_all(message: bytes) -> list[bytes]:
    keys = ring.sealing()["index"]["keys"]
    return [_hashed(message, key_id, keys[key_id]) for key_id in ring.in_order(keys)]


def _hashed(message: bytes, key_id: str, key: str) -> bytes:
    return b":".join([key_id.encode(), hmac.new(bytes.fromhex(key), message, hashlib.sha256).digest()])
