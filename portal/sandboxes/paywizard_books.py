"""What PayWizard's host keeps: cards, transactions, and the rules by which value moves between them.

It knows no HTTP and no field of the wire; `paywizard` does. Every function works in its caller's transaction.
"""

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from portal.sandboxes.store import Effect

DONE_LATER = timedelta(seconds=2)
SETTLED_AFTER = timedelta(hours=24)
PAYWIZARD_ID = "10020000080"  # the same in all of the document's samples

TABLES = (
    """CREATE TABLE paywizard_cards (
        number TEXT PRIMARY KEY, active INTEGER NOT NULL, minor INTEGER NOT NULL CHECK (minor >= 0),
        points INTEGER NOT NULL CHECK (points >= 0), customer TEXT NOT NULL)""",
    """CREATE TABLE paywizard_transactions (
        checkout_id TEXT PRIMARY KEY, index_code TEXT NOT NULL, order_number TEXT NOT NULL,
        kind TEXT NOT NULL, number TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0),
        original TEXT, activates INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('done', 'pending', 'refused')), due_at REAL, settles_at REAL,
        CHECK (state != 'pending' OR due_at IS NOT NULL))""",
    "CREATE INDEX paywizard_orders ON paywizard_transactions (order_number)",
    "CREATE INDEX paywizard_due ON paywizard_transactions (due_at) WHERE state = 'pending'",
    "CREATE INDEX paywizard_tips ON paywizard_transactions (original) WHERE kind = 'tip'",
    # Whatever the rules below say: nothing is voided twice.
    "CREATE UNIQUE INDEX paywizard_voids ON paywizard_transactions (original) WHERE kind = 'void' AND state = 'done'",
)


class Kind(StrEnum):
    """What a transaction is, by the names the journal uses."""

    TOP_UP = "top_up"
    PAY = "pay"
    VOID = "void"
    TIP = "tip"
    ISSUE_POINTS = "issue_points"
    REDEEM_POINTS = "redeem_points"


IN_POINTS = (Kind.ISSUE_POINTS, Kind.REDEEM_POINTS)
ADDS = (Kind.TOP_UP, Kind.ISSUE_POINTS)
CAN_BE_VOIDED = (Kind.PAY, Kind.TOP_UP)


