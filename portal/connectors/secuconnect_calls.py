"""How secuconnect is called: with one token for a connection, and of each call only what may be kept."""

import json
import time
from collections.abc import Mapping
from typing import Any

from portal.connectors.base import Connector
from portal.connectors.http import HttpAnswer, HttpRequest
from portal.connectors.secuconnect_answers import PRIVATE_MEMBERS, read_token, wants_another_token
from portal.connectors.secuconnect_settings import SecuconnectSettings
from portal.connectors.tokens import Tokens, with_token


class Calls:
    """The calls of one verb of `connector`, all within its time. The card's `number` and the `private` texts of its
    customer are kept of none. What is posted moves value or is on the way to it; what is got moves nothing.

    `ends` is when, by the monotonic clock, the last one must be over.
    """

    def __init__(
        self,
        connector: Connector,
        settings: SecuconnectSettings,
        tokens: Tokens,
        *,
        ends: float,
        number: str = "",
        private: Mapping[str, str] | None = None,
    ) -> None:
        self.ends = ends
        self.number = number
        self.private = private or {}
        self._connector, self._settings, self._tokens = connector, settings, tokens

    def get(self, path: str) -> HttpAnswer:
        """What the API answers. Raises any Failure."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> HttpAnswer:
        """The same. Raises any Failure; Unreachable as long as the call itself has not left."""
        return self._ask("POST", path, body)

    def token(self) -> tuple[str, int]:
        """A new token and for how many seconds it is good. Raises any Failure."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret,
        }
        return read_token(self._send("POST", "/oauth/token", asked, {}, {}, moves=False))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> HttpAnswer:
        moves = method == "POST"

        def send(token: str) -> HttpAnswer:
            headers = {self._settings.auth_header: f"Bearer {token}"}
            secrets = {"token": token, "number": self.number, **self.private}
            return self._send(method, path, body, headers, secrets, moves=moves)

        return with_token(self._tokens, self.token, send, wants_another_token, ends=self.ends, moves=moves)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        secrets: Mapping[str, str],
        *,
        moves: bool,
    ) -> HttpAnswer:
        typed = {"Content-Type": "application/json"} if body is not None else {}
        # Only a card that is made has its number in the answer alone; the receipt's lines are "value", too.
        unknown_number = () if secrets.get("number") else ("value",)
        return self._connector.wire.exchange(
            HttpRequest(
                method=method,
                url=f"{self._settings.base_url}{path}",
                headers={**headers, **typed, "Accept": "application/json"},
                body=b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
            ),
            secrets={"secret": self._settings.client_secret, **secrets},
            deadline=max(self.ends - time.monotonic(), 0.0),
            connect_timeout=self._connector.connect_seconds,
            moves_value=moves,
            on_exchange=self._connector.on_exchange,
            hidden=(*PRIVATE_MEMBERS, *unknown_number),
        )
