"""Everything as `make run` runs it, over whichever broker and database the test names."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal.running.stack import Stack
from tests.environment import free_port
from tests.running.conftest import needs, var

__all__ = ["needs", "var"]

Starting = Callable[..., Stack]


@pytest.fixture
def starting(var: Path) -> Iterator[Starting]:
    """`starting(CELERY_BROKER_URL=…)`: a running stack with these settings, gone after the test."""
    running: list[Stack] = []

    def start(**env: str) -> Stack:
        stack = Stack(var=var / "stack", port=free_port(), sandbox_port=free_port(), env={"SWEEP_SECONDS": "1", **env})
        running.append(stack)
        stack.start()
        return stack

    yield start
    for stack in running:
        stack.erase()
