"""Operations, from the wish to the end: their only writer, but for what becomes of those in CHECKING, see settling.py.

    WAITING → RUNNING ─┬→ DONE
       ↑               ├→ REFUSED
       └── unsent ←────┤            (proved unsent; waits again with growing pauses, then FAILED)
                       └→ CHECKING →  settling.py

A code whose answer is lost is REFUSED at once: nobody has seen it, so nobody can claim it, and another may be made.

Three rules carry everything: that bytes may leave is committed, under a lease, before the first does; a lease that
lapses after that means CHECKING, never WAITING; and a call whose end is not known is never simply repeated. What stands
here in Python stands in the database once more, as constraints and a trigger: see migrations 0004 and 0019.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection as database
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from portal.connectors import PROVIDERS, doctor
from portal.connectors.base import Declined, Failure, Misconfigured, Reason, Receipt, Unclear, Unreachable
from portal.ledger import balances, baskets, calls, cards, cases, clock, codes, limits, wake
from portal.ledger.baskets import Basket, WrongBasket
from portal.ledger.calls import Caller, Levels
from portal.ledger.models import Approval, Card, Exchange, Operation, OperationState, operation_writer
from portal.merchants import access, audit, connections, pauses, tenancy, vault
from portal.merchants.models import Connection, Member, Till
from portal.merchants.roles import Permission
from portal.money import Money, Points

log = logging.getLogger(__name__)

HARD_CAP = 10**9  # minor units, or points, of one operation
# Growing pauses, in seconds, after an attempt that provably did not leave; when they are used up it is Not sent.
UNSENT_PAUSES = (2, 5, 15, 60)

# What looks the same when it is done twice, and within how long a second one is more likely a mistake than a purchase.
ONCE_EACH = ("award", "issue_points")
AGAIN_WITHIN = timedelta(minutes=10)

WITHDRAWN = "withdrawn"
WORKER_LOST = "worker_lost"
NO_CODE_SHOWN = "no_code_shown"
SEALED_ELSEWHERE = "sealed_elsewhere"

# Which operations each verb needs to refer to.
ORIGINALS = {"void": ("pay", "top_up", "sale", "issue_code"), "tip": ("pay",)}

PERMISSIONS = {
    "activate": Permission.ACTIVATE_CARDS,
    "top_up": Permission.TOP_UP,
    "sale": Permission.SELL,
    "pay": Permission.TAKE_PAYMENTS,
    "void": Permission.VOID,
    "tip": Permission.TAKE_PAYMENTS,
    "award": Permission.MOVE_POINTS,
    "issue_code": Permission.MOVE_POINTS,
    "issue_points": Permission.MOVE_POINTS,
    "redeem_points": Permission.MOVE_POINTS,
}


class OtherContent(Exception):
    """This key was used for something else already. Nothing was changed; `operation` is what it was used for."""

    def __init__(self, operation: Operation) -> None:
        super().__init__("The same form asked for something else before.")
        self.operation = operation


class CannotAsk(Exception):
    """This would be refused for sure, so it is not even asked. `why` is one of our words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class AboveLimit(Exception):
    """More than the asker may move alone: it takes a second person, see approvals.py. Nothing was stored; `operation`
    is the row it would have become."""

    def __init__(self, operation: Operation) -> None:
        super().__init__("This takes a second person.")
        self.operation = operation


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody wants done. `amount` and `points` are never both given; `private` (customer details) is sealed.
    `basket` is that of a sale, whose amount is its sum. Without a `card` it is about none yet, at `connection`: a card
    that is to be made, or a code for whoever scans it."""

    verb: str
    card: Card | None
    amount: Money | None = None
    points: Points | None = None
    original: Operation | None = None
    also_activate: bool = False
    basket: Basket | None = None
    extra: Mapping[str, object] | None = None
    private: Mapping[str, object] | None = None
    connection: Connection | None = None

    @property
    def at(self) -> Connection:
        """Where it is asked."""
        connection = self.card.connection if self.card is not None else self.connection
        assert connection is not None, "a wish is about a card, or names its connection"
        return connection


# What an operation is asked with: an approval holds the same fields and hands them over.
ASKED = (
    *("merchant_id", "connection", "card", "original", "key", "verb", "amount_minor", "currency", "points"),
    *("also_activate", "basket", "load_minor", "extra", "sealed_input", "fingerprint", "asked_by", "till"),
)


# ---- Intake ---------------------------------------------------------------------------------------------------
def request(*, member: Member, key: uuid.UUID, wish: Wish, priority: int = 0, till: Till | None = None) -> Operation:
    """Take in a wish, once per key, and wake a worker. Returns the operation, or the one this key made before.
    `till` is where it was asked, if at one.

    Raises OtherContent where the key was used for something else, CannotAsk for what cannot work, NotNow for a person
    at a paused connection (a file is held instead), PermissionDenied if the member may no longer, AboveLimit where the
    member may not alone.
    """
    connection = wish.at
    fresh = _new(member, key, wish, priority)
    fresh.till = till
    if made := made_before(fresh):
        return made
    if _is_put_forward(fresh):
        raise AboveLimit(fresh)
    _check(wish, connection)
    if priority == 0:
        _refuse_unless_asked(fresh)
    return _take_in(member, fresh)


@operation_writer.writes
def take_in_approved(approval: Approval, *, asker: Member, approver: Member) -> Operation:
    """Take in what `approval` holds, in the transaction in which `approver` approves it, and wake a worker.

    The approver's limit and both people's roles are looked at here once more; that the stored row says so, and that
    nobody approves for themselves, the database looks at (migration 0007).

    Raises CannotAsk, NotNow and OtherContent as `request`, PermissionDenied where the approver may no longer, and
    AboveLimit where it is above the approver's limit, too.
    """
    fresh = asked_for(approval)
    # Always in the same order, so that two who approve each other's wishes do not wait for each other.
    roles = {}
    for each in sorted((asker, approver), key=lambda member: member.pk):
        try:
            for permission in _permissions(fresh) if each.pk == asker.pk else [Permission.APPROVE]:
                roles[each.pk] = access.still_may(each, permission)
        except PermissionDenied:
            if each.pk == asker.pk:
                raise CannotAsk("asker_may_not") from None
            raise
    if not limits.may_alone(approver.merchant, roles[approver.pk], fresh):
        raise AboveLimit(fresh)
    _check(_wish(fresh), fresh.connection)
    _refuse_unless_asked(fresh)
    return _insert(fresh, asker)


def asked_for(approval: Approval) -> Operation:
    """The operation an approval is about, not stored: what it becomes once it is approved."""
    asked = {name: getattr(approval, name) for name in ASKED}
    asked["looked_up"] = _look_up_for(approval.verb, approval.card)
    in_flight_key = approval.card.key.bytes if approval.card is not None else None
    return Operation(**asked, approval=approval, in_flight_key=in_flight_key, asked_at=clock.now())


def made_before(fresh: Operation) -> Operation | None:
    """What its key was used for already: pressed twice, it is neither checked nor refused afresh."""
    known = Operation.objects.select_related("connection", "card")
    stored = known.filter(merchant=fresh.merchant_id, key=fresh.key).first()
    if stored is not None and not is_same(fresh, stored.fingerprint):
        raise OtherContent(stored)
    return stored


def is_same(fresh: Operation, fingerprint: bytes | memoryview) -> bool:
    """Whether this is the fingerprint of the same wish, under whichever key it was made."""
    if bytes(fingerprint) == bytes(fresh.fingerprint):
        return True
    try:
        return bool(fresh.asked_as) and bytes(fingerprint) == _fingerprint(fresh, like=fingerprint)
    except vault.CannotOpen:
        return False  # its key was retired since: nothing is changed, and the first outcome shown


def _fingerprint(fresh: Operation, *, like: bytes | memoryview = b"") -> bytes:
    return vault.card_index(merchant=fresh.merchant_id, provider="fingerprint", number=fresh.asked_as, like=like)


def _is_put_forward(fresh: Operation) -> bool:
    """Whether its key has been put before a second person: then it goes that way and no other."""
    return Approval.objects.filter(merchant=fresh.merchant_id, key=fresh.key).exists()


@operation_writer.writes
def _take_in(member: Member, fresh: Operation) -> Operation:
    with transaction.atomic(durable=True):
        role, *_same = [access.still_may(member, permission) for permission in _permissions(fresh)]
        # By a PIN a member acts in a smaller role than the row's; meanwhile the row's may have been lowered.
        within = all(limits.may_alone(member.merchant, each, fresh) for each in {role, member.role})
        if not within or _is_put_forward(fresh):
            raise AboveLimit(fresh)
        return _insert(fresh, member)


def _permissions(fresh: Operation) -> list[Permission]:
    """What its asker needs."""
    return [PERMISSIONS[verb] for verb in _verbs(fresh)]


def _refuse_unless_asked(fresh: Operation) -> None:
    for verb in _verbs(fresh):
        connections.refuse_unless_asked(fresh.connection, verb)


def _verbs(fresh: Operation) -> tuple[str, ...]:
    """What it is, for who may ask it and what is switched off: a sale that loads the card adds money, too."""
    return (fresh.verb, "top_up") if fresh.load_minor else (fresh.verb,)


def of_verb(verb: str) -> Q:
    """A filter for the operations that are of this verb, as `_verbs` has it."""
    loading = Q(load_minor__isnull=False) if verb == "top_up" else Q(pk__in=())
    return Q(verb=verb) | loading


def _insert(fresh: Operation, asker: Member) -> Operation:
    Operation.objects.bulk_create([fresh], ignore_conflicts=True)
    stored = made_before(fresh)
    if stored is None:
        raise CannotAsk("voided_already")  # the only other unique rule a fresh row can meet
    if stored.asked_at == fresh.asked_at:
        audit.record("operation asked", fresh.reference, merchant=asker.merchant, person=asker.person, what=fresh.verb)
        transaction.on_commit(wake.for_operations)
    return stored


def _wish(fresh: Operation) -> Wish:
    return Wish(
        verb=fresh.verb,
        card=fresh.card,
        connection=fresh.connection,
        amount=Money(fresh.amount_minor, fresh.currency) if fresh.amount_minor is not None else None,
        points=Points(fresh.points) if fresh.points is not None else None,
        original=fresh.original,
        basket=basket_of(fresh) if fresh.verb == "sale" else None,
    )


def basket_of(row: Operation | Approval) -> Basket:
    """What a sale sells. Raises CannotAsk for what is none."""
    try:
        return baskets.read(row.basket, load=row.load_minor, currency=row.currency)
    except WrongBasket as wrong:
        raise CannotAsk(wrong.why) from None


def _check(wish: Wish, connection: Connection) -> None:
    provider = PROVIDERS[connection.provider]
    if wish.verb not in doctor.capabilities(connection.provider, connection.options).can:
        raise CannotAsk("not_offered")
    if (wish.card is None) != is_about_no_card(wish):
        raise CannotAsk("not_offered")
    if wish.also_activate and not (wish.verb == "top_up" and provider.top_up_activates):
        raise CannotAsk("not_offered")
    amount = wish.amount.minor if wish.amount else wish.points.count if wish.points else None
    wants_points = wish.verb in ("issue_points", "redeem_points")
    if wish.verb == "activate":
        if amount is not None:
            raise CannotAsk("no_amount_wanted")
    elif amount is None or (wish.points is not None) != wants_points:
        raise CannotAsk("amount_wanted")
    elif not 0 < amount <= HARD_CAP:
        raise CannotAsk("amount_out_of_range")
    if wish.amount is not None and wish.amount.currency != connection.options.get("currency"):
        raise CannotAsk("other_currency")
    if wish.verb in provider.by_usage_token and (wish.card is None or balances.usable(wish.card) is None):
        raise CannotAsk("look_up_again")
    _check_basket(wish, connection)
    _check_original(wish)


def is_about_no_card(wish: Wish) -> bool:
    """Whether it is about a card that is to be made, or about a code."""
    if wish.verb == "activate":
        return PROVIDERS[wish.at.provider].makes_cards
    return "issue_code" in (wish.verb, wish.original.verb if wish.original is not None else "")


def _check_basket(wish: Wish, connection: Connection) -> None:
    basket = wish.basket
    if wish.verb != "sale" or basket is None:
        if wish.verb == "sale" or basket is not None:
            raise CannotAsk("basket_wanted")
        return
    if basket.total != wish.amount:
        raise CannotAsk("basket_differs")
    if PROVIDERS[connection.provider].reserved_eans & {line.ean for line in basket.lines}:
        raise CannotAsk("reserved_article")
    try:  # by the rules of what is kept, whoever asks
        baskets.read(basket.kept(), load=basket.load.minor if basket.load else None, currency=basket.total.currency)
    except WrongBasket as wrong:
        raise CannotAsk(wrong.why) from None


def _check_original(wish: Wish) -> None:
    original = wish.original
    if wish.verb not in ORIGINALS:
        if original is not None:
            raise CannotAsk("no_original_wanted")
        return
    if (
        original is None
        or original.card_id != (wish.card.pk if wish.card is not None else None)
        or original.connection_id != wish.at.pk
        or original.verb not in ORIGINALS[wish.verb]
    ):
        raise CannotAsk("original_wanted")
    if original.state != OperationState.DONE or not original.provider_reference:
        raise CannotAsk("original_not_done")
    followers = Operation.objects.filter(merchant=original.merchant_id, original=original).exclude(
        state__in=(OperationState.REFUSED, OperationState.FAILED)
    )
    if followers.filter(verb="void").exists():
        raise CannotAsk("voided_already")
    if wish.verb == "void":
        if wish.amount is None or wish.amount.minor != original.amount_minor:
            raise CannotAsk("only_the_whole")
        if followers.filter(verb="tip").exists():
            raise CannotAsk("has_a_tip")  # whether the tip would go with it is not documented: a person's matter


def _new(member: Member, key: uuid.UUID, wish: Wish, priority: int) -> Operation:
    amount, points = wish.amount, wish.points
    operation = Operation(
        merchant_id=member.merchant_id,
        connection=wish.at,
        card=wish.card,
        original=wish.original,
        key=key,
        verb=wish.verb,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else "",
        points=points.count if points else None,
        also_activate=wish.also_activate,
        basket=wish.basket.kept() if wish.basket else None,
        load_minor=wish.basket.load.minor if wish.basket and wish.basket.load else None,
        extra=dict(wish.extra or {}),
        looked_up=_look_up_for(wish.verb, wish.card),
        in_flight_key=wish.card.key.bytes if wish.card is not None else None,
        priority=priority,
        asked_by_id=member.person_id,
        asked_at=clock.now(),
    )
    private = json.dumps(dict(wish.private), sort_keys=True) if wish.private else ""
    operation.sealed_input = vault.seal(calls.place(operation, "input"), private.encode()) if private else None
    about = wish.card.pk if wish.card is not None else None
    asked: list[object] = [wish.verb, about, operation.amount_minor, operation.currency, operation.points]
    asked += [operation.original_id, operation.also_activate, sorted(operation.extra.items()), private]
    asked += [] if wish.card is not None else [wish.at.pk]
    asked += [operation.basket, operation.load_minor] if wish.basket else []
    operation.asked_as = json.dumps(asked)
    operation.fingerprint = _fingerprint(operation)
    return operation


def _look_up_for(verb: str, card: Card | None) -> uuid.UUID | None:
    """The look-up that the operation is bound to, where it takes what one gave."""
    if card is None or verb not in PROVIDERS[card.connection.provider].by_usage_token:
        return None
    return balances.usable(card)


@operation_writer.writes
def withdraw(operation: Operation, *, member: Member) -> bool:
    """Take back an operation that no worker has begun. False where it is too late for that."""
    with transaction.atomic(durable=True):
        access.still_may(member, PERMISSIONS[operation.verb])
        taken = Operation.objects.filter(
            pk=operation.pk, merchant=operation.merchant_id, state=OperationState.WAITING
        ).update(**ended(OperationState.FAILED), reason=WITHDRAWN)
        if taken:
            audit.record("operation withdrawn", operation.reference, merchant=member.merchant, person=member.person)
    operation.refresh_from_db()
    return bool(taken)


def done_just_now(wish: Wish) -> Operation | None:
    """The newest of the same kind, for as much and for the same card, that was asked a few minutes ago and is not known
    not to have happened: giving twice what has no reference of its own shows nowhere else."""
    if wish.verb not in ONCE_EACH or wish.card is None:
        return None
    same = Operation.objects.filter(
        merchant=wish.card.merchant_id,
        card=wish.card,
        verb=wish.verb,
        amount_minor=wish.amount.minor if wish.amount else None,
        points=wish.points.count if wish.points else None,
        asked_at__gte=clock.now() - AGAIN_WITHIN,
    )
    return same.exclude(state__in=(OperationState.REFUSED, OperationState.FAILED)).order_by("-id").first()


# ---- A worker claims the next one -----------------------------------------------------------------------------
# The queue is one for each connection and verb, and the index has them side by side: `queue` steps from one to the next
# without reading what stands in them. So what is held (a pause, a switch, a full connection) costs a step, however much
# waits there; of each open queue the first row that may begin is looked at, and the first of those is it. Which
# connections are full is found from what runs and what has just begun, both few. The order on a card is kept: nothing
# overtakes there. A sale that loads adds money, too, and is passed over where that is switched off: only people ask for
# one, and while it is off they are told so, so there are few to pass over. OFFSET 0 has the database look up connection
# and card of what is at hand; otherwise, before it has counted a fresh queue, it reads the whole of it for each claim.
_CANDIDATE = """
WITH RECURSIVE running AS MATERIALIZED (
    SELECT connection_id, count(*) FROM ledger_operation WHERE state = 'running' GROUP BY connection_id
), begun AS MATERIALIZED (
    SELECT connection_id, count(*) FROM ledger_operation
    WHERE begun_at > statement_timestamp() - interval '1 second' GROUP BY connection_id
), thrown AS MATERIALIZED (
    SELECT scope, provider, verb, connection_id FROM merchants_switch
    WHERE ended_at IS NULL AND (expires_at IS NULL OR expires_at > statement_timestamp()) AND scope <> 'public_page'
), queue (connection_id, verb) AS (
    (SELECT connection_id, verb FROM ledger_operation WHERE state = 'waiting' ORDER BY connection_id, verb LIMIT 1)
    UNION ALL
    SELECT next.connection_id, next.verb FROM queue CROSS JOIN LATERAL (
        SELECT o.connection_id, o.verb FROM ledger_operation o
        WHERE o.state = 'waiting' AND (o.connection_id, o.verb) > (queue.connection_id, queue.verb)
        ORDER BY o.connection_id, o.verb LIMIT 1) next
)
SELECT first.id FROM queue CROSS JOIN LATERAL (
    SELECT id, provider, concurrency, per_second FROM merchants_connection
    WHERE id = queue.connection_id AND paused_at IS NULL AND (held_until IS NULL OR held_until <= statement_timestamp())
    OFFSET 0) c CROSS JOIN LATERAL (
    SELECT o.id, o.priority FROM ledger_operation o
    WHERE o.connection_id = queue.connection_id AND o.verb = queue.verb AND o.state = 'waiting'
      AND (o.next_attempt_at IS NULL OR o.next_attempt_at <= statement_timestamp())
      AND (%(only)s IS NULL OR o.id = %(only)s)
      AND (o.load_minor IS NULL OR NOT EXISTS (
        SELECT FROM thrown t WHERE t.verb = 'top_up' AND t.provider IN ('', c.provider)))
      AND NOT EXISTS (
        SELECT FROM ledger_operation f WHERE f.connection_id = o.connection_id AND f.in_flight_key = o.in_flight_key
        AND f.state IN ('running', 'checking', 'needs_person') OFFSET 0)
      AND NOT EXISTS (
        SELECT FROM ledger_operation f WHERE f.connection_id = o.connection_id AND f.in_flight_key = o.in_flight_key
        AND f.state = 'waiting' AND f.id < o.id OFFSET 0)
    ORDER BY o.priority, o.id LIMIT 1) first
