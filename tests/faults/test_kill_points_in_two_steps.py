"""At secuconnect a movement takes two steps: it is created, which moves nothing, and started. A worker dies at each
point on its way, and what becomes of it is read from the provider's record."""

from collections.abc import Iterator

import pytest

from portal.running.stack import Stack
from tests.faults.conftest import Hiring
from tests.faults.providers import SECUCONNECT
from tests.faults.scene import Scene
from tests.faults.storm import Workers

CARD = SECUCONNECT.number(7)
AMOUNT = 12_50
LOOK = "/api/v2/Loyalty/MerchantCards"
START = "/api/v2/Smart/Transactions/*/start"


@pytest.fixture(scope="module")
def crew(standing: Stack, hiring: Hiring) -> Iterator[Workers]:
    """Workers whose leases are as short as two calls of two seconds allow."""
    with hiring(standing, OPERATION_LEASE_SECONDS="4", QUIET_SECONDS="1") as workers:
        yield workers


@pytest.fixture
def scene(standing: Stack, crew: Workers) -> Scene:
    return Scene(standing, crew, SECUCONNECT)


def test_killed_after_its_claim_it_is_asked_once_all_the_same(scene: Scene):
    scene.holds(LOOK, "timeout_before", 4)
    scene.asks("top_up", CARD, AMOUNT)
    scene.reaches(scene.was_called)
    assert scene.row()["state"] == "running"
    scene.dies()
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (2, "answer")
    assert scene.effects() == [(scene.reference, AMOUNT)]


def test_killed_before_the_first_byte_it_is_refused_by_the_record_which_has_none(scene: Scene):
    scene.holds(LOOK, "slow", 1)
    scene.asks("top_up", CARD, AMOUNT)
    with scene.row_held(once=scene.was_called):
        scene.reaches(scene.writer_waits)  # the reading is there, and its worker asks whether it may send
        scene.dies()
    scene.rises()

    row = scene.becomes("refused")
    assert (row["attempt"], row["settled_by"], row["reason"]) == (1, "record", "recorded_not")
    assert scene.effects() == []


def test_killed_between_the_two_steps_it_is_refused_by_the_record_which_was_never_started(scene: Scene):
    scene.holds(START, "timeout_before", 4)
    scene.asks("pay", CARD, AMOUNT)
    scene.reaches(scene.was_called)
    scene.dies()
    scene.rises()

    row = scene.becomes("refused")
    assert (row["attempt"], row["settled_by"], row["reason"]) == (1, "record", "recorded_not")
    assert scene.effects() == []


def test_killed_after_the_effect_it_is_done_by_the_record(scene: Scene):
    scene.holds(START, "timeout_after", 4)
    scene.asks("top_up", CARD, AMOUNT)
    scene.reaches(lambda: bool(scene.effects()))
    assert scene.row()["state"] == "running"
    scene.dies()
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (1, "record")
    assert row["provider_reference"].startswith("STX_")  # found by our reference: the worker never told it
    assert scene.effects() == [(scene.reference, AMOUNT)]


def test_killed_before_the_commit_of_a_good_answer_it_is_done_by_the_record(scene: Scene):
    scene.holds(START, "slow", 1)
    scene.asks("pay", CARD, AMOUNT)
    # the start, the last of the calls: whether it may send was written before
    with scene.row_held(once=scene.was_called):
        scene.reaches(lambda: bool(scene.effects()) and scene.writer_waits())
        scene.dies()
    assert scene.row()["state"] == "running"
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (1, "record")
    assert scene.effects() == [(scene.reference, AMOUNT)]
