"""What the sandboxes remember: the providers' tables, the effects journal, counted calls and armed faults.

One SQLite file. It knows tables and transactions; it does not know HTTP or any provider.
"""

import json
import re
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from portal.sandboxes.faults import Armed, Fault

# The journal outlives every reset: rows are never changed or removed, the database itself refuses it. A
# reset only moves `since`: the listing starts anew while the numbers go on, so who remembers a number is not
# fooled.
JOURNAL = (
    """CREATE TABLE IF NOT EXISTS journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, provider TEXT NOT NULL, effect TEXT NOT NULL
    )""",
    """CREATE TRIGGER IF NOT EXISTS journal_keeps BEFORE UPDATE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS journal_stays BEFORE DELETE ON journal
        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END""",
    "CREATE TABLE IF NOT EXISTS journal_start (since INTEGER NOT NULL)",
    "INSERT INTO journal_start SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM journal_start)",
    """CREATE TABLE IF NOT EXISTS kit_kept (
        provider TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (provider, name))""",
)
OWN_TABLES = (
    """CREATE TABLE kit_calls (
        provider TEXT, subject TEXT, count INTEGER NOT NULL, PRIMARY KEY (provider, subject))""",
    """CREATE TABLE kit_faults (
        id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, path TEXT, kind TEXT NOT NULL,
        times INTEGER, probability REAL, seconds REAL)""",
    """CREATE TABLE kit_callbacks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
        due REAL NOT NULL, tries INTEGER NOT NULL)""",
)
KEPT = ("journal", "journal_start", "kit_kept", "sqlite_sequence")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One thing a provider did, as the journal tells it. Amounts in minor units.

    `original` is the provider's reference of what this one undoes or adds to; only a line that has one names it.
    """

    verb: str
    subject: str
    reference: str | None = None
    provider_reference: str | None = None
    amount: int | None = None
    currency: str | None = None
    points: int | None = None
    original: str | None = None

    def told(self) -> dict[str, Any]:
        line = asdict(self)
        if self.original is None:
            del line["original"]
        return line


class Store:
    """One file, one connection, one lock: everything that happens, happens after something else.

    A look-up or a payment takes well under a millisecond here, so waiting in line is cheaper than SQLite's
    own busy polling would be with a hundred threads.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tables: Sequence[str] = (),
        stock: Callable[[sqlite3.Connection], None] = lambda db: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._tables = (*OWN_TABLES, *tables)
        self._stock = stock
        self._lock = threading.Lock()
        self.resets = 0  # since this process began: what was asked before a reset must not happen after it
        self._db = sqlite3.connect(folder / "sandboxes.sqlite3", isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before anybody hears of it
        self._open()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; on the disk when the block ends, undone when it raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def reset(self) -> None:
        """As on the first day: balances, calls and faults anew, and a new journal whose numbers go on."""
        with self.writing() as db:
            self._rebuild(db)
            db.execute("UPDATE journal_start SET since = (SELECT coalesce(max(seq), 0) FROM journal)")
            self.resets += 1

    # ---- The journal -------------------------------------------------------------------------------------

    def record(self, db: sqlite3.Connection, *, provider: str, at: datetime, effects: Sequence[Effect]) -> None:
        """Write what was done, in the transaction that does it."""
        db.executemany(
            "INSERT INTO journal (at, provider, effect) VALUES (?, ?, ?)",
            [(at.isoformat(), provider, json.dumps(effect.told())) for effect in effects],
        )

    def effects(self, *, after: int) -> list[dict[str, Any]]:
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, at, provider, effect FROM journal, journal_start WHERE seq > max(?, since) ORDER BY seq",
                (after,),
            ).fetchall()
        return [
            {"seq": row["seq"], "at": row["at"], "provider": row["provider"], **json.loads(row["effect"])}
            for row in rows
        ]

    # ---- Calls -------------------------------------------------------------------------------------------

    def count(self, db: sqlite3.Connection, *, provider: str, subject: str) -> None:
        db.execute(
            "INSERT INTO kit_calls VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (provider, subject),
        )

    def calls(self) -> dict[str, dict[str, int]]:
        """Per provider and card, how often it was asked, whatever became of the call."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM kit_calls ORDER BY provider, subject").fetchall()
        counted: dict[str, dict[str, int]] = {}
        for row in rows:
            counted.setdefault(row["provider"], {})[row["subject"]] = row["count"]
        return counted

    # ---- Armed faults ------------------------------------------------------------------------------------

    def arm(self, fault: Armed) -> int:
        with self.writing() as db:
            return db.execute(
                "INSERT INTO kit_faults (provider, path, kind, times, probability, seconds) VALUES (?, ?, ?, ?, ?, ?)",
                (fault.provider, fault.path, fault.kind, fault.times, fault.probability, fault.seconds),
            ).lastrowid  # type: ignore[return-value]  # None only where nothing was inserted

    def armed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._db.execute("SELECT * FROM kit_faults ORDER BY id")]

    def disarm(self, fault: int | None = None) -> int:
        """Take one fault away, or all; says how many went."""
        with self.writing() as db:
            return db.execute("DELETE FROM kit_faults WHERE ? IS NULL OR id = ?", (fault, fault)).rowcount

    def strike(self, db: sqlite3.Connection, *, provider: str, path: str, dice: Callable[[], float]) -> Fault | None:
        """The first armed fault that meets this call, used up by one."""
        for row in db.execute("SELECT * FROM kit_faults WHERE provider = ? ORDER BY id", (provider,)).fetchall():
            if not _meets(row["path"] or "", path):
                continue
            if row["probability"] is not None:
                if dice() >= row["probability"]:
                    continue
            elif row["times"] > 1:
                db.execute("UPDATE kit_faults SET times = times - 1 WHERE id = ?", (row["id"],))
            else:
                db.execute("DELETE FROM kit_faults WHERE id = ?", (row["id"],))
            return Fault.of(row["kind"], row["seconds"])
        return None

    # ---- Opening -----------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Make the tables, or make them anew when a newer release describes them differently."""
        version = zlib.crc32("\n".join(self._tables).encode()) & 0x7FFFFFFF  # user_version is a signed 32-bit
        with self.writing() as db:
            for statement in JOURNAL:
                db.execute(statement)
            if db.execute("PRAGMA user_version").fetchone()[0] != version:
                self._rebuild(db)
                db.execute(f"PRAGMA user_version = {version}")

    def _rebuild(self, db: sqlite3.Connection) -> None:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in tables:
            if name not in KEPT:
                db.execute(f'DROP TABLE "{name}"')
        for statement in self._tables:
            db.execute(statement)
        self._stock(db)


