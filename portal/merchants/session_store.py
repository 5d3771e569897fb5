"""Sessions in the database, sealed: they hold codes on their way by mail and seeds not yet confirmed."""

import json
from typing import Any

from django.contrib.sessions.backends import db

from portal.merchants import web_vault

_PLACE = "session"


class SessionStore(db.SessionStore):
    """Django's, with what is in a row readable to web processes only. A row that cannot be opened is an empty session:
    its browser signs in again."""

    def encode(self, session_dict: dict[str, Any]) -> str:
        return web_vault.seal(_PLACE, json.dumps(session_dict))

    def decode(self, session_data: str | bytes) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(web_vault.open_sealed(_PLACE, str(session_data)))
        except web_vault.CannotOpen:
            return {}
        return found
