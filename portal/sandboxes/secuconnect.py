"""secuconnect, imitated: Smart Transactions that sell goods, collect a bonus and load loyalty cards.

    POST /secuconnect/oauth/token                                              JSON or a form
    GET  POST /secuconnect/api/v2/Smart/Transactions                           list, create
    GET  PUT  /secuconnect/api/v2/Smart/Transactions/{STX}                     read, change
    POST      /secuconnect/api/v2/Smart/Transactions/{STX}/preTransaction      the card is to pay
    POST      /secuconnect/api/v2/Smart/Transactions/{STX}/prepare/{method}    also /start, /cancel, /abort
    GET       /secuconnect/api/v2/Loyalty/MerchantCards                        also /{MCD}
    POST      /secuconnect/api/v2/Loyalty/MerchantCards/{me or MRC}/validateMerchantcard
    POST      /secuconnect/api/v2/Loyalty/MerchantCards/{me or MRC}/createMerchantcards/{CRG}
    GET  POST /secuconnect/api/v2/Loyalty/MerchantCards/{MCD}/lock             also /unlock
    POST      /secuconnect/api/v2/Loyalty/MerchantCards/{MCD}/checkCsc         also /getCardBalanceReceipt
    GET       /secuconnect/api/v2/Payment/Transactions/{PCI}                   also /checkStatus
    GET       /secuconnect/api/v2/Loyalty/Cardgroups                           also /{CRG}
    GET       /secuconnect/api/v2/Loyalty/Transactions                         also /{LTX}

Magic cards: 92760044246440 and two digits. All in euros.

    9276004424644352 the document's own: 2.00 and 0.20 bonus, 10 % bonus on everything

    …00 the same, no bonus for a load   …11 done, the answer is about another card
    …01 nothing on it, no bonus         …12 done, the answer has another sum
    …02 locked                          …13 done, the answer tells the balance from before
    …03 bonus on article 30200 alone    …14 refuses every cancellation, with 1007
    …04 140.00, holds 150.00 at most    …15 only its latest booking can be cancelled
    …05 pending, ok 2 seconds later     …16 50.00 and 120 points
    …06 pending, failed 2 seconds later …17 expired
    …07 pending for ever                …18 its validation fails, with 1016
    …08 200, and the status is failed   …19 its balance is a text
    …09 done, an unknown status         …20 its balance is said to be -5
    …10 done, no status                 …21 its balance is not cash and bonus

    …25 429   …26 503 with a page   …27 403 with 2003   …28 401   …29 403, loyalty is not enabled

For load runs, 1,000.00 on each: 9276100000000000 to 9276100000000999, and with 10 % bonus on everything from
9276200000000000 to 9276200000000999. Every other number is unknown. A card that is made has a new number that begins
with 92760099; groups: CRG_442AC7B8XCVU3XG2NX9E5XHJWH4CRK makes cards.
STX_W28QKGS8H2X07TF64EDJ8DZEJN9RA2, the document's transaction of 59.00 and a load of 20.00, waits to be started.

The journal: one line a movement, `reference` the merchantRef, `provider_reference` the STX. A start writes `activate`
where it made a card, `pay` where the card pays, then `bonus`, then `top_up`, then `notify` where the customer is
written to. A cancellation writes `void` and `void_bonus`, the latest booking first, with `original`.

Documented: the token endpoint and its errors, which are not shaped like the API's; tokens of 1200 seconds; the fields,
types and answers of Smart Transactions and how they change between request and answer; that a start books the bonus
first and the load second; the load article; receipts; card look-ups; the shape of errors and the codes 1007, 1016 and
2003; that the reason beside an HTTP status is the exception's name.

ASSUMED, for want of any document:
- The token is taken from `Authorization`, and from `Authenticate`, which the document prints, as long as
  TAKES_AUTHENTICATE says so. Many tokens of one client live side by side; a device's new one ends its last.
- A token that never was is refused with 401, one that has expired with 403 and code 2003. The device of the credentials
  needs no confirmation, /vendor/tillside/serial/2 is confirmed 10 seconds after it registered.
- Codes from 9000 on are the sandbox's own, with their texts: nobody knows the provider's.
- `/start` without a method captures what was created, approved or not, as if the money were in the till. `/start` of
  what is started is an error, and books nothing.
- What is to be paid by the card is worked out once, by `preTransaction` or by `/start/loyalty` without it, and refused
  where the card has less by the time of the start. It earns bonus on full prices, after it is paid.
- Delivery, terminals, subscriptions, bookings without a Smart Transaction, card groups that are changed and payments
  that are cancelled apart from theirs are not imitated: the calls of its published clients for them say so, with 9010.
- A locked or expired card is in a transaction with `valid` false; to start it is refused.
- What earns is rounded once, half a cent up, and is what "Umsatz erfasst" prints.
- A card that is made has its number in the ident's value once the transaction is started; its `type` stays.
- A cancellation undoes all bookings or none; where they cannot be undone it says 1007 with HTTP 400. Only what is paid
  can be cancelled, what is not can be aborted.
- `prepaid`, and `auto_capture` with it, is pending for 2 seconds. Times are German.
- `count` is 10 unless asked for; `expand`, `preset` and their like change nothing, and nothing can be scrolled.
"""

