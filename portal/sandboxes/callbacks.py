"""Calls that go the other way: a provider tells its merchant what happened, until it is heard.

A callback is a row, written in the transaction that does what it tells. It is sent until the answer is 200, and signed
anew each time; only to this machine, since what imitates a bank must not knock on other people's doors.
"""

import re
import sqlite3
import threading
from collections.abc import Sequence
from datetime import timedelta
from http.client import HTTPException
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from portal.sandboxes.kit import JSON, Provider, Switchboard

TRIES = 5
PAUSE = 60.0  # seconds between two of them
SECONDS = 5.0  # for one
HERE = re.compile(r"localhost|127\.0\.0\.1")


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *args: object, **named: object) -> None:
        return None


_opener = build_opener(ProxyHandler({}), _NoRedirects())


def may_be_called(url: str) -> bool:
    """Whether it is a web address on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "http" and HERE.fullmatch(parts.hostname or "") is not None


class Courier:
    """Delivers what is due, one after the other; `run` goes on until `stop`."""

    def __init__(self, providers: Sequence[Provider], board: Switchboard, *, pause: float = PAUSE) -> None:
        self._by_name = {provider.name: provider for provider in providers}
        self._board = board
        self._pause = pause
        self._stopping = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="courier", daemon=True).start()

    def stop(self) -> None:
        self._stopping = True
        self._board.rang.set()

    def deliver(self) -> float | None:
        """Send what is due by now. Seconds until the next is, None where none waits."""
        now = self._board.clock()
        with self._board.store.writing() as db:
            rows = db.execute(
                "SELECT * FROM kit_callbacks WHERE due <= ? ORDER BY due, id", (now.timestamp(),)
            ).fetchall()
            messages = [(row, self._signed(db, row)) for row in rows]
        for row, headers in messages:
            self._settle(row, heard=_post(row["url"], row["body"], headers))
        with self._board.store.writing() as db:
            (due,) = db.execute("SELECT min(due) FROM kit_callbacks").fetchone()
        return None if due is None else max(due - self._board.clock().timestamp(), 0.05)

    def _run(self) -> None:
        while not self._stopping:
            self._board.rang.clear()
            try:
                self._board.rang.wait(self.deliver())
            except sqlite3.ProgrammingError:  # the store was closed in the meantime
                if not self._stopping:
                    raise

    def _signed(self, db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, str]:
        signed = self._by_name[row["provider"]].signed
        return dict(signed(db, row["body"], self._board.clock())) if signed else {}

    def _settle(self, row: sqlite3.Row, *, heard: bool) -> None:
        tries = row["tries"] + 1
        with self._board.store.writing() as db:
            if heard or tries >= TRIES:
                db.execute("DELETE FROM kit_callbacks WHERE id = ?", (row["id"],))
            else:
                due = self._board.clock() + timedelta(seconds=self._pause)
                db.execute(
                    "UPDATE kit_callbacks SET tries = ?, due = ? WHERE id = ?", (tries, due.timestamp(), row["id"])
                )


def _post(url: str, body: str, headers: dict[str, str]) -> bool:
    """Whether it was heard."""
    request = Request(url, body.encode(), {"Content-Type": JSON, **headers}, method="POST")
    try:
        with _opener.open(request, timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, HTTPException, ValueError):
        return False
