"""`make run` as a person meets it: its sentences, its processes, its end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from portal.running import BASE, ports, processes
from portal.running.stack import without_settings
from tests import prepared

Start = Callable[..., "Supervisor"]


class Supervisor:
    """`python -m portal.run` as a process, and what it has said."""

    def __init__(self, var: Path, **settings: str) -> None:
        self.said_in = var / "said"
        self.port = int(settings.get("PORT", ports.a_free_one()))
        own = {"PORT": str(self.port), "SANDBOX_PORT": str(ports.a_free_one()), "VAR": str(var), **settings}
        with self.said_in.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portal.run"],
                cwd=BASE,
                env={**without_settings(os.environ), **own},
                stdout=output,
                stderr=subprocess.STDOUT,
                # A terminal's own habit; whoever runs the tests under nohup ignores it, and children inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
            )

    def said(self) -> str:
        return self.said_in.read_text()

    def says(self, words: str, *, within: float = 60) -> bool:
        return processes.wait_until(lambda: words in self.said() or self.process.poll() is not None, within) and (
            words in self.said()
        )

    def end(self, sign: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(sign)
        return self.process.wait(60)

    def healthy(self, host: str = "127.0.0.1") -> bool:
        caller = HTTPConnection(host, self.port, timeout=5)
        caller.request("GET", "/healthz", headers={"Host": f"localhost:{self.port}"})
        return caller.getresponse().status == 200


@pytest.fixture
def start(var: Path) -> Iterator[Start]:
    started: list[Supervisor] = []

    def begin(**settings: str) -> Supervisor:
        started.append(Supervisor(var, **settings))
        return started[-1]

    yield begin
    for supervisor in started:
        if supervisor.process.poll() is None:
            supervisor.end()


def refusal(supervisor: Supervisor) -> str:
    """What it said instead of starting: one line, and no traceback."""
    assert supervisor.process.wait(60) == 1
    lines = [line for line in supervisor.said().splitlines() if line != "Tillside is starting …"]
    assert len(lines) == 1, supervisor.said()
    return lines[0]


def test_a_taken_port_is_named_with_its_holder_and_a_free_one(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]

        sentence = refusal(start(PORT=str(port)))

    assert sentence.startswith(f"Port {port} is taken by process {os.getpid()} (")
    assert "Choose another: make run PORT=" in sentence


def test_a_taken_sandbox_port_names_its_own_setting(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        sentence = refusal(start(SANDBOX_PORT=str(holder.getsockname()[1])))

    assert "make run SANDBOX_PORT=" in sentence


@pytest.mark.parametrize("port", ["web", "0", "65536", "-1", "８０００"])
def test_a_port_that_is_no_number_is_refused(start: Start, port: str):
    supervisor = start(SANDBOX_PORT=port)

    assert refusal(supervisor) == f"SANDBOX_PORT must be a port number such as 8100, not {port!r}."


def test_one_port_for_two_servers_is_refused(start: Start):
    assert "both 8123" in refusal(start(PORT="8123", SANDBOX_PORT="8123"))


def test_a_folder_that_cannot_be_written_is_named(start: Start, var: Path):
    (var / "file").touch()

    assert f"{var / 'file'} cannot be written to" in refusal(start(VAR=str(var / "file")))


def test_a_database_of_ones_own_needs_its_owners_login(start: Start):
    assert "DATABASE_OWNER_URL is not" in refusal(start(DATABASE_URL="postgresql://tillside@127.0.0.1/tillside"))


def test_damaged_data_is_one_sentence(start: Start, var: Path):
    (var / "postgres" / "data").mkdir(parents=True)

    assert f"PostgreSQL's data folder {var / 'postgres' / 'data'} is damaged" in refusal(start())


def test_a_first_and_a_second_start_and_a_calm_end(start: Start, var: Path, living):
    first = start()
    assert first.says("Ctrl-C stops everything."), first.said()
    assert f"Tillside runs at http://localhost:{first.port}\n" in first.said()
    assert "alice@example.com" in first.said()
    assert first.healthy()
    second = start()
    assert refusal(second) == (
        f"Tillside already runs here (process {first.process.pid}), at http://localhost:{first.port}."
    )
    assert first.end() == 0
    assert living() == []
    assert not (var / "run.json").exists()
    assert not (var / "tmp").exists()

    third = start()
    assert third.says("Ctrl-C stops everything."), third.said()
    assert third.end(signal.SIGTERM) == 0
    assert living() == []


def test_a_killed_supervisor_takes_everything_along_and_the_next_start_is_clean(start: Start, var: Path, living):
    prepared.lay_into(var)
    killed = start()
    assert killed.says("Ctrl-C stops everything."), killed.said()

    killed.end(signal.SIGKILL)

    assert processes.wait_until(lambda: living() == [], 60), living()
    following = start(PORT=str(killed.port))
    assert following.says("Ctrl-C stops everything."), following.said()


def test_what_dies_is_started_again_and_a_wiped_broker_is_made_anew(start: Start, var: Path):
    prepared.lay_into(var)
    supervisor = start()
    assert supervisor.says("Ctrl-C stops everything."), supervisor.said()

    for pid, _ in json.loads((var / "run.json").read_text())["children"]:
        if "gunicorn" in processes.command_of(pid):
            os.killpg(pid, signal.SIGKILL)
    assert supervisor.says("The web process stopped and starts again in 0.5 s"), supervisor.said()
    assert processes.wait_until(lambda: ports.answers(supervisor.port), 60)

    (var / "broker").rename(var / "wiped")  # at one stroke; the worker still writes into it
    assert supervisor.says("The broker's folder was emptied"), supervisor.said()
    bound = (var / "broker" / "control").glob
    assert processes.wait_until(lambda: any(bound("*.exchange")), 60)  # a worker bound its queue


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_an_end_in_the_middle_of_starting_leaves_nothing(start: Start, living, sign: signal.Signals):
    supervisor = start()
    assert supervisor.says("Preparing the database")

    supervisor.end(sign)

    assert processes.wait_until(lambda: living() == [], 60), living()
