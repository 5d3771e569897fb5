"""Revenue Monster's books: members and their points, codes that wait for a customer, what happened to whom."""

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from portal.sandboxes.store import Effect

MERCHANT = "4118165203679668885"
CURRENCY = "MYR"
POINT_EVERY = 100  # sen; the rule of this merchant
CODE_SECONDS = 24 * 3600.0  # ASSUMED
SHORT_CODE, SHORT_SECONDS = 666, 2.0  # the amount in sen of a code that expires at once

TABLES = (
    """CREATE TABLE revenuemonster_members (
        id TEXT PRIMARY KEY, country TEXT NOT NULL, phone TEXT NOT NULL, name TEXT NOT NULL, points INTEGER NOT NULL,
        earned INTEGER NOT NULL, spent INTEGER NOT NULL, email TEXT NOT NULL, created_at TEXT NOT NULL,
        UNIQUE (country, phone))""",
    """CREATE TABLE revenuemonster_history (
        id INTEGER PRIMARY KEY AUTOINCREMENT, member TEXT NOT NULL, type TEXT NOT NULL, description TEXT NOT NULL,
        points INTEGER NOT NULL, at TEXT NOT NULL)""",
    "CREATE INDEX revenuemonster_history_member ON revenuemonster_history (member, id)",
    """CREATE TABLE revenuemonster_codes (
        id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, amount INTEGER, points INTEGER NOT NULL,
        state TEXT NOT NULL, ends_at REAL NOT NULL, member TEXT)""",
)


class Habit(StrEnum):
    """What is special about a member."""

    NONE = "none"
    DOUBLE = "double"
    NOT_ALLOWED = "not_allowed"
    INACTIVE = "inactive"
    QUANTITY_MAX = "quantity_max"
    NAMES_AN_ID = "names_an_id"
    NO_CODE = "no_code"
    OTHER_CODE = "other_code"
    ERROR_BESIDE_SUCCESS = "error_beside_success"
    PROCESSING = "processing"
    ERROR_AND_DONE = "error_and_done"
    ERROR_NOT_DONE = "error_not_done"
    OVERLOAD = "overload"
    UNKNOWN_ERROR = "unknown_error"
    OTHER_MEMBER = "other_member"
    POINTS_AS_TEXT = "points_as_text"
    POINTS_BELOW_ZERO = "points_below_zero"
    NO_POINTS = "no_points"
    TELLS_ID = "tells_id"
    TELLS_OTHERS_ID = "tells_others_id"
    THROTTLED = "throttled"
    TOKEN_EXPIRED = "token_expired"
    NO_PERMISSION = "no_permission"
    NO_SUBSCRIPTION = "no_subscription"
    DOWN = "down"


@dataclass(frozen=True)
class Magic:
    """A member to type: its id, its phone number and what happens."""

    id: str
    phone: str
    points: int
    does: str
    habit: Habit = Habit.NONE


def _magic(end: int, points: int, does: str, habit: Habit) -> Magic:
    return Magic(f"27770586827178585{end:02}", f"1876000{end:02}", points, does, habit)


SEED = Magic("2777058682717858418", "176473298", 1000, "1,000 points; the document's own.")
MAGIC = (
    SEED,
    Magic(
        "2777058682717858419",
        "172826990",
        250,
        "250 points; the document's other phone number. Its profile tells the ID.",
        Habit.TELLS_ID,
    ),
    _magic(1, 0, "No points yet.", Habit.NONE),
    _magic(2, 500, "A tier that earns double: what is predicted is not what is given.", Habit.DOUBLE),
    _magic(3, 500, "May be given nothing for a purchase.", Habit.NOT_ALLOWED),
    _magic(4, 500, "Is not active any more: an error in updating its status.", Habit.INACTIVE),
    _magic(5, 500, "Has had all that may be given.", Habit.QUANTITY_MAX),
    _magic(6, 500, "Done, and the answer names an id.", Habit.NAMES_AN_ID),
    _magic(7, 500, "Done, and the answer has no code.", Habit.NO_CODE),
    _magic(8, 500, "Done, and the answer has another code.", Habit.OTHER_CODE),
    _magic(9, 500, "Done, and beside its success the answer has an error.", Habit.ERROR_BESIDE_SUCCESS),
    _magic(10, 500, "Done, and said to be in the works.", Habit.PROCESSING),
    _magic(11, 500, "Done, and said to be an internal error.", Habit.ERROR_AND_DONE),
    _magic(12, 500, "Not done: an internal error.", Habit.ERROR_NOT_DONE),
    _magic(13, 500, "Not done: overloaded.", Habit.OVERLOAD),
    _magic(14, 500, "Not done: an error nobody knows.", Habit.UNKNOWN_ERROR),
    _magic(15, 500, "A look-up answers about another member.", Habit.OTHER_MEMBER),
    _magic(16, 500, "A look-up writes the points as a text.", Habit.POINTS_AS_TEXT),
    _magic(17, 500, "A look-up says -5 points.", Habit.POINTS_BELOW_ZERO),
    _magic(18, 500, "A look-up leaves the points out.", Habit.NO_POINTS),
    _magic(19, 500, "The profile of the phone number tells the ID of another member.", Habit.TELLS_OTHERS_ID),
    _magic(20, 500, "429: too many requests.", Habit.THROTTLED),
    _magic(21, 500, "The token has expired.", Habit.TOKEN_EXPIRED),
    _magic(22, 500, "This client may not do that.", Habit.NO_PERMISSION),
    _magic(23, 500, "The merchant's subscription has ended.", Habit.NO_SUBSCRIPTION),
    _magic(24, 500, "503 with a web page.", Habit.DOWN),
)
HABITS = {magic.id: magic.habit for magic in MAGIC} | {magic.phone: magic.habit for magic in MAGIC}
PLAIN_POINTS = 1_000_000
PLAIN_ID, PLAIN_PHONE, PLAIN = 2777100000000000000, 190000000, 1000

