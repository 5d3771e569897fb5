"""Look-ups: the only writer of Inquiry, and the one who asks providers for balances and for what a purchase would give.

    HELD ───────────↘
    WANTS PIN ──→ WAITING → ASKING ─┬→ ANSWERED
    WANTS NUMBER ──↗  ↑             ├→ FAILED
       ↑    ↑         │             ├→ WANTS PIN      a near miss: the password is nearly right
       └────┴─────────┼─────────────┴→ WANTS NUMBER   the provider needs the whole number
                      └─ a worker's lease ran out

A look-up moves no value, so asking again is safe; it is still asked sparingly, because each question counts at the
provider. What was typed is sealed before it is stored and erased in the transaction that stores the end.

What a look-up gives that stands for card and password (a usage token) is kept, sealed, as long as the look-up: one
operation may take it. The card is remembered then, where the answer tells its whole number; by the end of a number
two cards could be taken for one.

A shopper's look-up, from the public page, is kept apart from the staff's: it remembers no card, for anybody can type
any number there; it takes no hint and keeps neither holder nor token; and of one merchant only a few are asked at once.
"""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from portal.connectors import PROVIDERS, connect, doctor
from portal.connectors.base import (
    BalanceRequest,
    CardStatus,
    ClientContext,
    Declined,
    Failure,
    Misconfigured,
    Reading,
    Reason,
)
from portal.connectors.http import Exchange
from portal.ledger import calls, cards, health, wake
from portal.ledger.models import (
    NOT_NOW,
    SEALED_ELSEWHERE,
    WORKER_LOST,
    Card,
    Inquiry,
    Pulse,
    State,
    Typed,
    inquiry_writer,
)
from portal.merchants import access, connections, pauses, provider_tokens, switches, tenancy, vault
from portal.merchants.models import Connection, Member
from portal.merchants.roles import Permission
from portal.money import Money, Points

log = logging.getLogger(__name__)

# A worker that dies while asking is replaced once; after the second death a person should see it, not wait.
ATTEMPTS = 2


# ---- What people ask ------------------------------------------------------------------------------------------
@inquiry_writer.writes
def open_look_up(
    *,
    member: Member,
    key: uuid.UUID,
    connection: Connection,
    number: str,
    client: ClientContext | None,
    extra: Mapping[str, object] | None = None,
) -> Inquiry:
    """Take in one scanned or typed card number, already normalised by the connector, and return its look-up.

    The same key with the same card gives the look-up it gave before; with another card (a stale form, the back
    button) a new one, because showing the first card's balance for the second would be the worse error.

    Raises NotNow for a paused or held connection, PermissionDenied if the member may no longer.
    """
    connections.refuse_unless_asked(connection, switches.LOOK_UP)
    index = cards.index_of(connection, number)
    provider = PROVIDERS[connection.provider]
    wants_pin = provider.wants_pin(connection.options)
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.LOOK_UP_CARDS)
        fresh = _new(member=member, key=key, connection=connection, index=index)
        fresh.card = cards.card_of(connection, number) if provider.whole_numbers else None
        fresh.extra = dict(extra or {})
        fresh.last_four = number[-4:]
        fresh.sealed_number = vault.seal(_place(fresh, "number"), number.encode())
        fresh.sealed_client = _sealed(fresh, client)
        fresh.state = State.WANTS_PIN if wants_pin else State.WAITING
        fresh.woken_at = None if wants_pin else timezone.now()
        Inquiry.objects.bulk_create([fresh], ignore_conflicts=True)
        found = Inquiry.objects.select_related("connection", "card").get(merchant=member.merchant_id, key=key)
        same = bytes(found.card_index) in cards.indexes_of(connection, number) and found.connection_id == connection.pk
        if same and found.state == State.WAITING:
            _wake(found)
    if same:
        return found
    return open_look_up(
        member=member, key=uuid.uuid4(), connection=connection, number=number, client=client, extra=extra
    )


