"""A worker dies at each point of an operation's life, and what the ledger says afterwards is what the journal says.

The sandbox holds a call, or the test holds the operation's row, until the worker stands exactly there; then kill -9.
"""

from collections.abc import Iterator

import pytest

from portal.running.stack import Stack
from tests.faults.conftest import Hiring
from tests.faults.providers import PAYWIZARD
from tests.faults.scene import Scene
from tests.faults.storm import Workers

CARD = "914639000000007"
AMOUNT = 12_50
WAITING = {"state": "waiting", "attempt": 0, "before_minor": None, "after_minor": None}
WAITING |= dict.fromkeys(["settled_by", "reason", "provider_reference"], "")
PAY, LOOK = PAYWIZARD.movers[0], PAYWIZARD.lookers[0]


@pytest.fixture(scope="module")
def crew(standing_over: Stack, hiring: Hiring) -> Iterator[Workers]:
    """Workers whose leases are as short as two calls of two seconds allow."""
    with hiring(standing_over, OPERATION_LEASE_SECONDS="4", QUIET_SECONDS="1") as workers:
        yield workers


@pytest.fixture
def scene(standing_over: Stack, crew: Workers) -> Scene:
    return Scene(standing_over, crew, PAYWIZARD)


def test_killed_in_the_middle_of_its_claim_it_is_asked_once_all_the_same(scene: Scene):
    with scene.claims_held():
        scene.asks("pay", CARD, AMOUNT)
        scene.reaches(scene.claimer_waits)
        scene.dies()
        assert scene.row() == WAITING
    scene.rises()

    row = scene.becomes("done")  # the database finishes the claim of the dead; nobody works on it until it lapses
    assert (row["attempt"], row["settled_by"]) == (2, "answer")
    assert scene.effects() == [(scene.reference, AMOUNT)]


def test_killed_after_its_claim_it_is_asked_once_all_the_same(scene: Scene):
    scene.holds(LOOK, "timeout_before", 4)
    scene.asks("pay", CARD, AMOUNT)
    scene.reaches(scene.was_called)
    assert scene.row()["state"] == "running"
    scene.dies()
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (2, "answer")
    assert scene.effects() == [(scene.reference, AMOUNT)]


def test_killed_before_the_first_byte_it_is_never_sent_again_and_listed(scene: Scene):
    scene.holds(LOOK, "slow", 1)
    scene.asks("pay", CARD, AMOUNT)
    with scene.row_held(once=scene.was_called):
        scene.reaches(scene.writer_waits)  # the reading is there, and its worker asks whether it may send
        scene.dies()
    scene.rises()

    row = scene.becomes("needs_person")
    assert (row["attempt"], row["reason"]) == (1, "worker_lost")
    assert scene.effects() == []


def test_killed_after_the_effect_it_is_done_by_the_balance(scene: Scene):
    scene.holds(PAY, "timeout_after", 4)
    scene.asks("pay", CARD, AMOUNT)
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
    scene.asks("pay", CARD, AMOUNT)
    # this is written at the last moment before sending
    with scene.row_held(once=lambda: scene.row()["before_minor"] is not None):
        scene.reaches(lambda: bool(scene.effects()) and scene.writer_waits())
        scene.dies()
    assert scene.row()["state"] == "running"
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (1, "balance")
    assert scene.effects() == [(scene.reference, AMOUNT)]
