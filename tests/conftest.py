"""Who and what the tests are about: two merchants, their people, a connection each, and the real sandbox.

Alice is cashier at Bäckerei Jung, Olivia its owner; Ben is cashier at Kauri Books; Mallory works nowhere.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client

from tests import environment

# In lanes a file stays together; those that take minutes begin first, in this order.
LONG = [
    "test_rubbish",
    "test_every_address",
    "test_till",
    "test_admin",
    "test_state_machine",
    "test_backup",
    "test_demo",
    "test_views",
    "test_whole_site",
    "test_doctor",
    "test_safeguards",
    "test_storms",
    "test_kill_points",
    "test_on_call",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> None:
    """The database is new and as a release leaves it; a release finds nothing left to do."""
    from portal.merchants import ring

    ring.create(settings.SEALING_KEYS.parent)
    with django_db_blocker.unblock():
        call_command("release", verbosity=0)
        _number_rows_far_from_one()
    call_command("collectstatic", interactive=False, verbosity=0)


def _number_rows_far_from_one() -> None:
    """Forms know some rows by their numbers. In a fresh database these are 1 or 4, as so much else on a page is; how
    many rows other tests made before must not decide what a test finds."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT setval(oid::regclass, 7000000) FROM pg_class"
            " WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
        )
    connections["owner"].close()


class Sandbox:
    """The imitated providers, as a test talks to them."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, body: object = None) -> Any:
        parts = urlsplit(self.url)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text}"
        return json.loads(text) if text else None

    def credentials(self, provider: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", "/_sandbox/credentials")[provider]
        return found

    def arm(self, kind: str, **fault: object) -> None:
        self.call("POST", "/_sandbox/faults", {"provider": "cardinquiry", "kind": kind, "times": 1, **fault})

    def reset(self) -> None:
        self.call("DELETE", "/_sandbox/state")


@pytest.fixture(scope="session")
def _sandbox_server() -> Iterator[str]:
    port = urlsplit(settings.SANDBOX_URL).port
    assert port
    server = environment.start_sandbox(port, environment.VAR / "sandbox")
    yield settings.SANDBOX_URL
    server.terminate()
    server.wait()


@pytest.fixture
def sandbox(_sandbox_server: str) -> Sandbox:
    """The sandbox, as new."""
    found = Sandbox(_sandbox_server)
    found.reset()
    return found


def make_merchant(slug: str, name: str, *, currency: str, time_zone: str) -> Any:
    from portal.merchants.models import Merchant

    return Merchant.objects.create(slug=slug, name=name, currency=currency, time_zone=time_zone)


def make_person(name: str, *memberships: tuple[Any, str]) -> Any:
    """A person called `name` (address name@example.com, password 'open sesame') with roles at merchants."""
    from portal.merchants import accounts
    from portal.merchants.models import Member, Person

    person = Person.objects.create_user(f"{name.lower()}@example.com", "open sesame", name=name)
    accounts.confirm_address(person)
    for merchant, role in memberships:
        Member.objects.create(merchant=merchant, person=person, role=role)
    return person


def make_connection(merchant: Any, *, api_key: str = "no-key", base_url: str = "", **options: object) -> Any:
    from portal.connectors import PROVIDERS
    from portal.merchants import connections
    from portal.merchants.models import Connection, Environment

    connection = Connection(
        merchant=merchant, provider="cardinquiry", name="CardInquiry", environment=Environment.SANDBOX
    )
    connection.options = PROVIDERS["cardinquiry"].Settings.options(
        {
            "base_url": base_url or f"{settings.SANDBOX_URL}/cardinquiry",
            "currency": merchant.currency,
            **options,
        }
    )
    connections.seal_secrets(connection, {"api_key": api_key})
    connection.save()
    return connection


@pytest.fixture
def everything(db: None) -> Iterator[None]:
    """A context in which a test may arrange rows of any merchant."""
    from portal.merchants import tenancy

    with tenancy.every_merchant("a test arranges its rows"):
        yield


Arrange = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def arrange(db: None) -> Arrange:
    """`with arrange(): …` opens every merchant's rows for a moment."""
    from portal.merchants import tenancy

    return lambda: tenancy.every_merchant("a test arranges its rows")


@pytest.fixture
def jung(arrange: Arrange) -> Any:
    with arrange():
        return make_merchant("baeckerei-jung", "Bäckerei Jung", currency="EUR", time_zone="Europe/Berlin")


@pytest.fixture
def kauri(arrange: Arrange) -> Any:
    with arrange():
        return make_merchant("kauri-books", "Kauri Books", currency="NZD", time_zone="Pacific/Auckland")


@pytest.fixture
def alice(arrange: Arrange, jung: Any) -> Any:
    with arrange():
        return make_person("Alice", (jung, "cashier"))


@pytest.fixture
def olivia(arrange: Arrange, jung: Any) -> Any:
    with arrange():
        return make_person("Olivia", (jung, "owner"))


