"""CardInquiry, imitated: one retailer, whose cards are looked up by number (or its end) and password, and pay sales.

    GET /cardinquiry/CardInquiry/{card}?pass={password}        X-Api-Key: {key}
    POST /cardinquiry/SaleCreate                                see `cardinquiry_sales`

Magic cards: 62803900000 and five digits. PIN 1234 on all of them, typed right except for the near miss.

    …00001 usable, 25.50                         …00014 the record of another card
    …00002 balance 0                             …00015 302 to a private address
    …00003 expired yesterday                     …00016 not found as {"data": {}}
    …00004 "check password" once, then nothing   …00017 not found as {"data": {"Cards": null}}
    …00005 full code wanted below 12 characters  …00018 404 from the application firewall
    …00006 two records                           …00019 503 from the application firewall
    …00007 a status nobody documented            …00020 202, queued for later
    …00008 200 with an error packet              …00021 401
    …00009 403 with a trace, after a while       …00022 balance -5
    …00010 429                                   …00023 balance null
    …00011 an HTML page with 200                 …00024 balance "ten"
    …00012 one byte a second                     …00025 "OK" in capitals
    …00013 balance "1e999"                       …00026 "check password" with a balance beside it
    …00027 an empty body                         …00028 JSON that stops in the middle
    …00029 markup in the description             …00030 400 with markup in its message
    …00031 balance NaN                           …00032 10,000 brackets deep
    …00033 a body of one megabyte                …00034 two balances in one record
    …00035 usable, and no other documented field but the UsageToken
    …00036 usable, 20.00, of which 15.00 are spent elsewhere as soon as it was looked up
    …00037 usable, 20.00, with a UsageToken that lapses at once
    …00038 closed by the retailer: no record, whatever the password

For load runs, 1,000.00 on each: 628039555 and three digits and 9753. Thousands more can be made for simulations of
guessing, see `cardinquiry_crowd`.

ABC123 with password 11243 is the document's own card: typed 11234 it answers "check password", once in 15
minutes. So does every other card: neighbours swapped, or one too many or too few of a character in a row.

Documented: path, the five statuses, UsageToken, `checkpassword` alone in its record, error packets, 403 with
a trace and a random delay, 429, the VisibleKey, names and paths in any case.

ASSUMED, for want of any document: the fields Balance, Expiry, Currency, Description, CardType and Barcode;
that a Barcode comes back only to who sent it in full (a short code must not become a long one); the shapes
for "not found"; that a card the retailer closed is not found, since none of the five statuses says so (…00007 says it
in a word of the retailer's own); nothing but Status and Expiry on an expired card, which is found for 90 days; 15
minutes for a UsageToken and for the near miss; `delay(n)` in milliseconds; `drop-connection` before anything is done;
400 for an unknown query name; the codes of error packets.
"""

import itertools
import json
import random
import re
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import isfinite
from typing import Any

from portal.sandboxes import cardinquiry_crowd, cardinquiry_sales, kit
from portal.sandboxes.faults import LONGEST_WAIT, Fault, Kind
from portal.sandboxes.kit import Answer, Call, Outcome
from portal.sandboxes.store import Effect

SERVER_KEY = "demo-server-key.CardInquiry"
VISIBLE_KEY = "demo-VisibleKey.CardInquiry"  # public by nature: the document has it stand in the shop's own page
PRODUCT = 12345  # what its demo shop books payments under; any other will do as well
PIN = "1234"

SHORTEST_CODE = 4  # "the last 4 or 5 characters"
FULL_ENOUGH = 12  # what …00005 accepts
RECENTLY = timedelta(days=90)
HINT_WINDOW = timedelta(minutes=15)
RETRY_AFTER = 30
HOME_CURRENCY = "EUR"  # the journal's word for what goes without saying
SPENT_MEANWHILE, LAPSES, CLOSED = 36, 37, 38

TABLES = (
    "CREATE TABLE cardinquiry_hints (number TEXT PRIMARY KEY, at REAL NOT NULL)",
    *cardinquiry_sales.TABLES,
    *cardinquiry_crowd.TABLES,
)


