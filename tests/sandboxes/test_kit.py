"""A provider that moves money, made here: what any later one can rely on."""

import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portal.sandboxes.faults import Armed, Kind
from portal.sandboxes.kit import Answer, Call, Outcome, Provider, Route, Switchboard
from portal.sandboxes.store import Effect, Store

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Listener:
    """A line whose caller waits for ever; `meanwhile` happens while it does."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.hung_up = False

    def hold(self, seconds: float) -> bool:
        self.meanwhile()
        return True

    def rest(self, seconds: float) -> bool:
        self.meanwhile()
        return True

    def hang_up(self) -> None:
        self.hung_up = True


def pay(call: Call, db: sqlite3.Connection) -> Outcome:
    db.execute("UPDATE till_cards SET balance = balance - 40")
    return Outcome(Answer(body=b'{"paid": true}'), (Effect(verb="pay", subject="1", amount=40, currency="EUR"),))


def stock(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO till_cards VALUES (100)")


TILL = Provider(
    name="till",
    title="Till",
    routes=(Route(method="POST", path=re.compile("/pay"), handle=pay),),
    credentials={},
    cards=(),
    subject=lambda call: "1",
    refusal=lambda call: Answer(status=402),
    throttled=lambda call, seconds: Answer(status=429),
    tables=("CREATE TABLE till_cards (balance INTEGER)",),
    stock=stock,
)
CALL = Call(method="POST", path="/pay", parts={}, query=(), headers={}, body=b"", at=NOON, lenient_clock=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, tables=TILL.tables, stock=TILL.stock)


def ring(store: Store, line: Listener) -> int:
    """Pays once; the status, or 0 when the caller was left without one."""
    board = Switchboard(store=store, clock=lambda: NOON)
    response = board.answer(TILL, TILL.routes[0], CALL, line)
    b"".join(response.iter_encoded())
    return 0 if line.hung_up else response.status_code


def balance(store: Store) -> int:
    with store.writing() as db:
        left: int = db.execute("SELECT balance FROM till_cards").fetchone()["balance"]
    return left


@pytest.mark.parametrize(
    ("kind", "status", "left"),
    [
        (None, 200, 60),
        (Kind.REFUSE, 402, 100),
        (Kind.TIMEOUT_BEFORE, 0, 100),
        (Kind.THROTTLE, 429, 100),
        (Kind.REDIRECT, 302, 100),
        (Kind.TIMEOUT_AFTER, 0, 60),
        (Kind.CUT, 0, 60),
        (Kind.ERROR_AFTER, 500, 60),
        (Kind.GARBAGE, 200, 60),
        (Kind.LATE, 0, 60),
        (Kind.SLOW, 200, 60),
    ],
)
def test_the_journal_and_the_balance_agree_under_every_fault(
    store: Store, kind: Kind | None, status: int, left: int
) -> None:
    if kind:
        store.arm(Armed(provider="till", kind=kind, times=1))

    assert ring(store, Listener()) == status

    assert balance(store) == left
    assert sum(effect["amount"] for effect in store.effects(after=0)) == 100 - left


def test_money_has_moved_and_is_journalled_before_the_caller_is_held(store: Store) -> None:
    store.arm(Armed(provider="till", kind=Kind.TIMEOUT_AFTER, times=1))
    seen: list[tuple[int, int]] = []

    ring(store, Listener(meanwhile=lambda: seen.append((balance(store), len(store.effects(after=0))))))

    assert seen == [(60, 1)]


def test_what_was_asked_before_a_reset_does_not_happen_after_it(store: Store) -> None:
    store.arm(Armed(provider="till", kind=Kind.LATE, times=1))

    ring(store, Listener(meanwhile=store.reset))

    assert balance(store) == 100
    assert store.effects(after=0) == []


def test_a_handler_that_breaks_moves_nothing(store: Store) -> None:
    def breaks(call: Call, db: sqlite3.Connection) -> Outcome:
        pay(call, db)
        raise ZeroDivisionError

    route = Route(method="POST", path=re.compile("/pay"), handle=breaks)
    board = Switchboard(store=store, clock=lambda: NOON)

    with pytest.raises(ZeroDivisionError):
        board.answer(TILL, route, CALL, Listener())

    assert balance(store) == 100
    assert store.effects(after=0) == []


@pytest.mark.parametrize(("dice", "status"), [(0.29, 402), (0.3, 200)])
def test_a_probable_fault_is_decided_by_the_dice(store: Store, dice: float, status: int) -> None:
    store.arm(Armed(provider="till", kind=Kind.REFUSE, probability=0.3))
    board = Switchboard(store=store, clock=lambda: NOON, dice=lambda: dice)

    response = board.answer(TILL, TILL.routes[0], CALL, Listener())

    assert response.status_code == status


def test_another_providers_fault_is_not_met(store: Store) -> None:
    store.arm(Armed(provider="elsewhere", kind=Kind.REFUSE, times=1))

    assert ring(store, Listener()) == 200
