"""Providers' access tokens: one for each of a merchant's credentials, sealed, shared by all workers of all processes.

Where there is none that is good, one worker fetches it and the others wait for what it brings: a moment on the row says
until when, so a worker that dies keeps nobody waiting for longer than its call could have taken. Nothing is locked and
no connection to the database is held meanwhile. Only workers come here: a token is a secret that the web cannot open.
"""

import json
import time
import uuid
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection as database
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from portal.connectors.base import Reason, Unclear
from portal.connectors.tokens import EARLY, Fetch, TokenStore
from portal.merchants import outward, tenancy, vault
from portal.merchants.models import Connection, ProviderToken, token_writer

LOOK_AGAIN = 0.05  # seconds, while somebody else fetches it


class _Found(NamedTuple):
    token: str
    box: bytes
    until: float  # by the monotonic clock


class SharedTokens:
    """The one token of these credentials of one merchant."""

    def __init__(self, merchant: int, provider: str, credentials: tuple[str, ...]) -> None:
        self.merchant, self.provider = merchant, provider
        self.credential = vault.verifier(f"credentials of {merchant}", json.dumps([provider, *credentials]))
        self._found: _Found | None = None

    def get(self, fetch: Fetch, *, ends: float) -> str:
        """As Tokens says."""
        while True:
            if self._found is None or self._found.until <= time.monotonic():
                self._found = self._stored()
            if self._found is not None:
                return self._found.token
            mine = self._claim(ends)
            outward.give_back_database()
            if mine is not None:
                return self._fetched(fetch, mine)
            if time.monotonic() + LOOK_AGAIN >= ends:
                raise Unclear(reason=Reason.TIMEOUT)
            time.sleep(LOOK_AGAIN)

    def _fetched(self, fetch: Fetch, mine: datetime) -> str:
        try:
            token, seconds = fetch()
        except BaseException:
            self._let_go(mine)
            raise
        self.keep(token, seconds=seconds)
        return token

    @token_writer.writes
    def keep(self, token: str, *, seconds: int) -> None:
        """As Tokens says."""
        row, _is_new = ProviderToken.objects.get_or_create(
            merchant_id=self.merchant, credential=self.credential, defaults={"provider": self.provider}
        )
        box = vault.seal(_place(row), token.encode())
        good = timedelta(seconds=seconds) - EARLY
        ProviderToken.objects.filter(pk=row.pk).update(sealed_token=box, expires_at=Now() + good, fetching_until=None)
        self._found = _Found(token, box, time.monotonic() + good.total_seconds())
        outward.give_back_database()

    def drop(self, token: str) -> None:
        """As Tokens says."""
        if self._found is not None and self._found.token == token:
            self._forget(self._found.box)
            self._found = None
            outward.give_back_database()

    def _rows(self) -> QuerySet[ProviderToken]:
        return ProviderToken.objects.filter(merchant=self.merchant, credential=self.credential)

    def _stored(self) -> _Found | None:
        """What is kept, where it is good still. A box whose key is gone is as good as none."""
        row = self._rows().filter(sealed_token__isnull=False).annotate(left=F("expires_at") - Now()).first()
        if row is None or row.sealed_token is None or row.left <= timedelta():
            return None
        box = bytes(row.sealed_token)
        try:
            token = vault.open_sealed(_place(row), box).decode()
        except vault.CannotOpen:
            self._forget(box)
            return None
        outward.give_back_database()
        return _Found(token, box, time.monotonic() + row.left.total_seconds())

    @token_writer.writes
    def _forget(self, box: bytes) -> None:
        self._rows().filter(sealed_token=box).update(sealed_token=None)

    def _claim(self, ends: float) -> datetime | None:
        """Until when it is ours to fetch; None where somebody else is at it, or has brought it by now."""
        longest = max(ends - time.monotonic(), 0.0) + 1.0
        given: list[Any] = [self.merchant, uuid.uuid4(), self.provider, self.credential, longest]
        with database.cursor() as cursor:
            cursor.execute(_CLAIM, given)
            claimed = cursor.fetchone()
        return claimed[0] if claimed else None

    @token_writer.writes
    def _let_go(self, mine: datetime) -> None:
        """So that the next one need not wait. Not of a claim that has lapsed and is somebody else's."""
        self._rows().filter(fetching_until=mine).update(fetching_until=None)
        outward.give_back_database()


_CLAIM = """
INSERT INTO merchants_providertoken AS t (merchant_id, key, provider, credential, fetching_until)
VALUES (%s, %s, %s, %s, statement_timestamp() + make_interval(secs => %s))
ON CONFLICT (merchant_id, credential) DO UPDATE SET fetching_until = EXCLUDED.fetching_until
WHERE (t.fetching_until IS NULL OR t.fetching_until <= statement_timestamp())
  AND (t.sealed_token IS NULL OR t.expires_at <= statement_timestamp())
RETURNING fetching_until
"""


def of(connection: Connection) -> TokenStore:
    """Where the tokens of a connection's credentials are kept."""
    return lambda credentials: SharedTokens(connection.merchant_id, connection.provider, credentials)


@token_writer.writes
def throw_away(connection: Connection) -> None:
    """Forget the merchant's tokens at this provider: the credentials of one of its connections have changed."""
    ProviderToken.objects.filter(merchant=connection.merchant_id, provider=connection.provider).delete()


@token_writer.writes
def sweep() -> None:
    """Forget tokens that expired."""
    with tenancy.every_merchant("the sweep forgets providers' tokens that expired"):
        ProviderToken.objects.filter(expires_at__lt=Now() - timedelta(hours=1)).delete()


def _place(row: ProviderToken) -> vault.Context:
    return vault.Context(merchant=row.merchant_id, table="merchants_providertoken", row=str(row.key), field="token")
