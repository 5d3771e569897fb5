"""PayWizard's Factor4 Loyalty API, imitated: gift cards with dollars and points.

    POST /paywizard/ovstrade/openLoyaltyPay/{operation}     Content-Type: application/json, jwt-token, sign

    giftActivate    giftInquiry    giftIssuance       giftTransaction       (activate, look up, top up, pay)
    giftVoid        giftTip        loyaltyIssuance    loyaltyRedemption

Magic cards: 9146392588685 and two digits. Any entry type.

    …15 the document's own: 1534.10, 53 points   …12 30.00 Canadian dollars
    …00 30.10 and 53 points                      …13 pending, and done at once
    …01 not active yet                           …14 pending, and done 2 seconds later
    …02 nothing on it                            …16 pending, and refused 2 seconds later
    …03 7.60                                     …17 settles at once
    …04 100.00, a customer in full               …18 refuses a repeated order number, with 409
    …05 declines with the word "success"         …19 done, the result is the text "0"
    …06 done, without a result                   …20 done, without a checkoutId
    …07 done, data is null                       …21 two balances in dollars
    …08 done, the result is 7                    …22 its balance is a text
    …09 not done, the code is 299                …23 30.00, markup in its customer
    …10 done, an answer about another card       …24 unknown, with HTTP 404 too
        or amount                                …25 429
    …11 no balance in money                      …26 503 with an HTML page
                                                 …27 its balance is said to be -5
                                                 …28 401
                                                 …29 403, in the body only

For load runs, 10,000.00 and 10,000 points on each: 914639000000000 to 914639000000999, and 914639000001000 to
914639000001999, which refuse a repeated order number. Every other number is unknown.

A REPEATED ORDER NUMBER IS DONE AGAIN, except by …18 and the second thousand: no document promises otherwise,
and who repeats must meet what may then happen.

The journal: one line for every movement, `reference` is the tranOrderNo, `provider_reference` the checkoutId,
`amount` always positive. Voids and tips have a further field `original`, the checkoutId of what they are about:
a void goes the other way than its original. An `activate` has no reference, and is written only when the card
was not active; where a top-up activated it, the line before that of the top-up says so. A pending movement is
journalled when it happens. On the first day …15 has payments of 10.50: 933358163137265664 and
927994263952818176, the document's own for a void and a tip, and 933392815902294016, which is settled.

Documented: paths, headers, the signature over the bytes as they came, fields and their types, entry types, the
envelope, results 0, 1 and 2, balances as numbers, no card fields in a void, a void only before settlement, a
tip only on a completed payment of the same card.

ASSUMED, for want of any document:
- 401 in HTTP and body for a wrong token, one that has expired, or a wrong signature: each in its own words, and the
  token is looked at first. 429 in both too. Every other error is HTTP 200 with its code in the body: 400 for what
  cannot be read, 403 for another's clientId, 404 for an unknown card, 409 for a repeated order number, 422 for a
  look-up or activation refused on demand. All their texts.
- What the host refuses (no funds, not active, a void too late) is code 200 with result 1, a checkoutId that
  leads nowhere, and the reason in msg. Its order number may be used again.
- An order number has 1 to 32 letters and digits. Amounts are 0.01 to 9999999.99, points 1 to 999999999.
- `amount` in an answer is in cents: the printed sample answers "10000" to "10.50", so nobody should rely on it.
- A top-up needs its amount; tranCurrency may be left out. The currency must be the card's.
- nsfAllowed true is refused: nobody says whether it is a part payment or a debt.
- Everything but a look-up, an activation and a top-up that activates needs an active card.
- A look-up of an inactive card is answered like any other. activating "N" only stores the customer.
- Customer fields that are given replace those known; the others stay. None is longer than 100 characters.
- Only payments and top-ups are voided, in full, once, within 24 hours (settlement), and not with a tip. The
  voided top-up must still be on the card; what it activated stays active.
- A void and a tip may name the loyaltyChannel: the seed lists it as required, the printed ones leave it out.
- A payment may have several tips, also after its settlement.
"""

import hmac
import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from portal.sandboxes import kit, paywizard_books
from portal.sandboxes.kit import Answer, Call, Outcome
from portal.sandboxes.paywizard_books import (
    PAYWIZARD_ID,
    Card,
    Habit,
    Kind,
    Refused,
    Repeated,
    Transaction,
    new_checkout_id,
    new_index_code,
)

