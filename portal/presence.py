"""Which workers and beats there are, and when each last did real work: told by the work itself.

A process list knows no deaf worker, a ping is answered by one that takes no task, and a timer of its own ticks on in
one whose broker is gone. So a worker says nothing by itself: whenever a task begins or ends it may write its one row,
at most every REPORT_SECONDS. That an idle one has something to tell, beat calls the roll: one message to every
worker, which goes the way all work goes (beat, broker, consumer, thread, database).

Whether the process lives at all, its session at the database tells. It holds a lock in the row's name: when a process
is killed its session is gone at once, when it is deaf or frozen the session stays. Clocks are the database's.

Nothing here ever fails a task. What cannot be written is written with the next one.
"""

import logging
import os
import threading
import time
from typing import Any

import psycopg
from django.db import connection as database

log = logging.getLogger(__name__)

LOCK = 7441  # any number; it names this use of advisory locks, of which the second number is the row's
REPORT_SECONDS = 2.0
# A machine that lost its power or its network says no goodbye: so the server asks, and believes the silence after 25 s.
_SESSION = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
_BEGIN = """
INSERT INTO desk_process (kind, name, queues, threads, pid, started_at, told_at, in_hand, done, late_seconds)
VALUES (%(kind)s, %(name)s, %(queues)s, %(threads)s, %(pid)s, now(), now(), 0, 0, 0) RETURNING id
"""
_TELL = """
UPDATE desk_process SET told_at = now(), in_hand = %(in_hand)s, done = %(done)s, late_seconds = %(late)s,
    called_at = now() - make_interval(secs => %(called)s), begun_at = now() - make_interval(secs => %(begun)s),
    ended_at = now() - make_interval(secs => %(ended)s), full_since = now() - make_interval(secs => %(full)s)
WHERE id = %(id)s
"""
_BROKE = """
INSERT INTO desk_failedtask (task, cause, place, first_at, last_at, times)
VALUES (%(task)s, %(cause)s, %(place)s, now(), now(), 1)
ON CONFLICT (task, cause, place) DO UPDATE SET last_at = now(), times = desk_failedtask.times + 1
"""


class Presence:
    """One process, as it tells of itself. Its methods are called by many threads at once."""

    def __init__(self, kind: str, name: str, *, queues: str = "", threads: int = 0) -> None:
        self.kind, self.name, self.queues, self.threads = kind, name, queues, threads
        self._counting, self._writing = threading.Lock(), threading.Lock()
        self._session: psycopg.Connection[Any] | None = None
        self._row: int | None = None
        self._told = self._blocked_until = -REPORT_SECONDS
        self._is_full_told = self._was_full = False
        self._called: float | None = None
        self._begun: float | None = None
        self._ended: float | None = None
        self._full: float | None = None
        self._in_hand = self._done = 0
        self._late = 0.0

    # ---- What happens
    def arrives(self) -> None:
        """The process is ready for work."""
        with self._writing:
            self._write()

    def begins(self) -> None:
        """A thread took a task."""
        with self._counting:
            self._in_hand += 1
            self._begun = time.monotonic()
            if self._in_hand >= self.threads > 0:
                self._was_full, self._full = True, self._full or self._begun
        self._tell()

    def goes_on(self) -> None:
        """A task did a piece of its work and takes the next."""
        with self._counting:
            self._done += 1
            self._begun = self._ended = time.monotonic()
        self._tell()

    def ends(self) -> None:
        """A thread is free again."""
        with self._counting:
            self._in_hand = max(self._in_hand - 1, 0)
            self._done += 1
            self._ended = time.monotonic()
        self._tell()

    def called(self, *, every: float = 0) -> None:
        """The roll call came here; or left here, if this is beat, which calls `every` so many seconds."""
        now = time.monotonic()
        with self._counting:
            if self._called is not None and every:
                self._late = max(now - self._called - every, 0.0)
            self._called = now
        self._tell(at_once=True)

    def broke(self, task: str, cause: str, place: str) -> None:
        """A task ended by an error nobody foresaw. Neither its arguments nor the error's text are kept."""
        with self._writing:
            self._say(_BROKE, {"task": task[:100], "cause": cause[:100], "place": place[:200]})

    def leaves(self) -> None:
        """The process ends in an orderly way."""
        with self._writing:
            if self._session is not None and self._row is not None:
                if self._say("UPDATE desk_process SET stopped_at = now(), in_hand = 0 WHERE id = %(id)s", {}):
                    # Given back by word: a session that is only hung up holds its lock until the server notices.
                    self._say("SELECT pg_advisory_unlock(%(lock)s, %(id)s)", {"lock": LOCK})
                self._hang_up()

    # ---- Telling it
    def _tell(self, *, at_once: bool = False) -> None:
        """Write if it is time. A thread that finds another one writing leaves it to that one, which looks again when
        it has written: so nobody waits, and that the last thread is taken is told at once."""
        while (at_once or self._is_due()) and self._writing.acquire(blocking=False):
            at_once = False
            try:
                self._write()
            finally:
                self._writing.release()

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now < self._blocked_until:
            return False
        return now - self._told >= REPORT_SECONDS or (self._was_full and not self._is_full_told)

    def _write(self) -> None:
        now = time.monotonic()
        with self._counting:
            if not self._was_full:
                self._full = None  # not once since the last time, so not merely for the blink between two tasks
            values: dict[str, object] = {
                "in_hand": self._in_hand,
                "done": self._done,
                "late": self._late,
                "called": _ago(now, self._called),
                "begun": _ago(now, self._begun),
                "ended": _ago(now, self._ended),
                "full": _ago(now, self._full),
            }
            self._is_full_told = self._was_full
            self._was_full = self._in_hand >= self.threads > 0
        if self._say(_TELL, values):
            self._told = now
        else:
            self._blocked_until = now + REPORT_SECONDS

    def _say(self, statement: str, values: dict[str, object]) -> bool:
        try:
            session = self._opened()
            told = session.execute(statement, {**values, "id": self._row})
            if statement is _TELL and told.rowcount == 0:  # swept away while the database could not be reached
                self._hang_up()
                self._row = None
                return False
        except psycopg.Error as error:
            log.warning("Its presence could not be written: %s", type(error).__name__)
            self._hang_up()
            return False
        return True

    def _opened(self) -> psycopg.Connection[Any]:
        """Our own session: it must last, and must not be one that tasks wait for."""
        if self._session is not None:
            return self._session
        params = database.get_connection_params()
        self._session = psycopg.connect(**{**params, "connect_timeout": 3}, autocommit=True)
        self._session.execute(_SESSION)
        self._session.execute("SET synchronous_commit = off")
        if self._row is None:
            facts = {"kind": self.kind, "name": self.name, "queues": self.queues, "threads": self.threads}
            row = self._session.execute(_BEGIN, {**facts, "pid": os.getpid()}).fetchone()
            assert row is not None
            self._row = int(row[0])
        self._session.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, self._row])
        return self._session

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _ago(now: float, moment: float | None) -> float | None:
    return None if moment is None else now - moment


# ---- This process ---------------------------------------------------------------------------------------------
_mine: Presence | None = None


def arrive(kind: str, name: str, *, queues: str = "", threads: int = 0) -> Presence:
    """This process is a worker, or beat, from now on."""
    global _mine
    _mine = Presence(kind, name, queues=queues, threads=threads)
    _mine.arrives()
    return _mine


def goes_on() -> None:
    """For a task that does many things, after each: what it does counts, not only that it once began. Nothing where
    this process is no worker."""
    if _mine is not None:
        _mine.goes_on()
