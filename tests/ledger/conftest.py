"""Alice at Jung's till, with PayWizard cards: wishes, workers and the sandbox's own journal."""

import json
import uuid
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections

from portal.desk import demo
from portal.ledger import balances, calls, cards, operations
from portal.ledger.models import Card, Inquiry, Operation
from portal.merchants import practice, tenancy
from portal.merchants.models import Connection, Member
from portal.money import Money, Points
from tests.conftest import Sandbox

CARD = "914639258868500"  # 30.10 and 53 points
CALLS = {
    "cardinquiry": "/SaleCreate",
    "revenuemonster": "/v3/loyalty/",
    "paywizard": "/ovstrade/openLoyaltyPay/",
    "secuconnect": "/api/v2/Smart/Transactions",
}


class Till:
    """What Alice can wish for, and what became of it. `effects` is the provider's own word."""

    def __init__(self, member: Member, connection: Connection, sandbox: Sandbox, settings: Any) -> None:
        self.member, self.connection, self.sandbox, self._settings = member, connection, sandbox, settings
        settings.OPERATION_LEASE_SECONDS, settings.QUIET_SECONDS = 25, 0
        self.waits_long()

    def waits_long(self) -> None:
        """Nothing here takes so long; but what a busy machine holds up for a second is no lost answer."""
        self._settings.OPERATION_SECONDS = 20

    def gives_up_soon(self, seconds: float = 1) -> None:
        """For a call whose answer does not come. All that is done about it afterwards has its time again: `waits_long`
        once it was met."""
        self._settings.OPERATION_SECONDS = seconds

    def card(self, number: str = CARD) -> Card:
        return cards.card_of(self.connection, number)

    def asks(
        self, verb: str, amount: int = 0, *, number: str = CARD, key: uuid.UUID | None = None, **more: Any
    ) -> Operation:
        points = verb.endswith("points")
        currency = self.connection.options["currency"]
        wish = operations.Wish(
            verb=verb,
            card=self.card(number),
            amount=Money(amount, currency) if amount and not points else None,
            points=Points(amount) if amount and points else None,
            **more,
        )
        return operations.request(member=self.member, key=key or uuid.uuid4(), wish=wish)

    def gets(self, verb: str, amount: int = 0, **more: Any) -> Operation:
        """Ask, and let a worker work until nothing is due."""
        return self.worked_on(self.asks(verb, amount, **more))

    def worked_on(self, operation: Operation) -> Operation:
        while operations.work():
            self.waits_long()
        operation.refresh_from_db()
        return operation

    def effects(self) -> list[dict[str, Any]]:
        parts = urlsplit(self.sandbox.url)
        line = HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        line.request("GET", "/_sandbox/effects")
        return [json.loads(each) for each in line.getresponse().read().decode().splitlines()]

    def arm(self, kind: str, operation: str, **fault: object) -> None:
        """The provider's next answer to this call. One that does not come is given up after a second, and what comes
        after it is not."""
        if kind in ("timeout_before", "timeout_after", "late"):
            self.gives_up_soon()
        provider = self.connection.provider
        path = f"{CALLS[provider]}{operation}"
        self.sandbox.call(
            "POST", "/_sandbox/faults", {"provider": provider, "kind": kind, "path": path, "times": 1, **fault}
        )


@pytest.fixture
def paywizard(arrange: Callable[[], Any], jung: Any, sandbox: Sandbox) -> Connection:
    """Jung's connection to PayWizard: a sandbox, so only this desk moves its cards."""
    from portal.connectors import PROVIDERS
    from portal.merchants import connections

    keys = sandbox.credentials("paywizard")
    connection = Connection(merchant=jung, provider="paywizard", name="PayWizard", environment="sandbox")
    connection.only_this_desk = True
    connection.per_second = 1000
    connection.options = PROVIDERS["paywizard"].Settings.options(
        {"base_url": f"{sandbox.url}/paywizard", "client_id": keys["client_id"], "currency": "USD"}
    )
    connections.seal_secrets(connection, {"client_secret": keys["client_secret"], "token": keys["token"]})
    with arrange():
        connection.save()
    return connection


