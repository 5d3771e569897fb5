"""Thousands of plain cards with PINs nobody knows, made when they are asked for: for simulations of guessing.

    POST /_sandbox/crowd   {"provider": "cardinquiry", "count": 20000, "pin_digits": 4}

Numbers have 16 digits, no two the same last five; 10.00 is on each. A new crowd takes the place of the one before.
"""

import random
import sqlite3
from collections.abc import Sequence

ENDING = 5  # characters of a number that no two cards of the crowd share
LOADED = (1000, "EUR")  # minor units on each

TABLES = ("CREATE TABLE cardinquiry_crowd (number TEXT PRIMARY KEY, ending TEXT NOT NULL UNIQUE, pin TEXT NOT NULL)",)


def make(db: sqlite3.Connection, count: int, pin_digits: int) -> None:
    """This many cards instead of those there were."""
    db.execute("DELETE FROM cardinquiry_crowd")
    db.executemany(
        "INSERT INTO cardinquiry_crowd VALUES (?, ?, ?)",
        [
            (f"6281{random.randrange(10**7):07}{ending:05}", f"{ending:05}", _digits(pin_digits))
            for ending in random.sample(range(10**ENDING), count)
        ],
    )


def meant(typed: str, db: sqlite3.Connection) -> Sequence[tuple[str, str]]:
    """Number and PIN of the cards whose number is this, or ends so."""
    rows = db.execute(
        "SELECT number, pin FROM cardinquiry_crowd WHERE ending = ?"
        if len(typed) >= ENDING
        else "SELECT number, pin FROM cardinquiry_crowd WHERE substr(ending, 2) = ?",
        (typed[-ENDING:],),
    )
    return [(row["number"], row["pin"]) for row in rows if row["number"].endswith(typed)]


def loaded(db: sqlite3.Connection) -> dict[str, tuple[int, str]]:
    """What each card of the crowd came with, in minor units."""
    return {row["number"]: LOADED for row in db.execute("SELECT number FROM cardinquiry_crowd")}


def _digits(count: int) -> str:
    return "".join(random.choices("0123456789", k=count))
