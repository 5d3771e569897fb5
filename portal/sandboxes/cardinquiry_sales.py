"""CardInquiry's second half, imitated: a card that was looked up pays a sale, once however often the sale is sent.

    POST /cardinquiry/SaleCreate        X-Api-Key: {server key}

    {"ExternalId": "…", "CompletedDt": "2026-11-28T10:35:00", "Phase": 1,
     "LINE": [{"Pid": 12345, "Qty": 1, "TotalPrice": 9.00}],
     "PAYM": [{"Type": "prepay", "Amount": 9.00, "UsageToken": "…"}]}

From the vendor's pages: that body, that a sale sent again under the same ExternalId is answered as if it were stored
now and processed once for all time, and that after an error it may be changed. From the CardInquiry document: a
UsageToken pays, has a finite lifetime, and reserves nothing.

ASSUMED, for want of any document: where the UsageToken stands in PAYM; that it pays once; that a browser's key may not
sell; the names Result and Physkey in the answer; 400 and the codes of its error packets; that payments and lines add
up.
"""

import hashlib
import json
import re
import secrets
import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from portal.sandboxes.kit import Answer, Call, Outcome
from portal.sandboxes.store import Effect

TOKEN_LIFE = timedelta(minutes=15)
COMPLETE = 1  # a sale that is over; others are still being picked or wait for their payment
BY_CARD = ("prepay", "voucher")
LONGEST_ID = 120
DIGITS: Mapping[str, int] = {"JPY": 0}

TABLES = (
    """CREATE TABLE cardinquiry_tokens (
        hash TEXT PRIMARY KEY, number TEXT NOT NULL, invalid_after REAL NOT NULL)""",
    "CREATE TABLE cardinquiry_sales (external_id TEXT PRIMARY KEY, physkey TEXT NOT NULL)",
    "CREATE TABLE cardinquiry_spent (number TEXT PRIMARY KEY, minor INTEGER NOT NULL CHECK (minor > 0))",
)