@inquiry_writer.writes
def ask_again(*, member: Member, key: uuid.UUID, card: Card, client: ClientContext | None = None) -> Inquiry:
    """Ask once more for a card we know. Its number is not typed again: the worker takes it from the card.

    The same key gives the look-up it gave before. Raises NotNow, PermissionDenied.
    """
    connection = card.connection
    connections.refuse_unless_asked(connection, switches.LOOK_UP)
    wants_pin = PROVIDERS[connection.provider].wants_pin(connection.options)
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.LOOK_UP_CARDS)
        fresh = _new(member=member, key=key, connection=connection, index=bytes(card.index))
        fresh.card, fresh.last_four = card, card.last_four
        last = Inquiry.objects.filter(merchant=member.merchant_id, card=card).order_by("-id").first()
        fresh.extra = last.extra if last else {}
        fresh.sealed_client = _sealed(fresh, client)
        fresh.state = State.WANTS_PIN if wants_pin else State.WAITING
        fresh.woken_at = None if wants_pin else timezone.now()
        Inquiry.objects.bulk_create([fresh], ignore_conflicts=True)
        found = Inquiry.objects.select_related("connection", "card").get(merchant=member.merchant_id, key=key)
        if found.state == State.WAITING:
            _wake(found)
    return found


@inquiry_writer.writes
def ask_points(*, member: Member, key: uuid.UUID, card: Card, purchase: Money) -> Inquiry:
    """Ask how many points the provider says that a purchase would give. About no card: by the rule for everybody.

    The same key gives the question it asked before. Raises NotNow, PermissionDenied.
    """
    connections.refuse_unless_asked(card.connection, switches.LOOK_UP)
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.MOVE_POINTS)
        fresh = _new(member=member, key=key, connection=card.connection, index=bytes(card.index))
        fresh.last_four, fresh.purchase_minor = card.last_four, purchase.minor
        fresh.state, fresh.woken_at = State.WAITING, timezone.now()
        Inquiry.objects.bulk_create([fresh], ignore_conflicts=True)
        found = Inquiry.objects.get(merchant=member.merchant_id, key=key)
        if found.state == State.WAITING:
            _wake(found)
    return found


@inquiry_writer.writes
def give_pin(inquiry: Inquiry, *, pin: str) -> None:
    """Add the password and send the look-up to a worker. A second press finds it on its way and changes nothing."""
    _give(inquiry, State.WANTS_PIN, sealed_pin=vault.seal(_place(inquiry, "pin"), pin.encode()))


@inquiry_writer.writes
def give_number(inquiry: Inquiry, *, number: str) -> None:
    """Replace a short number by the whole one the provider asked for, and ask again with the password typed before."""
    _give(
        inquiry,
        State.WANTS_NUMBER,
        sealed_number=vault.seal(_place(inquiry, "number"), number.encode()),
        card_index=cards.index_of(inquiry.connection, number),
        last_four=number[-4:],
        typed_by_shopper=Typed.WHOLE if inquiry.typed_by_shopper else "",
    )


@inquiry_writer.writes
def open_for_shopper(
    *,
    merchant_id: int,
    key: uuid.UUID,
    connection: Connection,
    number: str,
    pin: str,
    client: ClientContext,
    typed: Typed,
    held: bool,
    silenced: bool = False,
) -> Inquiry:
    """Take in what a shopper typed, in the caller's transaction. It waits for a worker, or `held` for `let_go`.

    A `silenced` one is never asked. It is written and a worker woken for it all the same, who erases it: nobody shall
    tell by how long that takes. Raises NotNow.
    """
    connections.refuse_unless_asked(connection, switches.LOOK_UP)
    fresh = Inquiry(merchant_id=merchant_id, connection=connection, key=key, typed_by_shopper=typed)
    fresh.card_index, fresh.last_four = cards.index_of(connection, number), number[-4:]
    fresh.sealed_number = vault.seal(_place(fresh, "number"), number.encode())
    fresh.sealed_pin = vault.seal(_place(fresh, "pin"), pin.encode()) if pin else None
    fresh.sealed_client = _sealed(fresh, client)
    fresh.state = State.HELD if held or silenced else State.WAITING
    fresh.woken_at = None if held or silenced else timezone.now()
    fresh.save(force_insert=True)
    if not held:
        _wake(fresh)
    return fresh


