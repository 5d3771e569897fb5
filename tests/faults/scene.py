"""An operation on its way, held where a test wants its worker to die: the sandbox holds a call, or the test a row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from portal.running.processes import wait_until
from portal.running.stack import Stack
from tests.conftest import Sandbox
from tests.faults import checker
from tests.faults.providers import Provider
from tests.faults.storm import Workers, run_workload

CLAIM_LOCK = 7421  # portal.ledger.operations


class Scene:
    """One operation at one provider, two workers, and the sandbox as new."""

    def __init__(self, stack: Stack, workers: Workers, provider: Provider) -> None:
        self.stack, self.workers, self.provider = stack, workers, provider
        self.sandbox = Sandbox(stack.sandbox_url)
        self.sandbox.reset()
        self.connection = run_workload(stack, "prepare", provider.slug)
        self.database = stack.env["DATABASE_OWNER_URL"]

    def asks(self, verb: str, number: str, amount: int, *, pin: str = "") -> None:
        """Press the button; with a PIN, after the card was looked up."""
        looked_up = ["--pin", pin] if pin else []
        self.reference = run_workload(self.stack, "ask", self.connection, verb, number, str(amount), *looked_up)

    def holds(self, path: str, kind: str, seconds: float) -> None:
        """The next call there is held."""
        fault = {"provider": self.provider.slug, "kind": kind, "path": path, "times": 1, "seconds": seconds}
        self.sandbox.call("POST", "/_sandbox/faults", fault)

    def row(self) -> dict[str, Any]:
        columns = ("state", "attempt", "before_minor", "after_minor", "settled_by", "reason", "provider_reference")
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
    def row_held(self, *, once: Callable[[], bool]) -> Iterator[None]:
        """From the moment that comes, nobody else writes the operation's row."""
        with psycopg.connect(self.database) as session:  # before that moment: it may be a short one
            session.execute("SELECT set_config('tillside.every', 'on', false)")
            session.commit()
            self.reaches(once)
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