import json
import re
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.sandboxes import kit
from portal.sandboxes import secuconnect_books as books
from portal.sandboxes import secuconnect_cards as cards
from portal.sandboxes import secuconnect_papers as papers
from portal.sandboxes import secuconnect_queries as queries
from portal.sandboxes import secuconnect_requests as requests
from portal.sandboxes import secuconnect_service as service
from portal.sandboxes import secuconnect_tokens as tokens
from portal.sandboxes.kit import Answer, Call, Outcome
from portal.sandboxes.secuconnect_books import Refused
from portal.sandboxes.secuconnect_cards import Habit
from portal.sandboxes.secuconnect_tokens import CLIENT_ID, CLIENT_SECRET, DEVICE_UUID, JSON
from portal.sandboxes.store import Effect

RETRY_AFTER = 30

SEED_TRANSACTION = "STX_W28QKGS8H2X07TF64EDJ8DZEJN9RA2"
SEED_CREATED = datetime.fromisoformat("2021-01-20T09:37:32+01:00")
SEED_REQUEST: Mapping[str, Any] = {
    "is_demo": True,
    "contract": {"id": requests.CONTRACT},
    "device_source": {"id": requests.DEVICE},
    "customer": {"id": "PCU_H8ZQSFS9G2X07TF5JF89V55H645UA2"},
    "intent": "sale",
    "idents": [{"type": "card", "value": cards.SEED_CARD}],
    "basket": {
        "products": [
            {
                "id": 1,
                "articleNumber": 30200,
                "desc": "Dining service Puslnitz, 26 pieces",
                "quantity": 1,
                "priceOne": 5900,
                "tax": 19,
            },
            {
                "id": 2,
                "ean": "4260447149502",
                "articleNumber": None,
                "desc": "Kartenaufladung 20 EUR",
                "quantity": 1,
                "priceOne": 2000,
                "tax": 0,
            },
        ]
    },
    "basket_info": {"sum": 7900, "currency": "EUR"},
}

TABLES = (*cards.TABLES, *books.TABLES, *tokens.TABLES)


# ---- Errors ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Error:
    status: int
    name: str
    code: int
    details: str
    user: str