@inquiry_writer.writes
def let_go(inquiry: Inquiry, *, silenced: bool = False) -> None:
    """Send a held look-up to a worker, in the caller's transaction; a `silenced` one to be erased. Raises NotNow."""
    connections.refuse_unless_asked(inquiry.connection, switches.LOOK_UP)
    held = Inquiry.objects.filter(pk=inquiry.pk, merchant=inquiry.merchant_id, state=State.HELD)
    state = State.HELD if silenced else State.WAITING
    if held.update(state=state, woken_at=None if silenced else Now()):
        _wake(inquiry)


def shoppers_under_way(merchant_id: int) -> tuple[int, int]:
    """How many look-ups of the merchant's shoppers wait for a worker, and how many are being asked."""
    rows = Inquiry.objects.filter(merchant=merchant_id, state__in=(State.WAITING, State.ASKING))
    states = list(rows.exclude(typed_by_shopper="").values_list("state", flat=True))
    return states.count(State.WAITING), states.count(State.ASKING)


def _give(inquiry: Inquiry, wanted: State, **sealed: object) -> None:
    connections.refuse_unless_asked(inquiry.connection, switches.LOOK_UP)
    with transaction.atomic(durable=True):
        given = Inquiry.objects.filter(pk=inquiry.pk, merchant=inquiry.merchant_id, state=wanted).update(
            **sealed, state=State.WAITING, woken_at=Now(), attempt=0
        )
        if given:
            _wake(inquiry)
    inquiry.refresh_from_db()


def _new(*, member: Member, key: uuid.UUID, connection: Connection, index: bytes) -> Inquiry:
    return Inquiry(
        merchant_id=member.merchant_id,
        connection=connection,
        key=key,
        asked_by_id=member.person_id,
        card_index=index,
    )


def _place(inquiry: Inquiry, field: str) -> vault.Context:
    return vault.Context(merchant=inquiry.merchant_id, table="ledger_inquiry", row=str(inquiry.key), field=field)


def _sealed(inquiry: Inquiry, client: ClientContext | None) -> bytes | None:
    if client is None:
        return None
    return vault.seal(_place(inquiry, "client"), json.dumps([client.address, client.headers]).encode())


def _wake(inquiry: Inquiry) -> None:
    transaction.on_commit(lambda: wake.for_look_up(inquiry.pk))


# ---- What workers do ------------------------------------------------------------------------------------------
def answer(inquiry_id: int) -> None:
    """Ask the provider for one waiting look-up and store what it says. Nothing happens if it is not waiting, or as long
    as there is no room for it; one that is held was silenced, and is erased with what was typed."""
    with tenancy.every_merchant("a worker claims a look-up by its id"):
        inquiry = _claim(inquiry_id)
    if inquiry is None:
        return
    with tenancy.merchant(inquiry.merchant_id):
        if not connections.is_asked(inquiry.connection) or switches.off(inquiry.connection, switches.LOOK_UP):
            _end_without_answer(inquiry, failure="unreachable", reason=NOT_NOW)  # since it was taken in
            return
        connections.note_use(inquiry.connection)
        try:
            told = _ask(inquiry)
        except vault.CannotOpen:
            # Not the provider's doing: a box was copied, or its key is gone. Somebody has to look.
            log.exception("a sealed value does not open", extra={"inquiry": str(inquiry.key)})
            _end_without_answer(inquiry, failure="misconfigured", reason=SEALED_ELSEWHERE)
        except Failure as failure:
            _store_failure(inquiry, failure)
        else:
            _store_points(inquiry, told) if isinstance(told, Points) else _store_reading(inquiry, told)
    with tenancy.every_merchant("a worker wakes others for look-ups that waited for this one"):
        _wake_the_next(inquiry)


