"""Each verb of Revenue Monster through each fault of its sandbox: the ledger is as its journal says.

Nothing here has a reference, so what is unclear is for a person. Each story is told until it is over or lies before
somebody, who then says what the journal says: nothing was sent twice, nothing given twice, and both readings told it.
"""

import time
from datetime import timedelta
from itertools import product

import pytest
from django.db.models.functions import Now

from portal.ledger import operations, settling
from portal.ledger.models import OVER, Exchange, Operation, OperationState
from portal.merchants import provider_tokens
from portal.merchants.models import Connection
from tests.conftest import make_person
from tests.ledger.conftest import Till
from tests.ledger.test_operations import write

S = OperationState
MEMBER, PHONE = "2777058682717858418", "+60176473298"
TELLS_ID, ITS_ID = "+60172826990", "2777058682717858419"  # the profile of this phone number tells the member's ID
GIVES = {"award": 12, "issue_points": 20, "redeem_points": -20}
MOST = 12  # steps; a story that takes longer does not end

TOKEN, ASKED, READ = "/v1/token", "/v3/loyalty/spending-reward/calculate", "/v3/loyalty/me"
SENT = {
    "award": "/v3/loyalty/spending-reward",
    "issue_points": "/v3/loyalty/reward",
    "redeem_points": "/v3/loyalty/reward",
}
KINDS = (
    *("refuse", "timeout_before", "timeout_after", "cut", "error_after", "garbage"),
    *("slow", "throttle", "redirect", "foreign"),
)
HARMLESS = ("refuse", "timeout_before", "cut", "throttle", "foreign")  # of a call that moves nothing
SECONDS = {"slow": 0.1, "throttle": 1, "timeout_before": 2, "timeout_after": 2}
STORIES = [
    *(pytest.param(verb, MEMBER, SENT[verb], kind, id=f"{verb}: {kind}") for verb, kind in product(GIVES, KINDS)),
    *(pytest.param("award", PHONE, TOKEN, kind, id=f"award: {kind} at its token") for kind in KINDS),
    *(pytest.param("award", PHONE, ASKED, kind, id=f"award: {kind} at its prediction") for kind in HARMLESS),
    *(pytest.param("redeem_points", TELLS_ID, READ, kind, id=f"redeem_points: {kind} at the ID") for kind in HARMLESS),
]


def asks(till: Till, verb: str, number: str) -> Operation:
    if verb == "award":
        return till.asks(verb, 1250, number=number, extra={"paid_with": "other"})
    return till.asks(verb, 20, number=number)


def told_to_its_end(till: Till, operation: Operation) -> Operation:
    """Time passes: pauses are over, and so are the quiet periods."""
    for _ in range(MOST):
        till.worked_on(operation)
        if operation.state in (*OVER, S.NEEDS_PERSON):
            return operation
        Connection.objects.filter(pk=till.connection.pk).update(held_until=None, paused_at=None)
        write(operation, next_attempt_at=Now() - timedelta(seconds=1))
        settling.settle_due()
    return operation


def moved(till: Till, number: str) -> int:
    """By how much the journal says that the member's points moved, once at most."""
    effects = till.effects()
    assert len(effects) <= 1, "nothing is given or taken twice"
    assert {each["subject"] for each in effects} <= {ITS_ID if number == TELLS_ID else MEMBER}
    return sum(each["points"] * (-1 if each["verb"] == "redeem_points" else 1) for each in effects)


def sent(operation: Operation) -> int:
    """How often what moves value left."""
    calls = Exchange.objects.filter(operation=operation, url__endswith=SENT[operation.verb])
    return calls.filter(method__in=("POST", "DELETE")).count()


def someone_says(till: Till, operation: Operation, *, happened: bool) -> Operation:
    milan = make_person("Milan", (till.member.merchant, "manager"))
    member = till.member.merchant.member_set.select_related("merchant", "person").get(person=milan)
    return settling.decide(operation, member=member, happened=happened, reason="Looked at the member's history.")


@pytest.mark.parametrize(("verb", "number", "path", "kind"), STORIES)
def test_the_ledger_is_what_the_journal_says(awards: Till, arrange, verb, number, path, kind):
    operation = asks(awards, verb, number)
    if kind.startswith("timeout"):
        awards.gives_up_soon()
    provider_tokens.throw_away(awards.connection)
    more = {"seconds": SECONDS[kind]} if kind in SECONDS else {}
    awards.sandbox.arm(kind, provider="revenuemonster", path=path if path == READ else f"{path}$", **more)

    operation = told_to_its_end(awards, operation)
    journal = moved(awards, number)
    attempts = sent(operation)

    assert operation.state in (*OVER, S.NEEDS_PERSON), (operation.state, operation.reason)
    assert attempts <= 1, "what moves value is sent once"
    if operation.state == S.NEEDS_PERSON:
        assert path == SENT[verb], "what is unclear before it is sent is no matter for a person"
        assert operation.after_points - operation.before_points == journal
        with arrange():
            operation = someone_says(awards, operation, happened=journal != 0)
        while operations.work():
            pass
        assert moved(awards, number) == journal
        assert sent(operation) == attempts
    assert journal == (GIVES[verb] if operation.state == S.DONE else 0), (operation.state, operation.reason)
    if path != SENT[verb]:
        assert operation.state == S.DONE or kind == "refuse"


@pytest.mark.parametrize("verb", GIVES)
def test_what_arrives_late_is_told_by_nobody_and_never_sent_again(awards: Till, arrange, verb):
    awards.gives_up_soon()
    operation = asks(awards, verb, MEMBER)
    awards.sandbox.arm("late", provider="revenuemonster", path=f"{SENT[verb]}$", seconds=3)

    operation = told_to_its_end(awards, operation)
    assert (operation.state, moved(awards, MEMBER)) == (S.NEEDS_PERSON, 0)
    assert operation.after_points == operation.before_points  # which is why it decides nothing
    until = time.monotonic() + 30
    while moved(awards, MEMBER) == 0 and time.monotonic() < until:
        time.sleep(0.2)

    assert moved(awards, MEMBER) == GIVES[verb]
    with arrange():
        operation = someone_says(awards, operation, happened=True)
    while operations.work():
        pass
    assert (operation.state, sent(operation), moved(awards, MEMBER)) == (S.DONE, 1, GIVES[verb])
