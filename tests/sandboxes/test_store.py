"""What is remembered, and what can never be changed."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portal.sandboxes.store import Effect, Store

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def record(store: Store, subject: str = "1", *, amount: int | None = None) -> None:
    with store.writing() as db:
        effect = Effect(verb="pay", subject=subject, amount=amount, currency="EUR")
        store.record(db, provider="p", at=NOON, effects=[effect])


@pytest.mark.parametrize("statement", ["UPDATE journal SET effect = ''", "DELETE FROM journal"])
def test_the_journal_cannot_be_changed(tmp_path: Path, statement: str) -> None:
    store = Store(tmp_path)
    record(store)

    with pytest.raises(sqlite3.IntegrityError, match="append-only"), store.writing() as db:
        db.execute(statement)

    assert len(store.effects(after=0)) == 1


def test_a_movement_and_its_journal_line_happen_together_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path, tables=["CREATE TABLE p_cards (balance INTEGER)", "INSERT INTO p_cards VALUES (100)"])

    def pays_and_breaks() -> None:
        with store.writing() as db:
            db.execute("UPDATE p_cards SET balance = 0")
            store.record(db, provider="p", at=NOON, effects=[Effect(verb="pay", subject="1")])
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        pays_and_breaks()

    with store.writing() as db:
        assert db.execute("SELECT balance FROM p_cards").fetchone()["balance"] == 100
    assert store.effects(after=0) == []


def test_a_movement_keeps_its_amount_and_time(tmp_path: Path) -> None:
    store = Store(tmp_path)

    record(store, "card", amount=1250)

    (effect,) = store.effects(after=0)
    assert (effect["subject"], effect["amount"], effect["currency"]) == ("card", 1250, "EUR")
    assert datetime.fromisoformat(effect["at"]) == NOON


def test_another_start_finds_everything_as_it_was(tmp_path: Path) -> None:
    tables = ["CREATE TABLE p_cards (number TEXT)"]
    first = Store(tmp_path, tables=tables)
    with first.writing() as db:
        db.execute("INSERT INTO p_cards VALUES ('a')")
    record(first)
    first.close()

    second = Store(tmp_path, tables=tables)

    with second.writing() as db:
        assert [row["number"] for row in db.execute("SELECT number FROM p_cards")] == ["a"]
    assert len(second.effects(after=0)) == 1


def test_a_release_with_other_tables_begins_anew_but_keeps_the_journal(tmp_path: Path) -> None:
    first = Store(tmp_path, tables=["CREATE TABLE p_cards (number TEXT)"])
    record(first)
    first.close()

    second = Store(tmp_path, tables=["CREATE TABLE p_cards (number TEXT, pin TEXT)"])

    with second.writing() as db:
        db.execute("INSERT INTO p_cards VALUES ('a', 'b')")
    assert len(second.effects(after=0)) == 1


def test_a_reset_puts_the_stock_back(tmp_path: Path) -> None:
    def stock(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO p_cards VALUES (100)")

    store = Store(tmp_path, tables=["CREATE TABLE p_cards (balance INTEGER)"], stock=stock)
    with store.writing() as db:
        db.execute("UPDATE p_cards SET balance = 1")

    store.reset()

    with store.writing() as db:
        assert [row["balance"] for row in db.execute("SELECT balance FROM p_cards")] == [100]
