"""Jung's public page over its connection to the sandbox, and shoppers who try cards there."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connections as databases
from django.db import transaction

from portal.connectors.base import ClientContext
from portal.desk import demo
from portal.ledger import balances
from portal.ledger.models import Inquiry
from portal.merchants import tenancy
from portal.merchants.models import Connection, Member, Merchant, Person
from portal.shopper import deciding, fingerprints, limits, proof, tries
from portal.shopper.fingerprints import Print
from portal.shopper.models import BalancePage, Try, try_writer
from tests.conftest import Sandbox, make_connection, make_merchant, make_person

CARD, PIN = "6280390000000001", "1234"


@dataclass
class Shopper:
    """Somebody at some address who tries cards; `tries` takes one and lets a worker answer."""

    page: BalancePage
    connection: Connection
    address: str = "198.51.100.7"
    known: Print | None = None
    browser: str = field(default_factory=lambda: uuid.uuid4().hex)

    def visit(self, number: str = CARD, pin: str = PIN) -> limits.Visit:
        merchant = self.page.merchant_id
        return limits.Visit(
            address=fingerprints.of_address(merchant, self.address),
            network=fingerprints.of_network(merchant, self.address),
            card=fingerprints.of_card(merchant, number, last_digits=self.page.last_digits),
            pin=fingerprints.of_pin(merchant, pin),
            known=self.known,
        )

    def asks(
        self,
        number: str = CARD,
        pin: str = PIN,
        *,
        whole: bool = True,
        challenge: proof.Challenge | None = None,
        solution: str = "",
    ) -> Try:
        challenge = challenge or self.challenge()
        typed = tries.Typing(
            connection=self.connection,
            number=number,
            pin=pin,
            whole=whole,
            token=challenge.token,
            solution=solution or proof.solve(challenge),
        )
        client = ClientContext(address=self.address, headers=(("User-Agent", "A browser"),))
        browser = fingerprints.of_browser(self.page.merchant_id, self.browser)
        return tries.take_in(self.page, self.visit(number, pin), typed, browser=browser, client=client)

    def challenge(self, times: int = 1) -> proof.Challenge:
        return proof.issue(tries.place(self.page), times=times, at=tries._patiently())

    def tries(self, number: str = CARD, pin: str = PIN, **more: Any) -> Try:
        made = self.asks(number, pin, **more)
        if inquiry := look_up_of(made):
            balances.answer(inquiry.pk)
        tries.settle(made)
        return made


def look_up_of(made: Try) -> Inquiry | None:
    return Inquiry.objects.filter(merchant=made.merchant_id, key=made.key).first()


def write(row: Try | None, **values: object) -> None:
    """Change a try, or all there are, as no code of ours would, such as to make them older."""
    before = try_writer._open.set(True)
    try:
        (Try.objects.filter(pk=row.pk) if row else Try.objects.all()).update(**values)
    finally:
        try_writer._open.reset(before)


@pytest.fixture
def owner(jung: Any, olivia: Any) -> Iterator[Member]:
    with tenancy.merchant(jung.pk):
        yield Member.objects.select_related("merchant", "person").get(person=olivia)


@pytest.fixture
def page(owner: Member, connection: Connection, settings: Any) -> BalancePage:
    """Open, for whole numbers of 16 digits and PINs of four."""
    settings.SHOPPER_WORK, settings.SHOPPER_TYPING_SECONDS = 1, 0
    Connection.objects.filter(pk=connection.pk).update(public_use=True)
    connection.refresh_from_db()
    deciding.change(owner, {"is_open": True, "number_length": 16, "contact": "Call 030 1234567."})
    return BalancePage.objects.select_related("merchant").get(merchant=owner.merchant)


@pytest.fixture
def somebody(page: BalancePage, connection: Connection) -> Callable[..., Shopper]:
    """`somebody(address)`: a shopper; each has a browser of their own."""

    def made(address: str = "198.51.100.7", **more: Any) -> Shopper:
        return Shopper(page, connection, address, **more)

    return made


@pytest.fixture
def for_good(django_db_setup: None, django_db_blocker: Any, sandbox: Sandbox, settings: Any) -> Iterator[Shopper]:
    """A shopper at a page that is truly there, for other connections to see; gone afterwards."""
    settings.SHOPPER_WORK, settings.SHOPPER_TYPING_SECONDS = 1, 0
    with django_db_blocker.unblock(), tenancy.every_merchant("a test arranges its rows"):
        merchant = make_merchant("for-good", "For Good", currency="EUR", time_zone="UTC")
        person = make_person("Greta", (merchant, "owner"))
        connection = make_connection(merchant, api_key=sandbox.credentials("cardinquiry")["api_key"])
        Connection.objects.filter(pk=connection.pk).update(public_use=True)
        greta = Member.objects.select_related("merchant", "person").get(person=person)
        deciding.change(greta, {"is_open": True, "number_length": 16})
        yield Shopper(BalancePage.objects.select_related("merchant").get(merchant=merchant), connection)
        with transaction.atomic("owner"), databases["owner"].cursor() as cursor:
            demo._delete(cursor, demo._of_merchants(), "merchant_id", [merchant.pk])
            demo._delete(cursor, [Merchant], "id", [merchant.pk])
            Person.objects.using("owner").filter(pk=person.pk).delete()
        for alias in ("default", "owner"):
            databases[alias].close()


def many(count: int, start: int = 0) -> list[str]:
    """Addresses that share no network."""
    return [f"20.{number // 250}.{number % 250}.9" for number in range(start, start + count)]
