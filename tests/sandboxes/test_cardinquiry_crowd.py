"""Thousands of cards for simulations of guessing."""

import json
import sqlite3

import pytest

from .conftest import Sandbox


def make(sandbox: Sandbox, **wanted: object) -> int:
    return sandbox.ask("POST", "/_sandbox/crowd", json.dumps({"provider": "cardinquiry", **wanted})).status


def made(sandbox: Sandbox) -> list[tuple[str, str]]:
    kept = sqlite3.connect(sandbox.store / "sandboxes.sqlite3")
    try:
        return kept.execute("SELECT number, pin FROM cardinquiry_crowd").fetchall()
    finally:
        kept.close()


def test_a_card_of_the_crowd_is_found_by_its_number_or_its_end_and_its_own_pin(sandbox: Sandbox) -> None:
    assert make(sandbox, count=500, pin_digits=3) == 204
    cards = made(sandbox)
    number, pin = cards[0]

    assert len({number[-5:] for number, _ in cards}) == 500
    assert sandbox.statuses(number, pin) == sandbox.statuses(number[-5:], pin) == ["ok"]
    assert sandbox.statuses(number, pin + "0") == []


def test_a_new_crowd_takes_the_place_of_the_old_one(sandbox: Sandbox) -> None:
    make(sandbox, count=3)
    before = made(sandbox)
    make(sandbox, count=2)

    assert len(made(sandbox)) == 2
    assert sandbox.statuses(*before[0]) == []


@pytest.mark.parametrize(
    "wanted", [{"count": -1}, {"count": 100_001}, {"count": "2"}, {"count": 2, "pin_digits": 0}, {"provider": "x"}]
)
def test_what_makes_no_sense_is_refused(sandbox: Sandbox, wanted: dict[str, object]) -> None:
    assert make(sandbox, **wanted) == 400
