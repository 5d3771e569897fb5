"""What secuconnect keeps of Smart Transactions, and the rules by which a card is booked.

It knows no HTTP and no field of a request but those of the basket. Every function works in its caller's transaction of
the store; one that raises may have begun, so its caller undoes.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from portal.sandboxes import secuconnect_cards as cards
from portal.sandboxes.secuconnect_cards import GROUP_BY_ID, LOAD_EANS, Card, Group, Habit, new_id
from portal.sandboxes.secuconnect_spending import Spending, from_plain, spending
from portal.sandboxes.store import Effect

CURRENCY = "EUR"
DONE_LATER = timedelta(seconds=2)
OPEN = frozenset({"created", "processing", "approved"})  # nothing is captured yet
FIRST_TA_CODE, TA_CODE_STEP = 32076570, 2  # of the document's two bookings

TABLES = (
    """CREATE TABLE secuconnect_transactions (
        id TEXT PRIMARY KEY, created_at REAL NOT NULL, updated_at REAL, status TEXT NOT NULL, asked TEXT NOT NULL,
        merchant_ref TEXT, number TEXT NOT NULL, payment TEXT, due_at REAL, spends TEXT,
        CHECK (due_at IS NULL OR status = 'pending'))""",
    "CREATE INDEX secuconnect_refs ON secuconnect_transactions (merchant_ref)",
    "CREATE INDEX secuconnect_payments ON secuconnect_transactions (payment) WHERE payment IS NOT NULL",
    "CREATE INDEX secuconnect_due ON secuconnect_transactions (due_at) WHERE due_at IS NOT NULL",
    """CREATE TABLE secuconnect_bookings (
        ta_code INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, transaction_id TEXT NOT NULL, number TEXT NOT NULL,
        kind TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0), balance INTEGER NOT NULL,
        booked_at REAL NOT NULL, undoes INTEGER, bonus_part INTEGER NOT NULL)""",
    # Whatever the rules below say: no transaction is booked twice, and no booking undone twice.
    "CREATE UNIQUE INDEX secuconnect_once ON secuconnect_bookings (transaction_id, kind)",
    "CREATE UNIQUE INDEX secuconnect_undone ON secuconnect_bookings (undoes) WHERE undoes IS NOT NULL",
)


class Refused(Exception):
    """Not done, by a rule: the error to answer with."""

    def __init__(self, error: str, details: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.details = details


# ---- Smart Transactions ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """A Smart Transaction. `asked` is the request as it was read; `number` the card's, "" while there is none; `spends`
    what the card pays, None where it is only there to collect."""

    id: str
    created: datetime
    status: str
    asked: Mapping[str, Any]
    updated: datetime | None = None
    number: str = ""
    payment: str | None = None
    due: datetime | None = None
    spends: Spending | None = None

    @property
    def lines(self) -> Sequence[Mapping[str, Any]]:
        lines: Sequence[Mapping[str, Any]] = self.asked["products"]
        return lines

    @property
    def group_to_create(self) -> Group | None:
        """The group of the card that is to be made with it."""
        for ident in self.asked["idents"]:
            if ident["type"] == "create_card":
                return GROUP_BY_ID[ident["value"]]
        return None


@dataclass(frozen=True, kw_only=True)
class Booking:
    """One movement on a card. `balance` is the card's whole one after it; `bonus_part` what of `amount` was bonus."""

    ta_code: int
    id: str
    transaction: str
    number: str
    kind: str
    amount: int
    balance: int
    at: datetime
    undoes: int | None
    bonus_part: int


def transaction(db: sqlite3.Connection, wanted: str) -> Transaction | None:
    row = db.execute("SELECT * FROM secuconnect_transactions WHERE id = ?", (wanted,)).fetchone()
    return _read(row) if row else None


def by_payment(db: sqlite3.Connection, payment: str) -> Transaction | None:
    """The transaction that this payment, PCI_…, belongs to."""
    row = db.execute("SELECT * FROM secuconnect_transactions WHERE payment = ?", (payment,)).fetchone()
    return _read(row) if row else None


def transactions(db: sqlite3.Connection, *, merchant_ref: str | None = None) -> list[Transaction]:
    """The latest first; all, or those with this reference of the merchant's."""
    condition = "TRUE" if merchant_ref is None else "merchant_ref = ?"
    rows = db.execute(
        f"SELECT * FROM secuconnect_transactions WHERE {condition} ORDER BY rowid DESC",
        () if merchant_ref is None else (merchant_ref,),
    ).fetchall()
    return [_read(row) for row in rows]


