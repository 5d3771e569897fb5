"""How Revenue Monster has its messages signed: RSA with SHA-256 over the body's canonical form and four headers' worth
of context.

    data=…&method=post&nonceStr=…&requestUrl=…&signType=sha256&timestamp=…

From the provider's public pages, whose worked example is a test; the document prints a signature that fits nothing. A
callback is signed by the provider's own key and has no requestUrl. `data` is left out with an empty body.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from portal.connectors.fields import Message

SHORTEST_KEY = 2048  # bits; what the provider recommends
PRIVATE, PUBLIC = "PRIVATE KEY", "PUBLIC KEY"
_KINDS = (PRIVATE, "RSA PRIVATE KEY", PUBLIC)
_ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


class BadKey(ValueError):
    """No key that can be used; the message repeats nothing of it."""


def canonical(body: Mapping[str, object]) -> bytes:
    """The one form of a body that is signed, and sent: sorted at every level, without white space, in UTF-8, and with
    the letters escaped that the provider's own encoder escapes. A Decimal is written as the float it stands for."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=float)
    return text.translate(_ESCAPED).encode()


def signed_text(body: bytes, *, method: str, nonce: str, timestamp: str, url: str = "") -> bytes:
    """What is signed of a message with this canonical `body`, b"" for none; `url` "" for a callback."""
    parts = [f"data={base64.b64encode(body).decode()}"] if body not in (b"", b"{}", b"null") else []
    parts += [f"method={method.lower()}", f"nonceStr={nonce}", *([f"requestUrl={url}"] if url else [])]
    return "&".join([*parts, "signType=sha256", f"timestamp={timestamp}"]).encode()


def sign(text: bytes, private_pem: str) -> str:
    """The X-Signature header. Raises BadKey."""
    signature = _private(private_pem).sign(text, padding.PKCS1v15(), hashes.SHA256())
    return f"sha256 {base64.b64encode(signature).decode()}"


def verifies(text: bytes, header: str, public_pem: str) -> bool:
    """Whether an X-Signature header fits. Raises BadKey."""
    key, (kind, _, coded) = _public(public_pem), header.partition(" ")
    try:
        key.verify(base64.b64decode(coded, validate=True), text, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return kind == "sha256"


def private_key(typed: str) -> str:
    """A private key as it is kept. Raises BadKey."""
    pem = _tidy(typed, private=True)
    if _private(pem).key_size < SHORTEST_KEY:
        raise BadKey(Message("This key is too short: the provider asks for 2048 bits."))
    return pem


def public_key(typed: str) -> str:
    """A public key as it is kept. Raises BadKey."""
    pem = _tidy(typed, private=False)
    _public(pem)
    return pem


def _tidy(typed: str, *, private: bool) -> str:
    """PEM with its line breaks, which a field of one line turns into spaces."""
    head, _, rest = typed.strip().removeprefix("-----BEGIN ").partition("-----")
    coded, ends, _ = rest.partition("-----END ")
    if head == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in coded:
        raise BadKey(Message("This key is locked with a password. Take one that is not."))
    if private and head == PUBLIC:
        raise BadKey(Message("This is the public key. The private one belongs here."))
    if not private and head.endswith(PRIVATE):
        raise BadKey(Message("This is a private key, which nobody else may have. The public one belongs here."))
    if head not in _KINDS or not ends:
        raise BadKey(Message("This is not a key. It begins with -----BEGIN and ends with a line of -----END."))
    bare = "".join(coded.split())
    lines = [bare[at : at + 64] for at in range(0, len(bare), 64)]
    return "\n".join([f"-----BEGIN {head}-----", *lines, f"-----END {head}-----", ""])


# Loading an RSA key takes a hundred times as long as signing with it. A worker serves many merchants.
@lru_cache(maxsize=256)
def _private(pem: str) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadKey(Message("This key is damaged, or not one for RSA."))
    return key


@lru_cache(maxsize=256)
def _public(pem: str) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise BadKey(Message("This key is damaged, or not one for RSA."))
    return key