class Habit(StrEnum):
    """What is odd about a card. The first group changes what happens, the others only what is answered."""

    NONE = ""
    DECLINES = "declines"
    PENDING_AND_DONE = "pending and done"
    PENDING_THEN_DONE = "pending, then done"
    PENDING_THEN_REFUSED = "pending, then refused"
    SETTLES_AT_ONCE = "settles at once"
    NO_REPEATS = "no repeats"
    UNKNOWN_CODE = "unknown code"
    NOT_FOUND_IN_HTTP = "not found in HTTP"
    THROTTLED = "throttled"
    DOWN = "down"
    KEY_REFUSED = "key refused"
    ACCESS_REFUSED = "access refused"

    NO_RESULT = "no result"
    NO_DATA = "no data"
    UNKNOWN_RESULT = "unknown result"
    RESULT_AS_TEXT = "result as text"
    NO_CHECKOUT_ID = "no checkoutId"

    OTHER_CARD = "other card"
    NO_MONEY = "no money"
    MONEY_TWICE = "money twice"
    MONEY_AS_TEXT = "money as text"
    MONEY_BELOW_ZERO = "money below zero"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card as it is on the first day."""

    number: str
    does: str = ""
    minor: int = 0
    points: int = 0
    currency: str = "USD"
    active: bool = True
    customer: Mapping[str, str] = field(default_factory=dict)
    habit: Habit = Habit.NONE


def _magic(end: str, does: str, minor: int = 0, habit: Habit = Habit.NONE, **more: Any) -> Card:
    return Card(number=f"9146392588685{end}", does=does, minor=minor, habit=habit, **more)


# The document's own customer, as its activation prints him.
JON = {
    "customerType": "1",
    "firstName": "Jon1",
    "middleName": "Mid2",
    "lastName": "Doe3",
    "address1": "295R+VM Settat, Morocco",
    "address2": "Settat,Morocco",
    "city": "Morocco",
    "state": "Settat",
    "country": "US",
    "mailPref": "O",
    "phone": "+8612154154",
    "isMobile": "N",
    "phonePref": "O",
    "email": "Jon@gmail.com",
    "emailPref": "O",
    "birthday": "20000101",
}
AVA = {
    "customerType": "2",
    "firstName": "Ava",
    "middleName": "Quill",
    "lastName": "Testperson",
    "address1": "12 Example Street",
    "address2": "Apartment 3",
    "city": "Springfield",
    "state": "IL",
    "postal": "62701",
    "country": "US",
    "mailPref": "I",
    "phone": "+001 217 555 0142 x0007",
    "isMobile": "Y",
    "phonePref": "I",
    "email": "ava.testperson@example.com",
    "emailPref": "I",
    "birthday": "19840229",
    "anniversary": "20100612",
    "gender": "F",
}

CARDS = (
    _magic("15", "The document's own: 1534.10 and 53 points.", 1534_10, points=53, customer=JON),
    _magic("00", "30.10 and 53 points.", 30_10, points=53),
    _magic("01", "Not active yet, nothing on it.", active=False),
    _magic("02", "Active, nothing on it."),
    _magic("03", "7.60.", 7_60),
    _magic("04", "100.00; every field of its customer is filled in.", 100_00, customer=AVA),
    _magic("05", 'Declines everything that moves value, with the word "success".', 50_00, Habit.DECLINES, points=50),
    _magic("06", "Done, and no result in the answer.", 50_00, Habit.NO_RESULT, points=50),
    _magic("07", "Done, and data is null. So it is when asked for its balance.", 50_00, Habit.NO_DATA, points=50),
    _magic("08", "Done, and the result is 7.", 50_00, Habit.UNKNOWN_RESULT, points=50),
    _magic("09", "Nothing done, and the code is 299.", 50_00, Habit.UNKNOWN_CODE, points=50),
    _magic("10", "Done, and the answer is about another card or amount.", 50_00, Habit.OTHER_CARD, points=50),
    _magic("11", "No balance in money, 50 points.", 50_00, Habit.NO_MONEY, points=50),
    _magic("12", "30.00 Canadian dollars.", 30_00, currency="CAD"),
    _magic("13", "Pending, and done at once.", 50_00, Habit.PENDING_AND_DONE, points=50),
    _magic("14", "Pending, and done 2 seconds later.", 50_00, Habit.PENDING_THEN_DONE, points=50),
    _magic("16", "Pending, and refused 2 seconds later.", 50_00, Habit.PENDING_THEN_REFUSED, points=50),
    _magic("17", "Settles at once: nothing can be voided.", 50_00, Habit.SETTLES_AT_ONCE, points=50),
    _magic("18", "Refuses an order number it has seen, with 409.", 50_00, Habit.NO_REPEATS, points=50),
    _magic("19", 'Done, and the result is the text "0".', 50_00, Habit.RESULT_AS_TEXT, points=50),
    _magic("20", "Done, and the answer has no checkoutId.", 50_00, Habit.NO_CHECKOUT_ID, points=50),
    _magic("21", "Two balances in dollars.", 50_00, Habit.MONEY_TWICE),
    _magic("22", "Its balance is a text.", 30_10, Habit.MONEY_AS_TEXT),
    _magic(
        "23", "30.00; markup and other surprises in its customer.", 30_00, customer={"firstName": "<b>Bo</b> & \u202e"}
    ),
    _magic("24", "Unknown, said with HTTP 404 too.", habit=Habit.NOT_FOUND_IN_HTTP),
    _magic("25", "429, try again after 30 seconds.", 50_00, Habit.THROTTLED),
    _magic("26", "503 with an HTML page.", 50_00, Habit.DOWN),
    _magic("27", "Its balance is said to be -5.", 0, Habit.MONEY_BELOW_ZERO),
    _magic("28", "401, as for a wrong token.", 50_00, Habit.KEY_REFUSED),
    _magic("29", "Code 403 with HTTP 200.", 50_00, Habit.ACCESS_REFUSED),
)
BY_NUMBER = {card.number: card for card in CARDS}

# Payments of 10.50 that are there from the first day, by their checkoutId; the first two are the document's.
VOIDABLE = "933358163137265664"
TIPPABLE = "927994263952818176"
SETTLED = "933392815902294016"
REPEATABLE = "933392815902294017"
SAMPLE_ORDER = "20250401123534801"  # in every sample of the document

# For load runs: plain cards, then as many that refuse an order number seen before. Nobody keeps them until
# they are used, so a reset costs nothing.
PLAIN = range(914639_000_000_000, 914639_000_001_000)
PLAIN_NO_REPEATS = range(914639_000_001_000, 914639_000_002_000)


def find(number: str) -> Card | None:
    if number in BY_NUMBER:
        return BY_NUMBER[number]
    if not (len(number) == 15 and number.isascii() and number.isdigit()):
        return None
    if int(number) in PLAIN:
        return Card(number=number, minor=10_000_00, points=10_000)
    if int(number) in PLAIN_NO_REPEATS:
        return Card(number=number, minor=10_000_00, points=10_000, habit=Habit.NO_REPEATS)
    return None


# ---- Cards -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A card as it is now."""

    active: bool
    minor: int
    points: int
    customer: Mapping[str, str]


