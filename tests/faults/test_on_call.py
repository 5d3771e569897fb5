"""A worker that was killed, one that is deaf and one that is overloaded, each seen for what it is within a minute:
real processes, real signals, real brokers."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from portal.running import processes
from portal.running.program import Program
from portal.running.stack import Stack
from tests.conftest import Sandbox
from tests.faults.on_call import OnCall
from tests.faults.storm import dismiss
from tests.faults.till import Till
from tests.running.servers import start_rabbitmq, start_redis

MINUTE = 60
# A sweep each second has two threads in hand for moments; overloaded is who has no thread while work waits.
CALM = ("At work", "All threads busy")
SHORT = {"ROLL_SECONDS": "1", "WORKER_DEAF_SECONDS": "4", "LOOK_SECONDS": "1", "ALERT_CALM_SECONDS": "1"}


class Crew:
    """Workers of our own in place of the stack's, each with a name and as few threads as a test wants."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self._command, self._programs = stack, dismiss(stack), list[Program]()

    def hire(self, name: str, *, threads: int = 50, **env: str) -> "subprocess.Popen[bytes]":
        command = [word.replace("-nworker@", f"-n{name}@") for word in self._command]
        command = [f"-c{threads}" if word == "-c50" else word for word in command]
        program = Program(name, command, lambda one: one.says("ready."))
        self._programs.append(program)
        program.start(self.stack.var / "log" / f"{name}.log", self.stack.environment("worker") | env)
        assert processes.wait_until(program.is_up, 60)
        assert program.child is not None
        return program.child

    def dismiss(self) -> None:
        for program in self._programs:
            if program.child is not None:
                processes.ask(program.child, signal.SIGCONT)
                processes.kill(program.child)


@pytest.fixture
def crew(starting) -> Iterator[Crew]:
    made = Crew(starting(**SHORT, LOOK_UP_SECONDS="25"))
    yield made
    made.dismiss()


def test_by_its_settings_each_is_seen_within_a_minute():
    page_asks = 15  # seconds, in templates/desk/on_call.html
    slowest = settings.WORKER_DEAF_SECONDS + settings.ROLL_SECONDS + settings.LOOK_SECONDS + page_asks
    assert slowest <= MINUTE


def test_killed_deaf_and_well_workers_are_told_apart(crew: Crew, tmp_path: Path):
    killed, frozen = crew.hire("killed"), crew.hire("frozen")
    crew.hire("well")
    elsewhere = tmp_path / "broker"  # a broker that nobody else uses: alive, and hears nothing
    for part in ("messages", "control"):
        (elsewhere / part).mkdir(parents=True)
    crew.hire("lost", CELERY_BROKER_URL=f"filesystem://{elsewhere}")
    on_call = OnCall(crew.stack)
    on_call.signs_in()
    for name in ("killed", "frozen", "well"):
        on_call.seconds_until(name, "At work", at_most=MINUTE)

    processes.kill(killed)
    os.kill(frozen.pid, signal.SIGSTOP)

    assert on_call.seconds_until("killed", "Killed", at_most=MINUTE) < 10
    on_call.seconds_until("frozen", "Deaf", at_most=MINUTE)
    on_call.seconds_until("lost", "Deaf", at_most=MINUTE)
    assert on_call.word_for("well") == "At work"
    for sentence in ("killed@", "was killed", "frozen@", "lost@", "is deaf", "Restart this worker."):
        assert sentence in on_call.page

    os.kill(frozen.pid, signal.SIGCONT)
    crew.hire("killed")
    on_call.seconds_until("frozen", "At work", at_most=MINUTE)
    on_call.seconds_until("killed", "At work", at_most=MINUTE)
    assert processes.wait_until(lambda: "killed@" not in _open_alerts(on_call.reads()), 30, every=0.5)


def _open_alerts(page: str) -> str:
    return page.partition('id="alerts-title"')[2].partition('id="numbers"')[0]


def test_a_worker_without_a_free_thread_is_overloaded_and_not_deaf(crew: Crew):
    crew.hire("small", threads=2)
    on_call, till = OnCall(crew.stack), Till(crew.stack.url)
    on_call.signs_in()
    till.signs_in()
    assert processes.wait_until(lambda: on_call.word_for("small") in CALM, MINUTE, every=0.3)
    Sandbox(crew.stack.sandbox_url).arm("timeout_before", times=6, seconds=20)

    for number in range(6):
        till.looks_up(f"628039000000000{number % 3 + 1}")

    # Both on the page of one moment: what it has in hand changes from one look to the next.
    assert processes.wait_until(
        lambda: on_call.word_for("small") == "Overloaded" and "2 of 2" in on_call.page, MINUTE, every=0.1
    )
    # Far longer than it takes to call somebody deaf, it stays what it is.
    assert not processes.wait_until(lambda: on_call.word_for("small") == "Deaf", 6, every=0.5)
    assert processes.wait_until(lambda: on_call.word_for("small") in CALM, 2 * MINUTE, every=0.3)


def test_a_silent_beat_is_seen_and_nobody_is_called_deaf_for_it(crew: Crew):
    crew.hire("well")
    on_call = OnCall(crew.stack)
    on_call.signs_in()
    on_call.seconds_until("well", "At work", at_most=MINUTE)

    crew.stack.kill("beat")

    on_call.seconds_until("well", "Not called", at_most=MINUTE)
    assert processes.wait_until(lambda: "Beat is silent" in on_call.reads(), MINUTE, every=0.3)
    assert "is deaf" not in _open_alerts(on_call.page)


@pytest.mark.parametrize("start_broker", [start_redis, start_rabbitmq])
def test_over_a_broker_from_debian_a_frozen_worker_is_seen_and_all_come_back_with_the_broker(
    start_broker, starting, needs, var
):
    broker = needs(start_broker, var / "broker")
    try:
        crew = Crew(starting(**SHORT, CELERY_BROKER_URL=broker.url))
        frozen = crew.hire("frozen")
        crew.hire("well")
        on_call = OnCall(crew.stack)
        on_call.signs_in()
        on_call.seconds_until("well", "At work", at_most=MINUTE)
        os.kill(frozen.pid, signal.SIGSTOP)
        on_call.seconds_until("frozen", "Deaf", at_most=MINUTE)
        os.kill(frozen.pid, signal.SIGCONT)

        broker.kill()
        assert processes.wait_until(lambda: "does not answer" in on_call.reads(), MINUTE, every=0.5)
        broker.start()

        on_call.seconds_until("well", "At work", at_most=2 * MINUTE)
        on_call.seconds_until("frozen", "At work", at_most=2 * MINUTE)
    finally:
        broker.kill()
