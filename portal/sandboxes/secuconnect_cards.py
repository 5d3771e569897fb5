"""secuconnect's card groups and cards: what is on them on the first day, and what was made of it since.

It knows no transaction. Every function works in its caller's transaction of the store. Amounts are cents.
"""

import hashlib
import secrets
import sqlite3
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

LOAD_EANS = frozenset({"4260447149502", "4260447149519"})
SEED_CARD = "9276004424644352"
LAST_USED = datetime(2017, 10, 11, 7, 34, 42, tzinfo=UTC)

TABLES = (
    """CREATE TABLE secuconnect_cards (
        number TEXT PRIMARY KEY, group_id TEXT NOT NULL, cash INTEGER NOT NULL CHECK (cash >= 0),
        bonus INTEGER NOT NULL CHECK (bonus >= 0), used_at REAL NOT NULL, charged_at REAL NOT NULL)""",
    """CREATE TABLE secuconnect_locks (
        number TEXT PRIMARY KEY, locked INTEGER NOT NULL, reason INTEGER, note TEXT NOT NULL, at REAL NOT NULL)""",
)


@dataclass(frozen=True, kw_only=True)
class Group:
    """A card group. `bonus` is in percent of what earns; the filter says by EAN or article number what does."""

    id: str
    name: str
    bonus: int = 0
    filter_mode: str = "none"
    filter_eans: frozenset[str] = frozenset()
    filter_articles: frozenset[str] = frozenset()
    balance_limit: int | None = None
    cancel_selected: bool = True  # False: only a card's latest booking may be undone
    creates_cards: bool = False

    def earns(self, line: Mapping[str, Any]) -> bool:
        listed = line["ean"] in self.filter_eans or line["articleNumber"] in self.filter_articles
        return {"none": True, "blacklist": not listed, "whitelist": listed}[self.filter_mode]


SEED_GROUP = Group(id="CRG_GO7GQ6DHW3TJYGDF64WD16PUIDHQ8Y", name="Bonus", bonus=10)
BLACKLIST = Group(
    id="CRG_BLACKLISTBONUSBLACKLISTBONUS01",
    name="Bonus ohne Aufladung",
    bonus=10,
    filter_mode="blacklist",
    filter_eans=LOAD_EANS,
)
WHITELIST = Group(
    id="CRG_WHITELISTBONUSWHITELISTBONUS02",
    name="Bonus auf Geschirr",
    bonus=10,
    filter_mode="whitelist",
    filter_articles=frozenset({"30200"}),
)
GIFT = Group(id="CRG_442AC7B8XCVU3XG2NX9E5XHJWH4CRK", name="Geschenkkarte", creates_cards=True)
LIMITED = Group(id="CRG_LIMITEDCARDLIMITEDCARDLIMITED3", name="Bis 150 EUR", balance_limit=150_00)
LATEST_ONLY = Group(id="CRG_LATESTONLYLATESTONLYLATESTONL4", name="Nur zuletzt", cancel_selected=False)
GROUPS = (SEED_GROUP, BLACKLIST, WHITELIST, GIFT, LIMITED, LATEST_ONLY)
GROUP_BY_ID = {group.id: group for group in GROUPS}