@dataclass(frozen=True, kw_only=True)
class Card:
    number: str
    does: str
    pin: str = PIN
    balance: float | str | None = 0
    currency: str | None = None  # most retailers have one, and it goes without saying
    description: str = "Gift card"
    expires: Callable[[date], date] = lambda today: date(today.year + 1, 12, 31)
    magic: int = 0

    def ends(self, typed: str) -> bool:
        return self.number.casefold().endswith(typed.casefold())

    def is_(self, typed: str) -> bool:
        return self.number.casefold() == typed.casefold()


def _magic(magic: int, does: str, **more: Any) -> Card:
    return Card(number=f"62803900000{magic:05}", does=does, magic=magic, **more)


CARDS = (
    Card(number="6280390000012345", does="Usable, 42.00.", balance="42.00"),
    Card(number="6280390000020100", does="Usable, 100.00.", balance=100),
    Card(number="6280390000007525", does="A voucher, 7.25.", balance=7.25, description="Birthday voucher"),
    Card(number="6280390000031500", does="Usable, 15.00 in New Zealand dollars.", balance=15, currency="NZD"),
    Card(number="6280390000061200", does="Usable, 1200 yen: no decimals.", balance=1200, currency="JPY"),
    Card(number="6280390000077777", does="Usable in full, 30.00; its end belongs to two cards.", balance=30),
    Card(number="6280391100077777", does="Usable in full, 60.00; its end belongs to two cards.", balance=60),
    Card(
        number="6280390000099999",
        does="Expired three years ago: cannot be found any more.",
        expires=lambda today: today - timedelta(days=3 * 365),
    ),
    Card(number="ABC123", pin="11243", does="The document's example: type 11234.", balance=20),
    _magic(1, "Usable, 25.50.", balance=25.50),
    _magic(2, "Balance 0."),
    _magic(3, "Expired yesterday.", balance=5, expires=lambda today: today - timedelta(days=1)),
    _magic(4, "Password nearly right, once in 15 minutes; then not found.", balance=5),
    _magic(5, "Wants the full code: at least 12 characters.", balance=12.5),
    _magic(6, "Two records.", balance=10),
    Card(number="6280391100000006", does="The second of the two records.", balance=90, magic=6),
    _magic(7, "A status nobody documented."),
    _magic(8, "200 with an error packet."),
    _magic(9, "403 with a trace, after a random delay."),
    _magic(10, f"429, try again after {RETRY_AFTER} seconds."),
    _magic(11, "An HTML page with 200."),
    _magic(12, "The answer drips: one byte a second.", balance=10),
    _magic(13, 'Balance "1e999".', balance="1e999"),
    _magic(14, "The record of another card.", balance=10),
    _magic(15, "Sent on to a private address (302)."),
    _magic(16, "Not found, as an object without Cards."),
    _magic(17, "Not found, as Cards: null."),
    _magic(18, "404 from the application firewall."),
    _magic(19, "503 from the application firewall."),
    _magic(20, "202: queued for later."),
    _magic(21, "401."),
    _magic(22, "Balance -5.", balance=-5),
    _magic(23, "Balance null.", balance=None),
    _magic(24, 'Balance "ten".', balance="ten"),
    _magic(25, "The status ok in capitals.", balance=10),
    _magic(26, "Password nearly right, and yet a balance.", balance=10),
    _magic(27, "An empty body."),
    _magic(28, "JSON that stops in the middle."),
    _magic(29, "Usable, 10.00; markup in the description.", balance=10, description="<b>Gift</b> & more"),
    _magic(30, "400 with markup in its message."),
    _magic(31, "Balance NaN.", balance=float("nan")),
    _magic(32, "10,000 brackets deep."),
    _magic(33, "A body of one megabyte."),
    _magic(34, "Two balances in one record.", balance=10),
    _magic(35, "Usable, without a word about its balance.", balance=10),
    _magic(SPENT_MEANWHILE, "Usable, 20.00; 15.00 of it are spent elsewhere once it was looked up.", balance=20),
    _magic(LAPSES, "Usable, 20.00; its UsageToken lapses at once.", balance=20),
    _magic(CLOSED, "Closed by the retailer with 10.00 on it: cannot be found.", balance=10),
)
PLAIN = tuple(Card(number=f"628039555{place:03}9753", does="Usable, 1,000.00.", balance=1000) for place in range(1000))
# What each card came with. The odd ones whose balance is none pay nothing.
LOADED = {
    card.number: (cardinquiry_sales.minor_units(card.balance, card.currency or ""), card.currency or HOME_CURRENCY)
    for card in (*CARDS, *PLAIN)
    if (isinstance(card.balance, int | float) and isfinite(card.balance)) or card.balance == "42.00"
}