SEED_CODE, SEED_KEY = "83f575034d45f776b8e1fed1a26e2fee", "d3008719d04cab91c53eb0b5d8cc4ee6"


class Refused(Exception):
    """What the provider does not do. `code` is the appendix's word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Member:
    id: str
    country: str
    phone: str
    name: str
    points: int
    earned: int
    spent: int
    email: str
    created_at: str

    @property
    def habit(self) -> Habit:
        return HABITS.get(self.id, Habit.NONE)


@dataclass(frozen=True)
class Code:
    id: str
    key: str
    kind: str
    amount: int | None
    points: int
    state: str
    ends_at: float
    member: str | None

    def state_at(self, now: datetime) -> str:
        return "EXPIRED" if self.state == "ISSUED" and self.ends_at <= now.timestamp() else self.state


def stock(db: sqlite3.Connection) -> None:
    made = datetime(2018, 6, 8, 9, 36, 25, tzinfo=UTC).isoformat()
    rows = [(magic.id, "60", magic.phone, f"Member {magic.id[-2:]}", magic.points) for magic in MAGIC]
    rows += [(str(PLAIN_ID + n), "60", str(PLAIN_PHONE + n), f"Member {n}", PLAIN_POINTS) for n in range(PLAIN)]
    db.executemany(
        "INSERT INTO revenuemonster_members VALUES (?, ?, ?, ?, ?, ?, 0, '', ?)",
        [(*row, row[4], made) for row in rows],
    )
    far = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
    db.execute(
        "INSERT INTO revenuemonster_codes VALUES (?, ?, 'spending', 100, 1, 'ISSUED', ?, NULL)",
        (SEED_CODE, SEED_KEY, far),
    )


# ---- Members ---------------------------------------------------------------------------------------------


def member(db: sqlite3.Connection, id: str) -> Member:
    row = db.execute("SELECT * FROM revenuemonster_members WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise Refused("MEMBER_NOT_FOUND")
    return Member(**row)


def member_with(db: sqlite3.Connection, country: str, phone: str) -> Member:
    row = db.execute(
        "SELECT * FROM revenuemonster_members WHERE country = ? AND phone = ?", (country, phone)
    ).fetchone()
    if row is None:
        raise Refused("MEMBER_NOT_FOUND")
    return Member(**row)


def members(db: sqlite3.Connection) -> list[Member]:
    return [Member(**row) for row in db.execute("SELECT * FROM revenuemonster_members ORDER BY id")]


def register(
    db: sqlite3.Connection, *, country: str, phone: str, name: str, email: str, points: int, at: datetime
) -> tuple[Member, tuple[Effect, ...]]:
    id = str(secrets.randbelow(10**18) + 3 * 10**18)
    added = db.execute(
        "INSERT OR IGNORE INTO revenuemonster_members VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (id, country, phone, name, points, points, email, at.isoformat()),
    ).rowcount
    if not added:
        raise Refused("MEMBER_REGISTERED")
    effects = [Effect(verb="register", subject=id)]
    if points:
        effects.append(Effect(verb="issue_points", subject=id, points=points))
    return member(db, id), tuple(effects)


def history(db: sqlite3.Connection, id: str) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM revenuemonster_history WHERE member = ? ORDER BY id DESC", (id,)).fetchall()


# ---- Points ----------------------------------------------------------------------------------------------


def points_for(amount: int) -> int:
    """By this merchant's rule; what a member's tier does to it shows only when it is given."""
    return amount // POINT_EVERY


def award(db: sqlite3.Connection, whom: Member, amount: int, at: datetime) -> Effect:
    earned = points_for(amount) * (2 if whom.habit is Habit.DOUBLE else 1)
    _move(db, whom, earned, "SPENDING_REWARD", at)
    return Effect(verb="award", subject=whom.id, amount=amount, currency=CURRENCY, points=earned)


def give(db: sqlite3.Connection, whom: Member, points: int, at: datetime) -> Effect:
    _move(db, whom, points, "LOYALTY_REWARD", at)
    return Effect(verb="issue_points", subject=whom.id, points=points)


def deduct(db: sqlite3.Connection, whom: Member, points: int, at: datetime) -> Effect:
    if whom.points < points:
        raise Refused("LOYALTY_INSUFFICIENT")
    _move(db, whom, -points, "LOYALTY_DEDUCT", at)
    return Effect(verb="redeem_points", subject=whom.id, points=points)


def _move(db: sqlite3.Connection, whom: Member, points: int, type: str, at: datetime) -> None:
    db.execute(
        "UPDATE revenuemonster_members SET points = points + ?, earned = earned + ?, spent = spent + ? WHERE id = ?",
        (points, max(points, 0), max(-points, 0), whom.id),
    )
    db.execute(
        "INSERT INTO revenuemonster_history (member, type, description, points, at) VALUES (?, ?, ?, ?, ?)",
        (whom.id, type, type.replace("_", " ").capitalize(), points, at.isoformat()),
    )


# ---- Codes -----------------------------------------------------------------------------------------------


def issue_code(
    db: sqlite3.Connection, *, kind: str, amount: int | None, points: int, at: datetime
) -> tuple[Code, Effect]:
    """A code nobody has seen yet; it gives nothing until a customer claims it."""
    code = Code(
        id=secrets.token_hex(16),
        key=secrets.token_hex(16),
        kind=kind,
        amount=amount,
        points=points,
        state="ISSUED",
        ends_at=at.timestamp() + (SHORT_SECONDS if amount == SHORT_CODE else CODE_SECONDS),
        member=None,
    )
    db.execute(
        "INSERT INTO revenuemonster_codes VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        (code.id, code.key, kind, amount, points, code.state, code.ends_at),
    )
    effect = Effect(
        verb="issue_code",
        subject=code.id,
        provider_reference=code.id,
        amount=amount,
        currency=None if amount is None else CURRENCY,
        points=points if amount is None else None,
    )
    return code, effect


def code_at(db: sqlite3.Connection, key: str) -> Code | None:
    row = db.execute("SELECT * FROM revenuemonster_codes WHERE key = ?", (key,)).fetchone()
    return Code(**row) if row else None


def cancel_code(db: sqlite3.Connection, id: str, at: datetime) -> Effect:
    row = db.execute("SELECT * FROM revenuemonster_codes WHERE id = ? AND kind = 'spending'", (id,)).fetchone()
    if row is None:
        raise Refused("LOYALTY_SPENDING_NOT_FOUND")
    code = Code(**row)
    match code.state_at(at):
        case "REDEEMED":
            raise Refused("LOYALTY_POINT_ALREADY_REDEEMED")
        case "EXPIRED":
            raise Refused("LOYALTY_EXPIRED")
        case "CANCELLED":
            raise Refused("LOYALTY_STATUS_ERROR")
    db.execute("UPDATE revenuemonster_codes SET state = 'CANCELLED' WHERE id = ?", (id,))
    return Effect(verb="void", subject=id, provider_reference=id, amount=code.amount, currency=CURRENCY, original=id)


def claim(db: sqlite3.Connection, key: str, whom: Member, at: datetime) -> tuple[Code, Effect]:
    """The customer scans it: once, and in time."""
    code = code_at(db, key)
    if code is None:
        raise Refused("QR_INVALID")
    match code.state_at(at):
        case "REDEEMED":
            raise Refused("QR_REDEEMED")
        case "EXPIRED" | "CANCELLED":
            raise Refused("QR_INVALID")
    points = code.points * (2 if whom.habit is Habit.DOUBLE and code.kind == "spending" else 1)
    _move(db, whom, points, "QR_CODE_REDEEM", at)
    db.execute(
        "UPDATE revenuemonster_codes SET state = 'REDEEMED', member = ?, points = ? WHERE id = ?",
        (whom.id, points, code.id),
    )
    claimed = code_at(db, key)
    assert claimed
    return claimed, Effect(verb="claim_code", subject=whom.id, provider_reference=code.id, points=points)