# The two values with which the published guide signs its sample, and a token in the shape of the real ones.
CLIENT_ID = "825429536610058240"
CLIENT_SECRET = "9fb645400aabaa33ee0e423405d8c676"
TOKEN = "DEMO0PAYWIZARD0TOKEN0TILLSIDE001"
NEXT_TOKEN = "DEMO0PAYWIZARD0TOKEN0NEXTYEAR001"  # good beside the other: to practise replacing one
EXPIRED_TOKEN = "DEMO0PAYWIZARD0TOKEN0LASTYEAR001"

MERCHANT_ID = "202507081058"
CHANNEL = "FACTOR4"
RETRY_AFTER = 30
OTHER_CARD = "914639258868500"
OTHER_AMOUNT = "99999"
CONTENT_TYPE = "application/json"


class Unreadable(Exception):
    """The request cannot be acted on: the code and the sentence of the answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# ---- Who asks --------------------------------------------------------------------------------------------


def signature(body: bytes, *, client_id: str, client_secret: str) -> str:
    """Version 3: over the body's bytes as they travel, with the secret as text both in the key and at the end."""
    signed = body + f"&clientId={client_id}&clientSecret={client_secret}".encode()
    return hmac.new(client_secret.encode(), signed, sha256).hexdigest()


def _complaint(call: Call) -> str:
    """What is wrong with whoever asks, "" where nothing is."""
    token = call.headers.get("jwt-token", "").encode()
    if hmac.compare_digest(token, EXPIRED_TOKEN.encode()):
        return "token expired"
    if not any(hmac.compare_digest(token, good.encode()) for good in (TOKEN, NEXT_TOKEN)):
        return "token not accepted"
    expected = signature(call.body, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    right_sign = hmac.compare_digest(call.headers.get("sign", "").encode(), expected.encode())
    return "" if right_sign else "signature not accepted"


# ---- Fields ----------------------------------------------------------------------------------------------

Reader = Callable[[object], Any]


def _text(pattern: str, what: str) -> Reader:
    wanted = re.compile(pattern)

    def read(value: object) -> str:
        if not (isinstance(value, str) and wanted.fullmatch(value)):
            raise ValueError(f"must be {what}")
        return value

    return read


def _money(value: object) -> int:
    """Minor units."""
    text: str = _text(r"(0|[1-9][0-9]{0,6})\.[0-9]{2}", "a text like 10.50")(value)
    minor = int(text.replace(".", ""))
    if not minor:
        raise ValueError("must be more than 0.00")
    return minor


def _points(value: object) -> int:
    return int(_text(r"[1-9][0-9]{0,8}", "a text like 100, a whole number of points")(value))


def _no_shortfall(value: object) -> bool:
    if value is not False:
        raise ValueError("must be false: a payment beyond the balance is not imitated")
    return value


_ANY = r"(?s).{0,100}"
_OPT = _text("[OI]?", "O or I")
CUSTOMER: dict[str, Reader] = {
    "customerType": _text("[123]?", "1, 2 or 3"),
    "firstName": _text(_ANY, "a text"),
    "middleName": _text(_ANY, "a text"),
    "lastName": _text(_ANY, "a text"),
    "address1": _text(_ANY, "a text"),
    "address2": _text(_ANY, "a text"),
    "city": _text(_ANY, "a text"),
    "state": _text(_ANY, "a text"),
    "postal": _text(_ANY, "a text"),
    "country": _text("([A-Z]{2})?", "a country of two capital letters"),
    "mailPref": _OPT,
    "phone": _text(_ANY, "a text"),
    "isMobile": _text("[YN]?", "Y or N"),
    "phonePref": _OPT,
    "email": _text(_ANY, "a text"),
    "emailPref": _OPT,
    "birthday": _text("([0-9]{8})?", "a day like 20000101"),
    "anniversary": _text("([0-9]{8})?", "a day like 20000101"),
    "gender": _text(_ANY, "a text"),
}


def _customer(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return _read_fields(value, CUSTOMER)


FIELDS: dict[str, Reader] = {
    "clientId": _text(".{1,64}", "a text"),
    "tranOrderNo": _text("[0-9A-Za-z]{1,32}", "1 to 32 letters and digits"),
    "loyaltyChannel": _text(CHANNEL, CHANNEL),
    "accountId": _text(".{1,64}", "a text"),
    "entryType": _text("[BKMP]", "B, K, M or P"),
    "oriOrderNo": _text(".{1,64}", "a text"),
    "tranCurrency": _text("[A-Z]{3}", "a currency of three capital letters"),
    "activating": _text("[YN]", "Y or N"),
    "customerInfo": _customer,
    "nsfAllowed": _no_shortfall,
}


def _read_fields(given: Mapping[str, object], readers: Mapping[str, Reader]) -> dict[str, Any]:
    read = {}
    for name, value in given.items():
        if name not in readers:
            raise ValueError(f"{name} is not a field of this request")
        try:
            read[name] = readers[name](value)
        except ValueError as why:
            raise ValueError(f"{name} {why}") from None
    return read


def _document(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body.decode(), object_pairs_hook=_unique)
        json.dumps(document, ensure_ascii=False).encode()  # a lone surrogate has no bytes to be kept as
    except (ValueError, RecursionError):
        raise Unreadable(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise Unreadable(400, "the body must be a JSON object")
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("a field is there twice")
    return members


# ---- Operations ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that could be read: who may ask asks for something possible of a card that exists."""

    call: Call
    db: sqlite3.Connection
    card: Card
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One path: its fields beside clientId, and what it does."""

    name: str
    required: Sequence[str]
    optional: Sequence[str] = ()
    amount: Reader = _money
    act: Callable[[Asked], Outcome]

    @property
    def path(self) -> str:
        return f"/ovstrade/openLoyaltyPay/{self.name}"

    def handle(self, call: Call, db: sqlite3.Connection) -> Outcome:
        if complaint := _complaint(call):
            return Outcome(_key_refused(call, complaint))
        try:
            fields = self._read(call)
            card = self._card(fields, db)
            if card.habit in INSTEAD:
                return Outcome(INSTEAD[card.habit](call))
            return self.act(Asked(call=call, db=db, card=card, fields=fields))
        except Unreadable as why:
            return Outcome(_envelope(call, code=why.code, msg=why.message))
        except Refused as why:
            return Outcome(self.refused(call, str(why)))
        except Repeated:
            return Outcome(_envelope(call, code=409, msg="duplicate order"))

    def refused(self, call: Call, why: str) -> Answer:
        """Result 1, where an answer has a result. Nothing is kept of it: its checkoutId leads nowhere."""
        if "tranOrderNo" not in self.required:
            return _envelope(call, code=422, msg=why)
        try:
            fields = self._read(call)
        except Unreadable:
            fields = {}  # refused on demand, before anybody looked at it
        data = _transaction_data(
            checkout_id=new_checkout_id(),
            index_code=new_index_code(),
            amount=None if self.act is _void else fields.get("amount"),
            result=1,
        )
        return _envelope(call, msg=why, data=data)

    def _read(self, call: Call) -> dict[str, Any]:
        if call.headers.get("Content-Type") != CONTENT_TYPE:
            raise Unreadable(400, f"Content-Type must be {CONTENT_TYPE}")
        given = _document(call.body)
        required = ("clientId", *self.required)
        if missing := [name for name in required if name not in given]:
            raise Unreadable(400, f"{missing[0]} is missing")
        readers = {**FIELDS, "amount": self.amount}
        try:
            fields = _read_fields(given, {name: readers[name] for name in (*required, *self.optional)})
        except ValueError as why:
            raise Unreadable(400, str(why)) from None
        if fields["clientId"] != CLIENT_ID:
            raise Unreadable(403, "clientId does not belong to this token")
        return fields

    def _card(self, fields: Mapping[str, Any], db: sqlite3.Connection) -> Card:
        """The card that is named, else that of the transaction that is named."""
        number = fields.get("accountId")
        if number is None:
            original = paywizard_books.transaction(db, fields["oriOrderNo"])
            if original is None:
                raise Refused("original transaction not found")
            number = original.number
        card = paywizard_books.find(number)
        if card is None:
            raise Unreadable(404, "card not found")
        if fields.get("tranCurrency", card.currency) != card.currency:
            raise Unreadable(400, f"tranCurrency must be the card's, {card.currency}")
        return card


def _activate(asked: Asked) -> Outcome:
    activated = asked.fields["activating"] == "Y" and paywizard_books.activate(asked.db, asked.card)
    _remember_customer(asked)
    return Outcome(_card_answer(asked), (paywizard_books.activation(asked.card),) if activated else ())


def _inquire(asked: Asked) -> Outcome:
    return Outcome(_card_answer(asked))


def _move(kind: Kind) -> Callable[[Asked], Outcome]:
    def act(asked: Asked) -> Outcome:
        return _moved(
            asked,
            Transaction(
                kind=kind,
                number=asked.card.number,
                amount=asked.fields["amount"],
                order_number=asked.fields["tranOrderNo"],
                original=asked.fields.get("oriOrderNo"),
                activates=asked.fields.get("activating") == "Y",
            ),
        )

    return act


def _void(asked: Asked) -> Outcome:
    original = paywizard_books.transaction(asked.db, asked.fields["oriOrderNo"])
    assert original, "its card was found by it"
    void = Transaction(
        kind=Kind.VOID,
        number=original.number,
        amount=asked.fields.get("amount", original.amount),
        order_number=asked.fields["tranOrderNo"],
        original=original.checkout_id,
    )
    more = {"oriCheckoutId": original.checkout_id, "oriTransIndexCode": original.index_code}
    return _moved(asked, void, more)


def _moved(asked: Asked, wanted: Transaction, more: Mapping[str, object] | None = None) -> Outcome:
    done, effects = paywizard_books.move(asked.db, wanted, asked.call.at)
    _remember_customer(asked)
    data = _transaction_data(
        checkout_id=wanted.checkout_id,
        index_code=wanted.index_code,
        amount=None if wanted.kind is Kind.VOID else wanted.amount,
        result=0 if done else 2,
    )
    data |= more or {}
    odd = ODD_TRANSACTIONS.get(asked.card.habit)
    return Outcome(_envelope(asked.call, data=odd(data) if odd else data), effects)


def _remember_customer(asked: Asked) -> None:
    if customer := asked.fields.get("customerInfo"):
        paywizard_books.remember(asked.db, asked.card, customer)


_CARD = ("loyaltyChannel", "accountId", "entryType")
OPERATIONS = (
    Operation(name="giftActivate", required=(*_CARD, "activating"), optional=("customerInfo",), act=_activate),
    Operation(name="giftInquiry", required=_CARD, act=_inquire),
    Operation(
        name="giftIssuance",
        required=("tranOrderNo", *_CARD, "amount"),
        optional=("tranCurrency", "activating", "customerInfo"),
        act=_move(Kind.TOP_UP),
    ),
    Operation(
        name="giftTransaction",
        required=("tranOrderNo", *_CARD, "amount", "tranCurrency"),
        optional=("nsfAllowed",),
        act=_move(Kind.PAY),
    ),
    Operation(
        name="giftVoid", required=("tranOrderNo", "oriOrderNo"), optional=("amount", "loyaltyChannel"), act=_void
    ),
    Operation(
        name="loyaltyIssuance",
        required=("tranOrderNo", *_CARD, "amount"),
        amount=_points,
        act=_move(Kind.ISSUE_POINTS),
    ),
    Operation(
        name="loyaltyRedemption",
        required=("tranOrderNo", *_CARD, "amount"),
        amount=_points,
        act=_move(Kind.REDEEM_POINTS),
    ),
    Operation(
        name="giftTip",
        required=("tranOrderNo", "accountId", "entryType", "oriOrderNo", "amount", "tranCurrency"),
        optional=("loyaltyChannel",),
        act=_move(Kind.TIP),
    ),
)


# ---- Answers ---------------------------------------------------------------------------------------------


def _envelope(
    call: Call,
    *,
    code: int = 200,
    msg: str = "success",
    data: object = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    body = {"code": code, "msg": msg, "timestamp": f"{call.at:%Y-%m-%d %H:%M:%S}", "data": data}
    return Answer(status=status, body=json.dumps(body).encode(), content_type=CONTENT_TYPE, headers=headers or {})


def _transaction_data(*, checkout_id: str, index_code: str, amount: int | None, result: int) -> dict[str, object]:
    data: dict[str, object] = {
        "mid": MERCHANT_ID,
        "paywizardId": PAYWIZARD_ID,
        "checkoutId": checkout_id,
        "transIndexCode": index_code,
    }
    if amount is not None:
        data["amount"] = str(amount)
    return data | {"result": result}


def _card_answer(asked: Asked) -> Answer:
    held = paywizard_books.holding(asked.db, asked.card)
    data: dict[str, Any] = {
        "accountId": asked.card.number,
        "balances": [
            {"valueCode": asked.card.currency, "amount": _number(held.minor), "difference": 0},
            {"valueCode": "Points", "amount": held.points, "difference": 0},
        ],
        "customerInfo": {name: held.customer.get(name, "") for name in CUSTOMER},
    }
    odd = ODD_CARDS.get(asked.card.habit)
    return _envelope(asked.call, data=odd(data) if odd else data)


def _number(minor: int) -> float:
    """Major units as a JSON number with no more places than it needs."""
    return minor / 100 if minor % 100 else minor // 100


def _money_is(*amounts: object) -> Callable[[dict[str, Any]], object]:
    def odd(data: dict[str, Any]) -> object:
        _, points = data["balances"]
        money = [{"valueCode": "USD", "amount": amount, "difference": 0} for amount in amounts]
        return data | {"balances": [*money, points]}

    return odd


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda data: {key: value for key, value in data.items() if key != name}


ODD_TRANSACTIONS: dict[Habit, Callable[[dict[str, Any]], object]] = {
    Habit.NO_RESULT: _without("result"),
    Habit.NO_DATA: lambda data: None,
    Habit.UNKNOWN_RESULT: lambda data: data | {"result": 7},
    Habit.RESULT_AS_TEXT: lambda data: data | {"result": "0"},
    Habit.NO_CHECKOUT_ID: _without("checkoutId"),
    Habit.OTHER_CARD: lambda data: data | {"amount": OTHER_AMOUNT},
}
ODD_CARDS: dict[Habit, Callable[[dict[str, Any]], object]] = {
    Habit.NO_DATA: lambda data: None,
    Habit.OTHER_CARD: lambda data: data | {"accountId": OTHER_CARD},
    Habit.NO_MONEY: _money_is(),
    Habit.MONEY_TWICE: _money_is(50, 5),
    Habit.MONEY_AS_TEXT: _money_is("30.10"),
    Habit.MONEY_BELOW_ZERO: _money_is(-5),
}


def throttled(call: Call, seconds: int) -> Answer:
    return _envelope(call, code=429, msg="too many requests", status=429, headers={"Retry-After": str(seconds)})


def _key_refused(call: Call, complaint: str = "token or signature not accepted") -> Answer:
    return _envelope(call, code=401, msg=complaint, status=401)


# What is answered before anything is done.
INSTEAD: dict[Habit, Callable[[Call], Answer]] = {
    Habit.UNKNOWN_CODE: lambda call: _envelope(call, code=299, msg="accepted for review"),
    Habit.NOT_FOUND_IN_HTTP: lambda call: _envelope(call, code=404, msg="card not found", status=404),
    Habit.KEY_REFUSED: _key_refused,
    Habit.ACCESS_REFUSED: lambda call: _envelope(call, code=403, msg="loyalty is not enabled for this merchant"),
    Habit.THROTTLED: lambda call: throttled(call, RETRY_AFTER),
    Habit.DOWN: lambda call: Answer(
        status=503, body=b"<!doctype html><p>Service unavailable.</p>", content_type=kit.HTML
    ),
}


def refusal(call: Call) -> Answer:
    (operation,) = (each for each in OPERATIONS if call.path == each.path)
    return operation.refused(call, "refused")


def subject(call: Call) -> str:
    """The card that is meant, or the transaction; whatever else is sent is counted as nobody's."""
    try:
        given = _document(call.body)
    except Unreadable:
        return "nobody"
    named = given.get("accountId", given.get("oriOrderNo"))
    return named if isinstance(named, str) and re.fullmatch("[0-9]{1,32}", named) else "nobody"


def _shown() -> tuple[kit.Card, ...]:
    ranges = (
        (paywizard_books.PLAIN, "10,000.00 and 10,000 points"),
        (paywizard_books.PLAIN_NO_REPEATS, "the same, and refuse a repeated order number"),
    )
    return tuple(kit.Card(number=card.number, pin="", does=card.does) for card in paywizard_books.CARDS) + tuple(
        kit.Card(number=str(cards[0]), pin="", does=f"The first of 1,000 for load runs, up to {cards[-1]}: {what}.")
        for cards, what in ranges
    )


PAYWIZARD = kit.Provider(
    name="paywizard",
    title="PayWizard",
    routes=tuple(
        kit.Route(
            method="POST",
            path=re.compile(operation.path),
            handle=operation.handle,
        )
        for operation in OPERATIONS
    ),
    credentials={
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "token": TOKEN,
        "currency": "USD",
        "next_token": NEXT_TOKEN,
        "expired_token": EXPIRED_TOKEN,
    },
    cards=_shown(),
    subject=subject,
    refusal=refusal,
    throttled=throttled,
    tables=paywizard_books.TABLES,
    stock=paywizard_books.stock,
    due=paywizard_books.due,
)
