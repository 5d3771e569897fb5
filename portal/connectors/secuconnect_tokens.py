"""secuconnect's access tokens: where one is kept between calls, and when it is too old."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

EARLY = timedelta(seconds=10)  # as the provider's own clients: a token may expire on its way


class Tokens(Protocol):
    """Where the one token of a connection is kept. Every process that shares it must see the same."""

    def get(self) -> str | None:
        """The token, None where there is none that is good."""

    def keep(self, token: str, *, seconds: int) -> None:
        """A new one, good for so many seconds from now."""

    def drop(self, token: str) -> None:
        """This one was refused; another that came in the meantime stays."""


class OwnToken:
    """Kept by one connector alone, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: str | None = None
        self._ends = datetime.now(UTC)

    def get(self) -> str | None:
        with self._lock:
            return self._token if datetime.now(UTC) < self._ends else None

    def keep(self, token: str, *, seconds: int) -> None:
        with self._lock:
            self._token, self._ends = token, datetime.now(UTC) + timedelta(seconds=seconds) - EARLY

    def drop(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = None
