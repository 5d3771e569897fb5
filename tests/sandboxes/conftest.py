"""The sandboxes as they really run: a process on a free port, asked over plain sockets."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 20  # seconds until a test gives up; none is expected to take them
SERVER_KEY = "demo-server-key.CardInquiry"
VISIBLE_KEY = "demo-VisibleKey.CardInquiry"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Sandbox:
    def __init__(self, store: Path, port: int = 0) -> None:
        self.store = store
        self.process = launch("--port", str(port), "--store", str(store))
        assert self.process.stdout
        self.greeting = self.process.stdout.readline()
        self.port = int(self.greeting.strip().rstrip("/").rsplit(":", 1)[1])

    def stop(self) -> int:
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()
        return code

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = self.connect()
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def look_up(self, card: str, pin: str = "1234", key: str = SERVER_KEY, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", look_up_path(card, pin), headers={"X-Api-Key": key, **named})

    def statuses(self, card: str, pin: str = "1234") -> list[str]:
        return [record["Status"] for record in self.look_up(card, pin).json["data"]["Cards"]]

    def send_look_up(self, card: str = "00001") -> socket.socket:
        """The bytes of a look-up, and nothing read yet."""
        caller = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        caller.sendall(
            f"GET {look_up_path(card)} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {SERVER_KEY}\r\n\r\n".encode()
        )
        return caller

    def arm(self, kind: str, **more: object) -> Answer:
        answer = self.ask("POST", "/_sandbox/faults", json.dumps({"provider": "cardinquiry", "kind": kind} | more))
        assert answer.status == 201, answer.text
        return answer

    def effects(self, after: int = 0) -> list[Any]:
        return [json.loads(line) for line in self.ask("GET", f"/_sandbox/effects?after={after}").text.splitlines()]

    def calls(self) -> int:
        total: int = self.ask("GET", "/_sandbox/calls").json["cardinquiry"]["total"]
        return total

    def reset(self) -> None:
        assert self.ask("DELETE", "/_sandbox/state").status == 204


def look_up_path(card: str, pin: str = "1234") -> str:
    return f"/cardinquiry/CardInquiry/{quote(card, safe='')}?{urlencode({'pass': pin})}"


def launch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "portal.sandboxes", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def all_of(caller: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    with caller:
        return b"".join(iter(lambda: caller.recv(65536), b""))


@pytest.fixture(autouse=True)
def _quick_passwords() -> None:
    """Nobody signs in here: these tests run without Django too."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("store"))
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running
