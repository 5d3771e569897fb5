"""Tries at the public page: the only writer of Try.

    HELD ──→ ASKED ─┬→ FOUND      a balance was shown
      │             ├→ REFUSED    wrong number or PIN
      ├→ SILENCED   └→ TROUBLE    says nothing about the card
      └→ LEFT

A try and its look-up are one transaction, under the lock of the page. The look-up holds what was typed, sealed; a
worker asks; how it ended is carried over here by whoever looks first, the page or the sweep.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models.functions import Now
from django.http import HttpRequest

from portal.connectors import PROVIDERS
from portal.connectors.base import ClientContext
from portal.ledger import balances, cards
from portal.ledger.models import Inquiry, State, Typed
from portal.merchants import access, audit, tenancy
from portal.merchants.models import Connection, Member
from portal.merchants.roles import Permission
from portal.shopper import grid, limits, proof, risk
from portal.shopper.fingerprints import Print
from portal.shopper.limits import Visit
from portal.shopper.models import WRONG, BalancePage, Outcome, Try, try_writer

KEPT = timedelta(days=30)  # the longest window anything is counted in


@dataclass(frozen=True, kw_only=True)
class Typing:
    """What came with the form, already normalised by the connector."""

    connection: Connection
    number: str
    pin: str
    whole: bool
    token: str
    solution: str


@try_writer.writes
def take_in(page: BalancePage, visit: Visit, typed: Typing, *, browser: Print, client: ClientContext) -> Try:
    """Take one try, and have it asked.

    Raises proof.NoProof, limits.NotNow, connections.NotNow; OperationalError where the database takes too long.
    """
    with transaction.atomic(durable=True):
        solved = proof.check(
            place(page),
            typed.token,
            typed.solution,
            at=_patiently(),
            typing_seconds=settings.SHOPPER_TYPING_SECONDS,
        )
        verdict, counts = _judged(page, visit, typed.connection, whole=typed.whole)
        held = verdict.times > solved.times  # whether it is asked about or silenced: nobody shall tell by the work
        silenced = verdict.silenced and not held
        fresh = Try(merchant_id=page.merchant_id, connection=typed.connection, challenge=solved.nonce)
        fresh.browser, fresh.whole, fresh.step_ms = browser.now, typed.whole, grid.step_of(counts.slow_ms)
        fresh.address, fresh.network = visit.address.now, visit.network.now
        fresh.card, fresh.pin, fresh.known = visit.card.now, visit.pin.now, visit.known.now if visit.known else None
        fresh.times = max(verdict.times, solved.times)
        fresh.outcome = Outcome.HELD if held else Outcome.SILENCED if silenced else Outcome.ASKED
        fresh.asked_at = None if held else Now()
        fresh.took_ms = counts.usual_ms if silenced else None
        try:
            with transaction.atomic():
                fresh.save(force_insert=True)
        except IntegrityError as broken:
            if "try_proof_once" in str(broken):
                raise proof.NoProof("used") from None
            raise
        balances.open_for_shopper(
            merchant_id=page.merchant_id,
            key=fresh.key,
            connection=typed.connection,
            number=typed.number,
            pin=typed.pin,
            client=client,
            typed=Typed.WHOLE if typed.whole else Typed.SHORT,
            held=held,
            silenced=silenced,
        )
    return fresh


@try_writer.writes
def prove(page: BalancePage, held: Try, *, token: str, solution: str) -> bool:
    """More work was done for a held try: judge it anew, by all that others tried meanwhile, and have it asked. False
    where it is not: it wants still more work, or was under way already.

    Raises proof.NoProof, limits.NotNow, connections.NotNow; OperationalError.
    """
    with transaction.atomic(durable=True):
        solved = proof.check(place(page, held), token, solution, at=_patiently())
        if solved.times < held.times:
            raise proof.NoProof("wrong")
        locked = _locked(page)
        row = Try.objects.select_related("connection").get(pk=held.pk, merchant=page.merchant_id)
        if row.outcome != Outcome.HELD:
            return False
        most = budget(locked, row.connection)
        counts = limits.count(locked, _visit(row), connection=row.connection_id, budget=most)
        waiting, _asked = balances.shoppers_under_way(page.merchant_id)
        verdict = limits.judge_held(
            counts, budget=most, is_known=row.known is not None, whole=row.whole, waiting=waiting
        )
        if verdict.times > solved.times:
            _end(row, Outcome.HELD, times=verdict.times)
            return False
        inquiry = Inquiry.objects.select_related("connection").filter(merchant=row.merchant_id, key=row.key).first()
        took_ms = counts.usual_ms if verdict.silenced else None
        outcome = Outcome.LEFT if inquiry is None else Outcome.SILENCED if verdict.silenced else Outcome.ASKED
        _end(row, outcome, asked_at=Now(), took_ms=took_ms)
        if inquiry:
            balances.let_go(inquiry, silenced=verdict.silenced)
    return True


@try_writer.writes
def give_number(found: Try, inquiry: Inquiry, *, number: str) -> None:
    """The whole number, where its end did not do. What was typed first is kept. Raises connections.NotNow."""
    balances.give_number(inquiry, number=number)
    Try.objects.filter(pk=found.pk, merchant=found.merchant_id, outcome=Outcome.ASKED).update(
        asked_at=Now(), whole=True
    )


def place(page: BalancePage, held: Try | None = None) -> str:
    """What a proof of work is bound to: the page, or one try of it."""
    return f"{page.merchant_id}:{held.key.hex if held else 'page'}"


def budget(page: BalancePage, connection: Connection) -> int:
    """Wrong tries in a day after which the page is closed."""
    return risk.of(page, with_pin=PROVIDERS[connection.provider].wants_pin(connection.options)).budget


def _judged(
    page: BalancePage, visit: Visit, connection: Connection, *, whole: bool
) -> tuple[limits.Verdict, limits.Counts]:
    """The verdict under the page's lock, and what it was found from. The lock is held until the try is written."""
    locked = _locked(page)
    most = budget(locked, connection)
    counts = limits.count(locked, visit, connection=connection.pk, budget=most)
    waiting, _asked = balances.shoppers_under_way(page.merchant_id)
    verdict = limits.judge(counts, budget=most, is_known=visit.known is not None, whole=whole, waiting=waiting)
    return verdict, counts


