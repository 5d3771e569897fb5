"""What people at one merchant want, and how they ask for it: a process of its own beside a running stack.

    python -m tests.faults.workload prepare PROVIDER …                                 fresh connections, their ids
    python -m tests.faults.workload submit CONNECTIONS --seed 7 --record FILE …        the wishes, in their time
    python -m tests.faults.workload ask CONNECTION VERB NUMBER AMOUNT [--pin 1234]     one wish, its reference
    python -m tests.faults.workload decide CONNECTIONS --seconds 60                    a manager ends what is listed

The wishes follow from the seed alone, but for which payment is voided: it must be done by then. It asks as the page
does, through `operations.request`; a database that is away is met as a person meets it, by pressing again.
"""

import argparse
import json
import os
import queue
import random
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portal.running.processes import wait_until
from tests.faults.providers import ALL, PAYWIZARD, SECUCONNECT, Provider

if TYPE_CHECKING:
    from portal.ledger.models import Operation
    from portal.merchants.models import Connection, Member

MERCHANT, CASHIER, MANAGER = "baeckerei-jung", "alice@example.com", "milan@example.com"
# Few different ones, so that two operations on a card often move the same: a balance must not be taken for another's.
AMOUNTS = (100, 250, 500)
CLERKS = 6  # threads that ask


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One wish: when, where, what, and how often the button is pressed."""

    at: float
    key: uuid.UUID
    provider: str
    verb: str
    number: str
    amount: int
    presses: int
    calls: int  # further messages to the workers, as a broker delivers one more than once


def wanted(
    *, seed: int, count: int, cards: int, seconds: float, run: object = "", elsewhere: float = 0
) -> list[Wanted]:
    """The wishes of one run, a part of them `elsewhere`, at secuconnect. Only their keys tell runs with the same seed
    apart."""
    dice, other = random.Random(seed), random.Random(f"{seed} elsewhere")
    wishes = []
    for place in range(count):
        provider = SECUCONNECT if other.random() < elsewhere else PAYWIZARD
        wish = Wanted(
            at=seconds * place / count,
            key=uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {run} {place}"),
            provider=provider.slug,
            verb=dice.choices(list(provider.verbs), list(provider.verbs.values()))[0],
            number=provider.number(dice.randrange(cards)),
            amount=dice.choice(AMOUNTS),
            presses=2 if dice.random() < 0.1 else 1,
            calls=2 if dice.random() < 0.2 else 0,
        )
        wishes.append(wish)
    return wishes


# ---- Asking -------------------------------------------------------------------------------------------------------
class Clerk:
    """Alice, asking at these connections. `record` gets a line for each wish the portal said it took."""

    def __init__(self, connections: "list[Connection]", member: "Member", record: Path | None = None) -> None:
        self.connections = {each.provider: each for each in connections}
        self.member = member
        self._record = record.open("a") if record else None
        self._lock = threading.Lock()
        self._noted: set[uuid.UUID] = set()

    def asks(self, wish: Wanted, *, until: float) -> None:
        """Press until the portal says what became of it, or the time is over."""
        from portal.merchants import connections, tenancy

        while time.monotonic() < until:
            try:
                with tenancy.merchant(self.member.merchant_id):
                    operation, number = self._request(wish)
            except connections.NotNow:
                time.sleep(0.3)
                continue
            except _errors():  # the page would say that Tillside is away for a moment
                time.sleep(0.3)
                continue
            finally:
                _give_back()
            self._note(operation, number)
            return

    def looks_up(self, connection: "Connection", number: str, pin: str) -> None:
        """Have a worker look the card up, and wait for what it finds."""
        from portal.ledger import balances
        from portal.merchants import tenancy

        with tenancy.merchant(self.member.merchant_id):
            inquiry = balances.open_look_up(
                member=self.member, key=uuid.uuid4(), connection=connection, number=number, client=None
            )
            balances.give_pin(inquiry, pin=pin)

            def answered() -> bool:
                inquiry.refresh_from_db()
                return inquiry.card_id is not None

            assert wait_until(answered, 30), inquiry.state

    def _request(self, wish: Wanted) -> tuple["Operation", str]:
        from portal.ledger import operations

        try:
            return self._ask(wish)
        except operations.OtherContent as other:  # pressed before, when another payment was there to be voided
            return other.operation, _number(other.operation)

    def _ask(self, wish: Wanted) -> tuple["Operation", str]:
        from portal.ledger import cards, operations
        from portal.ledger.models import Operation
        from portal.money import Money, Points

        connection, currency = self.connections[wish.provider], ALL[wish.provider].currency
        pressed_before = Operation.objects.filter(connection=connection, key=wish.key).first()
        if pressed_before is not None and pressed_before.verb == "void":
            return pressed_before, _number(pressed_before)
        if wish.verb == "void" and (original := self._to_void(connection, wish)):
            voiding = operations.Wish(
                verb="void",
                card=original.card,
                amount=Money(original.amount_minor or 0, currency),
                original=original,
            )
            try:
                return operations.request(member=self.member, key=wish.key, wish=voiding), _number(original)
            except operations.CannotAsk:
                pass  # somebody else was faster; then it is a payment
        verb = "pay" if wish.verb == "void" else wish.verb
        points = verb.endswith("points")
        asking = operations.Wish(
            verb=verb,
            card=cards.card_of(connection, wish.number),
            amount=None if points else Money(wish.amount, currency),
            points=Points(wish.amount) if points else None,
        )
        return operations.request(member=self.member, key=wish.key, wish=asking), wish.number

    def _to_void(self, connection: "Connection", wish: Wanted) -> "Operation | None":
        from portal.ledger.models import Operation

        followed = Operation.objects.filter(connection=connection, original__isnull=False).values("original")
        done = Operation.objects.filter(connection=connection, state="done", verb__in=("pay", "top_up"))
        found = list(
            done.exclude(provider_reference="")
            .exclude(pk__in=followed)
            .select_related("card__connection")
            .order_by("id")[:40]
        )
        return found[wish.key.int % len(found)] if found else None

    def _note(self, operation: "Operation", number: str) -> None:
        with self._lock:
            if self._record is None or operation.key in self._noted:
                return
            self._noted.add(operation.key)
            amount = operation.amount_minor or operation.points
            line = {"reference": operation.reference, "verb": operation.verb, "number": number, "amount": amount}
            self._record.write(json.dumps(line) + "\n")
            self._record.flush()
            os.fsync(self._record.fileno())


def _number(operation: "Operation") -> str:
    """All cards of a provider in a run differ in their last four digits."""
    assert operation.card is not None
    return ALL[operation.connection.provider].number(operation.card.last_four)


def submit(connections: list[int], record: Path, wishes: list[Wanted], *, until: float) -> None:
    """Ask for all of them, each in its time, by several clerks at once."""
    from portal.ledger import wake
    from portal.ledger.tasks import sweep_operations

    clerk = Clerk(_connections(connections), _member(CASHIER), record)
    waiting: queue.Queue[Wanted] = queue.Queue()
    begun = time.monotonic()

    def ask() -> None:
        while True:
            try:
                wish = waiting.get_nowait()
            except queue.Empty:
                return
            time.sleep(max(0.0, begun + wish.at - time.monotonic()))
            clerk.asks(wish, until=begun + until)
            for _ in range(wish.calls):
                wake.for_operations()
                _try(lambda: sweep_operations.delay())

    for wish in wishes:
        for _ in range(wish.presses):
            waiting.put(wish)
    clerks = [threading.Thread(target=ask) for _ in range(CLERKS)]
    for each in clerks:
        each.start()
    for each in clerks:
        each.join()


# ---- Deciding -----------------------------------------------------------------------------------------------------
def decide(connections: list[int], *, seconds: float) -> int:
    """Milan looks at the providers' own record and says what happened, until nothing is open. How often he had to."""
    from portal.ledger import settling
    from portal.ledger.models import OVER, Operation
    from portal.merchants import tenancy
    from tests.faults.checker import journal

    milan, decided, deadline = _member(MANAGER), 0, time.monotonic() + seconds
    with tenancy.merchant(milan.merchant_id):
        while time.monotonic() < deadline:
            open_ones = list(Operation.objects.filter(connection__in=connections).exclude(state__in=OVER))
            if not open_ones:
                break
            happened = {line["reference"] for line in journal(os.environ["SANDBOX_URL"])}
            for operation in open_ones:
                if operation.state == "needs_person":
                    settling.decide(
                        operation,
                        member=milan,
                        happened=operation.reference in happened,
                        reason="The provider's own record says so.",
                    )
                    decided += 1
            time.sleep(0.2)
    return decided