@inquiry_writer.writes
def _claim(inquiry_id: int) -> Inquiry | None:
    waiting = Inquiry.objects.filter(pk=inquiry_id, state=State.WAITING)
    with transaction.atomic():
        found = waiting.select_related("connection").only(*_ROOM).first()
        if found is None:
            Inquiry.objects.filter(pk=inquiry_id, state=State.HELD).delete()
            return None
        with database.cursor() as cursor:  # of two workers one counts after the other
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext('look-ups of a merchant'), %s::int)", [found.merchant_id]
            )
        if not _has_room(found):
            return None  # it is woken when one of them ends
        claimed = waiting.update(
            state=State.ASKING,
            attempt=F("attempt") + 1,
            lease_until=Now() + timedelta(seconds=settings.LOOK_UP_LEASE_SECONDS),
        )
    return Inquiry.objects.select_related("connection__merchant", "card").get(pk=inquiry_id) if claimed else None


_ROOM = ("merchant_id", "typed_by_shopper", "connection__provider", "connection__concurrency")


def _has_room(wanted: Inquiry) -> bool:
    """Whether one more may be asked. A provider that hangs holds the threads that ask it for as long as a call may
    take: so many of one connection, of one merchant's shoppers and of one provider, and the others' go on. Exact for
    whoever holds the merchant's lock; of a provider a few more may begin at the same moment."""
    asking = list(Inquiry.objects.filter(state=State.ASKING).select_related("connection").only(*_ROOM))
    of_connection = [each for each in asking if each.connection_id == wanted.connection_id]
    of_provider = [each for each in asking if each.connection.provider == wanted.connection.provider]
    shoppers = [each for each in asking if each.typed_by_shopper and each.merchant_id == wanted.merchant_id]
    return (
        len(of_connection) < wanted.connection.concurrency
        and len(of_provider) < settings.LOOK_UPS_AT_A_PROVIDER
        and not (wanted.typed_by_shopper and len(shoppers) >= settings.SHOPPERS_AT_ONCE)
    )


def _wake_the_next(ended: Inquiry) -> None:
    """Those that were left waiting because others were being asked: the first of the same merchant, and the first of
    anybody else's at the same provider. A wake-up too many finds nothing to do."""
    waiting = Inquiry.objects.filter(state=State.WAITING).order_by("woken_at").values_list("pk", flat=True)
    same = waiting.filter(merchant=ended.merchant_id)
    others = waiting.filter(connection__provider=ended.connection.provider).exclude(merchant=ended.merchant_id)
    for following in (same.first(), others.first()):
        if following is not None:
            wake.for_look_up(following)


def _ask(inquiry: Inquiry) -> Reading | Points:
    connection = inquiry.connection
    connector = connect(
        connection.provider,
        connections.settings_for_a_call(connection),
        wire=calls.wire(),
        on_exchange=lambda exchange: _log(inquiry, exchange),
        connect_seconds=settings.LOOK_UP_CONNECT_SECONDS,
        total_seconds=settings.LOOK_UP_SECONDS,
        environment=connection.environment,
        tokens=provider_tokens.of(connection),
    )
    if inquiry.purchase_minor is not None:
        calls.give_back_database()
        return connector.predict(Money(inquiry.purchase_minor, str(connection.options["currency"])))
    declared = connector.extras.get("balance")
    extra = declared.parse(inquiry.extra) if declared else None
    calls.give_back_database()
    return connector.balance(
        BalanceRequest(
            number=_number(inquiry),
            pin=_open(inquiry, "pin", inquiry.sealed_pin),
            client=_open_client(inquiry),
            extra=extra,
        )
    )


def _number(inquiry: Inquiry) -> str:
    if inquiry.sealed_number is None and inquiry.card is not None:  # asked again
        return cards.number_of(inquiry.card)
    return _open(inquiry, "number", inquiry.sealed_number)


def _open_client(inquiry: Inquiry) -> ClientContext | None:
    if inquiry.sealed_client is None:
        return None
    address, headers = json.loads(_open(inquiry, "client", inquiry.sealed_client))
    return ClientContext(address=address, headers=tuple((name, value) for name, value in headers))


