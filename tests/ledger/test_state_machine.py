"""Any story of wishes, workers, providers, sweeps and people: after each step the ledger is still true.

Hypothesis makes the stories up and shortens the ones that fail; the provider is the real sandbox, whose journal says
what truly happened. A dead worker is one whose code stops at a point, for good; a sleeping one goes on after its lease.
"""

import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection as database
from django.db import transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from portal.connectors.paywizard import OPERATIONS
from portal.ledger import operations, settling
from portal.ledger.calls import Caller
from portal.ledger.models import IN_FLIGHT, OVER, Operation, OperationState
from portal.merchants.models import Connection, Member
from tests.conftest import make_person
from tests.ledger.conftest import Till
from tests.ledger.test_operations import write

S = OperationState
LONG = os.environ.get("PROOF") == "1"

SMALL, RICH, OTHER = "914639258868500", "914639000000001", "914639000000002"  # the first soon has not enough
NUMBERS = st.sampled_from([SMALL, RICH, OTHER])
VERBS = st.sampled_from(["pay", "top_up", "issue_points", "redeem_points"])
AMOUNTS = st.sampled_from([5, 20])  # few, so that two operations on a card often move the same

ANSWERS = st.sampled_from(
    [
        "good",
        "good",
        "good",
        "unreadable",
        "refuse",
        "cut",
        "garbage",
        "error_after",
        "timeout_after",
        "timeout_before",
        "redirect",
        "throttle",
        "late",
    ]
)
WORKERS = st.sampled_from(
    [
        "lives",
        "lives",
        "dies after its claim",
        "dies before the first byte",
        "dies after the effect",
        "dies before the commit",
        "sleeps before it sends",
        "sleeps over the answer",
    ]
)
LATE = 0.2  # seconds


class Died(BaseException):
    """Nothing of ours catches this, as nothing catches kill -9."""


@dataclass(frozen=True)
class Asked:
    """One wish as it was taken in; enough to press again."""

    pk: int
    key: uuid.UUID
    verb: str
    number: str
    amount: int

    @property
    def operation(self) -> Operation:
        return Operation.objects.get(pk=self.pk)