# ---- The look-up ------------------------------------------------------------------------------------------


def look_up(call: Call, db: sqlite3.Connection) -> Outcome:
    """The one thing this provider does."""
    key = call.headers.get("X-Api-Key", "")
    from_browser = "Origin" in call.headers
    if key not in {SERVER_KEY, VISIBLE_KEY} or (from_browser and key != VISIBLE_KEY):
        return Outcome(forbidden())
    outcome = _look_up(call, db)
    return replace(outcome, answer=_open_to_browsers(outcome.answer)) if from_browser else outcome


def _look_up(call: Call, db: sqlite3.Connection) -> Outcome:
    names = [name.casefold() for name, _ in call.query]
    if set(names) - {"pass"} or len(names) > 1:
        return Outcome(_packet(2001, "The query may hold one pass and nothing else.", status=400))
    if _handling(call) == "queue":
        return Outcome(_json({"data": {}}, status=202))
    typed = call.parts["card"]
    password = call.query[0][1] if call.query else ""
    answer = _find(typed, password, call, db)
    return Outcome(answer, (Effect(verb="balance", subject=subject(call)),))


def _find(typed: str, password: str, call: Call, db: sqlite3.Connection) -> Answer:
    ours = [card for card in (*_meant(typed), *_of_the_crowd(typed, db)) if card.magic != CLOSED]
    right = [card for card in ours if card.pin == password]
    if any(card.magic == 6 for card in right):
        return _cards(*(_record(card, typed, call, db) for card in CARDS if card.magic == 6))
    if len(right) > 1:
        return _cards({"Status": "needfullcode"})
    if right:
        return _show(right[0], typed, call, db)
    if any(nearly(password, card.pin) and _may_hint(card, call, db) for card in ours):
        return _cards({"Status": "checkpassword"})
    return _not_found()


def _meant(typed: str) -> list[Card]:
    """The card with this number, else all whose number ends so."""
    whole = [card for card in (*CARDS, *PLAIN) if card.is_(typed)]
    if whole or len(typed) < SHORTEST_CODE:
        return whole
    return [card for card in (*CARDS, *PLAIN) if card.ends(typed)]


def _of_the_crowd(typed: str, db: sqlite3.Connection) -> list[Card]:
    if len(typed) < SHORTEST_CODE:
        return []
    return [Card(number=number, does="", pin=pin, balance=10) for number, pin in cardinquiry_crowd.meant(typed, db)]


def nearly(typed: str, password: str) -> bool:
    """Right but for two neighbours swapped, or one too many or too few of the same character in a row."""
    if typed == password:
        return False
    swaps = (typed[:i] + typed[i + 1] + typed[i] + typed[i + 2 :] for i in range(len(typed) - 1))
    if password in swaps:
        return True
    ours, theirs = _runs(password), _runs(typed)
    if [character for character, _ in ours] != [character for character, _ in theirs]:
        return False
    return sum(abs(a - b) for (_, a), (_, b) in zip(ours, theirs, strict=True)) == 1


def _runs(text: str) -> list[tuple[str, int]]:
    return [(character, len(list(run))) for character, run in itertools.groupby(text)]


def _may_hint(card: Card, call: Call, db: sqlite3.Connection) -> bool:
    """Once per card and window: a second hint would help somebody who guesses."""
    now = call.at.timestamp()
    used = db.execute("SELECT at FROM cardinquiry_hints WHERE number = ?", (card.number,)).fetchone()
    if used and now < used["at"] + HINT_WINDOW.total_seconds():
        return False
    db.execute("INSERT OR REPLACE INTO cardinquiry_hints VALUES (?, ?)", (card.number, now))
    return True


