"""What Bäckerei Jung did in the last month, made by real operations at the sandbox, with the clock set back.

Nothing is invented in the ledger: each line is asked for by one of its people and worked on as a worker does it, so
what the sandbox's journal says is what the ledger says. A run that was broken off is continued by the next one.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from portal.connectors.paywizard import OPERATIONS, PATH
from portal.desk import demo
from portal.ledger import cards, clock, operations, settling
from portal.ledger.models import Operation, OperationState
from portal.merchants import access, tenancy
from portal.merchants.models import Connection, Member, Person
from portal.merchants.roles import Role
from portal.money import Money, Points

DAYS = 30
PACE = 0.25  # seconds between two: people look around meanwhile, perhaps on two cores
PATIENCE = 20.0  # seconds for one; what cannot begin by then is left to the workers
CURRENCY = "USD"

# Cards of the sandbox that nobody tries by hand: forty for every day, and one for each that needs a person.
CARDS = [f"914639000000{end}" for end in range(900, 940)]
UNCLEAR_CARDS = [f"914639000000{end}" for end in range(940, 943)]
# Asked for and refused: more than there is on it, not active yet, nothing on it.
REFUSED = [("914639258868503", 12_50), ("914639258868501", 5_00), ("914639258868502", 8_40)]
# The answer is lost, and it did happen: the balance proves it.
LOST = ["cut", "error_after", "garbage"]


class NoDemo(Exception):
    """The demo's merchant is not there, or has no connection to PayWizard."""


@dataclass(kw_only=True)
class Wanted:
    """One line, before it is asked for. `lost` is how its answer gets lost, `unread` that the card cannot be read
    afterwards either; `made` is what became of it."""

    at: datetime
    role: Role
    verb: str
    card: str
    amount: int
    original: "Wanted | None" = None
    lost: str = ""
    unread: bool = False
    made: Operation | None = field(default=None, repr=False)


# ---- The plan -------------------------------------------------------------------------------------------------
def plan(now: datetime, *, days: int = DAYS) -> list[Wanted]:
    """The same wishes in every run, oldest first; only the days move along."""
    chance = random.Random("Bäckerei Jung")
    visitors = count()
    wanted: list[Wanted] = []
    for ago in range(days, 0, -1):
        wanted += _day(chance, visitors, now.date() - timedelta(days=ago), now)
    ask, boss = Role.CASHIER, Role.MANAGER
    one, two, three = UNCLEAR_CARDS
    return [
        *wanted,
        Wanted(at=now - timedelta(hours=5), role=ask, verb="pay", card=one, amount=12_50, lost="timeout_before"),
        Wanted(at=now - timedelta(hours=3), role=ask, verb="top_up", card=two, amount=150_00, lost="redirect"),
        Wanted(at=now - timedelta(minutes=40), role=boss, verb="pay", card=three, amount=8_40, lost="cut", unread=True),
    ]


def _day(chance: random.Random, visitors: Iterator[int], day: date, now: datetime) -> list[Wanted]:
    """One day's customers; on Sundays few come."""
    opening = datetime.combine(day, datetime.min.time(), tzinfo=now.tzinfo) + timedelta(hours=7)
    visits = chance.randint(2, 4) if day.toordinal() % 7 == 0 else chance.randint(6, 9)
    lines: list[Wanted] = []
    for _ in range(visits):
        lines += _visit(chance, next(visitors), opening + timedelta(seconds=chance.randint(0, 10 * 3600)))
    return sorted(lines, key=lambda line: line.at)


def _visit(chance: random.Random, visitor: int, at: datetime) -> Iterator[Wanted]:
    """One customer. Who is refused and whose answer gets lost is counted, not diced: there are some in every run,
    whatever the day."""
    role = chance.choices([Role.CASHIER, Role.MANAGER, Role.OWNER], [8, 2, 1])[0]
    card, what = chance.choice(CARDS), chance.random()
    lost = chance.choice(LOST) if visitor % 25 == 7 else ""
    if visitor % 20 == 3:
        card, amount = chance.choice(REFUSED)
        yield Wanted(at=at, role=role, verb="pay", card=card, amount=amount)
    elif what < 0.21 and not lost:
        amount = chance.choice([10_00, 20_00, 25_00, 50_00])
        yield Wanted(at=at, role=role, verb="top_up", card=card, amount=amount)
    elif what < 0.29 and not lost:
        yield Wanted(at=at, role=role, verb="redeem_points", card=card, amount=chance.choice([50, 100, 200]))
    else:
        amount = chance.randint(32, 480) * 10
        payment = Wanted(at=at, role=role, verb="pay", card=card, amount=amount, lost=lost)
        yield payment
        yield from _afterwards(chance, payment)


