"""secuconnect's token endpoint, which stands outside its API and has errors of another shape, and its sessions.

Documented: a device that is not known yet is given a code for a person to enter elsewhere, and asks again with its own
until that was done. ASSUMED: that a person enters it within 10 seconds, since nobody is there to do so.
"""

import hmac
import json
import re
import secrets
import sqlite3
import string
from urllib.parse import parse_qsl

from portal.sandboxes.kit import Answer, Call, Outcome
from portal.sandboxes.secuconnect_books import Refused

CLIENT_ID = "f0478f73afe218e8b5f751a07c978ecf"
CLIENT_SECRET = "30644327cfbde722ad2ad12bb9c0a2f86a2bee0a2d8de8d862210112af3d01bb"
DEVICE_UUID = "/vendor/tillside/serial/1"
NEW_DEVICE_UUID = "/vendor/tillside/serial/2"
SCOPE = "https://scope.secucard.com/e/api"
TOKEN_SECONDS = 1200
CODE_SECONDS, CONFIRMED_AFTER, POLL_SECONDS = 1200, 10, 5
VERIFICATION_URL = "https://www.secuoffice.com"
TAKES_AUTHENTICATE = True
JSON = "application/json"

TABLES = (
    "CREATE TABLE secuconnect_tokens (token TEXT PRIMARY KEY, device INTEGER NOT NULL, ends_at REAL)",
    "CREATE TABLE secuconnect_devices (code TEXT PRIMARY KEY, registered_at REAL NOT NULL)",
)


def error(error: str, description: str, status: int = 400) -> Answer:
    body = {"error": error, "error_description": description}
    return Answer(status=status, body=json.dumps(body).encode(), content_type=JSON)


def give(call: Call, db: sqlite3.Connection) -> Outcome:
    asked = _credentials(call)
    if not isinstance(asked, dict):
        return Outcome(error("invalid_request", "The body cannot be read"))
    if "grant_type" not in asked:
        return Outcome(error("invalid_request", "The grant type was not specified in the request"))
    known = (asked.get("client_id", ""), CLIENT_ID), (asked.get("client_secret", ""), CLIENT_SECRET)
    if not all(hmac.compare_digest(str(given).encode(), right.encode()) for given, right in known):
        return Outcome(error("invalid_client", "The client credentials are invalid"))
    match asked["grant_type"]:
        case "client_credentials":
            return Outcome(_told(_new_token(call, db, device=False) | {"scope": SCOPE}))
        case "device" if "uuid" in asked:
            if asked["uuid"] == NEW_DEVICE_UUID:
                return Outcome(_registered(call, db))
            if asked["uuid"] != DEVICE_UUID:
                return Outcome(error("invalid_device", "The device is not configured", 401))
            return Outcome(_session(call, db))
        case "device" if "code" in asked:
            return Outcome(_polled(call, db, str(asked["code"])))
        case "device":
            return Outcome(error("invalid_request", "Missing parameter: uuid or code is required"))
        case "refresh_token":
            return Outcome(_refreshed(call, db, str(asked.get("refresh_token", ""))))
    return Outcome(error("unsupported_grant_type", "The grant type is not supported"))


def _credentials(call: Call) -> object:
    try:
        if call.headers.get("Content-Type", "").startswith(JSON):
            return json.loads(call.body)
        return dict(parse_qsl(call.body.decode(), strict_parsing=True))
    except (ValueError, RecursionError):
        return None


def _new_token(call: Call, db: sqlite3.Connection, *, device: bool) -> dict[str, object]:
    if device:
        db.execute("DELETE FROM secuconnect_tokens WHERE device AND ends_at IS NOT NULL")
    token = _text_token(db, device=device, ends=call.at.timestamp() + TOKEN_SECONDS)
    return {"access_token": token, "expires_in": TOKEN_SECONDS, "token_type": "bearer"}


def _registered(call: Call, db: sqlite3.Connection) -> Answer:
    code = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(32))
    db.execute("INSERT INTO secuconnect_devices VALUES (?, ?)", (code, call.at.timestamp()))
    told = {
        "device_code": code,
        "user_code": "".join(secrets.choice(string.ascii_lowercase) for _ in range(8)),
        "verification_url": VERIFICATION_URL,
        "expires_in": CODE_SECONDS,
        "interval": POLL_SECONDS,
    }
    return _told(told)


def _polled(call: Call, db: sqlite3.Connection, code: str) -> Answer:
    """A code is good for one session."""
    found = db.execute("SELECT * FROM secuconnect_devices WHERE code = ?", (code,)).fetchone()
    age = call.at.timestamp() - found["registered_at"] if found else CODE_SECONDS
    if age >= CODE_SECONDS:
        return error("invalid_grant", "The device code is invalid")
    if age < CONFIRMED_AFTER:
        return error("authorization_pending", "Device authorization pending")
    db.execute("DELETE FROM secuconnect_devices WHERE code = ?", (code,))
    return _session(call, db)


def _session(call: Call, db: sqlite3.Connection) -> Answer:
    refresh = _text_token(db, device=True, ends=None)
    return _told(_new_token(call, db, device=True) | {"scope": None, "refresh_token": refresh})


def _text_token(db: sqlite3.Connection, *, device: bool, ends: float | None) -> str:
    token = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(26))
    db.execute("INSERT INTO secuconnect_tokens VALUES (?, ?, ?)", (token, device, ends))
    return token


def _refreshed(call: Call, db: sqlite3.Connection, refresh: str) -> Answer:
    found = db.execute("SELECT 1 FROM secuconnect_tokens WHERE token = ? AND ends_at IS NULL", (refresh,)).fetchone()
    if found is None:
        return error("invalid_grant", "The refresh token is invalid")
    return _told(_new_token(call, db, device=True) | {"scope": None})


def on_a_device(call: Call, db: sqlite3.Connection) -> bool:
    """Whether the session is a till's. Raises Refused where there is none."""
    names = ("Authorization", "Authenticate") if TAKES_AUTHENTICATE else ("Authorization",)
    given = next((call.headers[name] for name in names if name in call.headers), "")
    token = re.fullmatch(r"[Bb]earer ([0-9a-z]+)", given)
    found = (
        token
        and db.execute(
            "SELECT * FROM secuconnect_tokens WHERE token = ? AND ends_at IS NOT NULL", (token[1],)
        ).fetchone()
    )
    if not found:
        raise Refused("token")
    if found["ends_at"] <= call.at.timestamp():
        raise Refused("token expired")
    return bool(found["device"])


def _told(given: dict[str, object]) -> Answer:
    return Answer(body=json.dumps(given).encode(), content_type=JSON)