def holding(db: sqlite3.Connection, card: Card) -> Holding:
    row = db.execute("SELECT * FROM paywizard_cards WHERE number = ?", (card.number,)).fetchone()
    if row is None:
        return Holding(active=card.active, minor=card.minor, points=card.points, customer=card.customer)
    return Holding(
        active=bool(row["active"]),
        minor=row["minor"],
        points=row["points"],
        customer=json.loads(row["customer"]),
    )


def _keep(db: sqlite3.Connection, card: Card, held: Holding) -> None:
    db.execute(
        "INSERT OR REPLACE INTO paywizard_cards VALUES (?, ?, ?, ?, ?)",
        (card.number, held.active, held.minor, held.points, json.dumps(dict(held.customer))),
    )


def activate(db: sqlite3.Connection, card: Card) -> bool:
    """False when it was active already."""
    held = holding(db, card)
    if not held.active:
        _keep(db, card, replace(held, active=True))
    return not held.active


def remember(db: sqlite3.Connection, card: Card, customer: Mapping[str, str]) -> None:
    """Fields that are named replace what was known, the others stay."""
    held = holding(db, card)
    _keep(db, card, replace(held, customer={**held.customer, **customer}))


# ---- Transactions ----------------------------------------------------------------------------------------


class Refused(Exception):
    """Not done, by a rule; its text is what the caller is told."""


class Repeated(Exception):
    """Not done: the order number was used before, and this card minds."""


def new_checkout_id() -> str:
    """Never one given before, not even before a reset: somebody may still hold it and void by it."""
    return f"9{secrets.randbelow(10**17):017}"


def new_index_code() -> str:
    return f"{PAYWIZARD_ID}{secrets.randbelow(10**10):010}"


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """One thing asked for: money in minor units, or points. Positive always; its kind says which way it goes."""

    kind: Kind
    number: str
    amount: int
    order_number: str
    original: str | None = None
    activates: bool = False
    checkout_id: str = field(default_factory=new_checkout_id)
    index_code: str = field(default_factory=new_index_code)


def transaction(db: sqlite3.Connection, checkout_id: str) -> Transaction | None:
    row = db.execute("SELECT * FROM paywizard_transactions WHERE checkout_id = ?", (checkout_id,)).fetchone()
    return _read(row) if row else None


