"""The demo: two merchants, people in every role, and connections to the sandboxes. What they did lately is made by
history.py."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections as databases
from django.db import models, transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from psycopg import sql

from portal.desk import demo_customers
from portal.ledger import limits
from portal.merchants import accounts, pins, practice, tenancy
from portal.merchants.models import AuditEntry, Connection, Member, Merchant, Person, Store
from portal.merchants.roles import Permission, Role, may
from portal.shopper import deciding
from portal.shopper.models import BalancePage

# Made-up people on made-up data; in an installation that is not a demo none of them exists.
PASSWORD = "look-around-2026"
PIN = "3951"


@dataclass(frozen=True, kw_only=True)
class DemoMerchant:
    """One made-up merchant and everybody who works there, by role."""

    slug: str
    name: str
    currency: str
    time_zone: str
    country: str
    language: str
    stores: dict[str, str]
    people: dict[Role, str]
    second_person_from: int | None = None
    limits: dict[tuple[str, str], int] = field(default_factory=dict)


MERCHANTS = [
    DemoMerchant(
        slug="baeckerei-jung",
        name="Bäckerei Jung",
        currency="EUR",
        time_zone="Europe/Berlin",
        country="DE",
        language="de",
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
        second_person_from=100_00,
        limits={
            (Role.CASHIER, "pay"): 200_00,
            (Role.CASHIER, "top_up"): 200_00,
            (Role.CASHIER, "void"): 100_00,
            (Role.CASHIER, "issue_points"): 500,
        },
    ),
    DemoMerchant(
        slug="kauri-books",
        name="Kauri Books",
        currency="NZD",
        time_zone="Pacific/Auckland",
        country="NZ",
        language="en",
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


def load(credentials: Mapping[str, Mapping[str, str]]) -> None:
    """Make the two merchants where they are not there yet. `credentials` are the sandboxes', by provider."""
    with _all_rows(), transaction.atomic():
        merchants = [_load_merchant(made_up, credentials) for made_up in MERCHANTS]
    for merchant in merchants:
        demo_customers.load(merchant)
        with tenancy.merchant(merchant.pk):
            _open_balance_page(merchant)


def _all_rows() -> AbstractContextManager[None]:
    return tenancy.every_merchant("the demo makes its own merchants")


def _load_merchant(made_up: DemoMerchant, credentials: Mapping[str, Mapping[str, str]]) -> Merchant:
    merchant, is_new = Merchant.objects.get_or_create(
        slug=made_up.slug,
        defaults={
            "name": made_up.name,
            "currency": made_up.currency,
            "time_zone": made_up.time_zone,
            "country": made_up.country,
            "language": made_up.language,
            "second_person_from": made_up.second_person_from,
        },
    )
    if is_new:
        limits.begin_with(merchant, made_up.limits)
    for name, address in made_up.stores.items():
        Store.objects.get_or_create(merchant=merchant, name=name, defaults={"address": address})
    for role, name in made_up.people.items():
        member, is_new = Member.objects.get_or_create(merchant=merchant, person=_person(name), defaults={"role": role})
        if is_new and may(role, Permission.CHOOSE_PIN):
            pins.choose(member, PIN, request=None)
    practice.add(merchant, credentials)
    return merchant


def _open_balance_page(merchant: Merchant) -> None:
    """Where shoppers may look at their CardInquiry cards, told as those of its sandbox are."""
    if BalancePage.objects.filter(merchant=merchant).exists():
        return
    owner = Member.objects.select_related("merchant", "person").get(merchant=merchant, role=Role.OWNER)
    merchant.connection_set.filter(provider="cardinquiry").update(public_use=True)
    deciding.change(owner, {"is_open": True, "last_digits": 5, "number_length": 16, "in_sequence": False})


def callback_address() -> str:
    """Where Bäckerei Jung hears that somebody has claimed a code, "" where there is no demo."""
    with _all_rows():
        rows = Connection.objects.filter(merchant__slug=MERCHANTS[0].slug, provider="revenuemonster")
        key = rows.values_list("key", flat=True).order_by("pk").first()
    return f"{settings.PUBLIC_URL}{reverse('callback', args=[key])}" if key else ""


def _person(name: str) -> Person:
    email = email_of(name)
    person = Person.objects.filter(email=email).first() or Person.objects.create_user(email, PASSWORD, name=name)
    accounts.confirm_address(person)  # example.com receives no mail
    return person


# ---- Taking it away -------------------------------------------------------------------------------------------
def remove() -> list[str]:
    """Take the demo's merchants away with all their rows, and its people who work nowhere else; their names.

    As the tables' owner: what is over and what is evidence is otherwise never deleted, by triggers that rest for this
    one transaction.
    """
    with _all_rows(), transaction.atomic("owner"), databases["owner"].cursor() as cursor:
        gone = list(Merchant.objects.using("owner").filter(slug__in=[each.slug for each in MERCHANTS]).order_by("name"))
        _delete(cursor, _of_merchants(), "merchant_id", [merchant.pk for merchant in gone])
        _delete(cursor, [Merchant], "id", [merchant.pk for merchant in gone])
        idle = _people_in_nobodys_rows()
        _delete(cursor, [AuditEntry], "person_id", [person.pk for person in idle])  # doors that stayed shut
        for person in idle:
            person.delete(using="owner")
    return [merchant.name for merchant in gone]


def _people_in_nobodys_rows() -> list[Person]:
    """The demo's people whom no merchant that is still there knows."""
    emails = {email_of(name) for made_up in MERCHANTS for name in made_up.people.values()}
    found = Person.objects.using("owner").filter(email__in=emails)
    for link in Person._meta.related_objects:
        if link.related_model in _of_merchants():
            name = link.field.name
            rows = link.related_model._base_manager.using("owner").exclude(**{name: None}).exclude(merchant=None)
            found = found.exclude(pk__in=rows.values(name))
    return list(found)


def _of_merchants() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if any(field.name == "merchant" for field in model._meta.fields)]


def _delete(cursor: Any, tables: list[type[models.Model]], column: str, ids: list[int]) -> None:
    """In any order: links are looked at when all is gone, and before the triggers watch again."""
    names = [sql.Identifier(model._meta.db_table) for model in tables]
    for name in names:
        cursor.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(name))
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(name, sql.Identifier(column)),
            [ids],
        )
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for name in names:
        cursor.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(name))
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def removal(merchant: Merchant, role: str) -> str:
    """The command that takes the demo away, for the owner of one of its merchants; else nothing.

    A command and no button: what is over is kept from everybody but the tables' owner, whose login no process that
    serves people or works for them holds.
    """
    is_demo = settings.DEMO and merchant.slug in [each.slug for each in MERCHANTS]
    return "manage.py demo --remove" if is_demo and role == Role.OWNER else ""


# ---- What people are told -------------------------------------------------------------------------------------
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
        _("Sign in as Milan, the manager, and say under Attention how a lost answer ended."),
        _("As Milan, make this browser a till: Settings, Tills. Then be Alice: her PIN is 3951, as everybody’s here."),
    ]
