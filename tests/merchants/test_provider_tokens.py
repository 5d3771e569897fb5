"""One access token for each of a merchant's credentials, whoever calls: at the real sandbox, in real processes."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from portal.connectors import connect
from portal.connectors.base import (
    BalanceRequest,
    CardStatus,
    Misconfigured,
    Reason,
    TopUpRequest,
    Unclear,
    Unreachable,
)
from portal.ledger import calls
from portal.merchants import connections, provider_tokens, tenancy, vault
from portal.merchants.models import Connection, ProviderToken, token_writer
from portal.money import Money
from tests.ledger.conftest import Till, loads, secuconnect, till_for_good

__all__ = ["loads", "secuconnect", "till_for_good"]

CARD, NEVER_KNOWN = "9276004424644016", "9276004424644028"


def caller(connection: Connection, **more: Any) -> Any:
    """A connector as a worker makes it, with nothing remembered."""
    return connect(
        "secuconnect",
        {**connections.settings_for_a_call(connection), **more.pop("settings", {})},
        wire=calls.wire(),
        environment="sandbox",
        tokens=provider_tokens.of(connection),
        **more,
    )


def look_up(connection: Connection, number: str = CARD, **more: Any) -> CardStatus:
    status: CardStatus = caller(connection, **more).balance(BalanceRequest(number=number)).status
    return status


def asked(till: Till) -> int:
    """How many calls the sandbox met."""
    found: int = till.sandbox.call("GET", "/_sandbox/calls")["secuconnect"]["total"]
    return found


def changed(**values: object) -> None:
    """Change the rows as no code of ours would."""
    before = token_writer._open.set(True)
    try:
        ProviderToken.objects.update(**values)
    finally:
        token_writer._open.reset(before)


# ---- One for all --------------------------------------------------------------------------------------------------
def test_one_token_serves_whoever_calls(loads: Till) -> None:
    assert {look_up(loads.connection) for _ in range(3)} == {CardStatus.USABLE}
    assert loads.gets("top_up", 2000, number=CARD).state == "done"

    assert ProviderToken.objects.count() == 1
    # Look-ups: three, and one before and one after the load, which is a creation and a start. And the token, once.
    assert asked(loads) == 3 + 2 + 2 + 1


def test_connections_with_the_same_credentials_share_a_token_and_others_do_not(loads: Till) -> None:
    look_up(loads.connection)
    look_up(loads.connection, settings={"device_id": "SDV_OTHER"})
    assert ProviderToken.objects.count() == 1

    with pytest.raises(Misconfigured):
        look_up(loads.connection, settings={"client_secret": "another"})

    assert ProviderToken.objects.exclude(sealed_token=None).count() == 1


_LOOK_UP = f"""
import sys
from portal.merchants import tenancy
from portal.merchants.models import Connection
from tests.merchants.test_provider_tokens import look_up
with tenancy.every_merchant("a test arranges its rows"):
    connection = Connection.objects.select_related("merchant").get(pk=int(sys.stdin.readline()))
print("ready", flush=True)
sys.stdin.readline()
with tenancy.merchant(connection.merchant_id):
    print(look_up(connection, "{CARD}"), flush=True)
