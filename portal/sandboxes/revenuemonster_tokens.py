"""Revenue Monster's token endpoint, on a host of its own with errors of its own, and the tokens it gave."""

import base64
import binascii
import hmac
import json
import re
import secrets
import sqlite3

from portal.sandboxes import revenuemonster_signing as signing
from portal.sandboxes.kit import JSON, Answer, Call, Outcome
from portal.sandboxes.revenuemonster_books import MERCHANT
from portal.sandboxes.revenuemonster_own import server_private_key
from portal.sandboxes.revenuemonster_signing import Rejected

CLIENT_ID = "5499912462549392881"
CLIENT_SECRET = "pwMapjZzHljBALIGHxfGGXmiGLxjWbkT"
ACCESS_SECONDS, REFRESH_SECONDS = 2591999, 1576799999
ISSUER = "https://sb-oauth.revenuemonster.my"

TABLES = (
    """CREATE TABLE revenuemonster_tokens (
        token TEXT PRIMARY KEY, refreshes INTEGER NOT NULL, ends_at REAL NOT NULL)""",
)


def error(code: str, message: str, status: int = 400) -> Answer:
    body = {"error": {"code": code, "message": message}}
    return Answer(status=status, body=json.dumps(body).encode(), content_type=JSON)


def give(call: Call, db: sqlite3.Connection) -> Outcome:
    try:
        asked = json.loads(call.body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict) or "grantType" not in asked:
        return Outcome(error("InvalidRequest", "grantType is missing"))
    if not _is_the_client(call.headers.get("Authorization", "")):
        return Outcome(error("InvalidClient", "Client authentication failed", 401))
    match asked["grantType"]:
        case "client_credentials":
            return Outcome(_given(call, db))
        case "refresh_token" if _use(call, db, str(asked.get("refreshToken", ""))):
            return Outcome(_given(call, db))
        case "refresh_token":
            return Outcome(error("InvalidGrant", "Refresh token is invalid"))
        case "authorization_code":
            return Outcome(error("InvalidCode", "Code is invalid"))
    return Outcome(error("UnSupportedGrantType", "Grant type is not supported"))


def _is_the_client(header: str) -> bool:
    basic = re.fullmatch("Basic ([A-Za-z0-9+/=]+)", header)
    try:
        given = base64.b64decode(basic[1], validate=True) if basic else b""
    except binascii.Error:
        return False
    return hmac.compare_digest(given, f"{CLIENT_ID}:{CLIENT_SECRET}".encode())


def _given(call: Call, db: sqlite3.Connection) -> Answer:
    now = call.at.timestamp()
    db.execute("DELETE FROM revenuemonster_tokens WHERE ends_at < ?", (now - ACCESS_SECONDS,))
    access, refresh = _jwt(int(now), db), secrets.token_urlsafe(48)
    db.executemany(
        "INSERT INTO revenuemonster_tokens VALUES (?, ?, ?)",
        [(access, 0, now + ACCESS_SECONDS), (refresh, 1, now + REFRESH_SECONDS)],
    )
    told = {
        "accessToken": access,
        "tokenType": "Bearer",
        "expiresIn": ACCESS_SECONDS,
        "refreshToken": refresh,
        "refreshTokenExpiresIn": REFRESH_SECONDS,
    }
    return Answer(body=json.dumps(told).encode(), content_type=JSON)


def _use(call: Call, db: sqlite3.Connection, refresh: str) -> bool:
    """A refresh token is good once: its answer brings the next."""
    gone = db.execute(
        "DELETE FROM revenuemonster_tokens WHERE token = ? AND refreshes AND ends_at > ?",
        (refresh, call.at.timestamp()),
    )
    return gone.rowcount == 1


def _jwt(now: int, db: sqlite3.Connection) -> str:
    head = {"alg": "RS256", "kid": "2018-03-13", "typ": "JWT"}
    claims = {
        "aud": ["*"],
        "exp": now + ACCESS_SECONDS,
        "iat": now,
        "iss": ISSUER,
        "jti": secrets.token_urlsafe(24),
        "nbf": now,
        "sub": MERCHANT,
    }
    signed = ".".join(_url64(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
    return f"{signed}.{_url64(signing.sign_bytes(signed.encode(), server_private_key(db)))}"


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def prove(call: Call, db: sqlite3.Connection) -> None:
    """Raises Rejected where no good token comes with the call."""
    token = re.fullmatch(r"Bearer ([A-Za-z0-9_.-]+)", call.headers.get("Authorization", ""))
    found = (
        token
        and db.execute(
            "SELECT ends_at FROM revenuemonster_tokens WHERE token = ? AND NOT refreshes", (token[1],)
        ).fetchone()
    )
    if not found:
        raise Rejected("TOKEN_INVALID", "Token is invalid")
    if found["ends_at"] <= call.at.timestamp():
        raise Rejected("TOKEN_EXPIRED", "Token has expired")