NOT_ALLOWED, FORMAT = "ProductNotAllowedException", "ProductFormatException"
ERRORS: Mapping[str, Error] = {
    "token expired": Error(403, NOT_ALLOWED, 2003, "Valid auth token required", "Bitte melden Sie sich neu an."),
    "card validation": Error(
        400, "ProductBackendproviderException", 1016, "Card validation failed", "Die Karte ist nicht gültig."
    ),
    "cannot cancel": Error(
        400,
        "ProductBackendproviderException",
        1007,
        "Could not cancel loyalty transaction",
        "Die Buchung kann nicht storniert werden.",
    ),
    "token": Error(401, NOT_ALLOWED, 9001, "Auth token unknown", "Bitte melden Sie sich neu an."),
    "format": Error(400, FORMAT, 9002, "Request not readable", "Die Anfrage ist fehlerhaft."),
    "sum": Error(400, FORMAT, 9003, "Sum differs from the basket", "Die Summe passt nicht zum Warenkorb."),
    "not found": Error(404, "ProductNotFoundException", 9004, "Object not found", "Nicht gefunden."),
    "state": Error(403, NOT_ALLOWED, 9005, "Not allowed in this state", "Das ist jetzt nicht möglich."),
    "locked": Error(403, NOT_ALLOWED, 9006, "Card is locked", "Die Karte ist gesperrt."),
    "card expired": Error(403, NOT_ALLOWED, 9007, "Card has expired", "Die Karte ist abgelaufen."),
    "limit": Error(403, NOT_ALLOWED, 9008, "Balance limit exceeded", "Das Guthaben wird zu hoch."),
    "group": Error(403, NOT_ALLOWED, 9009, "Card group does not create cards", "Keine neuen Karten möglich."),
    "not imitated": Error(403, NOT_ALLOWED, 9010, "Not imitated by the sandbox", "Das kann die Sandbox nicht."),
    "throttled": Error(429, NOT_ALLOWED, 9011, "Too many requests", "Zu viele Anfragen."),
    "code": Error(403, NOT_ALLOWED, 9015, "Security code is wrong", "Der Sicherheitscode ist falsch."),
    "insufficient": Error(403, NOT_ALLOWED, 9014, "Balance is not enough", "Das Guthaben reicht nicht aus."),
    "refused": Error(403, NOT_ALLOWED, 9012, "Refused", "Abgelehnt."),
    "loyalty": Error(403, NOT_ALLOWED, 9013, "Loyalty is not enabled", "Das Kartenprogramm ist nicht aktiv."),
}


def _error(name: str, details: str = "", **headers: str) -> Answer:
    error = ERRORS[name]
    body = {
        "status": "error",
        "error": error.name,
        "error_details": f"{error.details}: {details}" if details else error.details,
        "error_user": error.user,
        "code": error.code,
        "supportId": secrets.token_hex(16),
    }
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(
        status=error.status, phrase=error.name, body=json.dumps(body).encode(), content_type=JSON, headers=named
    )


def _json(told: object) -> Answer:
    # As the document prints it: every slash of an address is escaped.
    return Answer(body=json.dumps(told).replace("/", "\\/").encode(), content_type=JSON)


# ---- Calls of the API ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Asked:
    call: Call
    db: sqlite3.Connection
    on_a_device: bool


Act = Callable[[Asked], Outcome]


def _for_those_let_in(act: Act) -> kit.Handler:
    """Whoever has a token; and what is refused has left nothing behind."""

    def handle(call: Call, db: sqlite3.Connection) -> Outcome:
        db.execute("SAVEPOINT secuconnect")
        try:
            on_a_device = tokens.on_a_device(call, db)
            if instead := INSTEAD.get(_habit(call)):
                return Outcome(instead())
            return act(Asked(call=call, db=db, on_a_device=on_a_device))
        except queries.Unreadable as why:
            return Outcome(_error("format", str(why)))
        except Refused as why:
            db.execute("ROLLBACK TO secuconnect")
            return Outcome(_error(why.error, why.details))
        finally:
            db.execute("RELEASE secuconnect")

    return handle


INSTEAD: Mapping[Habit, Callable[[], Answer]] = {
    Habit.THROTTLED: lambda: _error("throttled", Retry_After=str(RETRY_AFTER)),
    Habit.DOWN: lambda: Answer(status=503, body=b"<!doctype html><p>Service unavailable.</p>", content_type=kit.HTML),
    Habit.TOKEN_EXPIRED: lambda: _error("token expired"),
    Habit.KEY_REFUSED: lambda: _error("token"),
    Habit.NOT_ALLOWED: lambda: _error("loyalty"),
}


def _habit(call: Call) -> Habit:
    card = cards.BY_NUMBER.get(subject(call))
    return card.habit if card else Habit.NONE


def _create(asked: Asked) -> Outcome:
    if not asked.call.headers.get("Content-Type", "").startswith(JSON):
        raise Refused("format", f"Content-Type must be {JSON}")
    wanted = requests.transaction(asked.call.body, on_a_device=asked.on_a_device)
    return _told(asked, books.create(asked.db, wanted, asked.call.at))


def _read(asked: Asked) -> Outcome:
    return _told(asked, _transaction(asked))