WHERE NOT EXISTS (SELECT FROM running WHERE running.connection_id = c.id AND running.count >= c.concurrency)
  AND NOT EXISTS (SELECT FROM begun WHERE begun.connection_id = c.id AND begun.count >= c.per_second)
  AND NOT EXISTS (
    SELECT FROM thrown t WHERE t.connection_id = c.id
    OR t.connection_id IS NULL AND t.provider IN ('', c.provider) AND t.verb IN ('', queue.verb))
ORDER BY first.priority, first.id LIMIT 1
"""
# A reading of an earlier attempt is forgotten: it must never be taken for the one before this.
_CLAIM = f"""
UPDATE ledger_operation
SET state = 'running', attempt = attempt + 1, begun_at = statement_timestamp(), next_attempt_at = NULL,
    lease_until = statement_timestamp() + make_interval(secs => %(lease)s),
    before_minor = NULL, before_cash_minor = NULL, before_points = NULL, before_at = NULL, unsent = true
WHERE id = ({_CANDIDATE}) AND state = 'waiting' RETURNING id
"""
# One claim at a time, so that limits and order are exact. The lock's transaction waits for nobody: both statements go
# to the database in one message, which makes them one transaction there, and it does not wait for the disk. A claim
# that a crash of the database forgets has sent nothing yet, because `_may_send` commits to the disk, and this with it,
# before the first byte leaves.
_CLAIM_LOCK = 7421  # any number; it names this use of advisory locks
_ALONE = f"SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock({_CLAIM_LOCK})"


def work() -> bool:
    """Claim the operation that is due first and bring it as far as it goes. False where nothing can be begun."""
    with tenancy.every_merchant("a worker claims the operation that is due first"):
        operation = _claim()
        calls.give_back_database()  # before the context ends, so that nothing more is said on this connection
    if operation is None:
        return False
    with tenancy.merchant(operation.merchant_id):
        _run(operation)
    return True


def work_on(operation: Operation) -> bool:
    """Claim this one, whatever else is due, and bring it as far as it goes. False where it cannot begin now.

    For the demo's history, which must not touch anybody else's with its clock.
    """
    with tenancy.merchant(operation.merchant_id):
        claimed = _claim(only=operation.pk)
        if claimed is not None:
            _run(claimed)
    return claimed is not None


def _claim(*, only: int | None = None) -> Operation | None:
    with database.cursor() as cursor:
        cursor.execute(f"{_ALONE}; {_CLAIM}", {"only": only, "lease": settings.OPERATION_LEASE_SECONDS})
        cursor.nextset()
        claimed = cursor.fetchone()
    return calls.with_everything(claimed[0]) if claimed else None


# ---- One attempt ----------------------------------------------------------------------------------------------
def _run(operation: Operation) -> None:
    connections.note_use(operation.connection)
    calls.give_back_database()
    caller = Caller(operation)
    try:
        reads = operation.connection.reads_balance_first and operation.card is not None and not operation.looked_up
        before = caller.read("before") if reads else None
        if operation.looked_up and operation.card and not operation.sealed_input:
            caller.write(balances.usage_token(operation.card, operation.looked_up))
        levels = calls.levels_of(before) if before else None
        predicted = caller.predict() if operation.verb in ("award", "issue_code") else None
        if not _may_send(operation, levels, predicted):
            return
    except vault.CannotOpen:
        log.exception("a sealed value does not open", extra={"operation": operation.reference})
        _leave(caller, **ended(OperationState.REFUSED), reason=SEALED_ELSEWHERE)
        return
    except Failure as failure:
        _store_unsent(caller, failure)
        return
    calls.give_back_database()
    try:
        receipt = caller.call()
    except Failure as failure:
        _store_failure(caller, failure)
    else:
        _store_receipt(caller, receipt)
        if operation.priority == 0:
            refresh_card(caller, receipt)
        else:  # nobody waits for the new balance of a file's row
            cases.compare(operation, receipt)
    connections.note_certificate(operation.connection, caller.certificate_until)


@operation_writer.writes
def _may_send(operation: Operation, levels: Levels | None, predicted: int | None = None) -> bool:
    """Store the evidence and that bytes may leave from now on, and make sure at the last moment that this worker still
    holds the lease: one that slept through it must not send late."""
    known: dict[str, object] = {}
    if levels:
        known = {"before_minor": levels.minor, "before_points": levels.points, "before_at": clock.now()}
        known["before_cash_minor"] = levels.cash_minor
    held = Operation.objects.filter(
        pk=operation.pk, state=OperationState.RUNNING, attempt=operation.attempt, lease_until__gt=Now()
    )
    lease = Now() + timedelta(seconds=settings.OPERATION_LEASE_SECONDS)
    if operation.looked_up is None or operation.card is None:
        return bool(held.update(**known, predicted_points=predicted, unsent=False, lease_until=lease))
    with transaction.atomic(durable=True):
        sent = held.update(sealed_input=operation.sealed_input, unsent=False, lease_until=lease)
        if sent:
            balances.use_up(operation.card, operation.looked_up)
    return bool(sent)


@operation_writer.writes
def _leave(caller: Caller, code: str = "", /, **values: object) -> bool:
    """Leave RUNNING, if this worker still holds it, with what is to be shown of a `code` that was made; and store what
    was said on the way in any case."""
    operation = caller.operation
    with transaction.atomic():
        moved = Operation.objects.filter(
            pk=operation.pk, state=OperationState.RUNNING, attempt=operation.attempt
        ).update(**{"lease_until": None, "unsent": False, **values})
        if moved and code:
            codes.keep(operation, code)
        Exchange.objects.bulk_create(caller.evidence)
    caller.evidence.clear()
    return bool(moved)


def ended(state: OperationState) -> dict[str, object]:
    """What an operation that is over has in its row."""
    return {
        "state": state,
        "ended_at": clock.now(),
        "sealed_input": None,
        "lease_until": None,
        "next_attempt_at": None,
    }


def told(failure: Failure) -> dict[str, object]:
    """What is kept of the provider's word that it is not done, or not known to be."""
    return {
        "reason": failure.reason,
        "provider_text": failure.provider_text,
        "trace": failure.trace,
        "provider_reference": failure.provider_reference,
    }


