"""What Revenue Monster writes: members as JSON, the page where a customer claims a code, and the merchant's own."""

import json
import re
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import render_template

from portal.sandboxes import kit
from portal.sandboxes import revenuemonster_books as books
from portal.sandboxes import revenuemonster_signing as signing
from portal.sandboxes.callbacks import may_be_called
from portal.sandboxes.kit import Answer, Call, Outcome
from portal.sandboxes.revenuemonster_books import Code, Member, Refused
from portal.sandboxes.revenuemonster_own import (
    NAME,
    callback_address,
    client_public_key,
    set_callback_address,
    set_client_public_key,
)
from portal.sandboxes.store import call_back

NO_DATE = "0001-01-01T00:00:00Z"  # the zero of the provider's own language
CLAIMED = "LOYALTY_SPENDING_REWARD_CLAIMED"  # ASSUMED, as is the rest of a callback about a code


def origin(call: Call) -> str:
    parts = urlsplit(call.url)
    return f"{parts.scheme}://{parts.netloc}/{NAME}"


def address(call: Call, key: str) -> str:
    """What a code leads to. Its tail is not the code's id."""
    return f"{origin(call)}/qr/{books.MERCHANT}/loyalty/{key}"


# ---- Members as JSON -------------------------------------------------------------------------------------

_ADDRESS = ("addressLine1", "addressLine2", "postcode", "city", "state", "country")


def profile(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "name": member.name,
        "email": member.email,
        "nric": "",
        "address": dict.fromkeys(_ADDRESS, ""),
        "gender": "",
        "state": "",
        "birthDate": NO_DATE,
        "loyaltyPoint": member.points,
        "countryCode": member.country,
        "phoneNumber": member.phone,
        "profileImageUrl": "",
        "memberTier": None,
        "status": "INACTIVE" if member.habit is books.Habit.INACTIVE else "ACTIVE",
        "createdAt": member.created_at.replace("+00:00", "Z"),
    }


def own_profile(member: Member) -> dict[str, Any]:
    """As by phone number, which it does not repeat, and mostly without the ID."""
    return {
        "id": _told_id(member),
        "key": f"profile-{member.id}",
        "name": member.name,
        "email": member.email,
        "nric": "",
        "birthDate": NO_DATE[:10],
        "gender": "",
        "address": dict.fromkeys(_ADDRESS, ""),
        "memberTier": None,
        "totalLoyaltyPoint": member.earned,
        "hasPinCode": False,
        "loyaltyPointBalance": member.points,
        "spendingPoint": member.spent,
        "creditBalance": 0,
        "status": "INACTIVE" if member.habit is books.Habit.INACTIVE else "ACTIVE",
        "createdAt": member.created_at.replace("+00:00", "Z"),
        "updatedAt": member.created_at.replace("+00:00", "Z"),
    }


def _told_id(member: Member) -> str:
    match member.habit:
        case books.Habit.TELLS_ID:
            return member.id
        case books.Habit.TELLS_OTHERS_ID:
            return books.SEED.id
    return ""


def happened(row: sqlite3.Row) -> dict[str, Any]:
    at = str(row["at"]).replace("+00:00", "Z")
    return {
        "key": f"{row['member']}:{row['id']}",
        "merchantKey": books.MERCHANT,
        "type": row["type"],
        "description": row["description"],
        "point": row["points"],
        "credit": 0,
        "creditBalance": 0,
        "createdAt": at,
        "updatedAt": at,
    }


# ---- The customer ----------------------------------------------------------------------------------------

SAYS: Mapping[str, str] = {
    "MEMBER_NOT_FOUND": "No member has this phone number.",
    "QR_REDEEMED": "These points have been collected already.",
    "QR_INVALID": "This code is not valid any more.",
}


def _scanned(call: Call, db: sqlite3.Connection) -> Outcome:
    return Outcome(_code_page(books.code_at(db, call.parts["key"]), call.at))


def _claimed(call: Call, db: sqlite3.Connection) -> Outcome:
    phone = _form(call).get("phone", "").strip().replace(" ", "")
    try:
        whom = books.member_with(db, "60", phone.removeprefix("+60").lstrip("0"))
        code, effect = books.claim(db, call.parts["key"], whom, call.at)
    except Refused as why:
        return Outcome(_code_page(books.code_at(db, call.parts["key"]), call.at, problem=SAYS[why.code], phone=phone))
    if url := callback_address(db):
        call_back(db, provider=NAME, url=url, body=json.dumps(_told(code, whom, call.at)), at=call.at)
    return Outcome(_code_page(code, call.at), (effect,))


def _told(code: Code, whom: Member, at: datetime) -> dict[str, Any]:
    return {
        "data": {
            "id": code.id,
            "status": code.state,
            "amount": code.amount,
            "point": code.points,
            "memberId": whom.id,
            "updatedAt": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        },
        "eventType": CLAIMED,
    }


def _code_page(code: Code | None, now: datetime, *, problem: str = "", phone: str = "") -> Answer:
    state = code.state_at(now) if code else "UNKNOWN"
    html = render_template("revenuemonster_code.html", code=code, state=state, problem=problem, phone=phone)
    return Answer(status=200 if code else 404, body=html.encode(), content_type=kit.HTML)


# ---- The merchant ----------------------------------------------------------------------------------------


def _portal(call: Call, db: sqlite3.Connection) -> Outcome:
    return Outcome(_portal_page(db))


def _set(call: Call, db: sqlite3.Connection) -> Outcome:
    form, problems = _form(call), []
    url = form.get("callback", "").strip()
    if url and not may_be_called(url):
        problems.append("The sandbox calls this machine only: http://localhost:… or http://127.0.0.1:…")
    pem = form.get("public_key", client_public_key(db)).replace("\r\n", "\n").strip()
    if pem and not signing.is_public_key(pem):
        problems.append("This is no public key.")
    if problems:
        return Outcome(_portal_page(db, problems=problems, typed=form, status=400))
    set_callback_address(db, url)
    set_client_public_key(db, f"{pem}\n" if pem else "")
    return Outcome(_portal_page(db, saved=True))


def _portal_page(
    db: sqlite3.Connection,
    *,
    problems: list[str] | None = None,
    typed: Mapping[str, str] | None = None,
    saved: bool = False,
    status: int = 200,
) -> Answer:
    shown = {"callback": callback_address(db), "public_key": client_public_key(db)} | dict(typed or {})
    html = render_template("revenuemonster_portal.html", shown=shown, problems=problems or [], saved=saved)
    return Answer(status=status, body=html.encode(), content_type=kit.HTML)


def _form(call: Call) -> dict[str, str]:
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


_QR = re.compile(rf"/qr/{books.MERCHANT}/loyalty/(?P<key>[0-9a-f]{{32}})")
_PORTAL = re.compile("/portal")
ROUTES = (
    kit.Route(method="GET", path=_QR, handle=_scanned),
    kit.Route(method="POST", path=_QR, handle=_claimed),
    kit.Route(method="GET", path=_PORTAL, handle=_portal),
    kit.Route(method="POST", path=_PORTAL, handle=_set),
)
