"""Each safeguard switched off in turn: the run that proves it must fail, or it would prove nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from portal.running.stack import Stack
from tests.faults.storm import Scale, Storm

SEED = 20_260
# Many deaths, since one safeguard is only missed when a worker dies at the wrong moment; a calm until that shows.
SCALE = Scale(operations=250, cards=150, seconds=11, kill_every=2.5, broker_away=0, calm=40)
MUTANT = "tests.faults.mutants:app"


@pytest.mark.parametrize("safeguard", ["lease", "unsent", "answer", "claim"])
def test_without_a_safeguard_of_the_workers_the_run_fails(standing, hiring, say, safeguard):
    with hiring(standing, app=MUTANT, SAFEGUARD_OFF=safeguard) as workers:
        # It shows when a worker dies at the wrong moment, which a slow machine meets less often: three storms at most.
        for storm in range(3):
            verdict = Storm(standing, workers, seed=SEED + storm, scale=SCALE).rage(
                f"Without the {safeguard}", lawless=True
            )
            say(verdict.table())
            caught = {breach.rule for breach in verdict.at_rest}
            if "nothing_happened_twice" in caught:
                break
    assert "nothing_happened_twice" in caught


def test_without_the_unique_key_of_the_intake_the_run_fails(standing, hiring, say):
    with no_unique_key(standing), hiring(standing) as workers:
        verdict = Storm(standing, workers, seed=SEED, scale=SCALE).rage("Without the unique key", lawless=True)

    say(verdict.table())
    caught = {breach.rule for breach in verdict.at_rest}
    assert {"one_key_is_one_operation", "nothing_happened_twice"} <= caught


@contextmanager
def no_unique_key(stack: Stack) -> Iterator[None]:
    """The owner drops the rule; afterwards the rows that only its absence allowed go, and it is there again."""
    owner = stack.env["DATABASE_OWNER_URL"]
    rule = "operation_key_once"
    with psycopg.connect(owner, autocommit=True) as session:
        session.execute(f"ALTER TABLE ledger_operation DROP CONSTRAINT {rule}")
    try:
        yield
    finally:
        with psycopg.connect(owner) as session:
            session.execute("TRUNCATE ledger_operation CASCADE")  # no trigger stands in the way of this
            session.execute(f"ALTER TABLE ledger_operation ADD CONSTRAINT {rule} UNIQUE (merchant_id, key)")
