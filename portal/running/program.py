"""One process of the stack: how it is started, how one sees that it is at work, how often it died lately."""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from portal.running import BASE, CannotStart, processes

DEATHS, WITHIN = 5, 60.0  # so many deaths in so many seconds are no accident
# When we are killed PostgreSQL goes too: no worker could write down how a call ended, and no page could be made.
# Web gets gunicorn's sign to hurry, which its own processes obey; a kill would leave them behind for a while.
FAREWELLS = {"worker": signal.SIGKILL, "bulk": signal.SIGKILL, "web": signal.SIGQUIT}


class Program:
    """One process of ours, how to tell that it is at work, and how often it died lately."""

    def __init__(self, name: str, argv: list[str], is_up: Callable[["Program"], bool]) -> None:
        self.name, self.argv, self._is_up = name, argv, is_up
        self.child: processes.Child | None = None
        self.deaths: list[float] = []
        self.starts_at: float | None = None  # when it is started again
        self.farewell = FAREWELLS.get(name, signal.SIGTERM)

    def start(self, log: Path, env: Mapping[str, str]) -> None:
        self.log, self.starts_at = log, None
        self._begun = log.stat().st_size if log.exists() else 0
        self.child = processes.spawn(self.argv, log=log, env=env, cwd=BASE, farewell=self.farewell)

    def is_alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def is_up(self) -> bool:
        if not self.is_alive():
            ending = processes.last_line(self.log, self._begun)
            raise CannotStart(f"The {self.name} process does not start; its log is {self.log}. {ending}")
        return self._is_up(self)

    def says(self, words: str) -> bool:
        return words in processes.said(self.log, self._begun)

    def bury(self) -> str:
        """Note a death and plan the next start; the notice. CannotStart after too many deaths."""
        now = time.monotonic()
        self.deaths = [*(at for at in self.deaths if now - at < WITHIN), now]
        if len(self.deaths) >= DEATHS:
            ending = processes.last_line(self.log, self._begun)
            raise CannotStart(f"The {self.name} process died {DEATHS} times; its log is {self.log}. {ending}")
        pause = 2.0 ** (len(self.deaths) - 2)  # half a second, then twice as long each time
        self.starts_at = now + pause
        return f"The {self.name} process stopped and starts again in {pause:g} s; its log is {self.log}."

    def is_due(self) -> bool:
        """Whether its pause after a death is over."""
        return self.starts_at is not None and time.monotonic() >= self.starts_at