# ---- The sale ---------------------------------------------------------------------------------------------


def sell(call: Call, db: sqlite3.Connection) -> Outcome:
    """A sale that cards pay. A browser's key, which anybody can read, sells nothing."""
    if call.headers.get("X-Api-Key", "") != SERVER_KEY or "Origin" in call.headers:
        return Outcome(forbidden())
    if call.query:
        return Outcome(_packet(2001, "The query must be empty.", status=400))
    if _handling(call) == "queue":
        return Outcome(_json({"data": {}}, status=202))
    return cardinquiry_sales.create(call, db, loaded=cardinquiry_crowd.loaded(db) | LOADED)


# ---- Records ---------------------------------------------------------------------------------------------


def _show(card: Card, typed: str, call: Call, db: sqlite3.Connection) -> Answer:
    if card.magic in ODD_ANSWERS:
        return ODD_ANSWERS[card.magic]()
    if card.magic == 4:
        return _cards({"Status": "checkpassword"}) if _may_hint(card, call, db) else _not_found()
    if card.magic == 5 and len(typed) < FULL_ENOUGH:
        return _cards({"Status": "needfullcode"})
    today = call.at.date()
    if card.expires(today) < today - RECENTLY:
        return _not_found()
    record = _record(card, typed, call, db)
    match card.magic:
        case 12:
            return replace(_cards(record), drip=True)
        case 14:
            return _cards(record | {"Barcode": "6280390000020100"})
        case 25:
            return _cards(record | {"Status": "OK"})
        case 35:
            return _cards({name: record[name] for name in ("Status", "UsageToken")})
        case 34:
            twice = json.dumps(record).replace('"Balance": 10', '"Balance": 10, "Balance": 99')
            return Answer(body=f'{{"data": {{"Cards": [{twice}]}}}}'.encode())
    return _cards(record)


def _record(card: Card, typed: str, call: Call, db: sqlite3.Connection) -> dict[str, object]:
    today = call.at.date()
    expires = card.expires(today)
    if expires < today:
        return {"Status": "expired", "Expiry": expires.isoformat()}
    left = _left(card, db)
    record: dict[str, object] = {
        "Status": "ok" if left != 0 else "zero",
        "UsageToken": _token(card, call, db),
        "Balance": left,
        "Expiry": expires.isoformat(),
        "Description": card.description,
        "CardType": "voucher" if "voucher" in card.description else "prepay",
    }
    if card.currency:
        record["Currency"] = card.currency
    if card.is_(typed):
        record["Barcode"] = card.number
    return record


def _token(card: Card, call: Call, db: sqlite3.Connection) -> str:
    life = timedelta(seconds=-1) if card.magic == LAPSES else cardinquiry_sales.TOKEN_LIFE
    token = cardinquiry_sales.issue_token(card.number, call.at, db, life=life)
    if card.magic == SPENT_MEANWHILE and not cardinquiry_sales.spent(card.number, db):
        cardinquiry_sales.spend(card.number, 1500, db)
    return token


def _left(card: Card, db: sqlite3.Connection) -> float | str | None:
    """Its balance now, spelt as it came while nothing was taken."""
    if not (taken := cardinquiry_sales.spent(card.number, db)):
        return card.balance
    minor, currency = LOADED.get(card.number, cardinquiry_crowd.LOADED)
    return (minor - taken) / float(10 ** cardinquiry_sales.DIGITS.get(currency, 2))


# ---- Answers ---------------------------------------------------------------------------------------------


def _json(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, body=json.dumps(body).encode(), headers=headers or {})


def _cards(*records: Mapping[str, object]) -> Answer:
    return _json({"data": {"Cards": records}})


def _not_found() -> Answer:
    return _cards()