class Wrong(Exception):
    """Nothing is stored, and the caller is told why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


# ---- Tokens and what is left ------------------------------------------------------------------------------


def issue_token(number: str, at: datetime, db: sqlite3.Connection, *, life: timedelta = TOKEN_LIFE) -> str:
    """Opaque to whoever holds it, and useless to whoever reads our table."""
    token = secrets.token_urlsafe(24)
    db.execute("DELETE FROM cardinquiry_tokens WHERE invalid_after < ?", (at.timestamp(),))
    db.execute("INSERT INTO cardinquiry_tokens VALUES (?, ?, ?)", (_hash(token), number, (at + life).timestamp()))
    return token


def spent(number: str, db: sqlite3.Connection) -> int:
    """What sales have taken from this card, in minor units."""
    row = db.execute("SELECT minor FROM cardinquiry_spent WHERE number = ?", (number,)).fetchone()
    return int(row["minor"]) if row else 0


def spend(number: str, minor: int, db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO cardinquiry_spent VALUES (?, ?) ON CONFLICT DO UPDATE SET minor = minor + excluded.minor",
        (number, minor),
    )


def minor_units(amount: object, currency: str) -> int:
    """12.5 dollars are 1250. Raises Wrong for what is no amount of this currency."""
    digits = DIGITS.get(currency, 2)
    exact = Decimal(str(amount)).scaleb(digits)
    if exact != exact.to_integral_value():
        raise Wrong(2102, "An amount has too many decimals.")
    return int(exact)


# ---- The sale ---------------------------------------------------------------------------------------------


def create(call: Call, db: sqlite3.Connection, *, loaded: Mapping[str, tuple[int, str]]) -> Outcome:
    """Store the sale and take its payments. `loaded` is {card number: (minor units it came with, currency)}."""
    db.execute("SAVEPOINT sale")
    try:
        sale = _read(call.body)
        known = db.execute("SELECT physkey FROM cardinquiry_sales WHERE external_id = ?", (sale["ExternalId"],))
        if row := known.fetchone():
            return Outcome(_stored(row["physkey"]))  # whatever else it says now: it is the same sale
        physkey = secrets.token_hex(8)
        effects = tuple(_take(sale, payment, physkey, call.at, db, loaded) for payment in _by_card(sale))
    except Wrong as wrong:
        db.execute("ROLLBACK TO sale")
        packet = {"error": {"Code": wrong.code, "Message": wrong.message}}
        return Outcome(Answer(status=400, body=json.dumps(packet).encode()))
    db.execute("INSERT INTO cardinquiry_sales VALUES (?, ?)", (sale["ExternalId"], physkey))
    return Outcome(_stored(physkey), effects)


def external_id(call: Call) -> str:
    """Which sale a call is about and by which bytes, for counting: the same sale in other bytes is counted apart."""
    try:
        return f"{_read(call.body)['ExternalId']} {hashlib.sha256(call.body).hexdigest()[:12]}"
    except Wrong:
        return "no sale"


def _stored(physkey: str) -> Answer:
    return Answer(body=json.dumps({"data": {"Result": "OK", "Physkey": physkey}}).encode())


def _by_card(sale: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [payment for payment in sale["PAYM"] if payment["Type"] in BY_CARD]


def _take(
    sale: Mapping[str, Any],
    payment: Mapping[str, Any],
    physkey: str,
    at: datetime,
    db: sqlite3.Connection,
    loaded: Mapping[str, tuple[int, str]],
) -> Effect:
    number = _redeem(str(payment.get("UsageToken", "")), at, db)
    came_with, currency = loaded[number]
    minor = minor_units(payment["Amount"], currency)
    if minor > came_with - spent(number, db):
        raise Wrong(2111, "The balance does not cover this payment.")
    spend(number, minor, db)
    return Effect(
        verb="pay",
        subject=number,
        reference=sale["ExternalId"],
        provider_reference=physkey,
        amount=minor,
        currency=currency,
    )


def _redeem(token: str, at: datetime, db: sqlite3.Connection) -> str:
    """The card behind a token, which pays once."""
    row = db.execute(
        "DELETE FROM cardinquiry_tokens WHERE hash = ? AND invalid_after >= ? RETURNING number",
        (_hash(token), at.timestamp()),
    ).fetchone()
    if row is None:
        raise Wrong(2110, "The UsageToken is not valid any more.")
    return str(row["number"])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# ---- Reading ----------------------------------------------------------------------------------------------


def _read(body: bytes) -> dict[str, Any]:
    try:
        sale = json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise Wrong(2001, "The sale cannot be read.") from None
    _members(sale, {"ExternalId", "CompletedDt", "Phase", "LINE", "PAYM"})
    if not isinstance(sale["ExternalId"], str) or not 0 < len(sale["ExternalId"]) <= LONGEST_ID:
        raise Wrong(2001, f"ExternalId is a text of at most {LONGEST_ID} characters.")
    if not isinstance(sale["CompletedDt"], str) or not _is_a_time(sale["CompletedDt"]):
        raise Wrong(2001, "CompletedDt is no date and time.")
    if sale["Phase"] != COMPLETE:
        raise Wrong(2001, "Only a sale in phase 1 is taken here.")
    for part in ("LINE", "PAYM"):
        if not isinstance(sale[part], list) or not sale[part]:
            raise Wrong(2001, f"{part} is empty.")
    for line in sale["LINE"]:
        _members(line, {"Pid", "Qty", "TotalPrice"})
        if not isinstance(line["Pid"], int) or not _is_positive(line["Qty"]):
            raise Wrong(2001, "A line names a product by its number, and how many.")
    for payment in sale["PAYM"]:
        _members(payment, {"Type", "Amount"}, {"UsageToken"})
    amounts = [line["TotalPrice"] for line in sale["LINE"]], [each["Amount"] for each in sale["PAYM"]]
    if not all(_is_positive(amount) for amount in (*amounts[0], *amounts[1])):
        raise Wrong(2102, "Amounts are numbers above 0.")
    if sum(amounts[0]) != sum(amounts[1]):
        raise Wrong(2102, "Payments and lines do not add up to the same.")
    return dict(sale)


def _members(part: object, wanted: set[str], allowed: frozenset[str] | set[str] = frozenset()) -> None:
    if not isinstance(part, dict) or not wanted <= part.keys() or part.keys() - wanted - allowed:
        raise Wrong(2001, f"Wanted here: {', '.join(sorted(wanted))}.")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value > 0


def _is_a_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text) is not None
