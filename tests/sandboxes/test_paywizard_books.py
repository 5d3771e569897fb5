"""Whatever is asked, however it fails: every balance is the first day's and what the journal says since."""

import contextlib
import json
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.sandboxes.faults import Armed, Kind
from portal.sandboxes.paywizard_books import CARDS, PLAIN, TIPPABLE, VOIDABLE

from .conftest import PATIENCE, Sandbox, until
from .test_paywizard import PAYMENT, TOKEN, RealTill, TimedTill, done, number, path_of, signature

FIRST_DAY = {card.number: (card.minor, card.points) for card in CARDS}
WAYS = {"top_up": 1, "pay": -1, "tip": -1, "issue_points": 1, "redeem_points": -1}


def sums(effects: Iterable[Any]) -> dict[str, tuple[int, int]]:
    """Per card, by how much money and points the journal says that it changed."""
    changed: dict[str, Counter[str]] = {}
    done_as = {each["provider_reference"]: each["verb"] for each in effects if each["verb"] in WAYS}
    done_as |= {VOIDABLE: "pay", TIPPABLE: "pay"}
    for each in effects:
        if each["verb"] == "activate":
            continue
        way = -WAYS[done_as[each["original"]]] if each["verb"] == "void" else WAYS[each["verb"]]
        unit = "money" if each["points"] is None else "points"
        changed.setdefault(each["subject"], Counter())[unit] += way * (each["amount"] or each["points"])
    return {card: (counted["money"], counted["points"]) for card, counted in changed.items()}


def expected(end: str, effects: Iterable[Any]) -> tuple[int, int]:
    minor, points = FIRST_DAY[number(end)]
    more_minor, more_points = sums(effects).get(number(end), (0, 0))
    return minor + more_minor, points + more_points


# ---- Any sequence of calls -------------------------------------------------------------------------------

# Small and large, plain, inactive, the document's, the three pending ones, and one that minds repeats.
ENDS = ("00", "01", "03", "15", "13", "14", "16", "18")
STEPS = st.tuples(
    st.sampled_from(["top_up", "pay", "void", "tip", "issue", "redeem", "activate", "wait", "reset"]),
    st.sampled_from(ENDS),
    st.sampled_from([1, 5, 50, 760]),
    st.integers(0, 50),  # which of the transactions so far a void or tip is about
    st.sampled_from([None, None, None, *Kind]),
)


@pytest.fixture(scope="module")
def timed_all_along(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimedTill]:
    timed = TimedTill(tmp_path_factory.mktemp("books"))
    yield timed
    timed.store.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=5, max_size=25))
def test_balances_are_always_the_sum_of_the_journal(timed_all_along: TimedTill, steps: list[Any]) -> None:
    timed = timed_all_along
    timed.store.reset()

    for word, end, size, which, fault in steps:
        if fault:
            timed.store.arm(Armed(provider="paywizard", kind=fault, times=1))
        act(timed, word, end, size, which)
        timed.store.disarm()

    effects = timed.effects()
    for end in ENDS:
        money, points = timed.holds(end)
        assert (round(money * 100), points) == expected(end, effects)
        assert money >= 0
        assert points >= 0
    voided = [each["original"] for each in effects if each["verb"] == "void"]
    tipped = {each["original"] for each in effects if each["verb"] == "tip"}
    assert len(set(voided)) == len(voided)
    assert not tipped & set(voided)
    activated = [each["subject"] for each in effects if each["verb"] == "activate"]
    assert len(set(activated)) == len(activated)


def act(timed: TimedTill, word: str, end: str, size: int, which: int) -> None:
    seen = [VOIDABLE, TIPPABLE, *(each["provider_reference"] for each in timed.effects() if each["provider_reference"])]
    original = seen[which % len(seen)]
    match word:
        case "wait":
            timed.now = timed.now.fromtimestamp(timed.now.timestamp() + size / 2, timed.now.tzinfo)
        case "reset":
            if which < 3:
                timed.store.reset()
        case "activate":
            quietly(timed, "giftActivate", end)
        case "void":
            quietly(timed, "giftVoid", None, oriOrderNo=original)
        case "tip":
            quietly(timed, "giftTip", end, oriOrderNo=original, amount=f"{size / 100:.2f}")
        case "top_up":
            quietly(timed, "giftIssuance", end, amount=f"{size:.2f}", activating="Y" if which % 2 else None)
        case "pay":
            quietly(timed, "giftTransaction", end, amount=f"{size / 10:.2f}", tranOrderNo=f"order{which}")
        case _:
            quietly(timed, "loyaltyIssuance" if word == "issue" else "loyaltyRedemption", end, amount=str(size))