def _locked(page: BalancePage) -> BalancePage:
    """The page as it is now, for nobody else until the transaction ends. Raises limits.Closed if it was closed."""
    locked = BalancePage.objects.select_for_update().defer("logo").get(pk=page.pk, merchant=page.merchant_id)
    if not locked.is_open:
        raise limits.Closed
    return locked


def _patiently() -> datetime:
    """The database's time; from here to the end of the transaction it has SHOPPER_PATIENCE_MS for each statement."""
    with database.cursor() as cursor:
        patience = f"{settings.SHOPPER_PATIENCE_MS}ms"
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true),"
            " statement_timestamp()",
            [patience, patience],
        )
        now: datetime = cursor.fetchone()[2]
    return now


def _visit(row: Try) -> Visit:
    def alone(kept: bytes | memoryview) -> Print:
        return Print(now=bytes(kept), all=[bytes(kept)])

    return Visit(
        address=alone(row.address),
        network=alone(row.network),
        card=alone(row.card),
        pin=alone(row.pin),
        known=alone(row.known) if row.known else None,
    )


def _end(row: Try, outcome: Outcome, **more: object) -> None:
    Try.objects.filter(pk=row.pk, merchant=row.merchant_id, outcome=row.outcome).update(outcome=outcome, **more)


# ---- How it ended -----------------------------------------------------------------------------------------------
# A status that nobody documented is about this card, closed or blocked perhaps: shoppers learn nothing of it.
_SETTLE = """
UPDATE shopper_try t SET
  outcome = CASE WHEN i.card_status = ANY(%(found)s) THEN 'found'
                 WHEN i.state = 'answered' OR i.reason = 'unknown_word'
                   OR (i.failure = 'declined' AND i.reason <> 'throttled') THEN 'refused'
                 ELSE 'trouble' END,
  took_ms = greatest(extract(epoch FROM i.ended_at - t.asked_at) * 1000, 0)::int
FROM ledger_inquiry i
WHERE i.merchant_id = t.merchant_id AND i.key = t.key AND t.outcome = 'asked' AND i.ended_at IS NOT NULL
"""


@try_writer.writes
def settle(found: Try) -> None:
    """Carry over how its look-up ended, if it did. One that is never asked is looked after as long as any other."""
    if found.outcome in (Outcome.ASKED, Outcome.SILENCED):
        with database.cursor() as cursor:
            cursor.execute(f"{_SETTLE} AND t.id = %(id)s", {"found": list(cards.FOUND), "id": found.pk})
        found.refresh_from_db()


@try_writer.writes
def sweep() -> None:
    """Carry over how look-ups ended that nobody watched, close what was left lying, and forget what is old."""
    with tenancy.every_merchant("the sweep carries over how shoppers' look-ups ended"):
        with database.cursor() as cursor:
            cursor.execute(_SETTLE, {"found": list(cards.FOUND)})
        lying = Now() - timedelta(seconds=settings.SHOPPER_PROOF_SECONDS)
        Try.objects.filter(outcome=Outcome.HELD, at__lt=lying).update(outcome=Outcome.LEFT)
        # Their look-ups are erased, or will be: a shopper whom the whole number was asked for and who went away has
        # learnt something, one whom no worker came to has not.
        gone = Now() - timedelta(seconds=settings.LOOK_UP_KEPT_SECONDS * 2 // 3)
        asked = Try.objects.filter(outcome=Outcome.ASKED, at__lt=gone)
        keys = Inquiry.objects.filter(state=State.WANTS_NUMBER).exclude(typed_by_shopper="").values("key")
        asked.filter(key__in=keys).update(outcome=Outcome.REFUSED)
        old = Now() - timedelta(seconds=settings.LOOK_UP_KEPT_SECONDS)
        Try.objects.filter(outcome=Outcome.ASKED, at__lt=old).update(outcome=Outcome.TROUBLE)
        Try.objects.filter(at__lt=Now() - KEPT).delete()


# ---- What staff do ----------------------------------------------------------------------------------------------
@try_writer.writes
def forgive(member: Member, row: Try, *, request: HttpRequest | None = None) -> int:
    """Let the card of this try be tried again on the page; returns how many wrong tries were forgiven.

    Raises PermissionDenied.
    """
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.MANAGE_BALANCE_PAGE)
        wrong = Try.objects.filter(merchant=member.merchant_id, card=bytes(row.card), outcome__in=WRONG, forgiven=False)
        forgiven = wrong.update(forgiven=True)
        if forgiven:
            audit.record(
                "shopper tries forgiven",
                row.reference,
                merchant=member.merchant,
                person=member.person,
                request=request,
                tries=forgiven,
            )
    return forgiven


def by_browser(merchant_id: int, key: uuid.UUID, browser: Print) -> tuple[Try, datetime] | None:
    """The try that this browser made, and the database's time."""
    rows = Try.objects.select_related("connection").annotate(now=Now())
    row = rows.filter(merchant=merchant_id, key=key, browser__in=browser.all).first()
    return (row, row.now) if row else None  # type: ignore[attr-defined]  # annotated
