"""A card that was looked up at CardInquiry pays, and the worker dies on the way. What it wrote down before it sent is
sent again, byte for byte: the provider takes a sale once, however often it comes."""

from collections.abc import Iterator

import pytest

from portal.running.stack import Stack
from tests.faults import checker
from tests.faults.conftest import Hiring
from tests.faults.providers import CARDINQUIRY
from tests.faults.scene import Scene
from tests.faults.storm import Workers

CARD, PIN = "6280390000012345", "1234"
AMOUNT = 12_50
SALE = CARDINQUIRY.movers[0]


@pytest.fixture(scope="module")
def crew(standing: Stack, hiring: Hiring) -> Iterator[Workers]:
    """Workers whose leases are as short as two calls of two seconds allow."""
    with hiring(standing, OPERATION_LEASE_SECONDS="4", QUIET_SECONDS="1") as workers:
        yield workers


@pytest.fixture
def scene(standing: Stack, crew: Workers) -> Scene:
    return Scene(standing, crew, CARDINQUIRY)


def sold(scene: Scene) -> list[tuple[str, int]]:
    """Reference and amount of each payment, by the provider's journal; a look-up writes into it, too."""
    return [(reference, amount) for reference, amount in scene.effects() if reference]


def came(scene: Scene) -> list[int]:
    """How often the sale came to the provider: a number for each wording in which it came."""
    calls = scene.sandbox.call("GET", "/_sandbox/calls")["cardinquiry"]["by_subject"]
    return [count for subject, count in calls.items() if subject.startswith(scene.reference)]


def kept(scene: Scene) -> tuple[bool, bool]:
    """Whether the look-up still has its token, and the operation its letter."""
    statement = "SELECT sealed_usage_token IS NOT NULL FROM ledger_inquiry WHERE connection_id = %s"
    [(token,)] = checker.rows(scene.database, statement, [scene.connection])
    statement = "SELECT sealed_input IS NOT NULL FROM ledger_operation WHERE connection_id = %s"
    [(letter,)] = checker.rows(scene.database, statement, [scene.connection])
    return token, letter


def test_killed_in_the_middle_of_its_claim_it_is_paid_once_all_the_same(scene: Scene):
    with scene.claims_held():
        scene.asks("pay", CARD, AMOUNT, pin=PIN)
        scene.reaches(scene.claimer_waits)
        scene.dies()
    assert kept(scene) == (True, False)
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (2, "answer")
    assert sold(scene) == [(scene.reference, AMOUNT)]


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
def test_killed_with_the_sale_on_its_way_it_is_paid_once_by_the_same_bytes(scene: Scene, kind: str):
    scene.holds(SALE, kind, 4)
    scene.asks("pay", CARD, AMOUNT, pin=PIN)
    scene.reaches(scene.was_called)
    assert scene.row()["state"] == "running"
    assert kept(scene) == (False, True), "the token moved into the letter before the first byte left"
    scene.dies()
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (1, "resending")
    assert sold(scene) == [(scene.reference, AMOUNT)]
    [times] = came(scene)
    assert times >= 2, "one wording, and it came again"
    assert kept(scene) == (False, False)


def test_killed_before_the_commit_of_a_good_answer_it_is_done_by_resending(scene: Scene):
    scene.holds(SALE, "slow", 1)
    scene.asks("pay", CARD, AMOUNT, pin=PIN)
    with scene.row_held(once=scene.was_called):
        scene.reaches(lambda: bool(sold(scene)) and scene.writer_waits())
        scene.dies()
    assert scene.row()["state"] == "running"
    scene.rises()

    row = scene.becomes("done")
    assert (row["attempt"], row["settled_by"]) == (1, "resending")
    assert sold(scene) == [(scene.reference, AMOUNT)]