def quietly(timed: TimedTill, operation: str, end: str | None, **fields: object) -> None:
    """Whatever is answered, and if it is nothing that can be read."""
    with contextlib.suppress(ValueError):
        timed.ask(operation, end, **fields)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE paywizard_cards SET minor = -1",
        "UPDATE paywizard_cards SET points = -1",
        "INSERT INTO paywizard_transactions SELECT 'x', index_code, order_number, kind, number, amount, original,"
        " activates, state, due_at, settles_at FROM paywizard_transactions WHERE kind = 'void'",
    ],
)
def test_the_database_itself_refuses_debts_and_second_voids(timed_all_along: TimedTill, statement: str) -> None:
    timed_all_along.store.reset()
    done(timed_all_along.void(VOIDABLE))

    with pytest.raises(sqlite3.IntegrityError), timed_all_along.store.writing() as db:
        db.execute(statement)


# ---- Many at once ----------------------------------------------------------------------------------------


def test_a_hundred_tills_at_once_take_no_cent_too_many(sandbox: Sandbox) -> None:
    till = RealTill(sandbox)

    with ThreadPoolExecutor(100) as tills:
        answers = list(tills.map(lambda each: till.pay("00", "1.00", tranOrderNo=f"at{each}"), range(100)))

    assert Counter(answer["data"]["result"] for answer in answers) == {0: 30, 1: 70}
    assert till.holds("00") == (0.1, 53)
    paid = {answer["data"]["checkoutId"] for answer in answers if answer["data"]["result"] == 0}
    assert {each["provider_reference"] for each in sandbox.effects()} == paid


def test_a_hundred_tills_over_many_cards_leave_exact_balances(sandbox: Sandbox) -> None:
    till = RealTill(sandbox)
    cards = [str(PLAIN[each]) for each in range(100)]

    with ThreadPoolExecutor(100) as tills:
        for answer in tills.map(lambda each: till.pay(cards[each % 100], "0.07"), range(300)):
            done(answer)

    assert sums(sandbox.effects()) == dict.fromkeys(cards, (-21, 0))
    assert {till.holds(card) for card in cards[::10]} == {(9999.79, 10_000)}


def test_one_payment_voided_by_many_at_once_is_voided_once(sandbox: Sandbox) -> None:
    till = RealTill(sandbox)

    with ThreadPoolExecutor(20) as tills:
        answers = list(tills.map(lambda _: till.void(VOIDABLE), range(20)))

    assert Counter(answer["data"]["result"] for answer in answers) == {0: 1, 1: 19}
    assert till.holds("15") == (1544.6, 53)


# ---- A kill ----------------------------------------------------------------------------------------------


def send(sandbox: Sandbox, body: bytes) -> socket.socket:
    """The bytes of a payment, and nothing read yet."""
    sign = signature(body, client_id="825429536610058240", client_secret="9fb645400aabaa33ee0e423405d8c676")
    head = (
        f"POST {path_of('giftTransaction')} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"jwt-token: {TOKEN}\r\nsign: {sign}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    caller = socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE)
    caller.sendall(head.encode() + body)
    return caller


def test_a_kill_before_the_answer_leaves_journal_and_balance_agreeing(tmp_path: Path) -> None:
    first = Sandbox(tmp_path)
    first.arm("timeout_after", provider="paywizard", seconds=60, times=5)
    callers = [send(first, PAYMENT.encode()) for _ in range(5)]
    until(first.effects)
    first.process.kill()
    first.wait()
    for caller in callers:
        caller.close()

    second = Sandbox(tmp_path)
    second.ask("DELETE", "/_sandbox/faults")  # those that met nobody before the kill

    effects = second.effects()
    money, points = RealTill(second).holds("15")
    assert 1 <= len(effects) <= 5
    assert (round(money * 100), points) == expected("15", effects)
    second.stop()


def test_what_is_pending_survives_a_kill(tmp_path: Path) -> None:
    first = Sandbox(tmp_path)
    data = RealTill(first).pay("14", "10.00")["data"]
    first.process.kill()
    first.wait()

    second = Sandbox(tmp_path)
    until(second.effects)

    assert [each["provider_reference"] for each in second.effects()] == [data["checkoutId"]]
    assert RealTill(second).holds("14") == (40, 50)
    second.stop()


def test_the_journal_is_written_as_json_lines_with_an_original_only_where_there_is_one(sandbox: Sandbox) -> None:
    till = RealTill(sandbox)
    till.void(till.paid("00", "1.00"))

    lines = sandbox.ask("GET", "/_sandbox/effects").text.splitlines()

    assert ["original" in json.loads(line) for line in lines] == [False, True]
