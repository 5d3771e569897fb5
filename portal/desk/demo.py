"""The demo: two merchants, people in every role, and a connection each to the CardInquiry sandbox."""

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from portal.connectors import PROVIDERS
from portal.merchants import connections, tenancy
from portal.merchants.models import Connection, Environment, Member, Merchant, Person, Store
from portal.merchants.roles import Role

# Made-up people on made-up data; in an installation that is not a demo none of them exists.
PASSWORD = "look-around-2026"


@dataclass(frozen=True, kw_only=True)
class DemoMerchant:
    """One made-up merchant and everybody who works there, by role."""

    slug: str
    name: str
    currency: str
    time_zone: str
    stores: dict[str, str]
    people: dict[Role, str]


MERCHANTS = [
    DemoMerchant(
        slug="baeckerei-jung",
        name="Bäckerei Jung",
        currency="EUR",
        time_zone="Europe/Berlin",
        stores={
            "Hauptstraße": "Hauptstraße 12, 10827 Berlin",
            "Markthalle": "Marheinekeplatz 15, 10961 Berlin",
        },
        people={
            Role.OWNER: "Olivia Jung",
            Role.MANAGER: "Milan Becker",
            Role.CASHIER: "Alice Sommer",
            Role.MARKETING: "Mara Vogel",
            Role.ACCOUNTANT: "Anton Krüger",
            Role.READ_ONLY: "Rita Lange",
        },
    ),
    DemoMerchant(
        slug="kauri-books",
        name="Kauri Books",
        currency="NZD",
        time_zone="Pacific/Auckland",
        stores={"Queen Street": "210 Queen Street, Auckland"},
        people={
            Role.OWNER: "Aroha Walker",
            Role.MANAGER: "Finn Clarke",
            Role.CASHIER: "Ben Taylor",
            Role.MARKETING: "Lucy Moana",
            Role.ACCOUNTANT: "George Ngata",
            Role.READ_ONLY: "Olivia Jung",
        },
    ),
]


def email_of(name: str) -> str:
    """A made-up person's address, in the domain kept for examples."""
    first = name.split()[0].lower()
    return f"{first}@example.com"


def load(credentials: dict[str, str]) -> None:
    """Make the two merchants where they are not there yet. `credentials` are the CardInquiry sandbox's."""
    with tenancy.every_merchant("the demo makes its own merchants"), transaction.atomic():
        for made_up in MERCHANTS:
            _load_merchant(made_up, credentials)


def _load_merchant(made_up: DemoMerchant, credentials: dict[str, str]) -> None:
    merchant, _created = Merchant.objects.get_or_create(
        slug=made_up.slug,
        defaults={"name": made_up.name, "currency": made_up.currency, "time_zone": made_up.time_zone},
    )
    for name, address in made_up.stores.items():
        Store.objects.get_or_create(merchant=merchant, name=name, defaults={"address": address})
    for role, name in made_up.people.items():
        Member.objects.get_or_create(merchant=merchant, person=_person(name), defaults={"role": role})
    _connect(merchant, made_up.currency, credentials)


def _person(name: str) -> Person:
    email = email_of(name)
    found = Person.objects.filter(email=email).first()
    return found or Person.objects.create_user(email, PASSWORD, name=name)


def _connect(merchant: Merchant, currency: str, credentials: dict[str, str]) -> None:
    """The connection's address and key follow the sandbox, which may have moved to another port."""
    connector = PROVIDERS["cardinquiry"]
    connection = Connection.objects.filter(merchant=merchant, provider="cardinquiry").first() or Connection(
        merchant=merchant, provider="cardinquiry", name=connector.name, environment=Environment.SANDBOX
    )
    connection.options = connector.Settings.options(
        {"base_url": f"{settings.SANDBOX_URL}/cardinquiry", "currency": currency}
    )
    connections.seal_secrets(connection, {"api_key": credentials["api_key"]})
    connection.save()


def logins() -> list[dict[str, str]]:
    """Who can sign in, for the sign-in page and the terminal. Olivia works at both merchants."""
    return [
        {"name": name, "email": email_of(name), "role": str(role.label), "merchant": made_up.name}
        for made_up in MERCHANTS
        for role, name in made_up.people.items()
    ]


def first_steps() -> list[str]:
    """What to try first."""
    return [
        _("Sign in as Alice, the cashier of Bäckerei Jung."),
        _("Type the card 6280390000000001 into the box on top and press Enter."),
        _("Type its password, 1234, and see the balance arrive."),
    ]