"""


def process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v0", "-c", _LOOK_UP],
        cwd=settings.BASE_DIR,
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(worker: subprocess.Popen[str], line: str) -> None:
    assert worker.stdin
    worker.stdin.write(f"{line}\n")
    worker.stdin.flush()


def hear(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout
    return worker.stdout.readline().strip()


def test_two_processes_that_need_one_at_once_fetch_one(till_for_good: Till) -> None:
    till = till_for_good
    connection = Connection.objects.get(merchant=till.member.merchant, provider="secuconnect")
    # Whoever comes first is kept waiting, so that the other one comes meanwhile.
    till.sandbox.call(
        "POST",
        "/_sandbox/faults",
        {"provider": "secuconnect", "kind": "slow", "path": "/oauth/token", "times": 2, "seconds": 1.5},
    )
    workers = [process(), process()]
    try:
        for worker in workers:
            say(worker, str(connection.pk))
        assert [hear(worker) for worker in workers] == ["ready", "ready"]
        for worker in workers:
            say(worker, "go")
        assert [hear(worker) for worker in workers] == ["usable", "usable"]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()

    assert asked(till) == 2 + 1, "two look-ups, and one token"


def test_many_threads_that_need_one_at_once_fetch_one(till_for_good: Till) -> None:
    till = till_for_good
    connection = Connection.objects.select_related("merchant").get(
        merchant=till.member.merchant, provider="secuconnect"
    )

    def worker(_number: int) -> CardStatus:
        with tenancy.merchant(connection.merchant_id):
            return look_up(connection)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(worker, range(16))) == {CardStatus.USABLE}

    assert asked(till) == 16 + 1


# ---- It ends ------------------------------------------------------------------------------------------------------
def test_a_token_that_is_not_known_any_more_is_renewed_for_all(loads: Till) -> None:
    look_up(loads.connection)
    before = bytes(ProviderToken.objects.get().sealed_token)
    loads.sandbox.reset()  # it knows no token from before

    assert look_up(loads.connection) == CardStatus.USABLE
    assert bytes(ProviderToken.objects.get().sealed_token) != before
    assert asked(loads) == 3, "refused, fetched, looked up"
    look_up(loads.connection)
    assert asked(loads) == 4


def test_a_token_that_has_expired_by_their_clock_is_renewed(loads: Till) -> None:
    look_up(loads.connection)
    loads.sandbox.arm("clock", provider="secuconnect", path="/api/v2", seconds=1300)

    assert look_up(loads.connection) == CardStatus.USABLE
    assert asked(loads) == 2 + 3


def test_a_token_that_has_expired_by_ours_is_not_even_tried(loads: Till) -> None:
    look_up(loads.connection)
    changed(expires_at=Now() - timedelta(seconds=1))

    look_up(loads.connection)

    assert asked(loads) == 2 + 2


def test_a_refusal_takes_away_no_token_that_came_meanwhile(loads: Till) -> None:
    late, early = caller(loads.connection), caller(loads.connection)
    token = late.tokens.get(lambda: ("first", 1200), ends=time.monotonic() + 5)
    early.tokens.get(lambda: ("never asked", 1200), ends=time.monotonic() + 5)
    early.tokens.drop(token)
    early.tokens.keep("second", seconds=1200)

    late.tokens.drop(token)

    assert caller(loads.connection).tokens.get(lambda: ("never asked", 1200), ends=0) == "second"


def test_who_fetches_in_vain_keeps_nobody_waiting(loads: Till) -> None:
    loads.sandbox.arm("error_after", provider="secuconnect", path="/oauth/token")
    with pytest.raises(Unclear):
        look_up(loads.connection)

    began = time.monotonic()
    assert look_up(loads.connection) == CardStatus.USABLE
    assert time.monotonic() - began < 5


def test_who_dies_while_fetching_keeps_others_waiting_no_longer_than_its_call_could_take(loads: Till) -> None:
    dead = provider_tokens.of(loads.connection)(caller_credentials(loads.connection))
    assert dead._claim(time.monotonic() + 60) is not None
    load = TopUpRequest(number=CARD, amount=Money(2000, "EUR"), reference="r")
    with pytest.raises(Unreachable) as caught:  # nothing has begun, so it may be tried again
        caller(loads.connection, total_seconds=0.3).top_up(load)
    assert (caught.value.reason, asked(loads)) == (Reason.TIMEOUT, 0)

    changed(fetching_until=Now() - timedelta(seconds=1))

    assert look_up(loads.connection) == CardStatus.USABLE


def caller_credentials(connection: Connection) -> tuple[str, ...]:
    known = connections.settings_for_a_call(connection)
    return tuple(str(known[name]) for name in ("base_url", "client_id", "client_secret"))


# ---- It is a secret -----------------------------------------------------------------------------------------------
def test_it_is_kept_sealed_and_for_its_own_row(loads: Till) -> None:
    store = caller(loads.connection).tokens
    store.keep("canary-token", seconds=1200)
    row = ProviderToken.objects.get()
    assert b"canary" not in bytes(row.sealed_token) + bytes(row.credential)

    box = vault.seal(provider_tokens._place(ProviderToken(merchant=row.merchant)), b"of another row")
    changed(sealed_token=box)

    assert caller(loads.connection).tokens.get(lambda: ("fresh", 1200), ends=0) == "fresh"


def test_other_credentials_have_another_one_and_the_old_one_is_thrown_away(loads: Till) -> None:
    look_up(loads.connection)

    provider_tokens.throw_away(loads.connection)

    assert not ProviderToken.objects.exists()


def test_tokens_are_written_here_only_and_kept_apart_by_merchant(loads: Till, kauri: Any, arrange: Any) -> None:
    look_up(loads.connection)
    with pytest.raises(Exception, match="provider_tokens"):
        ProviderToken.objects.update(expires_at=None)
    with tenancy.merchant(kauri.pk):
        assert not ProviderToken.objects.exists()
        with pytest.raises(DatabaseError), transaction.atomic():
            caller(loads.connection).tokens.keep("token", seconds=1200)


def test_what_expired_is_swept_away(loads: Till) -> None:
    look_up(loads.connection)
    provider_tokens.sweep()
    assert ProviderToken.objects.count() == 1

    changed(expires_at=Now() - timedelta(hours=2))
    provider_tokens.sweep()

    assert not ProviderToken.objects.exists()


def test_a_refused_token_after_a_renewal_is_for_a_person(loads: Till) -> None:
    with pytest.raises(Misconfigured):
        look_up(loads.connection, NEVER_KNOWN)
