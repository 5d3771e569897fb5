"""Revenue Monster, imitated: points for a purchase, given to a member or through a code that a customer scans.

    POST   /revenuemonster/v1/token                                     client_credentials, refresh_token
    POST   /revenuemonster/v3/loyalty/spending-reward                   also /calculate, /cancel
    POST   /revenuemonster/v3/loyalty/reward                            DELETE, with a body, takes points away
    GET    /revenuemonster/v3/loyalty/member/{id}                       also /history
    POST   /revenuemonster/v3/loyalty/member                            also /check, /authorize
    GET    /revenuemonster/v3/loyalty/members                           POST registers many
    GET    /revenuemonster/v3/loyalty/me?countryCode=&phoneNumber=
    GET    /revenuemonster/qr/{merchant}/loyalty/{key}                  what a customer sees who scans a code
    GET    /revenuemonster/portal                                       what the merchant sets: callbacks, public key

Magic members, by id or by phone number (country code 60); every other one is unknown:

    2777058682717858418   176473298   1,000 points, the document's own
    2777058682717858419   172826990   250 points, the document's other phone number
    27770586827178585NN   1876000NN   what each does is listed on the sandboxes' page
    2777100000000000000   190000000   the first of 1,000 for load runs, 1,000,000 points each

The code 83f575034d45f776b8e1fed1a26e2fee of the document waits to be scanned. A code for 6.66 lives for two seconds,
any other for a day.

The journal: `award` with the amount and the points that it gave, `issue_points`, `redeem_points`, `issue_code`,
`claim_code` when a customer scans one, `void` when one is cancelled, `register`.

Documented: the token endpoint and its grants; how requests are signed and that a nonce and a time are good for 120
seconds; the fields and answers of the calls above; the shape of errors and their codes, and that the sandbox says what
is wrong with a signature; that a callback is sent up to five times, a minute apart, until it is heard.

ASSUMED, for want of any document:
- The HTTP status beside an error; DUPLICATE_REQUEST for a nonce that was seen; which code an error has where several
  would fit.
- What the `debug` of a wrong signature calls its members.
- One point for each whole ringgit; a purchase that gives none is no error. A phone number of no member is refused.
- That a code ends after a day, and what a callback about one says. There is no call to ask for its state.
- A profile asked for by phone number tells no member's ID, as the printed one, but for one member's.
- A national phone number has no leading zero. Unknown fields are refused, except where members are registered.
- The type SPENDING_REWARD in a member's history.
- With `--lenient-clock` any time is taken, also in milliseconds or with parts of a second, as published clients send.
- Credit, vouchers and payments are not imitated: API_ENDPOINT_NOT_FOUND.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.sandboxes import kit
from portal.sandboxes import revenuemonster_books as books
from portal.sandboxes import revenuemonster_pages as pages
from portal.sandboxes import revenuemonster_signing as signing
from portal.sandboxes import revenuemonster_tokens as tokens
from portal.sandboxes.kit import JSON, Answer, Call, Outcome
from portal.sandboxes.revenuemonster_books import Habit, Member, Refused
from portal.sandboxes.revenuemonster_own import NAME, client_private_key, client_public_key, server_private_key
from portal.sandboxes.revenuemonster_signing import Rejected
from portal.sandboxes.revenuemonster_tokens import CLIENT_ID, CLIENT_SECRET
from portal.sandboxes.store import Effect

RETRY_AFTER = 30
MOST_POINTS = MOST_SEN = 1_000_000_000

ERRORS: Mapping[str, tuple[int, str]] = {
    "TOKEN_INVALID": (401, "Token is invalid"),
    "TOKEN_EXPIRED": (401, "Token has expired"),
    "INVALID_REQUEST_SIGNATURE": (403, "Request signature is invalid"),
    "INVALID_TIMESTAMP": (403, "Timestamp is invalid"),
    "DUPLICATE_REQUEST": (403, "Nonce has been used already"),
    "CLIENT_NOT_SET_PUBLIC_KEY": (403, "Client has not set its public key"),
    "CLIENT_NO_PERMISSION": (403, "Client has no permission"),
    "SUBSCRIPTION_EXPIRED": (403, "Subscription has expired"),
    "VALIDATION_ERROR": (400, "Validation error"),
    "INVALID_FORMAT": (400, "Body is no JSON object"),
    "PAYMENT_UNSUPPORTED_CURRENCY_TYPE": (400, "Currency type is not supported"),
    "MINIMUM_AMOUNT_REQUIRED": (400, "Amount is below the minimum"),
    "API_ENDPOINT_NOT_FOUND": (404, "API endpoint not found"),
    "METHOD_NOT_ALLOWED": (405, "Method is not allowed"),
    "MEMBER_NOT_FOUND": (404, "Member not found"),
    "MEMBER_REGISTERED": (400, "Member is registered already"),
    "LOYALTY_SPENDING_NOT_ALLOWED": (400, "Loyalty spending is not allowed"),
    "LOYALTY_SPENDING_NOT_FOUND": (404, "Loyalty spending not found"),
    "LOYALTY_POINT_ALREADY_REDEEMED": (400, "Loyalty point has been redeemed already"),
    "LOYALTY_EXPIRED": (400, "Loyalty has expired"),
    "LOYALTY_STATUS_ERROR": (400, "Loyalty status does not allow that"),
    "LOYALTY_INSUFFICIENT": (400, "Loyalty points are not sufficient"),
    "LOYALTY_QUANTITY_MAX": (400, "Loyalty quantity has reached its maximum"),
    "LOYALTY_POINT_IS_PROCESSING": (400, "Loyalty point is processing"),
    "TRANSACTIN_STATUS_NOT_SUCCESS": (400, "Transaction status is not success"),
    "TOO_MANY_REQUEST_PER_SECOND": (429, "Too many requests per second"),
    "OVERLOAD": (503, "Overload"),
    "INTERNAL_ERROR": (500, "Internal error"),
}


def _error(
    code: str, *, message: str = "", debug: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    status, usual = ERRORS[code]
    body: dict[str, Any] = {"error": {"code": code, "message": message or usual, "debug": message or usual}}
    if debug:
        body["debug"] = debug
    return Answer(status=status, body=json.dumps(body).encode(), content_type=JSON, headers=headers or {})


def _told(told: Mapping[str, object]) -> Answer:
    return Answer(body=json.dumps(told).encode(), content_type=JSON)


SUCCESS: Mapping[str, object] = {"code": "SUCCESS"}


# ---- Reading a request -----------------------------------------------------------------------------------


class Invalid(Exception):
    """A request that does not say what it must; its text names the field."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    call: Call
    db: sqlite3.Connection
    document: Any

    def fields(self, *names: str) -> dict[str, Any]:
        """The members of the body, where it has no others than these."""
        if not isinstance(self.document, dict):
            raise Invalid("body")
        if foreign := self.document.keys() - set(names):
            raise Invalid(min(foreign))
        return self.document

    @property
    def at(self) -> datetime:
        return self.call.at