def bookings(db: sqlite3.Connection, transaction_id: str | None = None) -> list[Booking]:
    rows = db.execute(
        "SELECT * FROM secuconnect_bookings WHERE ? IS NULL OR transaction_id = ? ORDER BY ta_code",
        (transaction_id, transaction_id),
    ).fetchall()
    return [_booking(row) for row in rows]


def create(db: sqlite3.Connection, asked: Mapping[str, Any], now: datetime) -> Transaction:
    """Keep it; nothing is booked. Raises Refused."""
    wanted = Transaction(id=new_id("STX"), created=now, status="created", asked=asked, number=_asked_number(db, asked))
    _save(db, wanted)
    return wanted


def update(db: sqlite3.Connection, found: Transaction, asked: Mapping[str, Any], now: datetime) -> Transaction:
    """Another request in its place; an authorisation, and what the card was to pay, is gone with the old one. Raises
    Refused."""
    if found.status not in OPEN:
        raise Refused("state", f"status is {found.status}")
    changed = replace(found, asked=asked, number=_asked_number(db, asked), status="created", updated=now, spends=None)
    _save(db, changed)
    return changed


def apply(db: sqlite3.Connection, found: Transaction, now: datetime) -> Transaction:
    """Have the card pay what it can, once it is started; nothing is booked. Raises Refused."""
    if found.status not in {"created", "processing"}:
        raise Refused("state", f"status is {found.status}")
    if not (card := cards.find(db, found.number) if found.number else None):
        raise Refused("format", "idents must name a card")
    _check(db, card, replace(found, spends=None))
    held = cards.holding(db, card)
    spends = spending(cash=held.cash, bonus=held.bonus, lines=found.lines, due=found.asked["sum"])
    applied = replace(found, spends=spends, status="processing", updated=now)
    _save(db, applied)
    return applied


def prepare(
    db: sqlite3.Connection, found: Transaction, method: str, now: datetime
) -> tuple[Transaction, tuple[Effect, ...]]:
    """Authorise the payment, and start at once where the request says so. Raises Refused."""
    if found.status not in {"created", "processing"}:
        raise Refused("state", f"status is {found.status}")
    approved = replace(found, status="approved", updated=now)
    _save(db, approved)
    if not approved.asked["auto_capture"]:
        return approved, ()
    return start(db, approved, method, now)


def start(
    db: sqlite3.Connection, found: Transaction, method: str, now: datetime
) -> tuple[Transaction, tuple[Effect, ...]]:
    """Capture the payment and book the card, now or later. Raises Refused; then nothing was changed."""
    if found.status not in OPEN:
        raise Refused("state", f"status is {found.status}")
    if method == "loyalty":
        found = found if found.spends else apply(db, found, now)
        if found.spends and found.spends.missing:
            raise Refused("insufficient")
    card = cards.find(db, found.number) if found.number else None
    habit = card.habit if card else Habit.NONE
    if card:
        _check(db, card, found)
    if habit is Habit.FAILS:
        failed = replace(found, status="failed", updated=now)
        _save(db, failed)
        return failed, ()
    # What the card pays alone is no payment of another kind.
    payment = None if method == "loyalty" else new_id("PCI")
    waits = {Habit.PENDING_THEN_OK, Habit.PENDING_THEN_FAILED, Habit.PENDING_FOR_EVER}
    if habit in waits or method == "prepaid":
        due = None if habit is Habit.PENDING_FOR_EVER else now + DONE_LATER
        pending = replace(found, status="pending", updated=now, due=due, payment=payment)
        _save(db, pending)
        return pending, ()
    return _execute(db, replace(found, payment=payment), now)


def due(db: sqlite3.Connection, now: datetime) -> list[tuple[datetime, Effect]]:
    """End what was pending until now; each effect with the moment it was due."""
    rows = db.execute(
        "SELECT * FROM secuconnect_transactions WHERE due_at <= ? ORDER BY due_at, rowid", (now.timestamp(),)
    ).fetchall()
    happened: list[tuple[datetime, Effect]] = []
    for row in rows:
        found = _read(row)
        at = found.due or now
        card = cards.find(db, found.number) if found.number else None
        try:
            if card and card.habit is Habit.PENDING_THEN_FAILED:
                raise Refused("state")
            if card:
                _check(db, card, found)
        except Refused:
            _save(db, replace(found, status="failed", updated=at, due=None))
            continue
        _, effects = _execute(db, replace(found, due=None), at)
        happened += [(at, effect) for effect in effects]
    return happened


