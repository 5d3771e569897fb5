"""Sessions in the database, sealed: they hold codes on their way by mail and seeds not yet confirmed.

A session that nobody uses ends after its time. So that this counts from the last page and not from signing in, its row
is renewed by pages; not by each, which would be a commit for every click, but once a thirtieth of the time is gone.
"""

import json
from typing import Any

from django.contrib.sessions.backends import db
from django.utils import timezone

from portal.merchants import web_vault

_PLACE = "session"
RENEWED_AFTER = 1 / 30  # of the time it lasts unused: a minute of half an hour


class SessionStore(db.SessionStore):
    """Django's, with what is in a row readable to web processes only. A row that cannot be opened is an empty session:
    its browser signs in again."""

    def load(self) -> dict[str, Any]:
        row = self._get_session_from_db()  # type: ignore[attr-defined]  # its types do not know it
        if row is None:
            return {}
        found = self.decode(row.session_data)
        lasts = self.get_expiry_age(expiry=found.get("_session_expiry"))
        if (row.expire_date - timezone.now()).total_seconds() < lasts * (1 - RENEWED_AFTER):
            self.modified = True
        return found

    def encode(self, session_dict: dict[str, Any]) -> str:
        return web_vault.seal(_PLACE, json.dumps(session_dict))

    def decode(self, session_data: str | bytes) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(web_vault.open_sealed(_PLACE, str(session_data)))
        except web_vault.CannotOpen:
            return {}
        return found