def move(db: sqlite3.Connection, wanted: Transaction, now: datetime) -> tuple[bool, tuple[Effect, ...]]:
    """Do it, now or later: whether the caller is told that it is done, and what has happened by now.

    Raises Refused or Repeated; then nothing was changed.
    """
    card = _card(wanted)
    if card.habit is Habit.NO_REPEATS and _used(db, wanted.order_number):
        raise Repeated
    if card.habit is Habit.DECLINES:
        raise Refused("success")
    _check(db, card, wanted, now)
    if card.habit in (Habit.PENDING_THEN_DONE, Habit.PENDING_THEN_REFUSED):
        _record(db, wanted, state="pending", due=now + DONE_LATER)
        return False, ()
    settles = now if card.habit is Habit.SETTLES_AT_ONCE else now + SETTLED_AFTER
    _record(db, wanted, state="done", settles=settles)
    return card.habit is not Habit.PENDING_AND_DONE, _apply(db, card, wanted)


def due(db: sqlite3.Connection, now: datetime) -> list[tuple[datetime, Effect]]:
    """Do what was put off until now, if it can still be done; each effect with the moment it was due."""
    rows = db.execute(
        "SELECT * FROM paywizard_transactions WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, rowid",
        (now.timestamp(),),
    ).fetchall()
    happened: list[tuple[datetime, Effect]] = []
    for row in rows:
        wanted, at = _read(row), datetime.fromtimestamp(row["due_at"], UTC)
        card = _card(wanted)
        try:
            if card.habit is Habit.PENDING_THEN_REFUSED:
                raise Refused
            _check(db, card, wanted, at)
        except Refused:
            _end(db, wanted, state="refused", settles=None)
            continue
        _end(db, wanted, state="done", settles=at + SETTLED_AFTER)
        happened += [(at, effect) for effect in _apply(db, card, wanted)]
    return happened


# ---- Rules -----------------------------------------------------------------------------------------------


def _check(db: sqlite3.Connection, card: Card, wanted: Transaction, now: datetime) -> None:
    held = holding(db, card)
    if not (held.active or wanted.activates):
        raise Refused("card not active")
    if wanted.kind is Kind.VOID:
        _check_void(db, wanted, now)
    if wanted.kind is Kind.TIP:
        _check_tip(db, wanted)
    minor, points = _change(db, wanted)
    if held.minor + minor < 0:
        raise Refused("insufficient funds")
    if held.points + points < 0:
        raise Refused("insufficient points")


def _check_void(db: sqlite3.Connection, wanted: Transaction, now: datetime) -> None:
    row = _done(db, wanted.original)
    if row["kind"] not in CAN_BE_VOIDED:
        raise Refused("original transaction cannot be voided")
    if _voided(db, wanted.original):
        raise Refused("original transaction already voided")
    if row["settles_at"] is not None and row["settles_at"] <= now.timestamp():
        raise Refused("original transaction already settled")
    if wanted.amount != row["amount"]:
        raise Refused("amount differs from the original transaction")
    if _has(db, "original = ? AND kind = 'tip' AND state = 'done'", wanted.original):
        raise Refused("original transaction has a tip")


def _check_tip(db: sqlite3.Connection, wanted: Transaction) -> None:
    row = _done(db, wanted.original)
    if row["kind"] != Kind.PAY:
        raise Refused("original transaction is not a payment")
    if row["number"] != wanted.number:
        raise Refused("original transaction is of another card")
    if _voided(db, wanted.original):
        raise Refused("original transaction already voided")


def _done(db: sqlite3.Connection, checkout_id: str | None) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM paywizard_transactions WHERE checkout_id = ?", (checkout_id,)
    ).fetchone()
    if row is None:
        raise Refused("original transaction not found")
    if row["state"] != "done":
        raise Refused("original transaction not completed")
    return row


def _voided(db: sqlite3.Connection, checkout_id: str | None) -> bool:
    return _has(db, "original = ? AND kind = 'void' AND state = 'done'", checkout_id)