class Habit(StrEnum):
    """What is odd about a card. The first block changes what happens, the others only what is answered."""

    NONE = ""
    LOCKED = "locked"
    EXPIRED = "expired"
    INVALID = "invalid"
    PENDING_THEN_OK = "pending, then ok"
    PENDING_THEN_FAILED = "pending, then failed"
    PENDING_FOR_EVER = "pending for ever"
    FAILS = "fails"
    NO_CANCEL = "no cancel"

    THROTTLED = "throttled"
    DOWN = "down"
    TOKEN_EXPIRED = "token expired"
    KEY_REFUSED = "key refused"
    NOT_ALLOWED = "not allowed"

    UNKNOWN_STATUS = "unknown status"
    NO_STATUS = "no status"
    OTHER_CARD = "other card"
    OTHER_SUM = "other sum"
    OLD_BALANCE = "old balance"
    BALANCE_AS_TEXT = "balance as text"
    BALANCE_BELOW_ZERO = "balance below zero"
    BALANCE_CONTRADICTS = "balance contradicts"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card as it is on the first day. Cents."""

    number: str
    does: str = ""
    group: Group = GIFT
    cash: int = 0
    bonus: int = 0
    points: int = 0
    habit: Habit = Habit.NONE


def _magic(end: str, does: str, cash: int = 0, habit: Habit = Habit.NONE, **more: Any) -> Card:
    return Card(number=f"92760044246440{end}", does=does, cash=cash, habit=habit, **more)


CARDS = (
    Card(
        number=SEED_CARD,
        does="The document's own: 2.00 and 0.20 bonus; 10 % bonus on everything, the load too.",
        group=SEED_GROUP,
        cash=2_00,
        bonus=20,
    ),
    _magic("00", "The same, and a load earns no bonus: its EAN is on the blacklist.", 2_00, group=BLACKLIST, bonus=20),
    _magic("01", "Nothing on it; a group without bonus."),
    _magic("02", "Locked, 50.00.", 50_00, Habit.LOCKED),
    _magic("03", "10 % bonus on article 30200 alone: the whitelist.", 2_00, group=WHITELIST, bonus=20),
    _magic("04", "140.00, and holds no more than 150.00.", 140_00, group=LIMITED),
    _magic("05", "Pending, and ok 2 seconds later.", 50_00, Habit.PENDING_THEN_OK),
    _magic("06", "Pending, and failed 2 seconds later.", 50_00, Habit.PENDING_THEN_FAILED),
    _magic("07", "Pending for ever.", 50_00, Habit.PENDING_FOR_EVER),
    _magic("08", "HTTP 200, and the status is failed.", 50_00, Habit.FAILS),
    _magic("09", "Done, and the status is one that nobody documented.", 50_00, Habit.UNKNOWN_STATUS),
    _magic("10", "Done, and the answer has no status.", 50_00, Habit.NO_STATUS),
    _magic("11", "Done, and the answer is about another card.", 50_00, Habit.OTHER_CARD),
    _magic("12", "Done, and the answer has another sum.", 50_00, Habit.OTHER_SUM),
    _magic("13", "Done, and the answer tells the balance from before.", 50_00, Habit.OLD_BALANCE),
    _magic("14", "Refuses every cancellation, with 1007.", 50_00, Habit.NO_CANCEL),
    _magic("15", "Only its latest booking can be cancelled.", 50_00, group=LATEST_ONLY),
    _magic("16", "50.00 and 120 points.", 50_00, points=120),
    _magic("17", "Expired.", 50_00, Habit.EXPIRED),
    _magic("18", "Found, and its validation fails with 1016.", 50_00, Habit.INVALID),
    _magic("19", "Its balance is a text.", 50_00, Habit.BALANCE_AS_TEXT),
    _magic("20", "Its balance is said to be -5.", 0, Habit.BALANCE_BELOW_ZERO),
    _magic("21", "Its balance is not the sum of cash and bonus.", 50_00, Habit.BALANCE_CONTRADICTS),
    _magic("25", "429, try again after 30 seconds.", 50_00, Habit.THROTTLED),
    _magic("26", "503 with an HTML page.", 50_00, Habit.DOWN),
    _magic("27", "403 with code 2003, as for a token that has expired, with every token.", 50_00, Habit.TOKEN_EXPIRED),
    _magic("28", "401 with every token.", 50_00, Habit.KEY_REFUSED),
    _magic("29", "403, loyalty is not enabled.", 50_00, Habit.NOT_ALLOWED),
)
BY_NUMBER = {card.number: card for card in CARDS}
# For load runs: nobody keeps them until they are used, so a reset costs nothing.
PLAIN = range(9276_1000_0000_0000, 9276_1000_0000_1000)
EARNING = range(9276_2000_0000_0000, 9276_2000_0000_1000)  # as the document's own card: 10 % on everything
_LETTERS = string.digits + string.ascii_uppercase


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A card as it is now."""

    card: Card
    cash: int
    bonus: int
    used: datetime
    charged: datetime
    locked: bool = False

    @property
    def balance(self) -> int:
        return self.cash + self.bonus


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Whether a card is locked, and what was said of it."""

    locked: bool
    reason: int | None = None
    note: str = ""


def lock_of(db: sqlite3.Connection, card: Card) -> Lock:
    row = db.execute("SELECT * FROM secuconnect_locks WHERE number = ?", (card.number,)).fetchone()
    if row is None:
        locked = card.habit is Habit.LOCKED
        return Lock(locked=locked, reason=1 if locked else None)
    return Lock(locked=bool(row["locked"]), reason=row["reason"], note=row["note"])


def set_lock(db: sqlite3.Connection, card: Card, *, locked: bool, reason: int | None, note: str, at: datetime) -> None:
    db.execute(
        "INSERT OR REPLACE INTO secuconnect_locks VALUES (?, ?, ?, ?, ?)",
        (card.number, locked, reason, note, at.timestamp()),
    )


def find(db: sqlite3.Connection, number: str) -> Card | None:
    if number in BY_NUMBER:
        return BY_NUMBER[number]
    if len(number) == 16 and number.isascii() and number.isdigit():
        if int(number) in PLAIN:
            return Card(number=number, cash=1_000_00)
        if int(number) in EARNING:
            return Card(number=number, group=SEED_GROUP, cash=1_000_00)
    row = db.execute("SELECT group_id FROM secuconnect_cards WHERE number = ?", (number,)).fetchone()
    return Card(number=number, group=GROUP_BY_ID[row["group_id"]]) if row else None


def holding(db: sqlite3.Connection, card: Card) -> Holding:
    row = db.execute("SELECT * FROM secuconnect_cards WHERE number = ?", (card.number,)).fetchone()
    locked = lock_of(db, card).locked
    if row is None:
        return Holding(card=card, cash=card.cash, bonus=card.bonus, used=LAST_USED, charged=LAST_USED, locked=locked)
    used, charged = (datetime.fromtimestamp(row[name], UTC) for name in ("used_at", "charged_at"))
    return Holding(card=card, cash=row["cash"], bonus=row["bonus"], used=used, charged=charged, locked=locked)


def holdings(db: sqlite3.Connection) -> list[Holding]:
    """Every card there is: the magic ones, and those that were used or made."""
    kept = (row["number"] for row in db.execute("SELECT number FROM secuconnect_cards ORDER BY number").fetchall())
    cards = (find(db, number) for number in dict.fromkeys([*BY_NUMBER, *kept]))
    return [holding(db, card) for card in cards if card]


def keep(db: sqlite3.Connection, held: Holding) -> None:
    db.execute(
        "INSERT OR REPLACE INTO secuconnect_cards VALUES (?, ?, ?, ?, ?, ?)",
        (
            held.card.number,
            held.card.group.id,
            held.cash,
            held.bonus,
            held.used.timestamp(),
            held.charged.timestamp(),
        ),
    )


def make(db: sqlite3.Connection, group: Group, now: datetime) -> Card:
    number = ""
    while not number or find(db, number):
        number = f"92760099{secrets.randbelow(10**8):08}"
    card = Card(number=number, group=group)
    keep(db, Holding(card=card, cash=0, bonus=0, used=now, charged=now))
    return card


def new_id(prefix: str) -> str:
    return f"{prefix}_{''.join(secrets.choice(_LETTERS) for _ in range(30))}"


def fixed_id(prefix: str, name: str) -> str:
    """The same for the same name, always."""
    digits = int.from_bytes(hashlib.sha256(f"{prefix} {name}".encode()).digest())
    return f"{prefix}_{''.join(_LETTERS[(digits // 36**place) % 36] for place in range(30))}"