# ---- Who and where ------------------------------------------------------------------------------------------------
def prepare(provider: Provider) -> int:
    """A fresh connection of the demo merchant to the provider's sandbox; older ones of a run before are paused."""
    from django.db.models.functions import Now

    from portal.merchants import connections, tenancy
    from portal.merchants.models import Connection

    member = _member(CASHIER)
    options, secrets = provider.options(os.environ["SANDBOX_URL"])
    with tenancy.merchant(member.merchant_id):
        Connection.objects.filter(provider=provider.slug, paused_at=None).update(paused_at=Now())
        connection = Connection(merchant=member.merchant, provider=provider.slug, environment="sandbox")
        connection.name = f"{provider.slug} {connection.key}"
        connection.only_this_desk, connection.concurrency, connection.per_second = True, 40, 1000
        connection.options = options
        connections.seal_secrets(connection, secrets)
        connection.save()
    return connection.pk


def _member(email: str) -> "Member":
    from portal.merchants import tenancy
    from portal.merchants.models import Member

    with tenancy.every_merchant("a fault test finds its people"):
        return Member.objects.select_related("merchant", "person").get(person__email=email, merchant__slug=MERCHANT)


def _connections(ids: list[int]) -> "list[Connection]":
    from portal.merchants import tenancy
    from portal.merchants.models import Connection

    with tenancy.every_merchant("a fault test finds its connections"):
        return list(Connection.objects.filter(pk__in=ids))