def _document(body: bytes) -> object:
    """The body taken apart; None where there is none."""
    if not body.strip():
        return None
    try:
        document: object = json.loads(body.decode())
        json.dumps(document, ensure_ascii=False).encode()  # a lone surrogate cannot be written again
    except (ValueError, RecursionError):
        raise Invalid("body") from None
    return document


def _number(fields: Mapping[str, Any], name: str, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise Invalid(name)
    return value


def _amount(fields: Mapping[str, Any]) -> int:
    if not isinstance(fields.get("currencyType"), str):
        raise Invalid("currencyType")
    if fields["currencyType"] != books.CURRENCY:
        raise Refused("PAYMENT_UNSUPPORTED_CURRENCY_TYPE")
    amount = _number(fields, "amount", MOST_SEN)
    if amount == 0:
        raise Refused("MINIMUM_AMOUNT_REQUIRED")
    return amount


def _points(fields: Mapping[str, Any]) -> int:
    points = _number(fields, "point", MOST_POINTS)
    if points == 0:
        raise Invalid("point")
    return points


def _text(fields: Mapping[str, Any], name: str, pattern: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise Invalid(name)
    return value


def _whom(asked: Asked, fields: Mapping[str, Any]) -> Member:
    """The member that is named, in the way that `type` says."""
    if fields["type"] == "ID":
        return books.member(asked.db, _text(fields, "memberId", "[0-9]{1,20}"))
    return _with_phone(asked, fields)


def _with_phone(asked: Asked, fields: Mapping[str, Any]) -> Member:
    country, phone = _text(fields, "countryCode", "[1-9][0-9]{0,2}"), _text(fields, "phoneNumber", "[1-9][0-9]{4,13}")
    return books.member_with(asked.db, country, phone)


# ---- What is asked ---------------------------------------------------------------------------------------

Act = Callable[[Asked], Outcome]
_MEMBER = ("memberId", "countryCode", "phoneNumber")


def _award(asked: Asked) -> Outcome:
    fields = asked.fields("currencyType", "amount", "type", *_MEMBER)
    amount, kind = _amount(fields), _text(fields, "type", "ID|PHONENUMBER|QRCODE")
    if kind == "QRCODE":
        code, effect = books.issue_code(
            asked.db, kind="spending", amount=amount, points=books.points_for(amount), at=asked.at
        )
        item = {"id": code.id, "qrCodeUrl": pages.address(asked.call, code.key)}
        return Outcome(_told({"item": item, **SUCCESS}), (effect,))
    whom = _whom(asked, fields)
    return _given(whom, lambda: books.award(asked.db, whom, amount, asked.at))


def _give(asked: Asked) -> Outcome:
    fields = asked.fields("point", "type", *_MEMBER)
    points, kind = _points(fields), _text(fields, "type", "ID|PHONENUMBER|QRCODE")
    if kind == "QRCODE":
        code, effect = books.issue_code(asked.db, kind="reward", amount=None, points=points, at=asked.at)
        return Outcome(_told({"item": {"qrCodeUrl": pages.address(asked.call, code.key)}, **SUCCESS}), (effect,))
    whom = _whom(asked, fields)
    return _given(whom, lambda: books.give(asked.db, whom, points, asked.at))


def _deduct(asked: Asked) -> Outcome:
    fields = asked.fields("point", "memberId")
    whom, points = books.member(asked.db, _text(fields, "memberId", "[0-9]{1,20}")), _points(fields)
    return _given(whom, lambda: books.deduct(asked.db, whom, points, asked.at))


def _given(whom: Member, move: Callable[[], Effect]) -> Outcome:
    """What becomes of a member's points, and how it is told."""
    if refused := REFUSED.get(whom.habit):
        raise Refused(refused)
    return Outcome(ODD.get(whom.habit, lambda: _told(SUCCESS))(), (move(),))


REFUSED: Mapping[Habit, str] = {
    Habit.NOT_ALLOWED: "LOYALTY_SPENDING_NOT_ALLOWED",
    Habit.INACTIVE: "LOYALTY_STATUS_ERROR",
    Habit.QUANTITY_MAX: "LOYALTY_QUANTITY_MAX",
    Habit.ERROR_NOT_DONE: "INTERNAL_ERROR",
    Habit.OVERLOAD: "OVERLOAD",
    Habit.UNKNOWN_ERROR: "TRANSACTIN_STATUS_NOT_SUCCESS",
}
ODD: Mapping[Habit, Callable[[], Answer]] = {
    Habit.NAMES_AN_ID: lambda: _told({"item": {"id": books.SEED_CODE}, **SUCCESS}),
    Habit.NO_CODE: lambda: _told({}),
    Habit.OTHER_CODE: lambda: _told({"code": "ACCEPTED"}),
    Habit.ERROR_BESIDE_SUCCESS: lambda: _told({**SUCCESS, "error": {"code": "INTERNAL_ERROR", "message": "Partly"}}),
    Habit.PROCESSING: lambda: _error("LOYALTY_POINT_IS_PROCESSING"),
    Habit.ERROR_AND_DONE: lambda: _error("INTERNAL_ERROR"),
}


def _calculate(asked: Asked) -> Outcome:
    amount = _amount(asked.fields("currencyType", "amount"))
    return Outcome(_told({"item": {"point": books.points_for(amount)}, **SUCCESS}))


def _cancel(asked: Asked) -> Outcome:
    id = _text(asked.fields("id"), "id", "[0-9A-Za-z]{1,64}")
    return Outcome(_told(SUCCESS), (books.cancel_code(asked.db, id, asked.at),))


# ---- Members ---------------------------------------------------------------------------------------------


def _one(asked: Asked) -> Outcome:
    member = books.member(asked.db, asked.call.parts["id"])
    return Outcome(_told({"item": _read_oddly(member, pages.profile(member)), **SUCCESS}))


def _all(asked: Asked) -> Outcome:
    found = [pages.profile(member) for member in books.members(asked.db)]
    return Outcome(_told({"items": found, "meta": {"count": len(found), "cursor": ""}, **SUCCESS}))


def _history(asked: Asked) -> Outcome:
    member = books.member(asked.db, asked.call.parts["id"])
    rows = [pages.happened(row) for row in books.history(asked.db, member.id)]
    return Outcome(_told({"items": rows, "meta": {"count": len(rows), "cursor": ""}, **SUCCESS}))


def _me(asked: Asked) -> Outcome:
    member = _with_phone(asked, dict(asked.call.query))
    return Outcome(_told({"item": _read_oddly(member, pages.own_profile(member)), **SUCCESS}))


def _read_oddly(member: Member, told: dict[str, Any]) -> dict[str, Any]:
    odd = ODD_READINGS.get(member.habit)
    return odd(told) if odd else told


_POINTS = {"loyaltyPoint", "loyaltyPointBalance"}
ODD_READINGS: Mapping[Habit, Callable[[dict[str, Any]], dict[str, Any]]] = {
    Habit.OTHER_MEMBER: lambda told: told | {"id": books.SEED.id, "phoneNumber": books.SEED.phone},
    Habit.POINTS_AS_TEXT: lambda told: _with_points(told, "500"),
    Habit.POINTS_BELOW_ZERO: lambda told: _with_points(told, -5),
    Habit.NO_POINTS: lambda told: {name: value for name, value in told.items() if name not in _POINTS},
}


def _with_points(told: dict[str, Any], points: object) -> dict[str, Any]:
    return told | dict.fromkeys(_POINTS & told.keys(), points)


def _exists(asked: Asked) -> Outcome:
    try:
        _with_phone(asked, asked.fields("countryCode", "phoneNumber"))
    except Refused:
        return Outcome(_told({"item": {"exist": False}, **SUCCESS}))
    return Outcome(_told({"item": {"exist": True}, **SUCCESS}))


def _authorize(asked: Asked) -> Outcome:
    """The one answer without a code."""
    member = _with_phone(asked, asked.fields("countryCode", "phoneNumber"))
    return Outcome(_told({"profile": pages.own_profile(member), "url": pages.origin(asked.call)}))


def _register(asked: Asked) -> Outcome:
    if not isinstance(asked.document, dict):
        raise Invalid("body")
    member, effects = _registered(asked, asked.document)
    return Outcome(_told({"item": pages.profile(member), **SUCCESS}), effects)


def _register_many(asked: Asked) -> Outcome:
    """Each row says how it went; the code says SUCCESS all the same."""
    rows = asked.fields("members").get("members")
    if not isinstance(rows, list) or not 0 < len(rows) <= 1000 or not all(isinstance(row, dict) for row in rows):
        raise Invalid("members")
    told: list[dict[str, Any]] = []
    done: list[Effect] = []
    for row in rows:
        try:
            member, effects = _registered(asked, row)
        except (Invalid, Refused) as why:
            code = why.code if isinstance(why, Refused) else "VALIDATION_ERROR"
            told.append({**row, "status": "FAILED", "error": {"code": code, "message": ERRORS[code][1]}})
        else:
            done += effects
            told.append({**pages.profile(member), "status": "SUCCESS", "error": None})
    return Outcome(_told({"item": told, **SUCCESS}), tuple(done))


def _registered(asked: Asked, fields: Mapping[str, Any]) -> tuple[Member, tuple[Effect, ...]]:
    points = fields.get("point", fields.get("loyaltyPoint", 0))
    return books.register(
        asked.db,
        country=_text(fields, "countryCode", "[1-9][0-9]{0,2}"),
        phone=_text(fields, "phoneNumber", "[1-9][0-9]{4,13}"),
        name=_text(fields, "name", ".{1,100}"),
        email=_text({"email": ""} | dict(fields), "email", ".{0,254}"),
        points=_number({"point": points}, "point", MOST_POINTS),
        at=asked.at,
    )


# ---- Who comes in ----------------------------------------------------------------------------------------


def _for_those_let_in(act: Act) -> kit.Handler:
    """Whoever has a token and signs; what is refused has left nothing behind but its nonce."""

    def handle(call: Call, db: sqlite3.Connection) -> Outcome:
        try:
            tokens.prove(call, db)
            document = _document(call.body)
            signing.let_in(call, db, document, client_public_key(db))
        except Rejected as why:
            return Outcome(_error(why.code, debug=why.debug))
        except Invalid as why:
            return Outcome(_error("INVALID_FORMAT", message=str(why)))
        if instead := INSTEAD.get(_habit(call)):
            return Outcome(instead())
        db.execute("SAVEPOINT revenuemonster")
        try:
            return act(Asked(call=call, db=db, document=None if document == {} else document))
        except Invalid as why:
            db.execute("ROLLBACK TO revenuemonster")
            return Outcome(_error("VALIDATION_ERROR", message=f"{why} is missing or cannot be that"))
        except Refused as why:
            db.execute("ROLLBACK TO revenuemonster")
            return Outcome(_error(why.code))
        finally:
            db.execute("RELEASE revenuemonster")

    return handle


def _habit(call: Call) -> Habit:
    return books.HABITS.get(subject(call), Habit.NONE)


INSTEAD: Mapping[Habit, Callable[[], Answer]] = {
    Habit.THROTTLED: lambda: _error("TOO_MANY_REQUEST_PER_SECOND", headers={"Retry-After": str(RETRY_AFTER)}),
    Habit.TOKEN_EXPIRED: lambda: _error("TOKEN_EXPIRED"),
    Habit.NO_PERMISSION: lambda: _error("CLIENT_NO_PERMISSION"),
    Habit.NO_SUBSCRIPTION: lambda: _error("SUBSCRIPTION_EXPIRED"),
    Habit.DOWN: lambda: Answer(status=503, body=b"<!doctype html><p>Service unavailable.</p>", content_type=kit.HTML),
}


def _nowhere(call: Call, db: sqlite3.Connection) -> Outcome:
    here = any(re.fullmatch(f"/v3{path}", call.path) for _, path, _ in _ROUTES)
    return Outcome(_error("METHOD_NOT_ALLOWED" if here else "API_ENDPOINT_NOT_FOUND"))


# ---- The provider ----------------------------------------------------------------------------------------


def subject(call: Call) -> str:
    """The member or the code that is meant; whatever else is sent is counted as nobody's."""
    try:
        document = _document(call.body)
    except Invalid:
        return "nobody"
    given = document if isinstance(document, dict) else {}
    named = dict(call.query).get("phoneNumber") or call.parts.get("id")
    named = named or given.get("memberId") or given.get("phoneNumber") or given.get("id")
    return named if isinstance(named, str) and re.fullmatch("[0-9a-f]{1,32}", named) else "nobody"


def refusal(call: Call) -> Answer:
    if call.path == "/v1/token":
        return tokens.error("InvalidClient", "Client authentication failed", 401)
    return _error("LOYALTY_SPENDING_NOT_ALLOWED")


def throttled(call: Call, seconds: int) -> Answer:
    return _error("TOO_MANY_REQUEST_PER_SECOND", headers={"Retry-After": str(seconds)})


def _shown() -> tuple[kit.Card, ...]:
    magic = tuple(kit.Card(number=each.id, pin="", does=f"Phone {each.phone}. {each.does}") for each in books.MAGIC)
    run = kit.Card(
        number=str(books.PLAIN_ID),
        pin="",
        does=f"The first of 1,000 for load runs, up to {books.PLAIN_ID + books.PLAIN - 1}: 1,000,000 points each.",
    )
    return (*magic, run)


def _own_credentials(db: sqlite3.Connection) -> dict[str, str]:
    """Made once for a store: the client's private key, and the server's public one, which its callbacks fit."""
    return {
        "private_key": client_private_key(db),
        "public_key": signing.public_key(server_private_key(db)),
    }


def _signed(db: sqlite3.Connection, body: str, at: datetime) -> dict[str, str]:
    return signing.headers(
        json.loads(body), method="post", url="", private_pem=server_private_key(db), timestamp=int(at.timestamp())
    )


_ID = "(?P<id>[0-9]{1,20})"
_ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("POST", "/loyalty/spending-reward", _award),
    ("POST", "/loyalty/spending-reward/calculate", _calculate),
    ("POST", "/loyalty/spending-reward/cancel", _cancel),
    ("POST", "/loyalty/reward", _give),
    ("DELETE", "/loyalty/reward", _deduct),
    ("GET", "/loyalty/members", _all),
    ("POST", "/loyalty/members", _register_many),
    ("POST", "/loyalty/member", _register),
    ("POST", "/loyalty/member/check", _exists),
    ("POST", "/loyalty/member/authorize", _authorize),
    ("GET", f"/loyalty/member/{_ID}", _one),
    ("GET", f"/loyalty/member/{_ID}/history", _history),
    ("GET", "/loyalty/me", _me),
)

REVENUEMONSTER = kit.Provider(
    name=NAME,
    title="Revenue Monster",
    routes=(
        kit.Route(method="POST", path=re.compile("/v1/token"), handle=tokens.give),
        *(
            kit.Route(method=method, path=re.compile(f"/v3{path}"), handle=_for_those_let_in(act))
            for method, path, act in _ROUTES
        ),
        *(
            kit.Route(method=method, path=re.compile("/v3/.*"), handle=_nowhere)
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        ),
        *pages.ROUTES,
    ),
    credentials={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
    own_credentials=_own_credentials,
    cards=_shown(),
    subject=subject,
    refusal=refusal,
    throttled=throttled,
    signed=_signed,
    tables=(*books.TABLES, *tokens.TABLES, *signing.TABLES),
    stock=books.stock,
)