def _open(inquiry: Inquiry, field: str, sealed: bytes | memoryview | None) -> str:
    return vault.open_sealed(_place(inquiry, field), sealed).decode() if sealed is not None else ""


def _log(inquiry: Inquiry, exchange: Exchange) -> None:
    inquiry.took_ms = (inquiry.took_ms or 0) + round(exchange.total_seconds * 1000)
    connections.note_certificate(inquiry.connection, exchange.certificate_until)
    log.info(
        "exchange",
        extra={
            "inquiry": str(inquiry.key),
            "provider": inquiry.connection.provider,
            "status": exchange.status,
            "failure_reason": exchange.reason,
            "connect_seconds": round(exchange.connect_seconds, 4),
            "total_seconds": round(exchange.total_seconds, 4),
            "reused": exchange.reused,
        },
    )


_ERASED: dict[str, object] = {
    "sealed_number": None, "sealed_pin": None, "sealed_client": None, "lease_until": None, "woken_at": None,
}  # fmt: skip


@inquiry_writer.writes
def _store_reading(inquiry: Inquiry, reading: Reading) -> None:
    shopper = bool(inquiry.typed_by_shopper)
    if reading.status == CardStatus.NEEDS_FULL_NUMBER and inquiry.typed_by_shopper != Typed.WHOLE:
        # Not an end: the password typed for this card is kept, sealed, until the whole number is here.
        _move(inquiry, State.WANTS_NUMBER, lease_until=None, woken_at=None, card_status=reading.status)
        return
    if reading.status == CardStatus.NEAR_MISS and not shopper:
        _move(
            inquiry,
            State.WANTS_PIN,
            lease_until=None,
            woken_at=None,
            sealed_pin=None,
            card_status=reading.status,
        )
        return
    total = cards.money_of(reading)
    cash, bonus = cards.parts_of(reading)
    token = "" if shopper else reading.usage_token
    with transaction.atomic():
        if inquiry.card is None and not shopper and token and reading.number and _is_of_use(inquiry.connection):
            inquiry.card = cards.card_of(inquiry.connection, reading.number)
        cards.remember(inquiry.card_id, reading, inquiry.connection.merchant)
        _move(
            inquiry,
            State.ANSWERED,
            **_ERASED,
            ended_at=Now(),
            card=inquiry.card,
            card_status=reading.status,
            balance_minor=total.minor if total else None,
            balance_currency=total.currency if total else "",
            cash_minor=cash,
            bonus_minor=bonus,
            points=cards.points_of(reading),
            holder={} if shopper else cards.masked_holder(reading.customer),
            expires_on=cards.last_day(reading, inquiry.connection.merchant),
            description="" if shopper else reading.description[:200],
            sealed_usage_token=vault.seal(_place(inquiry, "usage token"), token.encode()) if token else None,
        )


@inquiry_writer.writes
def _store_points(inquiry: Inquiry, points: Points) -> None:
    _move(inquiry, State.ANSWERED, **_ERASED, ended_at=Now(), points=points.count)


def _is_of_use(connection: Connection) -> bool:
    """Whether what a look-up gives can be used for something: else no card is remembered for it."""
    able = doctor.capabilities(connection.provider, connection.options).can
    return not PROVIDERS[connection.provider].by_usage_token.isdisjoint(able)


def _store_failure(inquiry: Inquiry, failure: Failure) -> None:
    with transaction.atomic():
        _end_without_answer(
            inquiry,
            failure=type(failure).__name__.lower(),
            reason=failure.reason,
            provider_text=failure.provider_text,
            trace=failure.trace[:100],
        )
        if isinstance(failure, Misconfigured):
            pauses.because_refused(inquiry.connection, failure.reason)
        elif isinstance(failure, Declined) and failure.reason == Reason.THROTTLED:
            connections.hold(inquiry.connection, seconds=failure.retry_after or 60)


@inquiry_writer.writes
def _end_without_answer(inquiry: Inquiry, **why: str) -> None:
    _move(inquiry, State.FAILED, **_ERASED, ended_at=Now(), **why)