@pytest.fixture
def secuconnect(arrange: Callable[[], Any], jung: Any, sandbox: Sandbox) -> Connection:
    """Jung's connection to secuconnect, which tells of each operation how it ended."""
    with arrange():
        practice.add(jung, {"secuconnect": sandbox.credentials("secuconnect")})
        connection: Connection = jung.connection_set.get(provider="secuconnect")
        Connection.objects.filter(pk=connection.pk).update(per_second=1000)
    return connection


@pytest.fixture
def loads(jung: Any, alice: Any, secuconnect: Connection, sandbox: Sandbox, settings: Any) -> Any:
    """Alice's till with secuconnect's cards."""
    with tenancy.merchant(jung.pk):
        yield Till(
            Member.objects.select_related("merchant", "person").get(person=alice), secuconnect, sandbox, settings
        )


@pytest.fixture
def revenuemonster(arrange: Callable[[], Any], jung: Any, sandbox: Sandbox) -> Connection:
    """Jung's connection to Revenue Monster, where no award has a reference."""
    with arrange():
        practice.add(jung, {"revenuemonster": sandbox.credentials("revenuemonster")})
        connection: Connection = jung.connection_set.get(provider="revenuemonster")
        Connection.objects.filter(pk=connection.pk).update(per_second=1000)
    return connection


@pytest.fixture
def awards(jung: Any, alice: Any, revenuemonster: Connection, sandbox: Sandbox, settings: Any) -> Any:
    """Alice's till with Revenue Monster's members."""
    with tenancy.merchant(jung.pk):
        yield Till(
            Member.objects.select_related("merchant", "person").get(person=alice), revenuemonster, sandbox, settings
        )


class Counter(Till):
    """Alice's till with CardInquiry's cards, which pay after they were looked up."""

    def looks_up(self, number: str, pin: str = "1234") -> Inquiry:
        """Type both and let a worker ask."""
        inquiry = balances.open_look_up(
            member=self.member, key=uuid.uuid4(), connection=self.connection, number=number, client=None
        )
        return self.answers(inquiry, pin)

    def answers(self, inquiry: Inquiry, pin: str = "1234") -> Inquiry:
        balances.give_pin(inquiry, pin=pin)
        balances.answer(inquiry.pk)
        inquiry.refresh_from_db()
        return inquiry

    def sold(self) -> list[tuple[str, int]]:
        """Reference and amount of each payment, by the provider's journal."""
        return [(each["reference"], each["amount"]) for each in self.effects() if each["verb"] == "pay"]

    def bytes_sent(self, operation: Operation) -> list[int]:
        """How often the sale came to the provider: a number for each wording in which it came."""
        calls = self.sandbox.call("GET", "/_sandbox/calls")["cardinquiry"]["by_subject"]
        return [count for subject, count in calls.items() if subject.startswith(operation.reference)]


@pytest.fixture
def counter(jung: Any, alice: Any, arrange: Callable[[], Any], sandbox: Sandbox, settings: Any) -> Iterator[Counter]:
    with arrange():
        practice.add(jung, {"cardinquiry": sandbox.credentials("cardinquiry")})
        connection = jung.connection_set.get(provider="cardinquiry", environment="sandbox")
        Connection.objects.filter(pk=connection.pk).update(per_second=1000)
    with tenancy.merchant(jung.pk):
        yield Counter(
            Member.objects.select_related("merchant", "person").get(person=alice), connection, sandbox, settings
        )


@pytest.fixture
def till(jung: Any, alice: Any, paywizard: Connection, sandbox: Sandbox, settings: Any) -> Any:
    with tenancy.merchant(jung.pk):
        yield Till(Member.objects.select_related("merchant", "person").get(person=alice), paywizard, sandbox, settings)


@pytest.fixture
def till_for_good(django_db_setup: None, django_db_blocker: Any, sandbox: Sandbox, settings: Any) -> Iterator[Till]:
    """The demo's till, in rows that other connections see; gone afterwards."""
    calls.wire.cache_clear()
    with django_db_blocker.unblock(), tenancy.every_merchant("a test arranges its rows"):
        demo.load(practice.credentials())
        alice = Member.objects.select_related("merchant", "person").get(person__email="alice@example.com")
        yield Till(alice, Connection.objects.get(merchant=alice.merchant, provider="paywizard"), sandbox, settings)
        demo.remove()
        for alias in ("default", "owner"):
            connections[alias].close()