def cancel(db: sqlite3.Connection, found: Transaction, now: datetime) -> tuple[Transaction, tuple[Effect, ...]]:
    """Undo the bookings, the latest first. Raises Refused; then nothing was changed."""
    if found.status not in {"ok", "received"}:
        raise Refused("state", f"status is {found.status}")
    effects: list[Effect] = []
    for booking in reversed(bookings(db, found.id)):
        effects.append(_undo(db, booking, found, now))
    cancelled = replace(found, status="cancelled", updated=now)
    _save(db, cancelled)
    return cancelled, tuple(effects)


def abort(db: sqlite3.Connection, found: Transaction, now: datetime) -> Transaction:
    """Give up what was never started. Raises Refused."""
    if found.status not in OPEN:
        raise Refused("state", f"status is {found.status}")
    aborted = replace(found, status="aborted", updated=now)
    _save(db, aborted)
    return aborted


# ---- Rules -----------------------------------------------------------------------------------------------


def load_of(lines: Sequence[Mapping[str, Any]]) -> int:
    return sum(line["priceOne"] * line["quantity"] for line in lines if line["ean"] in LOAD_EANS)


def earning_of(group: Group, lines: Sequence[Mapping[str, Any]]) -> int:
    """What of a basket earns bonus, in cents."""
    return sum(line["priceOne"] * line["quantity"] for line in lines if group.earns(line))


def bonus_of(group: Group, lines: Sequence[Mapping[str, Any]]) -> int:
    """Half a cent is a cent: rounded once, on the whole that earns."""
    return (earning_of(group, lines) * group.bonus + 50) // 100


def _asked_number(db: sqlite3.Connection, asked: Mapping[str, Any]) -> str:
    """The card that is named; it must be there. Raises Refused."""
    for ident in asked["idents"]:
        if ident["type"] == "card":
            card = cards.find(db, ident["value"])
            if card is None or card.habit is Habit.INVALID:
                raise Refused("card validation", "idents")
            return card.number
        if (group := GROUP_BY_ID.get(ident["value"])) is None:
            raise Refused("not found", "idents.value")
        if not group.creates_cards:
            raise Refused("group", "idents.value")
    return ""


def _check(db: sqlite3.Connection, card: Card, found: Transaction) -> None:
    if cards.lock_of(db, card).locked:
        raise Refused("locked")
    if card.habit is Habit.EXPIRED:
        raise Refused("card expired")
    limit = card.group.balance_limit
    held = cards.holding(db, card)
    spends = found.spends
    if spends and (held.cash < spends.cash or held.bonus < spends.bonus_sum):
        raise Refused("insufficient")
    added = load_of(found.lines) + bonus_of(card.group, found.lines) - (spends.total if spends else 0)
    if limit is not None and held.balance + added > limit:
        raise Refused("limit")


def _execute(db: sqlite3.Connection, found: Transaction, now: datetime) -> tuple[Transaction, tuple[Effect, ...]]:
    """The payment is captured: what the card pays is booked first, then the bonus, the load after it, as the document's
    receipt has it."""
    effects: list[Effect] = []
    group = found.group_to_create
    card = cards.make(db, group, now) if group else cards.find(db, found.number) if found.number else None
    if card:
        if group:
            effects.append(_effect("activate", card, found, None))
        if found.spends and found.spends.total:
            effects.append(_spend(db, found, card, found.spends, now))
        bonus, load = bonus_of(card.group, found.lines), load_of(found.lines)
        if bonus:
            held = cards.holding(db, card)
            cards.keep(db, replace(held, bonus=held.bonus + bonus, used=now, charged=now))
            _book(db, found, card, "bonus", bonus, now, bonus_part=bonus)
            effects.append(_effect("bonus", card, found, bonus))
        if load:
            held = cards.holding(db, card)
            cards.keep(db, replace(held, cash=held.cash + load, used=now, charged=now))
            _book(db, found, card, "load", load, now)
            effects.append(_effect("top_up", card, found, load))
    if found.asked["communications"] and card:
        effects.append(_effect("notify", card, found, None))
    status = "received" if found.asked["intent"] == "order" else "ok"
    number = card.number if card else ""
    done = replace(found, status=status, updated=now, number=number)
    _save(db, done)
    return done, tuple(effects)


def _spend(db: sqlite3.Connection, found: Transaction, card: Card, spends: Spending, now: datetime) -> Effect:
    held = cards.holding(db, card)
    left = replace(held, cash=held.cash - spends.cash, bonus=held.bonus - spends.bonus_sum, used=now)
    cards.keep(db, left)
    _book(db, found, card, "pay", spends.total, now, bonus_part=spends.bonus_sum)
    return _effect("pay", card, found, spends.total)