def _meets(armed: str, path: str) -> bool:
    """Whether `path` begins as armed, or is the very one where that ends with a dollar; a star is any one part."""
    matches = re.fullmatch if armed.endswith("$") else re.match
    pattern = "[^/]*".join(map(re.escape, armed.removesuffix("$").split("*")))
    return matches(pattern, path, re.IGNORECASE) is not None


# ---- What outlives a reset -------------------------------------------------------------------------------


def kept(db: sqlite3.Connection, provider: str, name: str) -> str | None:
    """What a provider was told once and for all: a key, an address."""
    row = db.execute("SELECT value FROM kit_kept WHERE provider = ? AND name = ?", (provider, name)).fetchone()
    return None if row is None else str(row["value"])


def keep(db: sqlite3.Connection, provider: str, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO kit_kept VALUES (?, ?, ?)", (provider, name, value))


# ---- Callbacks -------------------------------------------------------------------------------------------


def call_back(db: sqlite3.Connection, *, provider: str, url: str, body: str, at: datetime) -> None:
    """Have `body` posted to `url` once this transaction is over (`callbacks.Courier`)."""
    db.execute(
        "INSERT INTO kit_callbacks (provider, url, body, due, tries) VALUES (?, ?, ?, ?, 0)",
        (provider, url, body, at.timestamp()),
    )