def _errors() -> tuple[type[Exception], ...]:
    import psycopg
    from django.db import Error

    return Error, psycopg.Error


def _give_back() -> None:
    from django.db import connection

    connection.close()


def _try(publish: Any) -> None:
    from kombu.exceptions import OperationalError

    try:
        publish()
    except (OperationalError, OSError):
        return  # the broker is away, and the sweep comes by itself


def _ids(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare").add_argument("providers", nargs="+", choices=list(ALL))
    submitting = commands.add_parser("submit")
    submitting.add_argument("connections", type=_ids)
    submitting.add_argument("--record", type=Path, required=True)
    for name, kind in (("seed", int), ("count", int), ("cards", int), ("seconds", float), ("until", float)):
        submitting.add_argument(f"--{name}", type=kind, required=True)
    submitting.add_argument("--elsewhere", type=float, default=0)
    asking = commands.add_parser("ask")
    asking.add_argument("connections", type=_ids)
    asking.add_argument("verb")
    asking.add_argument("number")
    asking.add_argument("amount", type=int)
    asking.add_argument("--pin", default="", help="look the card up first, with this PIN")
    deciding = commands.add_parser("decide")
    deciding.add_argument("connections", type=_ids)
    deciding.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()

    import django

    import portal.celery  # noqa: F401  # `delay` needs to know the broker

    django.setup()
    match given.command:
        case "prepare":
            sys.stdout.write(",".join(str(prepare(ALL[slug])) for slug in given.providers) + "\n")
        case "submit":
            wishes = wanted(
                seed=given.seed,
                count=given.count,
                cards=given.cards,
                seconds=given.seconds,
                run=given.connections,
                elsewhere=given.elsewhere,
            )
            submit(given.connections, given.record, wishes, until=given.until)
        case "ask":
            [connection] = _connections(given.connections)
            clerk, key = Clerk([connection], _member(CASHIER)), uuid.uuid4()
            wish = Wanted(
                at=0,
                key=key,
                provider=connection.provider,
                verb=given.verb,
                number=given.number,
                amount=given.amount,
                presses=1,
                calls=0,
            )
            if given.pin:
                clerk.looks_up(connection, given.number, given.pin)
            clerk.asks(wish, until=time.monotonic() + 30)
            sys.stdout.write(f"{key.hex}\n")
        case "decide":
            sys.stdout.write(f"{decide(given.connections, seconds=given.seconds)}\n")


if __name__ == "__main__":
    main()
