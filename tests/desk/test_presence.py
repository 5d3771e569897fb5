"""What workers tell of themselves by working, and what is read from it."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from portal import presence
from portal.desk import workers
from portal.desk.models import FailedTask, Process
from portal.desk.workers import Condition
from portal.presence import Presence
from portal.running import processes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who tell: however long this machine takes, it is not yet time to tell again; see `_told`."""
    monkeypatch.setattr(presence, "time", SimpleNamespace(monotonic=lambda: 1_000_000.0))


@pytest.fixture
def worker(django_db_setup: None) -> Iterator[Presence]:
    """Of two threads. It writes on a session of its own, so its row outlives the test's transaction."""
    made = Presence("worker", "worker@test", queues="work", threads=2)
    yield made
    made.leaves()
    made._hang_up()
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as session:
        session.execute("DELETE FROM desk_process")
        session.execute("DELETE FROM desk_failedtask")


def row() -> Process:
    return Process.objects.get(name="worker@test")


def condition(name: str = "worker@test", *, later: float = 0, waits: bool = False) -> Condition:
    """`later` seconds after anybody told of themselves."""
    told = Process.objects.latest("told_at").told_at
    crew = workers.look(told + timedelta(seconds=later), waits=waits)
    return next(seen.condition for seen in [*crew.workers, *crew.beats] if seen.process.name == name)


def becomes(wanted: Condition, name: str = "worker@test") -> bool:
    """The server notices a moment later that a session is gone."""
    return processes.wait_until(lambda: condition(name) == wanted, 30)


@pytest.fixture
def beat() -> Process:
    """One that called a moment ago."""
    now = timezone.now()
    return Process.objects.create(
        kind="beat", name="beat@test", pid=1, started_at=now, told_at=now, called_at=now + timedelta(minutes=9)
    )


# ---- Telling --------------------------------------------------------------------------------------------------
def test_work_is_told_by_the_work_and_rarely(worker):
    worker.arrives()
    for _ in range(100):
        worker.begins()
        worker.ends()

    assert (row().done, row().begun_at) == (0, None), "a hundred tasks within two seconds cost no write"
    worker._told -= presence.REPORT_SECONDS
    worker.begins()
    assert (row().done, row().in_hand) == (100, 1)
    assert row().begun_at == row().told_at


def test_that_the_last_thread_is_taken_is_told_at_once_and_once(worker):
    worker.arrives()
    worker.begins()
    assert row().full_since is None
    worker.begins()

    told = row()
    assert (told.in_hand, told.full_since) == (2, told.begun_at)
    worker.ends()
    worker.begins()
    assert row().told_at == told.told_at, "a thread free for a blink is no news"


def test_full_ends_when_a_thread_stayed_free(worker):
    worker.arrives()
    worker.begins()
    worker.begins()
    worker.ends()
    worker._told -= presence.REPORT_SECONDS
    worker.goes_on()
    assert row().full_since is not None, "it was full a moment ago"
    worker._told -= presence.REPORT_SECONDS
    worker.goes_on()

    assert row().full_since is None


def test_a_session_that_broke_fails_no_task_and_is_made_anew_for_the_same_row(worker):
    worker.arrives()
    before = row().pk
    with connection.cursor() as cursor:
        # It waits up to five seconds until the session is gone.
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE classid = %s", [presence.LOCK])
    worker._told -= presence.REPORT_SECONDS
    worker.begins()  # nobody hears it
    assert workers._living() == set()
    worker._blocked_until = 0.0
    worker.ends()

    assert (row().pk, row().done) == (before, 1)
    assert workers._living() == {before}


def test_a_task_that_broke_is_counted_by_its_cause(worker):
    worker.arrives()
    for _ in range(3):
        worker.broke("portal.ledger.tasks.work_on_operations", "KeyError", "ledger/operations.py:310")

    assert FailedTask.objects.get().times == 3


# ---- Judging --------------------------------------------------------------------------------------------------
def conditions() -> list[Condition]:
    return [seen.condition for seen in workers.look(timezone.now(), waits=False).workers]


def test_a_killed_one_is_told_from_one_that_lives_and_from_one_that_left(worker, beat):
    worker.arrives()
    worker.called()
    assert condition() == Condition.AT_WORK
    worker._hang_up()  # as the kernel does with the sockets of the dead
    assert becomes(Condition.KILLED)

    worker._row = None
    worker.arrives()
    worker.called()
    # It is back under its name, so the dead one is not missed any more.
    assert processes.wait_until(lambda: conditions() == [Condition.AT_WORK], 30, every=0.1), conditions()
    worker.leaves()
    assert workers.look(timezone.now(), waits=False).workers == [], "whoever says goodbye is not missed"


def test_one_that_does_not_hear_what_beat_calls_is_deaf(worker, beat):
    worker.arrives()
    worker.called()

    assert condition(later=settings.WORKER_DEAF_SECONDS - 2) == Condition.AT_WORK
    assert condition(later=settings.WORKER_DEAF_SECONDS + 2) == Condition.DEAF


def test_one_that_never_heard_a_call_is_first_starting_and_then_deaf(worker, beat):
    worker.arrives()

    assert condition() == Condition.STARTING
    assert condition(later=settings.WORKER_DEAF_SECONDS + 2) == Condition.DEAF


def test_nobody_is_called_deaf_while_beat_calls_nobody(worker):
    worker.arrives()
    worker.called()
    assert condition(later=settings.WORKER_DEAF_SECONDS + 2) == Condition.NOT_CALLED


def test_a_full_one_is_busy_and_overloaded_while_work_waits_and_deaf_when_nothing_comes_to_an_end(worker, beat):
    worker.arrives()
    worker.begins()
    worker.begins()

    assert condition(later=settings.WORKER_DEAF_SECONDS + 2) == Condition.BUSY, "a full one cannot hear the call"
    assert condition(later=settings.WORKER_DEAF_SECONDS + 2, waits=True) == Condition.OVERLOADED
    assert condition(later=settings.OPERATION_LEASE_SECONDS + 2, waits=True) == Condition.DEAF


def test_beat_is_silent_killed_or_doubled(worker: Any):
    first, second = (Presence("beat", name) for name in ("beat@a", "beat@b"))
    try:
        first.arrives()
        first.called(every=10)
        assert condition("beat@a") == Condition.AT_WORK
        assert condition("beat@a", later=settings.WORKER_DEAF_SECONDS + 2) == Condition.SILENT
        second.arrives()
        assert condition("beat@a") == condition("beat@b") == Condition.DOUBLED
        second._hang_up()
        assert becomes(Condition.KILLED, "beat@b")
        assert condition("beat@a") == Condition.AT_WORK
    finally:
        first._hang_up()
        second._hang_up()
