"""Secrets replaced while workers are at it: six threads ask over a connection, and no call fails."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

from django.db import connections as databases

from portal.ledger import operations
from portal.ledger.models import Operation, OperationState
from portal.merchants import connecting, connections, trials
from portal.merchants.models import Connection, DraftState, Member
from tests.ledger.conftest import Till, till_for_good

__all__ = ["till_for_good"]

CARDS = [f"914639{number:09}" for number in range(900, 912)]
TIMES = 6
UNDER_WAY = (OperationState.WAITING, OperationState.RUNNING, OperationState.CHECKING)


def test_no_call_fails_while_a_secret_is_replaced_over_and_over(till_for_good: Till) -> None:
    till = till_for_good
    milan = Member.objects.select_related("merchant", "person").get(person__email="milan@example.com")
    keys = till.sandbox.credentials("paywizard")
    tokens = cycle([keys["next_token"], keys["token"]])
    Connection.objects.filter(pk=till.connection.pk).update(per_second=1000, concurrency=50)
    over = threading.Event()
    asked: list[int] = []

    with ThreadPoolExecutor(6) as threads:
        workers = [threads.submit(_works, over) for _ in range(6)]
        try:
            for _ in range(TIMES):
                asked += [till.asks("top_up", 100, number=card).pk for card in CARDS]
                _replaces(milan, till.connection, next(tokens))
            _waits_for(asked)
        finally:
            over.set()
    worked = sum(each.result() for each in workers)  # what a worker raised is raised here

    ends = set(Operation.objects.filter(pk__in=asked).values_list("state", "reason"))
    assert ends == {(OperationState.DONE, "")}
    assert worked == len(asked) == TIMES * len(CARDS)
    assert sum(each["verb"] == "top_up" for each in till.effects()) >= len(asked)
    assert connections.open_secrets(Connection.objects.get(pk=till.connection.pk))["token"] == keys["token"]


def test_a_secret_that_is_wrong_is_not_used_by_any_of_them(till_for_good: Till) -> None:
    till = till_for_good
    milan = Member.objects.select_related("merchant", "person").get(person__email="milan@example.com")
    over = threading.Event()

    with ThreadPoolExecutor(2) as threads:
        workers = [threads.submit(_works, over) for _ in range(2)]
        try:
            asked = [till.asks("top_up", 100, number=card).pk for card in CARDS]
            draft = _tries(milan, till.connection, "NOBODYSTOKEN0000000000000000000X")
            asked += [till.asks("top_up", 100, number=card).pk for card in CARDS]
            _waits_for(asked)
        finally:
            over.set()
    assert [each.exception() for each in workers] == [None, None]

    assert draft.state == DraftState.FAILED
    assert set(Operation.objects.filter(pk__in=asked).values_list("state", flat=True)) == {OperationState.DONE}
    assert connections.is_asked(Connection.objects.get(pk=till.connection.pk))


def _works(over: threading.Event) -> int:
    """As a worker's thread does; how many operations it brought to their end."""
    worked = 0
    try:
        while not over.is_set():
            if operations.work():
                worked += 1
            else:
                over.wait(0.02)
    finally:
        databases["default"].close()
    return worked


def _tries(member: Member, connection: Connection, token: str) -> Any:
    draft = connecting.keep(member, connecting.change_of(member, connection), typed={}, secrets={"token": token})
    connecting.ask_for_test(member, draft)
    trials.try_out(draft.pk)
    draft.refresh_from_db()
    return draft


def _replaces(member: Member, connection: Connection, token: str) -> None:
    assert _tries(member, connection, token).state == DraftState.PASSED


def _waits_for(asked: list[int]) -> None:
    until = time.monotonic() + 60
    while Operation.objects.filter(pk__in=asked, state__in=UNDER_WAY).exists() and time.monotonic() < until:
        time.sleep(0.05)
