"""Each verb of secuconnect through each fault of its sandbox, in each of its calls: the ledger is as its journal says.

Each story is told to its end: what waits is tried again, what is unclear is looked at. A late effect is told in
test_settling.py, since it wants time between two looks.
"""

from datetime import timedelta
from itertools import product

import pytest
from django.db.models.functions import Now

from portal.ledger import settling
from portal.ledger.models import OVER, Exchange, Operation, OperationState
from portal.merchants import provider_tokens
from portal.merchants.models import Connection
from tests.ledger.conftest import CALLS, Till
from tests.ledger.test_new_card import makes
from tests.ledger.test_operations import write

S = OperationState
EMPTY = "9276004424644001"
MOST = 12  # steps; a story that takes longer does not end

KINDS = (
    *("refuse", "timeout_before", "timeout_after", "cut", "error_after", "garbage"),
    *("slow", "throttle", "redirect", "foreign"),
)
TOKEN, CREATE, COMMIT = "/oauth/token", CALLS["secuconnect"], f"{CALLS['secuconnect']}/"
STORIES = [
    pytest.param(verb, path, kind, id=f"{verb}: {kind} at {path.rsplit('/', 1)[-1] or 'its last call'}")
    for verb, path, kind in product(["top_up", "activate", "void"], [TOKEN, CREATE, COMMIT], KINDS)
    if not (verb == "void" and path == CREATE)
]


def asks(till: Till, verb: str) -> Operation:
    if verb == "activate":
        return makes(till)
    original = till.gets("top_up", 2000, number=EMPTY) if verb == "void" else None
    return till.asks(verb, 2000, number=EMPTY, original=original)


def told_to_its_end(till: Till, operation: Operation) -> Operation:
    """Time passes: pauses are over, and so are the quiet periods."""
    for _ in range(MOST):
        till.worked_on(operation)
        if operation.state in OVER:
            return operation
        Connection.objects.filter(pk=till.connection.pk).update(held_until=None, paused_at=None)
        write(operation, next_attempt_at=Now() - timedelta(seconds=1))
        settling.settle_due()
    return operation


@pytest.mark.parametrize(("verb", "path", "kind"), STORIES)
def test_the_ledger_is_what_the_journal_says(loads: Till, verb, path, kind):
    if verb != "activate":
        operation = asks(loads, verb)
    if kind.startswith("timeout"):
        loads.gives_up_soon()
    provider_tokens.throw_away(loads.connection)
    seconds = {"slow": 0.1, "throttle": 1, "timeout_before": 2, "timeout_after": 2}.get(kind)
    more = {} if seconds is None else {"seconds": seconds}
    loads.sandbox.arm(kind, provider="secuconnect", path=path, **more)
    if verb == "activate":
        operation = asks(loads, verb)

    operation = told_to_its_end(loads, operation)

    assert operation.state in OVER, (operation.state, operation.reason)
    happened = [effect for effect in loads.effects() if effect["verb"] == verb]
    assert len(happened) == (operation.state == S.DONE), operation.reason
    last = ("/cancel",) if verb == "void" else ("/start",)
    sent = [each for each in Exchange.objects.filter(operation=operation) if each.url.endswith(last)]
    assert len(sent) <= 1, "what moves value is sent once"
    if kind == "slow":
        assert operation.state == S.DONE
