"""Access tokens that a provider gives for credentials: where one is kept between calls, and when it is too old."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

EARLY = timedelta(seconds=10)  # as providers' own clients: a token may expire on its way

Fetch = Callable[[], tuple[str, int]]
"""Asks the provider for a token; returns it and for how many seconds it is good. Raises any Failure."""


class Tokens(Protocol):
    """Where the one token of some credentials is kept. Everybody who shares them must see the same."""

    def get(self, fetch: Fetch, *, ends: float) -> str:
        """The token. Where there is none that is good, one comes of `fetch`, which only one caller at a time is in; the
        others wait for what it brings, until `ends` by the monotonic clock. Raises what `fetch` raises, and Unclear
        (TIMEOUT)."""

    def keep(self, token: str, *, seconds: int) -> None:
        """A new one, good for so many seconds from now."""

    def drop(self, token: str) -> None:
        """This one was refused; another that came in the meantime stays."""


class OwnTokens:
    """Kept by one connector alone, in memory."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._token = ""
        self._ends = datetime.now(UTC)

    def get(self, fetch: Fetch, *, ends: float) -> str:
        with self._lock:
            if not self._token or datetime.now(UTC) >= self._ends:
                token, seconds = fetch()
                self.keep(token, seconds=seconds)
                return token
            return self._token

    def keep(self, token: str, *, seconds: int) -> None:
        with self._lock:
            self._token, self._ends = token, datetime.now(UTC) + timedelta(seconds=seconds) - EARLY

    def drop(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = ""


TokenStore = Callable[[tuple[str, ...]], Tokens]
"""Where the token of these credentials is kept: whatever makes one token another, the address included."""


def own(credentials: tuple[str, ...]) -> Tokens:
    """Kept by whoever asks, and shared with nobody."""
    return OwnTokens()