def _afterwards(chance: random.Random, payment: Wanted) -> Iterator[Wanted]:
    """What follows some payments; not one whose answer was lost, which keeps its card busy for a while."""
    role, card, what = payment.role, payment.card, chance.random()
    soon, later = payment.at + timedelta(seconds=50), payment.at + timedelta(minutes=6)
    if payment.lost:
        return
    if what < 0.35:
        yield Wanted(at=soon, role=role, verb="issue_points", card=card, amount=max(payment.amount // 100, 1))
    elif what < 0.45:
        amount = chance.choice([50, 1_00, 2_00])
        yield Wanted(at=soon, role=role, verb="tip", card=card, amount=amount, original=payment)
    elif what < 0.52:
        yield Wanted(at=later, role=role, verb="void", card=card, amount=payment.amount, original=payment)


# ---- Making it ------------------------------------------------------------------------------------------------
def make(*, days: int = DAYS, pace: float = PACE) -> int:
    """Make what is not there yet; how many that were. Raises NoDemo; connections.NotNow where PayWizard is paused."""
    members = _members()
    merchant = members[Role.CASHIER].merchant
    with tenancy.merchant(merchant.pk):
        connection = Connection.objects.filter(merchant=merchant, provider="paywizard").first()
        if connection is None:
            raise NoDemo
        wanted = plan(timezone.now().astimezone(ZoneInfo(merchant.time_zone)), days=days)
        # The same keys in every run, so that a second one finds what the first made.
        keys = [uuid.uuid5(connection.key, str(number)) for number in range(len(wanted))]
        there = {each.key: each for each in Operation.objects.filter(merchant=merchant, key__in=keys)}
        made = 0
        for key, line in zip(keys, wanted, strict=True):
            line.made = there.get(key)
            if line.made is None:
                line.made = _ask(members[line.role], connection, key, line)
                _bring_to_its_end(line.made, line)
                made += 1
                time.sleep(pace)
    return made


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
    wish = operations.Wish(
        verb=line.verb,
        card=cards.card_of(connection, line.card),
        amount=None if in_points else Money(line.amount, CURRENCY),
        points=Points(line.amount) if in_points else None,
        original=line.original.made if line.original else None,
    )
    with clock.set_to(_running_from(line.at)):
        return operations.request(member=member, key=key, wish=wish)


def _bring_to_its_end(operation: Operation, line: Wanted) -> None:
    with clock.set_to(_running_from(line.at)), _fault(line.verb, line.lost):
        _work(operation)
    if operation.state != OperationState.CHECKING:
        return
    # What a lost answer did here is done: the sandbox does it before it loses the answer. So the quiet period, which
    # is the clock's to tell, has passed as soon as the clock says so.
    looked = line.at + timedelta(seconds=settings.QUIET_SECONDS + 5)
    for number in range(settling.CHECKS):
        faulty = "error_after" if line.unread else ""
        again = timedelta(seconds=number * settings.OPERATION_LEASE_SECONDS)
        with clock.set_to(_running_from(looked + again)), _fault("balance", faulty):
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
def _fault(verb: str, kind: str) -> Iterator[None]:
    """Within this block the sandbox loses the next answer of this kind of call; one that met nobody is taken back."""
    if not kind:
        yield
        return
    seconds = min(settings.OPERATION_SECONDS + 2, 60)
    path = f"{PATH}/{OPERATIONS[verb]}"
    armed = _sandbox("POST", "", {"provider": "paywizard", "path": path, "kind": kind, "times": 1, "seconds": seconds})
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