def _update(asked: Asked) -> Outcome:
    wanted = requests.transaction(asked.call.body, on_a_device=asked.on_a_device)
    return _told(asked, books.update(asked.db, _transaction(asked), wanted, asked.call.at))


def _list(asked: Asked) -> Outcome:
    query = dict(asked.call.query)
    named = queries.must_equal(query.get("q", ""), "merchantRef")
    found = books.transactions(asked.db, merchant_ref=named)
    return _page(asked, [papers.smart_transaction(asked.db, each) for each in found])


def _prepare(asked: Asked) -> Outcome:
    if asked.call.parts["method"] not in {"creditcard", "debit", "easycredit", "invoice", "paypal", "prepaid"}:
        raise Refused("format", "method")
    _body_if_any(asked)
    prepared, effects = books.prepare(asked.db, _transaction(asked), asked.call.parts["method"], asked.call.at)
    return _told(asked, prepared, effects)


def _start(asked: Asked) -> Outcome:
    method = asked.call.parts["method"] or ""
    if method not in {"", "cash", "cashless", "cashless_direct", "debit", "invoice", "loyalty", "prepaid", "ccload"}:
        raise Refused("format", "method")
    _body_if_any(asked)
    started, effects = books.start(asked.db, _transaction(asked), method, asked.call.at)
    return _told(asked, started, effects)


def _apply(asked: Asked) -> Outcome:
    _body_if_any(asked)
    return Outcome(_json(papers.pre_transaction(books.apply(asked.db, _transaction(asked), asked.call.at))))


def _cancel(asked: Asked) -> Outcome:
    cancelled, effects = books.cancel(asked.db, _transaction(asked), asked.call.at)
    return _told(asked, cancelled, effects)


def _abort(asked: Asked) -> Outcome:
    return _told(asked, books.abort(asked.db, _transaction(asked), asked.call.at))


def _transaction(asked: Asked) -> books.Transaction:
    found = books.transaction(asked.db, asked.call.parts["id"])
    if found is None:
        raise Refused("not found", "id")
    return found


def _told(asked: Asked, found: books.Transaction, effects: tuple[Effect, ...] = ()) -> Outcome:
    return Outcome(_json(papers.smart_transaction(asked.db, found)), effects)


def _body_if_any(asked: Asked) -> None:
    if asked.call.body.strip() not in {b"", b"null", b"[]"}:
        requests.document(asked.call.body)


def _cards(asked: Asked) -> Outcome:
    named = queries.must_equal(dict(asked.call.query).get("q", ""), "card.cardnumber")
    if named is None:
        return _page(asked, [papers.merchant_card(held) for held in cards.holdings(asked.db)])
    card = cards.find(asked.db, named)
    return _page(asked, [papers.merchant_card(cards.holding(asked.db, card))] if card else [])


def _card(asked: Asked) -> Outcome:
    return Outcome(_json(papers.merchant_card(cards.holding(asked.db, _by_id(asked)))))


def _validate(asked: Asked) -> Outcome:
    given = requests.document(asked.call.body)
    if given.keys() - {"cardnumber", "merchant"} or not isinstance(given.get("cardnumber"), str):
        raise Refused("format", "cardnumber")
    if asked.call.parts["id"] not in {"me", papers.MERCHANT}:
        raise Refused("not found", "id")
    card = cards.find(asked.db, given["cardnumber"])
    if card is None or given.get("merchant", papers.MERCHANT) not in {None, papers.MERCHANT}:
        return Outcome(_json({"isValid": False}))
    return Outcome(_json({"isValid": True, "hasPasscode": False, "isLocked": cards.lock_of(asked.db, card).locked}))


def _lock(asked: Asked) -> Outcome:
    found, given = _by_id(asked), service.body(asked.call.body)
    return Outcome(_json(service.lock(asked.db, found, given, asked.call.at, locked=True)))


def _unlock(asked: Asked) -> Outcome:
    found, given = _by_id(asked), service.body(asked.call.body)
    return Outcome(_json(service.lock(asked.db, found, given, asked.call.at, locked=False)))


def _locks(asked: Asked) -> Outcome:
    return Outcome(_json(service.locks(asked.db, _by_id(asked))))


