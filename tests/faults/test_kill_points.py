"""A worker dies at each point of an operation's life, and what the ledger says afterwards is what the journal says.

The sandbox holds a call, or the test holds the operation's row, until the worker stands exactly there; then kill -9.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from portal.running.processes import wait_until
from portal.running.stack import Stack
from tests.conftest import Sandbox
from tests.faults import checker
from tests.faults.conftest import Hiring
from tests.faults.storm import API, Workers, run_workload

CARD = "914639000000007"
AMOUNT = 12_50
CLAIM_LOCK = 7421  # portal.ledger.operations
WAITING = {"state": "waiting", "attempt": 0, "before_minor": None, "after_minor": None, "settled_by": "", "reason": ""}
PAY, LOOK = f"{API}giftTransaction", f"{API}giftInquiry"


class Scene:
    """One payment, two workers, and the sandbox as new."""

    def __init__(self, stack: Stack, workers: Workers) -> None:
        self.stack, self.workers = stack, workers
        self.sandbox = Sandbox(stack.sandbox_url)
        self.sandbox.reset()
        self.connection = run_workload(stack, "prepare")
        self.database = stack.env["DATABASE_OWNER_URL"]

    def asks(self) -> None:
        self.reference = run_workload(self.stack, "ask", self.connection, "pay", CARD, str(AMOUNT))

    def holds(self, path: str, kind: str, seconds: float) -> None:
        """The next call there is held."""
        fault = {"provider": "paywizard", "kind": kind, "path": path, "times": 1, "seconds": seconds}
        self.sandbox.call("POST", "/_sandbox/faults", fault)

    def row(self) -> dict[str, Any]:
        columns = ("state", "attempt", "before_minor", "after_minor", "settled_by", "reason")
        statement = f"SELECT {', '.join(columns)} FROM ledger_operation WHERE connection_id = %s"
        [found] = checker.rows(self.database, statement, [self.connection])
        return dict(zip(columns, found, strict=True))

    def becomes(self, state: str, *, seconds: float = 30) -> dict[str, Any]:
        self.reaches(lambda: self.row()["state"] == state, seconds=seconds)
        return self.row()

    def effects(self) -> list[tuple[str, int]]:
        return [(line["reference"], line["amount"]) for line in checker.journal(self.stack.sandbox_url)]

    def was_called(self) -> bool:
        """Whether the armed fault has met its call."""
        return not self.sandbox.call("GET", "/_sandbox/faults")

    def reaches(self, condition: Callable[[], bool], *, seconds: float = 30) -> None:
        def reached() -> bool:
            self.workers.watch()
            return condition()

        assert wait_until(reached, seconds, every=0.02), self.row()

    def dies(self) -> None:
        self.workers.kill_all()

    def rises(self) -> None:
        self.workers.start_all()

    @contextmanager
    def row_held(self) -> Iterator[None]:
        """Meanwhile nobody else writes the operation's row."""
        with psycopg.connect(self.database) as session:
            session.execute("SELECT set_config('tillside.every', 'on', false)")
            session.execute("SELECT FROM ledger_operation WHERE connection_id = %s FOR UPDATE", [self.connection])
            yield

    @contextmanager
    def claims_held(self) -> Iterator[None]:
        """Meanwhile nobody claims."""
        with psycopg.connect(self.database) as session:
            session.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIM_LOCK])
            yield

    def claimer_waits(self) -> bool:
        """Whether somebody stands before the lock of claims."""
        statement = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = %s"
        return checker.rows(self.database, statement, [CLAIM_LOCK])[0][0] > 0

    def writer_waits(self) -> bool:
        """Whether somebody stands before a held row."""
        statement = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
        return checker.rows(self.database, statement)[0][0] > 0


@pytest.fixture(scope="module")
def crew(standing_over: Stack, hiring: Hiring) -> Iterator[Workers]:
    """Workers whose leases are as short as two calls of two seconds allow."""
    with hiring(standing_over, OPERATION_LEASE_SECONDS="4", QUIET_SECONDS="1") as workers:
        yield workers


@pytest.fixture
def scene(standing_over: Stack, crew: Workers) -> Scene:
    return Scene(standing_over, crew)


def test_killed_in_the_middle_of_its_claim_it_is_asked_once_all_the_same(scene: Scene):
    with scene.claims_held():
        scene.asks()
        scene.reaches(scene.claimer_waits)
        scene.dies()
        assert scene.row() == WAITING
    scene.rises()

    row = scene.becomes("done")  # the database finishes the claim of the dead; nobody works on it until it lapses
    assert (row["attempt"], row["settled_by"]) == (2, "answer")
    assert scene.effects() == [(scene.reference, AMOUNT)]


def test_killed_after_its_claim_it_is_asked_once_all_the_same(scene: Scene):
    scene.holds(LOOK, "timeout_before", 4)
    scene.asks()
    scene.reaches(scene.was_called)
    assert scene.row()["state"] == "running"
    scene.dies()
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (2, "answer")
    assert scene.effects() == [(scene.reference, AMOUNT)]


def test_killed_before_the_first_byte_it_is_never_sent_again_and_listed(scene: Scene):
    scene.holds(LOOK, "slow", 1)
    scene.asks()
    scene.reaches(scene.was_called)
    with scene.row_held():
        scene.reaches(scene.writer_waits)  # the reading is there, and its worker asks whether it may send
        scene.dies()
    scene.rises()

    row = scene.becomes("needs_person")
    assert (row["attempt"], row["reason"]) == (1, "worker_lost")
    assert scene.effects() == []


def test_killed_after_the_effect_it_is_done_by_the_balance(scene: Scene):
    scene.holds(PAY, "timeout_after", 4)
    scene.asks()
    scene.reaches(lambda: bool(scene.effects()))
    assert scene.row()["state"] == "running"
    scene.dies()
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (1, "balance")
    assert (row["before_minor"], row["after_minor"]) == (10_000_00, 10_000_00 - AMOUNT)
    assert scene.effects() == [(scene.reference, AMOUNT)]


def test_killed_before_the_commit_of_a_good_answer_it_is_done_by_the_balance(scene: Scene):
    scene.holds(PAY, "slow", 1)
    scene.asks()
    scene.reaches(lambda: scene.row()["before_minor"] is not None)  # this is written at the last moment before sending
    with scene.row_held():
        scene.reaches(lambda: bool(scene.effects()) and scene.writer_waits())
        scene.dies()
    assert scene.row()["state"] == "running"
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (1, "balance")
    assert scene.effects() == [(scene.reference, AMOUNT)]