@pytest.fixture
def ben(arrange: Arrange, kauri: Any) -> Any:
    with arrange():
        return make_person("Ben", (kauri, "cashier"))


@pytest.fixture
def mallory(arrange: Arrange) -> Any:
    with arrange():
        return make_person("Mallory")


@pytest.fixture
def connection(arrange: Arrange, jung: Any, sandbox: Sandbox) -> Any:
    """Jung's connection to the sandbox, with its real key."""
    with arrange():
        return make_connection(jung, api_key=sandbox.credentials("cardinquiry")["api_key"])


def typed_just_now(client: Client, person: Any, *, with_factor: bool = False) -> None:
    """Make the session say that the person proved a moment ago who they are, by password or by second factor too."""
    session = client.session
    methods = ["password", "mfa"] if with_factor else ["password"]
    session["account_authentication_methods"] = [{"method": method, "at": time.time()} for method in methods]
    session["account_authentication_methods_user"] = str(person.pk)
    session.save()


SignIn = Callable[[Any], Client]


@pytest.fixture
def signed_in() -> SignIn:
    """`signed_in(alice)`: a browser's session of hers, her password typed just now."""

    def sign_in(person: Any) -> Client:
        client = Client(HTTP_HOST="localhost")
        client.force_login(person)
        typed_just_now(client, person)
        return client

    return sign_in


# ---- One of everything, and everybody who may ask for it ------------------------------------------------------
@pytest.fixture
def administrator(arrange: Arrange) -> Any:
    """Ada, who runs the installation, with a second factor."""
    from allauth.mfa.models import Authenticator

    from portal.merchants.models import Person

    with arrange():
        person = make_person("Ada")
    Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data={"secret": ""})
    Person.objects.filter(pk=person.pk).update(is_staff=True)
    return Person.objects.get(pk=person.pk)


@pytest.fixture
def ada(administrator: Any) -> Client:
    """Her browser, the factor shown just now."""
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(administrator)
    typed_just_now(browser, administrator, with_factor=True)
    return browser


@pytest.fixture
def jung_shop(arrange: Arrange, jung: Any) -> Any:
    """Jung with one of everything that an address can name; see tests/addresses.py."""
    return _one_of_everything(arrange, jung, "Olivia")


@pytest.fixture
def kauri_shop(arrange: Arrange, kauri: Any) -> Any:
    return _one_of_everything(arrange, kauri, "Kauri-Karen")


def _one_of_everything(arrange: Arrange, merchant: Any, owner: str) -> Any:
    from portal.ledger import balances
    from portal.merchants import tenancy
    from portal.merchants.models import Member
    from tests.addresses import SAMPLES, Shop

    with arrange():
        person = make_person(owner, (merchant, "owner"))
        shop = Shop(merchant, Member.objects.select_related("merchant", "person").get(person=person))
    with tenancy.merchant(merchant.pk):
        for sample in SAMPLES.values():
            sample(shop)
    balances.sweep()  # so that the site calls itself ready
    return shop


@pytest.fixture
def _time_to_crawl(settings: Any) -> None:
    """However long a crawl takes on a busy machine: who signed in and proved who they are as it began still has."""
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = settings.SESSION_COOKIE_AGE = 6 * 3600


@pytest.fixture
def staff(arrange: Arrange, jung_shop: Any, _time_to_crawl: None) -> Any:
    """Somebody in each role at Jung's."""
    from portal.merchants.roles import Role
    from tests.crawling import Visitor

    with arrange():
        return {
            role: Visitor(f"{role.label} of Jung", make_person(f"Jung-{role}", (jung_shop.merchant, role)))
            for role in Role
        }


@pytest.fixture
def strangers(arrange: Arrange, kauri_shop: Any, _time_to_crawl: None) -> Any:
    """Signed in, and no member of Jung's."""
    from allauth.mfa.models import Authenticator

    from portal.merchants.models import Person
    from tests.crawling import Visitor

    with arrange():
        admin = make_person("Administrator")
        Authenticator.objects.create(user=admin, type=Authenticator.Type.TOTP, data={"secret": ""})
        Person.objects.filter(pk=admin.pk).update(is_staff=True, is_superuser=True)
        return [
            Visitor("owner of Kauri", kauri_shop.owner.person),
            Visitor("somebody unknown", make_person("Mallory")),
            Visitor("an administrator", Person.objects.get(pk=admin.pk)),
        ]


@pytest.fixture
def outside(db: None) -> Any:
    from tests.crawling import Visitor

    return Visitor("somebody signed out")


@pytest.fixture
def findings() -> Iterator[Any]:
    """All that is wrong, said at once. Thousands of refusals are what is tested: their log lines are kept away."""
    from tests.crawling import ADDRESSES, Findings

    wanting = [sentence for each in ADDRESSES if (sentence := each.wanting())]
    assert not wanting, "\n" + "\n".join(wanting)
    logging.disable(logging.CRITICAL)
    yield Findings()
    logging.disable(logging.NOTSET)