def _check_code(asked: Asked) -> Outcome:
    return Outcome(_json(service.check_code(_by_id(asked), service.body(asked.call.body))))


def _balance_receipt(asked: Asked) -> Outcome:
    return Outcome(_json(service.balance_receipt(asked.db, _by_id(asked), service.body(asked.call.body))))


def _make_cards(asked: Asked) -> Outcome:
    if asked.call.parts["id"] not in {"me", papers.MERCHANT}:
        raise Refused("not found", "id")
    group = cards.GROUP_BY_ID.get(asked.call.parts["group"])
    told, effects = service.make(asked.db, group, service.body(asked.call.body), asked.call.at)
    return Outcome(_json(told), effects)


def _payment(asked: Asked) -> Outcome:
    return Outcome(_json(service.payment(asked.db, asked.call.parts["id"])))


def _by_id(asked: Asked) -> cards.Card:
    return service.card(asked.db, asked.call.parts["id"])


def _groups(asked: Asked) -> Outcome:
    return _page(asked, [papers.card_group(group) for group in cards.GROUPS])


def _group(asked: Asked) -> Outcome:
    group = cards.GROUP_BY_ID.get(asked.call.parts["id"])
    if group is None:
        raise Refused("not found", "id")
    return Outcome(_json(papers.card_group(group)))


def _bookings(asked: Asked) -> Outcome:
    return _page(asked, [papers.loyalty_transaction(each) for each in reversed(books.bookings(asked.db))])


def _booking(asked: Asked) -> Outcome:
    for each in books.bookings(asked.db):
        if each.id == asked.call.parts["id"]:
            return Outcome(_json(papers.loyalty_transaction(each)))
    raise Refused("not found", "id")


def _page(asked: Asked, documents: list[dict[str, Any]]) -> Outcome:
    query = dict(asked.call.query)
    if query.keys() & {"scroll_id", "scroll_expire"}:
        raise Refused("not imitated", "scroll_id")
    return Outcome(_json(queries.page(list(documents), query)))


def _not_imitated(asked: Asked) -> Outcome:
    raise Refused("not imitated")


# ---- The provider ----------------------------------------------------------------------------------------


def subject(call: Call) -> str:
    """The card that is meant, or the transaction; whatever else is sent is counted as nobody's."""
    if named := re.search(r"/(STX_[0-9A-Z]{30})(?:/|$)", call.path):
        return named[1]
    query = dict(call.query).get("q", "")
    if number := re.fullmatch(r'card\.cardnumber:"?([0-9]{1,32})"?', query):
        return number[1]
    try:
        given = requests.document(call.body)
    except Refused:
        return "nobody"
    idents = given.get("idents")
    first = idents[0] if isinstance(idents, list) and idents else None
    number = first.get("value") if isinstance(first, dict) else given.get("cardnumber")
    return number if isinstance(number, str) and re.fullmatch("[0-9]{1,32}", number) else "nobody"


def refusal(call: Call) -> Answer:
    if call.path == "/oauth/token":
        return tokens.error("invalid_client", "The client credentials are invalid")
    return _error("refused")


def throttled(call: Call, seconds: int) -> Answer:
    return _error("throttled", Retry_After=str(seconds))


def _stock(db: sqlite3.Connection) -> None:
    """The document's own transaction, ready to be started."""
    wanted = requests.transaction(json.dumps(SEED_REQUEST).encode(), on_a_device=False)
    books.put(db, wanted, id=SEED_TRANSACTION, created=SEED_CREATED)


def _shown() -> tuple[kit.Card, ...]:
    magic = tuple(kit.Card(number=card.number, pin="", does=card.does) for card in cards.CARDS)
    runs = (
        kit.Card(
            number=str(numbers[0]),
            pin="",
            does=f"The first of 1,000 for load runs, up to {numbers[-1]}: 1,000.00 on each, {bonus}.",
        )
        for numbers, bonus in ((cards.PLAIN, "no bonus"), (cards.EARNING, "10 % bonus on everything"))
    )
    return (*magic, *runs)