def _move(inquiry: Inquiry, state: State, **values: object) -> None:
    """Leave ASKING, if this worker still holds it: a worker that was given up for dead writes nothing."""
    held = Inquiry.objects.filter(pk=inquiry.pk, state=State.ASKING, attempt=inquiry.attempt)
    held.update(state=state, took_ms=inquiry.took_ms, **values)


@inquiry_writer.writes
def forget_holders(forgotten: Sequence[Card]) -> None:
    """Take out of the look-ups of these cards who holds them. In the caller's transaction."""
    if forgotten:
        same = Q(card__in=forgotten) | Q(card_index__in=[bytes(card.index) for card in forgotten])
        Inquiry.objects.filter(same, merchant=forgotten[0].merchant_id).update(holder={}, description="")


@inquiry_writer.writes
def index_anew(card: Card) -> bool:
    """Let the card be found by the current key from now on, and its look-ups with it. In a worker.

    False where somebody else is at it just now. Raises CannotOpen; IntegrityError where the card is there twice.
    """
    before, index = bytes(card.index), cards.index_of(card.connection, cards.number_of(card))
    with transaction.atomic():
        free = Card.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=card.pk, index=before)
        if not free.exists():
            return False
        Card.objects.filter(pk=card.pk).update(index=index)
        Inquiry.objects.filter(merchant=card.merchant_id, card_index=before).update(card_index=index)
    return True


# ---- What a look-up gives: once, to one operation -------------------------------------------------------------------
def usable(card: Card) -> uuid.UUID | None:
    """The key of the card's last answered look-up, where it gave a token that nobody used yet."""
    kept = timedelta(seconds=settings.LOOK_UP_KEPT_SECONDS)
    answered = Inquiry.objects.filter(merchant=card.merchant_id, card=card, state=State.ANSWERED, typed_by_shopper="")
    last = answered.filter(asked_at__gt=Now() - kept).order_by("-id").only("key", "sealed_usage_token").first()
    return last.key if last is not None and last.sealed_usage_token is not None else None


def usage_token(card: Card, looked_up: uuid.UUID) -> str:
    """What this look-up of the card gave, in a worker; "" where it is used, or erased by now. Raises CannotOpen."""
    found = Inquiry.objects.filter(merchant=card.merchant_id, card=card, key=looked_up).first()
    return _open(found, "usage token", found.sealed_usage_token) if found is not None else ""


@inquiry_writer.writes
def use_up(card: Card, looked_up: uuid.UUID) -> None:
    """Erase the token, in the transaction in which an operation keeps it."""
    Inquiry.objects.filter(merchant=card.merchant_id, card=card, key=looked_up).update(sealed_usage_token=None)


# ---- What the clock does --------------------------------------------------------------------------------------
@inquiry_writer.writes
def sweep() -> list[int]:
    """Take back look-ups of dead workers, erase old ones, and return the ids of those that wait for a worker.

    Runs every SWEEP_SECONDS; also the sign of life that /readyz looks at.
    """
    with tenancy.every_merchant("the sweep finds look-ups of dead workers and old ones"):
        lapsed = Inquiry.objects.filter(state=State.ASKING, lease_until__lt=Now())
        lapsed.filter(attempt__gte=ATTEMPTS).update(
            **_ERASED, state=State.FAILED, ended_at=Now(), failure="unclear", reason=WORKER_LOST
        )
        lapsed.filter(attempt__lt=ATTEMPTS).update(state=State.WAITING, lease_until=None, woken_at=Now())
        kept = timedelta(seconds=settings.LOOK_UP_KEPT_SECONDS)
        health.erase_look_ups(older_than=kept)
        patience = timedelta(seconds=settings.SWEEP_SECONDS)
        overdue = Inquiry.objects.filter(state=State.WAITING, woken_at__lt=Now() - patience).order_by("woken_at")
        waiting = list(overdue.values_list("pk", flat=True)[:500])
    Pulse.objects.update_or_create(name="sweep", defaults={"at": timezone.now()})
    return waiting