class Story(RuleBasedStateMachine):
    """One story, in a transaction of its own that is taken back at the end. Few rules with many ways each: so that the
    ways are mixed evenly. No rule has a precondition: a worker on a slow machine may time out where a quick one does
    not, and a choice of rules that hangs on the ledger's state would then be another one for the same story."""

    till: Till
    manager: Member

    asked: Bundle[Asked] = Bundle("asked")

    def __init__(self) -> None:
        super().__init__()
        self.begun = transaction.savepoint()
        self.till.sandbox.reset()
        self.accepted: dict[int, Asked] = {}
        self.over: dict[str, dict[str, Any]] = {}
        self.quiet_at = 0.0

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.begun)

    # ---- What may happen

    @initialize(target=asked, verb=VERBS, number=NUMBERS, amount=AMOUNTS)
    def it_begins_with_a_wish(self, verb: str, number: str, amount: int) -> Asked:
        return self._ask(uuid.uuid4(), verb, number, amount)

    @rule(target=asked, verb=VERBS, number=NUMBERS, amount=AMOUNTS)
    def somebody_asks(self, verb: str, number: str, amount: int) -> Asked:
        return self._ask(uuid.uuid4(), verb, number, amount)

    @rule(
        one=asked, how=st.sampled_from(["again", "with other content", "to void it", "to withdraw it", "to decide it"])
    )
    def somebody_presses(self, one: Asked, how: str) -> None:
        match how:
            case "again":
                assert self._ask(one.key, one.verb, one.number, one.amount) == one
            case "with other content":
                with pytest.raises(operations.OtherContent) as refusal:
                    self.till.asks(one.verb, one.amount + 1, number=one.number, key=one.key)
                assert refusal.value.operation.pk == one.pk
            case "to void it":
                self._void(one)
            case "to withdraw it":
                waits = one.operation.state == S.WAITING
                assert operations.withdraw(one.operation, member=self.till.member) == waits
            case "to decide it" if one.operation.state != S.NEEDS_PERSON:
                with pytest.raises(operations.CannotAsk):
                    settling.decide(one.operation, member=self.manager, happened=True, reason="I think so.")

    @rule(worker=WORKERS, answer=ANSWERS, verb=VERBS, number=NUMBERS, amount=AMOUNTS)
    def a_worker_works(self, worker: str, answer: str, verb: str, number: str, amount: int) -> None:
        """On what is due; where nothing is, somebody asks for this, so that few steps pass idly."""
        self._pass_pauses()
        if self._next() is None:
            self._ask(uuid.uuid4(), verb, number, amount)
        due = self._next()
        if due is None:
            return  # every card has one in flight
        with ExitStack() as fate:
            fate.enter_context(self._answer(due, answer))
            fate.enter_context(self._fate(worker))
            operations.work()
        Connection.objects.filter(pk=self.till.connection.pk).update(held_until=None)

    @rule(readable=st.booleans())
    def time_passes(self, readable: bool) -> None:
        """Dead workers are missed, and balances looked at, if they can be."""
        with self._answer(None, "good" if readable else "unreadable"):
            self._lapse()
            self._settle()

    @rule()
    def a_manager_decides_by_the_providers_record(self) -> None:
        for listed in Operation.objects.filter(state=S.NEEDS_PERSON).order_by("pk")[:1]:
            self._decide(listed)

    # ---- What is always so

    @invariant()
    def the_ledger_is_true(self) -> None:
        rows = {row["key"].hex: row for row in Operation.objects.values()}
        effects = self._effects()
        self._what_was_taken_in_is_there_as_it_was_asked(rows)
        self._what_is_over_never_changes(rows)

        assert [reference for reference, count in effects.items() if count > 1] == [], "something happened twice"
        done = {reference for reference, row in rows.items() if row["state"] == S.DONE}
        assert done <= effects.keys(), "done, and it never happened"
        for reference in effects:  # RUNNING: its worker is dead, and not missed yet
            assert rows[reference]["state"] in (S.DONE, S.CHECKING, S.NEEDS_PERSON, S.RUNNING), "it happened, unseen"
        cards = Counter(row["card_id"] for row in rows.values() if row["state"] in IN_FLIGHT)
        assert all(count == 1 for count in cards.values()), "two in flight on one card"

    def _what_was_taken_in_is_there_as_it_was_asked(self, rows: dict[str, dict[str, Any]]) -> None:
        stored = {row["id"]: (row["key"], row["verb"], row["amount_minor"] or row["points"]) for row in rows.values()}
        assert stored == {pk: (one.key, one.verb, one.amount) for pk, one in self.accepted.items()}

    def _what_is_over_never_changes(self, rows: dict[str, dict[str, Any]]) -> None:
        now = {reference: row for reference, row in rows.items() if row["state"] in OVER}
        assert {reference: now.get(reference) for reference in self.over} == self.over
        self.over = now

    # ---- How

    def _ask(self, key: uuid.UUID, verb: str, number: str, amount: int) -> Asked:
        operation = self.till.asks(verb, amount, number=number, key=key)
        one = Asked(operation.pk, key, verb, number, amount)
        self.accepted[operation.pk] = one
        return one

    def _void(self, one: Asked) -> None:
        original, key = one.operation, uuid.uuid4()
        try:
            void = self.till.asks("void", one.amount, number=one.number, key=key, original=original)
        except operations.CannotAsk:
            return
        assert original.state == S.DONE
        self.accepted[void.pk] = Asked(void.pk, key, "void", one.number, one.amount)

    def _next(self) -> Operation | None:
        with database.cursor() as cursor:
            cursor.execute(operations._CANDIDATE, {"only": None})
            found = cursor.fetchone()
        return Operation.objects.get(pk=found[0]) if found else None

    def _effects(self) -> Counter[str]:
        return Counter(str(line["reference"]) for line in self.till.effects())

    @contextmanager
    def _answer(self, due: Operation | None, answer: str) -> Iterator[None]:
        """Within this block the provider answers like that."""
        seconds = {"timeout_after": 1, "timeout_before": 1, "late": LATE, "throttle": 1}.get(answer)
        path = OPERATIONS["balance" if due is None or answer == "unreadable" else due.verb]
        kind = "error_after" if answer == "unreadable" else answer
        if answer != "good":
            self.till.arm(kind, path, **({} if seconds is None else {"seconds": seconds}))
        try:
            yield
        finally:
            if answer != "good":
                self.till.sandbox.call("DELETE", "/_sandbox/faults")
            if answer == "late":
                self.quiet_at = time.monotonic() + LATE

    def _pass_pauses(self) -> None:
        for operation in Operation.objects.filter(state=S.WAITING, next_attempt_at__isnull=False):
            write(operation, next_attempt_at=Now() - timedelta(seconds=1))

    def _lapse(self) -> None:
        for operation in Operation.objects.filter(state=S.RUNNING):
            write(operation, lease_until=Now() - timedelta(seconds=1))
        operations.sweep()

    def _settle(self) -> None:
        for operation in Operation.objects.filter(state=S.CHECKING):
            write(operation, next_attempt_at=Now() - timedelta(seconds=1))
        settling.settle_due()

    def _decide(self, listed: Operation) -> None:
        time.sleep(max(0.0, self.quiet_at - time.monotonic()))  # the record is complete by then
        happened = bool(self._effects()[listed.reference])
        settling.decide(listed, member=self.manager, happened=happened, reason="It stands in their record.")
        assert listed.state == (S.DONE if happened else S.REFUSED)

    def _goes_on_without_the_sleeper(self) -> None:
        """The lease lapses, the quiet period passes, a manager decides what the balance does not."""
        self._lapse()
        self._settle()
        for listed in Operation.objects.filter(state=S.NEEDS_PERSON):
            self._decide(listed)

    @contextmanager
    def _fate(self, worker: str) -> Iterator[None]:
        """Within this block a worker ends, or sleeps, at the point its fate names."""
        read, call, story = Caller.read, Caller.call, self

        def die(*_: object, **__: object) -> Any:
            raise Died

        def call_and_die(caller: Caller) -> Any:
            call(caller)
            raise Died

        def read_and_sleep(caller: Caller, purpose: str) -> Any:
            levels = read(caller, purpose)
            if purpose == "before":
                story._goes_on_without_the_sleeper()
            return levels

        def call_and_sleep(caller: Caller) -> Any:
            receipt = call(caller)
            story._goes_on_without_the_sleeper()
            return receipt

        fates: dict[str, tuple[object, str, object]] = {
            "dies after its claim": (Caller, "read", die),
            "dies before the first byte": (Caller, "call", die),
            "dies after the effect": (Caller, "call", call_and_die),
            "dies before the commit": (operations, "_leave", die),
            "sleeps before it sends": (Caller, "read", read_and_sleep),
            "sleeps over the answer": (Caller, "call", call_and_sleep),
        }
        if worker == "lives":
            yield
            return
        with patch.object(*fates[worker]):
            try:
                yield
            except Died:
                return


def test_after_any_story_the_ledger_is_true(till: Till, jung: Any, settings: Any) -> None:
    settings.OPERATION_SECONDS = 0.3
    Story.till = till
    Story.manager = Member.objects.select_related("merchant", "person").get(
        person=make_person("Milan", (jung, "manager"))
    )

    run_state_machine_as_test(Story, settings=MANY if LONG else FEW)


FEW = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,  # the same stories each time; `PROOF=1` makes up new ones
    database=None,
    phases=[Phase.explicit, Phase.generate] + ([Phase.shrink] if LONG else []),
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=1000, stateful_step_count=50, derandomize=False, print_blob=True)
