"""Who runs on a `var` folder: one supervisor at a time, and what one that was killed left behind."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from portal.running import CannotStart, processes

MARK = "TILLSIDE_RUN"  # in the environment of every child of ours, and so of its children


class RunFile:
    """The folder's lock, which ends when we do, and a record of who we are and whom we started."""

    def __init__(self, var: Path) -> None:
        self.temporary = var / "tmp"  # the children's TMPDIR: what they leave there goes with us
        self.token = secrets.token_hex(16)
        self._var, self._record, self._url = var, var / "run.json", ""
        self._lock: int | None = None

    def take(self, url: str) -> None:
        """Become the one who runs here, and end what a killed run left."""
        self._url = url
        self._lock = os.open(self._var / "run.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        earlier = self._read()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = None
            pid, where = earlier.get("pid", "unknown"), earlier.get("url", "an address it has not told yet")
            raise CannotStart(f"Tillside already runs here (process {pid}), at {where}.") from None
        if earlier:
            left = [processes.Mark(*child) for child in earlier["children"]]
            processes.end([*left, *processes.carrying(MARK, earlier["token"])], patience=1)
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(mode=0o700)
        self.note([])

    def note(self, children: Iterable[processes.Child]) -> None:
        """Write down whom we started, in a way they can be known again."""
        marks = [mark for mark in (processes.mark(child.pid) for child in children) if mark]
        half = self._record.with_suffix(".half")
        half.write_text(json.dumps({"pid": os.getpid(), "url": self._url, "token": self.token, "children": marks}))
        half.replace(self._record)

    def leftovers(self) -> list[processes.Mark]:
        """Processes of ours that outlived whoever started them."""
        return processes.carrying(MARK, self.token)

    def release(self) -> None:
        if self._lock is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)
            self._record.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return dict(json.loads(self._record.read_text()))
        return {}
