"""Everything as `make run` runs it, over whichever broker and database the test names."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from portal.running.stack import Stack
from tests import prepared
from tests.environment import free_port
from tests.faults.storm import LIMITS, Workers, dismiss
from tests.running.conftest import needs, var
from tests.running.servers import start_rabbitmq, start_redis

__all__ = ["needs", "var"]

Starting = Callable[..., Stack]
Hiring = Callable[..., AbstractContextManager[Workers]]


@pytest.fixture
def starting(var: Path) -> Iterator[Starting]:
    """`starting(CELERY_BROKER_URL=…)`: a running stack with these settings, gone after the test."""
    running: list[Stack] = []

    def start(**env: str) -> Stack:
        stack = Stack(var=var / "stack", port=free_port(), sandbox_port=free_port(), env={"SWEEP_SECONDS": "1", **env})
        running.append(stack)
        if stack.postgres is not None:
            prepared.lay_into(stack.var)
        stack.start()
        return stack

    yield start
    for stack in running:
        stack.hurry()
        stack.erase()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tillside-faults-"))
    folder.chmod(0o711)  # PostgreSQL may not run as root, and must come through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _stack(folder: Path, **env: str) -> Iterator[Stack]:
    """A stack with short limits."""
    stack = Stack(var=folder / "stack", port=free_port(), sandbox_port=free_port(), env={**LIMITS, **env})
    prepared.lay_into(stack.var)
    try:
        stack.start()
        yield stack
    finally:
        stack.hurry()
        stack.erase()


@pytest.fixture(scope="session")
def standing() -> Iterator[Stack]:
    """One stack over the folder broker for all tests that make a connection of their own."""
    with _folder() as folder, _stack(folder) as stack:
        yield stack


@pytest.fixture(
    scope="module",
    params=[None, start_redis, start_rabbitmq],
    ids=["over the folder broker", "over Redis", "over RabbitMQ"],
)
def standing_over(request: pytest.FixtureRequest, needs: Callable[..., Any]) -> Iterator[Stack]:
    """Such a stack over each broker in turn."""
    if request.param is None:
        yield request.getfixturevalue("standing")
        return
    with _folder() as folder:
        broker = needs(request.param, folder / "broker")
        try:
            with _stack(folder, CELERY_BROKER_URL=broker.url) as stack:
                yield stack
        finally:
            broker.kill()


@pytest.fixture(scope="session")
def hiring() -> Hiring:
    """`with hiring(stack) as workers: …`: two workers in place of the stack's one, which does not come back."""
    commands: dict[Path, list[str]] = {}

    @contextmanager
    def hire(stack: Stack, **changes: str) -> Iterator[Workers]:
        if stack.var not in commands:
            commands[stack.var] = dismiss(stack)
        workers = Workers(stack, commands[stack.var], **changes)
        try:
            yield workers
        finally:
            workers.stop()

    return hire


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print something that is to be read even where all goes well."""

    def print_it(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(text)

    return print_it