def _store_receipt(caller: Caller, receipt: Receipt) -> None:
    done = {**ended(OperationState.DONE), "reason": "", "provider_text": "", "settled_by": "answer"}
    if not _leave(caller, receipt.code, **done, **proof(caller.operation, receipt)):
        # The row is CHECKING by now. The answer stands in its evidence; a person can read it there.
        log.error("an answer came after its lease", extra={"operation": caller.operation.reference})


def proof(operation: Operation, receipt: Receipt) -> dict[str, object]:
    """What is kept of the provider's word that it is done, and the card that was made, where one was."""
    if receipt.number and operation.card is None:
        operation.card = cards.card_of(operation.connection, receipt.number)
    return {
        "card": operation.card,
        "provider_reference": receipt.provider_reference[:100],
        "receipt_lines": [line.as_plain() for line in receipt.lines],
    }


def refresh_card(caller: Caller, receipt: Receipt) -> None:
    """Best effort: the operation is Done whatever the card says now, and the page shows how old its reading is. What
    does not fit opens a case, in the transaction in which the reading is kept."""
    operation = caller.operation
    if operation.card is None:
        return
    calls.give_back_database()
    try:
        reading = caller.read("after")
    except Failure:
        reading = None
    with transaction.atomic():
        Exchange.objects.bulk_create(caller.evidence)
        if reading is not None:
            cards.remember(operation.card_id, reading, operation.connection.merchant)
        cases.compare(operation, receipt, reading)
    caller.evidence.clear()