_STX, _API = r"(?P<id>STX_[0-9A-Z]{1,40})", "/api/v2"
_MCD, _ME = r"(?P<id>MCD_[0-9A-Z]{1,40})", r"(?P<id>me|MRC_[0-9A-Z]{1,40})"
_ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("GET", "/Smart/Transactions", _list),
    ("POST", "/Smart/Transactions", _create),
    ("GET", f"/Smart/Transactions/{_STX}", _read),
    ("PUT", f"/Smart/Transactions/{_STX}", _update),
    ("POST", f"/Smart/Transactions/{_STX}/preTransaction", _apply),
    ("POST", f"/Smart/Transactions/{_STX}/prepare/(?P<method>[a-z_]+)", _prepare),
    ("POST", f"/Smart/Transactions/{_STX}/start(?:/(?P<method>[a-z_]*))?", _start),
    ("POST", f"/Smart/Transactions/{_STX}/cancel", _cancel),
    ("POST", f"/Smart/Transactions/{_STX}/abort", _abort),
    ("GET", "/Loyalty/MerchantCards", _cards),
    ("GET", f"/Loyalty/MerchantCards/{_MCD}", _card),
    ("GET", f"/Loyalty/MerchantCards/{_MCD}/lock", _locks),
    ("POST", f"/Loyalty/MerchantCards/{_MCD}/lock", _lock),
    ("POST", f"/Loyalty/MerchantCards/{_MCD}/unlock", _unlock),
    ("POST", f"/Loyalty/MerchantCards/{_MCD}/checkCsc", _check_code),
    ("POST", f"/Loyalty/MerchantCards/{_MCD}/getCardBalanceReceipt", _balance_receipt),
    ("POST", f"/Loyalty/MerchantCards/{_ME}/createMerchantcards/(?P<group>CRG_[0-9A-Z]{{1,40}})", _make_cards),
    ("GET", r"/Payment/Transactions/(?P<id>PCI_[0-9A-Z]{1,40})(?:/checkStatus)?", _payment),
    ("POST", f"/Loyalty/MerchantCards/{_ME}/validateMerchantcard", _validate),
    ("GET", "/Loyalty/Cardgroups", _groups),
    ("GET", r"/Loyalty/Cardgroups/(?P<id>CRG_[0-9A-Z]{1,40})", _group),
    ("GET", "/Loyalty/Transactions", _bookings),
    ("GET", r"/Loyalty/Transactions/(?P<id>LTX_[0-9A-Z]{1,40})", _booking),
    *(
        (method, path, _not_imitated)
        for method, path in (
            ("POST", "/Smart/Transactions/[0-9A-Z_]{1,60}/(?:cancel[Tt]rx|setDelivery|diagnosis|endOfDay)"),
            ("POST", "/Payment/Transactions/PCI_[0-9A-Z]{1,40}/(?:cancel|capture|IncreaseAmount|revokeAccrual)"),
            ("POST", f"/Loyalty/MerchantCards/{_MCD}/transaction/MCD_[0-9A-Z]{{1,40}}"),
            ("POST", f"/Loyalty/MerchantCards/{_MCD}/(?:checkPasscode|newPasscode|resetPasscode|registerCustomer)"),
            ("GET", "/Loyalty/MerchantCards/me/lockReasons"),
            ("POST", "/Loyalty/Cardgroups"),
            ("PUT", "/Loyalty/Cardgroups/CRG_[0-9A-Z]{1,40}"),
            ("POST", "/Loyalty/Cardgroups/CRG_[0-9A-Z]{1,40}/checkPasscodeEnabled"),
        )
    ),
)

SECUCONNECT = kit.Provider(
    name="secuconnect",
    title="secuconnect",
    routes=(
        kit.Route(method="POST", path=re.compile("/oauth/token"), handle=tokens.give),
        *(
            kit.Route(method=method, path=re.compile(_API + path), handle=_for_those_let_in(act))
            for method, path, act in _ROUTES
        ),
    ),
    credentials={
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "contract_id": requests.CONTRACT,
        "device_id": requests.DEVICE,
        "device_uuid": DEVICE_UUID,
        "customer_id": "PCU_H8ZQSFS9G2X07TF5JF89V55H645UA2",
        "card_group": cards.GIFT.id,
        "template_id": requests.TEMPLATE,
    },
    cards=_shown(),
    subject=subject,
    refusal=refusal,
    throttled=throttled,
    tables=TABLES,
    stock=_stock,
    due=books.due,
)
