"""Jung's customers, and Alice, who keeps them."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from portal.customers.book import Details
from portal.customers.models import Customer, Purpose, Source
from portal.desk import demo
from portal.ledger import holders
from portal.merchants import tenancy
from portal.merchants.models import Member
from tests.conftest import Sandbox

Keeps = Callable[..., Customer]


def keep(member: Member, *, agrees: tuple[Purpose, ...] = (), card: Any = None, **details: Any) -> Customer:
    """A customer of this member's merchant, kept as the pages keep them."""
    agreement = holders.Agreement(purposes=agrees, source=Source.AT_THE_TILL)
    customer, made = holders.add(
        member=member, key=uuid.uuid4(), details=Details(**details), agreement=agreement, card=card
    )
    assert made
    return customer


def member_of(person: Any, merchant: Any) -> Member:
    return Member.objects.select_related("merchant", "person").get(person=person, merchant=merchant)


@pytest.fixture
def at_jung(jung: Any, alice: Any) -> Any:
    """Within Jung's rows, as Alice: her membership."""
    with tenancy.merchant(jung.pk):
        yield member_of(alice, jung)


@pytest.fixture
def keeps(at_jung: Member) -> Keeps:
    """`keeps(last_name="Vogel")`: Alice keeps a customer."""
    return lambda **details: keep(at_jung, **details)


@pytest.fixture
def for_good(django_db_setup: Any, django_db_blocker: Any, sandbox: Sandbox) -> Any:
    """The demo's Jung, as its cashier, in rows that other connections see; gone afterwards."""
    with django_db_blocker.unblock(), tenancy.every_merchant("a test arranges its rows"):
        demo.load({name: sandbox.credentials(name) for name in ("cardinquiry", "paywizard")})
        yield Member.objects.select_related("merchant", "person").get(person__email="alice@example.com")
        demo.remove()
        for alias in ("default", "owner"):
            connections[alias].close()