def _card(wanted: Transaction) -> Card:
    card = find(wanted.number)
    assert card, "nobody asks for a transaction on a card that does not exist"
    return card


def _used(db: sqlite3.Connection, order_number: str) -> bool:
    return _has(db, "order_number = ?", order_number)


def _has(db: sqlite3.Connection, condition: str, value: str | None) -> bool:
    found = db.execute(f"SELECT EXISTS (SELECT 1 FROM paywizard_transactions WHERE {condition})", (value,))
    return bool(found.fetchone()[0])


# ---- Doing it --------------------------------------------------------------------------------------------


def _change(db: sqlite3.Connection, wanted: Transaction) -> tuple[int, int]:
    """By how much money and points of the card change."""
    if wanted.kind is Kind.VOID:
        return (wanted.amount if _done(db, wanted.original)["kind"] == Kind.PAY else -wanted.amount), 0
    change = wanted.amount if wanted.kind in ADDS else -wanted.amount
    return (0, change) if wanted.kind in IN_POINTS else (change, 0)


def _apply(db: sqlite3.Connection, card: Card, wanted: Transaction) -> tuple[Effect, ...]:
    activated = wanted.activates and activate(db, card)
    held = holding(db, card)
    minor, points = _change(db, wanted)
    _keep(db, card, replace(held, minor=held.minor + minor, points=held.points + points))
    in_points = wanted.kind in IN_POINTS
    moved = Effect(
        verb=wanted.kind,
        subject=card.number,
        reference=wanted.order_number,
        provider_reference=wanted.checkout_id,
        amount=None if in_points else wanted.amount,
        currency=None if in_points else card.currency,
        points=wanted.amount if in_points else None,
        original=wanted.original,
    )
    return (activation(card, wanted.checkout_id), moved) if activated else (moved,)


def activation(card: Card, checkout_id: str | None = None) -> Effect:
    return Effect(verb="activate", subject=card.number, provider_reference=checkout_id)


def _record(
    db: sqlite3.Connection,
    wanted: Transaction,
    *,
    state: str,
    due: datetime | None = None,
    settles: datetime | None = None,
) -> None:
    db.execute(
        "INSERT INTO paywizard_transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            wanted.checkout_id,
            wanted.index_code,
            wanted.order_number,
            wanted.kind,
            wanted.number,
            wanted.amount,
            wanted.original,
            wanted.activates,
            state,
            due and due.timestamp(),
            settles and settles.timestamp(),
        ),
    )


def _end(db: sqlite3.Connection, wanted: Transaction, *, state: str, settles: datetime | None) -> None:
    db.execute(
        "UPDATE paywizard_transactions SET state = ?, settles_at = ? WHERE checkout_id = ? AND state = 'pending'",
        (state, settles and settles.timestamp(), wanted.checkout_id),
    )


def _read(row: sqlite3.Row) -> Transaction:
    return Transaction(
        kind=Kind(row["kind"]),
        number=row["number"],
        amount=row["amount"],
        order_number=row["order_number"],
        original=row["original"],
        activates=bool(row["activates"]),
        checkout_id=row["checkout_id"],
        index_code=row["index_code"],
    )


# ---- The first day ---------------------------------------------------------------------------------------


def stock(db: sqlite3.Connection) -> None:
    """Payments from before the first day: no balance and no journal line tells of them. Only one is settled."""
    for end, checkout_id, settles in (
        ("15", VOIDABLE, None),
        ("15", TIPPABLE, None),
        ("15", SETTLED, datetime(2025, 7, 25, tzinfo=UTC)),
        ("18", REPEATABLE, None),
    ):
        card = BY_NUMBER[f"9146392588685{end}"]
        payment = Transaction(
            kind=Kind.PAY,
            number=card.number,
            amount=10_50,
            order_number=SAMPLE_ORDER,
            checkout_id=checkout_id,
            index_code=f"{PAYWIZARD_ID}{checkout_id[-10:]}",
        )
        _record(db, payment, state="done", settles=settles)
