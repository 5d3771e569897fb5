"""Keys change while others are at the same rows, each in a transaction of its own."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections as databases
from django.db import transaction

from portal.ledger import cards
from portal.ledger.models import Card
from portal.management.commands import rotate_keys
from portal.merchants import connections, resealing, ring, tenancy
from portal.merchants.models import Connection
from tests.ledger.conftest import Till

NUMBER = "914639000000777"


@pytest.fixture
def own_ring(tmp_path: Any, settings: Any) -> None:
    ring.create(tmp_path)
    settings.SEALING_KEYS, settings.OPENING_KEYS = tmp_path / "sealing.json", tmp_path / "opening.json"


@pytest.fixture
def till(own_ring: None, till_for_good: Till) -> Till:
    return till_for_good


def rotate() -> str:
    out = io.StringIO()
    call_command("rotate_keys", "--pause", "0", stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def beside() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    """Runs something in a thread with a database connection of its own, which ends with it."""
    running = []

    def start(what: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                with tenancy.every_merchant("a test is somebody else"):
                    what()
            finally:
                databases.close_all()

        running.append(threading.Thread(target=run))
        running[-1].start()
        return running[-1]

    yield start
    for each in running:
        each.join()


def test_a_row_somebody_is_at_is_waited_for_by_nobody_and_sealed_anew_later(till, beside, monkeypatch):
    monkeypatch.setattr(rotate_keys, "ROUNDS", 1)
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Connection.objects.select_for_update().get(pk=till.connection.pk)
            held.set()
            over.wait(20)

    holder = beside(hold)
    assert held.wait(10)
    begun = time.monotonic()
    rotate()
    assert time.monotonic() - begun < 10  # far below the 20 s for which the row is held
    column = next(each for each in resealing.of_boxes() if str(each) == "merchants_connection.sealed_secrets")
    assert resealing.counts()[column]["k1"] == 1
    over.set()
    holder.join()

    rotate()

    assert resealing.counts()[column].keys() == {"k2"}
    till.connection.refresh_from_db()
    assert connections.open_secrets(till.connection)


def test_two_scans_of_one_card_at_once_remember_one_card_although_they_hash_with_two_keys(till, beside, monkeypatch):
    """One process has seen the new key put to use, the other has not yet."""
    ring.add()
    before = ring.sealing()
    after = {**before, "current": "k2", "index": {**before["index"], "current": "i2"}}
    mine = threading.local()
    monkeypatch.setattr(ring, "sealing", lambda: getattr(mine, "ring", before))
    together = threading.Barrier(2)

    def scan(seen: dict[str, Any]) -> Callable[[], None]:
        def scanning() -> None:
            mine.ring = seen
            together.wait(10)
            cards.card_of(till.connection, NUMBER)

        return scanning

    for _ in range(20):
        Card.objects.filter(connection=till.connection, last_four=NUMBER[-4:]).delete()
        threads = [beside(scan(seen)) for seen in (before, after)]
        for each in threads:
            each.join()
        assert Card.objects.filter(connection=till.connection, last_four=NUMBER[-4:]).count() == 1
