"""How a request to Revenue Monster is signed, and a callback from it; and who may come in.

    data=…&method=post&nonceStr=…&requestUrl=…&signType=sha256&timestamp=…      RSA, PKCS #1 v1.5, SHA-256, base64

`data` is the base64 of the body as canonical JSON, and is left out with an empty body; a callback has no `requestUrl`.
The server takes the body apart and writes it anew before it looks: what counts is the canonical form, not the bytes.
"""

import base64
import json
import re
import secrets
import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from portal.sandboxes.kit import Call

TOLERANCE = 120  # seconds a request may be old or early, and for which its nonce is remembered
KEY_BITS = 2048
SHA256 = hashes.SHA256()

TABLES = ("CREATE TABLE revenuemonster_nonces (nonce TEXT PRIMARY KEY, at REAL NOT NULL)",)


class Rejected(Exception):
    """A request that is not let in. `code` is the appendix's word, `headers` what is wrong with which header."""

    def __init__(self, code: str, message: str, debug: Mapping[str, object] | None = None) -> None:
        super().__init__(code)
        self.code, self.message, self.debug = code, message, debug


# ---- The canonical form and what is signed ---------------------------------------------------------------


def canonical(document: object) -> str:
    """As the provider's own encoder writes it: sorted keys, no white space, whole numbers without a point, and the
    letters of HTML escaped."""
    text = json.dumps(_whole(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _whole(document: object) -> object:
    match document:
        case dict():
            return {name: _whole(value) for name, value in document.items()}
        case list():
            return [_whole(value) for value in document]
        case float() if document.is_integer():
            return int(document)
    return document


def data(document: object) -> str:
    """The base64 that is signed, "" for nothing."""
    return "" if document in (None, {}) else base64.b64encode(canonical(document).encode()).decode()


def signed_text(*, document: object, method: str, nonce: str, timestamp: str, url: str = "") -> str:
    body, where = data(document), f"requestUrl={url}&" if url else ""
    head = f"data={body}&" if body else ""
    return f"{head}method={method.lower()}&nonceStr={nonce}&{where}signType=sha256&timestamp={timestamp}"


# ---- Keys ------------------------------------------------------------------------------------------------


def new_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@lru_cache(maxsize=8)  # to load one takes a hundred times as long as to sign
def _private(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@lru_cache(maxsize=8)
def _public(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def public_key(private_pem: str) -> str:
    written = _private(private_pem).public_key()
    return written.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def is_public_key(pem: str) -> bool:
    try:
        _public(pem)
    except (ValueError, AssertionError):
        return False
    return True


def sign(text: str, private_pem: str) -> str:
    return base64.b64encode(sign_bytes(text.encode(), private_pem)).decode()


def sign_bytes(raw: bytes, private_pem: str) -> bytes:
    return _private(private_pem).sign(raw, padding.PKCS1v15(), SHA256)


def verifies(text: str, signature: str, public_pem: str) -> bool:
    try:
        _public(public_pem).verify(
            base64.b64decode(signature, validate=True), text.encode(), padding.PKCS1v15(), SHA256
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def headers(document: object, *, method: str, url: str, private_pem: str, timestamp: int) -> dict[str, str]:
    """The three headers of a message that is sent; a callback names no address."""
    nonce = secrets.token_hex(16)
    text = signed_text(document=document, method=method, nonce=nonce, timestamp=str(timestamp), url=url)
    return {
        "X-Nonce-Str": nonce,
        "X-Timestamp": str(timestamp),
        "X-Signature": f"sha256 {sign(text, private_pem)}",
    }


# ---- Who comes in ----------------------------------------------------------------------------------------


def let_in(call: Call, db: sqlite3.Connection, document: object, public_pem: str) -> None:
    """Raises Rejected for what is signed wrongly, at another time, or has been here before."""
    nonce, timestamp = call.headers.get("X-Nonce-Str", ""), call.headers.get("X-Timestamp", "")
    text = signed_text(document=document, method=call.method, nonce=nonce, timestamp=timestamp, url=call.url)
    on_time = _is_on_time(timestamp, call)
    signature = re.fullmatch("sha256 ([A-Za-z0-9+/=]+)", call.headers.get("X-Signature", ""))
    right = bool(signature and public_pem and verifies(text, signature[1], public_pem))
    named = bool(re.fullmatch(r"\S{1,255}", nonce))

    def debug() -> dict[str, Any]:
        return {
            "canonicalJson": "" if document in (None, {}) else canonical(document),
            "base64": data(document),
            "plainText": text,
            "headers": {
                "X-Signature": _seen(call, "X-Signature", right, "does not fit the plain text"),
                "X-Nonce-Str": _seen(call, "X-Nonce-Str", named, "must be there, without spaces"),
                "X-Timestamp": _seen(call, "X-Timestamp", on_time, f"must be within {TOLERANCE} seconds of ours"),
            },
        }

    if not on_time:
        raise Rejected("INVALID_TIMESTAMP", "Timestamp is invalid", debug())
    if not public_pem:
        raise Rejected("CLIENT_NOT_SET_PUBLIC_KEY", "Client has not set its public key")
    if not named or not right:
        raise Rejected("INVALID_REQUEST_SIGNATURE", "Request signature is invalid", debug())
    now = call.at.timestamp()
    db.execute("DELETE FROM revenuemonster_nonces WHERE at < ?", (now - TOLERANCE,))
    if db.execute("INSERT OR IGNORE INTO revenuemonster_nonces VALUES (?, ?)", (nonce, now)).rowcount == 0:
        raise Rejected("DUPLICATE_REQUEST", "Nonce has been used already")


def _is_on_time(timestamp: str, call: Call) -> bool:
    if call.lenient_clock:  # the published clients send parts of a second, or milliseconds
        return re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", timestamp) is not None
    return re.fullmatch("[0-9]{1,11}", timestamp) is not None and abs(call.at.timestamp() - int(timestamp)) <= TOLERANCE


def _seen(call: Call, name: str, valid: bool, remark: str) -> dict[str, object]:
    return {"currentValue": call.headers.get(name, ""), "isValid": valid, "remark": "" if valid else remark}
