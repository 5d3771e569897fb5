"""Access tokens that a provider gives for credentials: where one is kept between calls, when it is too old, and what
becomes of a call whose token is refused."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from portal.connectors.failures import Declined, Unclear, never_begun

if TYPE_CHECKING:
    from portal.connectors.http import HttpAnswer

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


def with_token(
    tokens: Tokens,
    fetch: Fetch,
    send: Callable[[str], "HttpAnswer"],
    refuses_token: Callable[["HttpAnswer"], bool],
    *,
    ends: float,
    moves: bool,
) -> "HttpAnswer":
    """What `send` answers with the token; once more with a new one where it was refused for the token alone, which is
    before anything is done. Raises any Failure; whatever fails on the way to a call that `moves` value and was not sent
    is Unreachable."""
    for renewed in (False, True):
        try:
            token = tokens.get(fetch, ends=ends)
        except (Unclear, Declined) as failure:
            raise never_begun(failure) if moves else failure from None
        answer = send(token)
        if renewed or not refuses_token(answer):
            break
        tokens.drop(token)
    return answer


TokenStore = Callable[[tuple[str, ...]], Tokens]
"""Where the token of these credentials is kept: whatever makes one token another, the address included."""


def own(credentials: tuple[str, ...]) -> Tokens:
    """Kept by whoever asks, and shared with nobody."""
    return OwnTokens()