def _undo(db: sqlite3.Connection, booking: Booking, found: Transaction, now: datetime) -> Effect:
    card = cards.find(db, booking.number)
    assert card, "it was booked on a card"
    if card.habit is Habit.NO_CANCEL:
        raise Refused("cannot cancel")
    if not card.group.cancel_selected:
        later = db.execute(
            """SELECT EXISTS (SELECT 1 FROM secuconnect_bookings b WHERE number = ? AND ta_code > ?
                AND transaction_id != ? AND undoes IS NULL
                AND NOT EXISTS (SELECT 1 FROM secuconnect_bookings WHERE undoes = b.ta_code))""",
            (booking.number, booking.ta_code, booking.transaction),
        ).fetchone()[0]
        if later:
            raise Refused("cannot cancel")
    held = cards.holding(db, card)
    sign = -1 if booking.kind == "pay" else 1  # what was paid comes back
    cash, bonus = sign * (booking.amount - booking.bonus_part), sign * booking.bonus_part
    if held.cash < cash or held.bonus < bonus:
        raise Refused("cannot cancel")
    cards.keep(db, replace(held, cash=held.cash - cash, bonus=held.bonus - bonus, used=now))
    kind = f"undo {booking.kind}"
    _book(db, found, card, kind, booking.amount, now, undoes=booking.ta_code, bonus_part=booking.bonus_part)
    verb = "void_bonus" if booking.kind == "bonus" else "void"
    return replace(_effect(verb, card, found, booking.amount), original=found.id)


def _book(
    db: sqlite3.Connection,
    found: Transaction,
    card: Card,
    kind: str,
    amount: int,
    now: datetime,
    *,
    undoes: int | None = None,
    bonus_part: int = 0,
) -> Booking:
    last = db.execute("SELECT max(ta_code) FROM secuconnect_bookings").fetchone()[0]
    booking = Booking(
        ta_code=FIRST_TA_CODE if last is None else last + TA_CODE_STEP,
        id=new_id("LTX"),
        transaction=found.id,
        number=card.number,
        kind=kind,
        amount=amount,
        balance=cards.holding(db, card).balance,
        at=now,
        undoes=undoes,
        bonus_part=bonus_part,
    )
    db.execute(
        "INSERT INTO secuconnect_bookings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            booking.ta_code,
            booking.id,
            booking.transaction,
            booking.number,
            booking.kind,
            booking.amount,
            booking.balance,
            now.timestamp(),
            undoes,
            bonus_part,
        ),
    )
    return booking


def _effect(verb: str, card: Card, found: Transaction, amount: int | None) -> Effect:
    return Effect(
        verb=verb,
        subject=card.number,
        reference=found.asked["merchantRef"],
        provider_reference=found.id,
        amount=amount,
        currency=None if amount is None else CURRENCY,
    )


# ---- Rows ------------------------------------------------------------------------------------------------


def _save(db: sqlite3.Connection, kept: Transaction) -> None:
    db.execute(
        """INSERT INTO secuconnect_transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at, status = excluded.status,
            asked = excluded.asked, merchant_ref = excluded.merchant_ref, number = excluded.number,
            payment = excluded.payment, due_at = excluded.due_at, spends = excluded.spends""",
        (
            kept.id,
            kept.created.timestamp(),
            kept.updated and kept.updated.timestamp(),
            kept.status,
            json.dumps(kept.asked),
            kept.asked["merchantRef"],
            kept.number,
            kept.payment,
            kept.due and kept.due.timestamp(),
            kept.spends and json.dumps(kept.spends.as_plain()),
        ),
    )


def _read(row: sqlite3.Row) -> Transaction:
    moments = {name: row[f"{name}_at"] for name in ("created", "updated", "due")}
    created, updated, due_at = (
        None if moment is None else datetime.fromtimestamp(moment, UTC) for moment in moments.values()
    )
    assert created, "every transaction was made some day"
    return Transaction(
        id=row["id"],
        created=created,
        updated=updated,
        status=row["status"],
        asked=json.loads(row["asked"]),
        number=row["number"],
        payment=row["payment"],
        due=due_at,
        spends=from_plain(json.loads(row["spends"])) if row["spends"] else None,
    )


def _booking(row: sqlite3.Row) -> Booking:
    return Booking(
        ta_code=row["ta_code"],
        id=row["id"],
        transaction=row["transaction_id"],
        number=row["number"],
        kind=row["kind"],
        amount=row["amount"],
        balance=row["balance"],
        at=datetime.fromtimestamp(row["booked_at"], UTC),
        undoes=row["undoes"],
        bonus_part=row["bonus_part"],
    )


def put(db: sqlite3.Connection, asked: Mapping[str, Any], *, id: str, created: datetime) -> None:
    """A transaction from before the first day: no journal line tells of it."""
    _save(db, Transaction(id=id, created=created, status="created", asked=asked, number=_asked_number(db, asked)))