def _store_failure(caller: Caller, failure: Failure) -> None:
    match failure:
        case Unclear():
            if failure.reason == Reason.THROTTLED:
                connections.hold(caller.operation.connection, seconds=failure.retry_after or 60)
            if caller.operation.verb == "issue_code":
                _leave(caller, **{**told(failure), **no_code_shown()})
                return
            quiet = timedelta(seconds=settings.QUIET_SECONDS)
            _leave(caller, state=OperationState.CHECKING, next_attempt_at=Now() + quiet, **told(failure))
        case Unreachable():
            _store_unsent(caller, failure)
        case _:
            _store_refusal(caller, failure)


def no_code_shown() -> dict[str, object]:
    """What a code has in its row whose answer is lost: if it was made, nobody knows its address and can claim it."""
    return {**ended(OperationState.REFUSED), "reason": NO_CODE_SHOWN}


def _store_refusal(caller: Caller, failure: Failure) -> None:
    _leave(caller, **ended(OperationState.REFUSED), **told(failure), settled_by="answer")
    if isinstance(failure, Misconfigured):
        pauses.because_refused(caller.operation.connection, failure.reason)


def _store_unsent(caller: Caller, failure: Failure) -> None:
    """Nothing of the operation left. A no is a no; anything else is tried again, with growing pauses."""
    attempt = caller.operation.attempt
    throttled = failure.reason == Reason.THROTTLED
    if throttled:
        connections.hold(caller.operation.connection, seconds=failure.retry_after or 60)
    if isinstance(failure, Declined | Misconfigured) and not throttled:
        _store_refusal(caller, failure)
    elif attempt > len(UNSENT_PAUSES):
        _leave(caller, **ended(OperationState.FAILED), **told(failure))
    else:
        pause = timedelta(seconds=failure.retry_after or UNSENT_PAUSES[attempt - 1])
        _leave(caller, state=OperationState.WAITING, next_attempt_at=Now() + pause, **told(failure))


