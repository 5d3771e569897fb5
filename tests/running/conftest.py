"""A folder for servers, who still lives in it, and the rule for servers that are not installed."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from portal import services
from portal.running import processes

Living = Callable[[], list[str]]


@pytest.fixture
def var() -> Iterator[Path]:
    """A folder anybody may walk through, unlike pytest's own: PostgreSQL may not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="tillside-test-"))
    folder.chmod(0o711)
    yield folder
    for mark in _in(folder):
        with suppress(ProcessLookupError):
            os.kill(mark.pid, signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.fixture
def living(var: Path) -> Living:
    """The commands of all living processes that work in the folder."""
    return lambda: [processes.command_of(mark.pid) for mark in _in(var)]


@pytest.fixture(scope="session")
def needs() -> Callable[..., Any]:
    """`needs(start_redis, folder)`: the server, or a skipped test; with REQUIRE_ALL=1 a failed one."""

    def start(starter: Callable[[Path], Any], folder: Path) -> Any:
        try:
            return starter(folder)
        except services.Missing as reason:
            if os.environ.get("REQUIRE_ALL") == "1":
                raise
            pytest.skip(str(reason))

    return start


def _in(folder: Path) -> list[processes.Mark]:
    found = {mark.pid: mark for mark in processes.carrying("VAR", str(folder))}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        if str(folder) in processes.command_of(pid) and (mark := processes.mark(pid)):
            found[pid] = mark
    return list(found.values())
