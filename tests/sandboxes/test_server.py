"""The process: how it starts, holds, keeps and stops."""

import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portal.sandboxes.server import main

from .conftest import PATIENCE, ROOT, SERVER_KEY, Sandbox, launch, look_up_path, until


def test_a_hundred_calls_are_held_at_once_and_others_still_answered(sandbox: Sandbox) -> None:
    sandbox.arm("timeout_before", times=100, seconds=60)

    held = [sandbox.send_look_up() for _ in range(100)]
    until(lambda: sandbox.calls() == 100)

    assert sandbox.look_up("00001").status == 200
    assert select.select(held, [], [], 0)[0] == []
    for caller in held:
        caller.close()


def test_a_caller_who_leaves_gives_the_place_back(sandbox: Sandbox) -> None:
    sandbox.arm("timeout_before", times=200, seconds=60)

    for _ in range(200):
        sandbox.send_look_up().close()
    until(lambda: sandbox.calls() == 200)

    assert sandbox.look_up("00001").status == 200


def test_connections_are_kept_and_used_again(sandbox: Sandbox) -> None:
    connections = [sandbox.connect() for _ in range(40)]

    for _ in range(2):
        for connection in connections:
            connection.request("GET", look_up_path("00001"), headers={"X-Api-Key": SERVER_KEY})
            answer = connection.getresponse()
            answer.read()
            assert (answer.version, answer.will_close) == (11, False)
    assert sandbox.calls() == 80
    for connection in connections:
        connection.close()


def test_calls_at_once_are_all_counted_and_journalled(sandbox: Sandbox) -> None:
    callers = [sandbox.send_look_up() for _ in range(60)]

    for caller in callers:
        with caller:
            assert caller.recv(65536).startswith(b"HTTP/1.1 200")

    assert sandbox.calls() == 60
    assert len({effect["seq"] for effect in sandbox.effects()}) == 60


def test_what_was_done_survives_a_kill_before_the_answer(tmp_path: Path) -> None:
    first = Sandbox(tmp_path)
    first.arm("timeout_after", seconds=60)
    with first.send_look_up("00001"):
        until(first.effects)
        first.process.kill()
        first.wait()

    second = Sandbox(tmp_path)

    assert [effect["subject"] for effect in second.effects()] == ["6280390000000001"]
    assert second.calls() == 1
    second.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_ends_it_cleanly_though_calls_are_held(tmp_path: Path, number: signal.Signals) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.arm("timeout_before", times=5, seconds=60)
    held = [sandbox.send_look_up() for _ in range(5)]
    until(lambda: sandbox.calls() == 5)

    sandbox.process.send_signal(number)
    _, said = sandbox.process.communicate(timeout=PATIENCE)

    assert sandbox.process.returncode == 0
    assert said == ""
    for caller in held:
        caller.close()


def test_a_busy_port_is_one_sentence_and_exit_code_1(running: Sandbox, tmp_path: Path) -> None:
    second = launch("--port", str(running.port), "--store", str(tmp_path))

    _, said = second.communicate(timeout=PATIENCE)

    assert second.returncode == 1
    assert said.startswith(f"The sandboxes cannot use port {running.port} on 127.0.0.1: ")
    assert said.count("\n") == 1


def test_it_listens_on_one_address_only(running: Sandbox) -> None:
    # 127.0.0.2 is this machine too, so a server on all addresses would answer there.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", running.port), timeout=PATIENCE)


@pytest.mark.parametrize(
    "arguments", [("--port", "0.0.0.0:8100"), ("--port", "70000"), ("--host", "0.0.0.0"), ("--port", "-1")]
)
def test_it_cannot_be_told_to_listen_elsewhere(tmp_path: Path, arguments: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--store", str(tmp_path)])

    assert end.value.code == 2


def test_a_stray_service_managers_socket_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")

    sandbox = Sandbox(tmp_path)

    assert sandbox.look_up("00001").status == 200
    sandbox.stop()


def test_it_imports_nothing_of_ours_and_no_framework_of_the_portal() -> None:
    program = (
        "import sys, portal.sandboxes.server\n"
        "print(*(m for m in sys.modules if m.split('.')[0] in ('django', 'celery', 'urllib3', 'portal')))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert [name for name in loaded if name != "portal" and not name.startswith("portal.sandboxes")] == []