# ---- A worker is gone ------------------------------------------------------------------------------------------
@operation_writer.writes
def sweep() -> bool:
    """See to what workers left whose lease lapsed; returns whether work is due that a message may have been lost for.

    Of an attempt that was never told it might send, nothing left: it waits again, a few times at most, since it may be
    what its workers die of. Of any other nobody knows.
    """
    with tenancy.every_merchant("the sweep finds operations of dead workers and forgotten ones"):
        lapsed = Operation.objects.filter(state=OperationState.RUNNING, lease_until__lt=Now())
        lost = {"lease_until": None, "unsent": False, "reason": WORKER_LOST}
        lapsed.filter(unsent=False).update(
            **lost, state=OperationState.CHECKING, next_attempt_at=Now() + timedelta(seconds=settings.QUIET_SECONDS)
        )
        unsent = lapsed.filter(unsent=True)
        unsent.filter(attempt__gt=len(UNSENT_PAUSES)).update(**{**lost, **ended(OperationState.FAILED)})
        unsent.update(**lost, state=OperationState.WAITING, next_attempt_at=Now() + timedelta(seconds=UNSENT_PAUSES[0]))
        due = Q(next_attempt_at=None) | Q(next_attempt_at__lte=Now())
        return Operation.objects.filter(due, state=OperationState.WAITING).exists()