def _packet(code: int, message: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return _json({"error": {"Code": code, "Message": message}}, status=status, headers=headers)


def _html(text: str, *, status: int = 200) -> Answer:
    return Answer(status=status, body=f"<!doctype html><p>{text}</p>".encode(), content_type=kit.HTML)


def forbidden() -> Answer:
    """403 tells nothing, not even by how long it takes."""
    packet = _packet(2403, "Access refused.", status=403, headers={"x-fieldpine-trace": secrets.token_hex(8)})
    return replace(packet, wait=random.uniform(0.02, 0.25))


def refusal(call: Call) -> Answer:
    return _open_to_browsers(_packet(2003, "The inquiry cannot be answered.", status=400))


def throttled(call: Call, seconds: int) -> Answer:
    headers = {"Retry-After": str(seconds)}
    return _open_to_browsers(_packet(2429, "Spending cap reached.", status=429, headers=headers))


ODD_ANSWERS: dict[int, Callable[[], Answer]] = {
    7: lambda: _cards({"Status": "suspended"}),
    8: lambda: _packet(2003, "No card matches these details."),
    9: forbidden,
    10: lambda: _packet(2429, "Spending cap reached.", status=429, headers={"Retry-After": str(RETRY_AFTER)}),
    11: lambda: _html("Scheduled maintenance."),
    15: lambda: Answer(status=302, headers={"Location": kit.PRIVATE_ADDRESS}),
    16: lambda: _json({"data": {}}),
    17: lambda: _json({"data": {"Cards": None}}),
    18: lambda: _html("Not found.", status=404),
    19: lambda: _html("Service unavailable.", status=503),
    20: lambda: _json({"data": {}}, status=202),
    21: lambda: _packet(2401, "Key not accepted.", status=401),
    26: lambda: _cards({"Status": "checkpassword", "Balance": 10}),
    27: Answer,
    28: lambda: Answer(body=b'{"data": {"Cards": [{"Status": "ok", "Bala'),
    30: lambda: _packet(2003, "<script>alert(1)</script> not understood", status=400),
    32: lambda: Answer(body=b"[" * 10_000 + b"]" * 10_000),
    33: lambda: Answer(body=json.dumps({"data": {"Cards": []}}).encode() + b" " * 1_000_000),
}


# ---- Browsers, counting, test words ----------------------------------------------------------------------


def _open_to_browsers(answer: Answer) -> Answer:
    """Any shop's page may read this: that is what a VisibleKey is for."""
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "x-fieldpine-trace, Retry-After",
    }
    return replace(answer, headers={**answer.headers, **headers})


def preflight(call: Call) -> Answer:
    return Answer(
        status=204,
        headers={
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": "X-Api-Key, X-Fieldpine-CallerHandling",
            "Access-Control-Max-Age": "600",
        },
    )


def subject(call: Call) -> str:
    """The card that is meant, by its whole number where only one can be; or the sale."""
    if "card" not in call.parts:
        return cardinquiry_sales.external_id(call)
    typed = call.parts["card"]
    ours = _meant(typed)
    return ours[0].number if len(ours) == 1 else typed


def _handling(call: Call) -> str:
    return call.headers.get("X-Fieldpine-CallerHandling", "").strip().casefold()


def wish(call: Call) -> Fault | None:
    """The provider's own test words, by which a caller brings its own trouble."""
    handling = _handling(call)
    if handling == "drop-connection":
        return Fault(Kind.TIMEOUT_BEFORE, 0)
    if delay := re.fullmatch(r"delay\((\d{1,9})\)", handling):
        return Fault(Kind.SLOW, min(int(delay[1]) / 1000, LONGEST_WAIT))
    return None


CARDINQUIRY = kit.Provider(
    name="cardinquiry",
    title="CardInquiry",
    routes=(
        kit.Route(method="GET", path=re.compile(r"/CardInquiry/(?P<card>[^/]+)", re.IGNORECASE), handle=look_up),
        kit.Route(method="POST", path=re.compile(r"/SaleCreate", re.IGNORECASE), handle=sell),
    ),
    credentials={"api_key": SERVER_KEY, "visible_key": VISIBLE_KEY, "product": str(PRODUCT)},
    cards=tuple(kit.Card(number=card.number, pin=card.pin, does=card.does) for card in CARDS),
    subject=subject,
    refusal=refusal,
    throttled=throttled,
    wish=wish,
    preflight=preflight,
    tables=TABLES,
    crowd=cardinquiry_crowd.make,
)
