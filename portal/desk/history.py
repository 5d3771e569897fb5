"""What Bäckerei Jung did in the last month, made by real operations at the sandbox, with the clock set back.

Nothing is invented in the ledger: each line is asked for by one of its people and worked on as a worker does it, so
what the sandbox's journal says is what the ledger says. A run that was broken off is continued by the next one.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from portal.connectors.paywizard import OPERATIONS, PATH
from portal.connectors.secuconnect import TRANSACTIONS
from portal.desk import demo
from portal.desk.history_plan import CURRENCIES, DAYS, Wanted, plan
from portal.ledger import cards, clock, operations, settling
from portal.ledger.models import Operation, OperationState
from portal.merchants import access, tenancy
from portal.merchants.models import Connection, Member, Person
from portal.merchants.roles import Role
from portal.money import Money, Points

PACE = 0.25  # seconds between two: people look around meanwhile, perhaps on two cores
PATIENCE = 20.0  # seconds for one; what cannot begin by then is left to the workers


class NoDemo(Exception):
    """The demo's merchant is not there, or lacks a connection to PayWizard or secuconnect."""


# ---- Making it ------------------------------------------------------------------------------------------------
def make(*, days: int = DAYS, pace: float = PACE) -> int:
    """Make what is not there yet; how many that were. Raises NoDemo; connections.NotNow where one of them is paused."""
    members = _members()
    merchant = members[Role.CASHIER].merchant
    with tenancy.merchant(merchant.pk):
        asked = Connection.objects.filter(merchant=merchant, provider__in=CURRENCIES).order_by("-pk")
        connections = {each.provider: each for each in asked}
        if connections.keys() != CURRENCIES.keys():
            raise NoDemo
        wanted = plan(timezone.now().astimezone(ZoneInfo(merchant.time_zone)), days=days)
        keys = _keys(connections, wanted)
        there = {each.key: each for each in Operation.objects.filter(merchant=merchant, key__in=keys)}
        made = 0
        for key, line in zip(keys, wanted, strict=True):
            line.made = there.get(key)
            if line.made is None:
                line.made = _ask(members[line.role], connections[line.provider], key, line)
                _bring_to_its_end(line.made, line)
                made += 1
                time.sleep(pace)
    return made


def _keys(connections: Mapping[str, Connection], wanted: list[Wanted]) -> list[uuid.UUID]:
    """The same in every run, so that a second one finds what the first made."""
    numbers: Counter[str] = Counter()
    keys = []
    for line in wanted:
        keys.append(uuid.uuid5(connections[line.provider].key, str(numbers[line.provider])))
        numbers[line.provider] += 1
    return keys


def _members() -> dict[Role, Member]:
    jung = demo.MERCHANTS[0]
    members = {}
    for role, name in jung.people.items():
        person = Person.objects.filter(email=demo.email_of(name)).first()
        for mine in access.memberships(person) if person else []:
            if mine.merchant.slug == jung.slug:
                members[role] = mine
    if not {Role.OWNER, Role.MANAGER, Role.CASHIER} <= set(members):
        raise NoDemo
    return members


def _ask(member: Member, connection: Connection, key: uuid.UUID, line: Wanted) -> Operation:
    in_points = line.verb.endswith("_points")
    in_money = not in_points and line.verb != "activate"
    wish = operations.Wish(
        verb=line.verb,
        card=cards.card_of(connection, line.card) if line.card else None,
        amount=Money(line.amount, CURRENCIES[line.provider]) if in_money else None,
        points=Points(line.amount) if in_points else None,
        basket=line.basket,
        original=line.original.made if line.original else None,
        connection=connection,
    )
    with clock.set_to(_running_from(line.at)):
        return operations.request(member=member, key=key, wish=wish)


def _bring_to_its_end(operation: Operation, line: Wanted) -> None:
    with clock.set_to(_running_from(line.at)), _fault(line.provider, line.verb, line.lost):
        _work(operation)
    if operation.state != OperationState.CHECKING:
        return
    # What a lost answer did here is done: the sandbox does it before it loses the answer. So the quiet period, which
    # is the clock's to tell, has passed as soon as the clock says so.
    looked = line.at + timedelta(seconds=settings.QUIET_SECONDS + 5)
    for number in range(settling.CHECKS):
        faulty = "error_after" if line.unread else ""
        again = timedelta(seconds=number * settings.OPERATION_LEASE_SECONDS)
        with clock.set_to(_running_from(looked + again)), _fault(line.provider, "balance", faulty):
            settling.settle(operation)
        operation.refresh_from_db()
        if operation.state != OperationState.CHECKING:
            break


def _work(operation: Operation) -> None:
    """Here, and with our clock; only where a worker was faster, it is waited for."""
    until = time.monotonic() + settings.OPERATION_LEASE_SECONDS + PATIENCE
    while operation.state in (OperationState.WAITING, OperationState.RUNNING) and time.monotonic() < until:
        if not operations.work_on(operation):
            time.sleep(0.05)
        operation.refresh_from_db()


def _running_from(at: datetime) -> Callable[[], datetime]:
    began = time.monotonic()
    return lambda: at + timedelta(seconds=time.monotonic() - began)


# ---- The sandbox's faults -------------------------------------------------------------------------------------
@contextmanager
def _fault(provider: str, verb: str, kind: str) -> Iterator[None]:
    """Within this block the sandbox loses the next answer of this kind of call; one that met nobody is taken back."""
    if not kind:
        yield
        return
    seconds = min(settings.OPERATION_SECONDS + 2, 60)
    path = f"{TRANSACTIONS}/*/start" if provider == "secuconnect" else f"{PATH}/{OPERATIONS[verb]}"
    armed = _sandbox("POST", "", {"provider": provider, "path": path, "kind": kind, "times": 1, "seconds": seconds})
    try:
        yield
    finally:
        with suppress(HTTPError):  # it met our call and is gone
            _sandbox("DELETE", f"/{armed['id']}", {})


def _sandbox(method: str, path: str, body: Mapping[str, object]) -> dict[str, int]:
    request = Request(
        f"{settings.SANDBOX_URL}/_sandbox/faults{path}",
        method=method,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    # No proxy of the environment: the sandbox listens on this machine only.
    with build_opener(ProxyHandler({})).open(request, timeout=5) as answer:
        told: dict[str, int] = json.load(answer)
        return told
