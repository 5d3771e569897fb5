"""A worker's talk with a provider about one operation: what is opened for it, what is asked, what is kept as evidence.

Writes nothing itself: operations.py and settling.py store outcome and evidence together.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from portal.connectors import PROVIDERS, connect, http
from portal.connectors.base import (
    ActivateRequest,
    AwardRequest,
    BalanceRequest,
    CodeRequest,
    Connector,
    CustomerDetails,
    Declined,
    Extra,
    Failure,
    FindRequest,
    PayRequest,
    PointsRequest,
    Reading,
    Reason,
    Receipt,
    SaleRequest,
    Settles,
    TipRequest,
    TopUpRequest,
    VoidRequest,
)
from portal.ledger import baskets, cards, clock
from portal.ledger.models import Exchange, Operation
from portal.merchants import connections, provider_tokens, vault
from portal.merchants.outward import give_back_database as give_back_database  # asked for by this module's name
from portal.merchants.outward import wire as wire
from portal.money import Money, Points


def place(operation: Operation, field: str) -> vault.Context:
    """Where a sealed value of this operation belongs."""
    return vault.Context(merchant=operation.merchant_id, table="ledger_operation", row=str(operation.key), field=field)


def with_everything(operation_id: int) -> Operation:
    """The operation with all that a call needs, in one query."""
    return Operation.objects.select_related("connection__merchant", "card", "original").get(pk=operation_id)


@dataclass(frozen=True, kw_only=True)
class Levels:
    """What stood on the card at one moment: minor units of the connection's currency, what of them was paid in, and
    points. None: not told."""

    minor: int | None
    cash_minor: int | None = None
    points: int | None

    def moved_since(self, operation: Operation) -> tuple[int, int] | None:
        """How far the card moved since the operation's reading before it was sent, or None where that is not known."""
        money, points = _moved(operation.before_minor, self.minor), _moved(operation.before_points, self.points)
        return None if money is None or points is None else (money, points)


def _moved(before: int | None, after: int | None) -> int | None:
    if before is None and after is None:
        return 0  # the provider keeps no such thing on this card
    return None if before is None or after is None else after - before


def levels_of(reading: Reading) -> Levels:
    """The levels a reading tells."""
    money = cards.money_of(reading)
    return Levels(
        minor=money.minor if money else None,
        cash_minor=cards.paid_in(reading.balances),
        points=cards.points_of(reading),
    )


def settles_by_balance(operation: Operation) -> bool:
    """Whether the card's balance can say what became of it."""
    provider = PROVIDERS[operation.connection.provider]
    return provider.settles == Settles.BY_BALANCE and operation.before_at is not None


def settles_by_record(operation: Operation) -> bool:
    """Whether the provider can be asked about this one operation."""
    return PROVIDERS[operation.connection.provider].settles == Settles.BY_REFERENCE


def settles_by_resending(operation: Operation) -> bool:
    """Whether the provider does it once, however often the same is sent."""
    return PROVIDERS[operation.connection.provider].settles == Settles.BY_RESENDING


class Caller:
    """One worker's calls for one operation. `evidence` gathers what is to be stored with the outcome,
    `certificate_until` is when the certificate ends that the provider showed."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.evidence: list[Exchange] = []
        self.certificate_until: datetime | None = None
        self._purpose = ""
        self._connector: Connector | None = None

    def read(self, purpose: str) -> Reading:
        """What the provider says of the card now. `purpose`: before, check or after. Raises Failure, CannotOpen."""
        self._purpose = purpose
        extra = self._extra("balance")
        with self._understanding():
            return self._connect().balance(BalanceRequest(number=self._number(), extra=extra))

    def write(self, usage_token: str) -> None:
        """Write down, sealed, all that will be sent: from then on that is sent, again as well. Raises Failure."""
        letter = self._connect().letter(replace(self._payment(), usage_token=usage_token))
        self.operation.sealed_input = vault.seal(place(self.operation, "input"), letter.encode())

    def resend(self) -> Receipt:
        """Send what was written down once more, byte for byte. Raises Failure, CannotOpen."""
        return self.call("resend")

    def call(self, purpose: str = "call") -> Receipt:
        """Ask for the operation itself, once. Raises Failure, CannotOpen."""
        connector, request = self._connect(), self._request()
        self._purpose = purpose
        verb: Any = getattr(connector, self.operation.verb)
        with self._understanding():
            receipt: Receipt = verb(request)
            return receipt

    def predict(self) -> int | None:
        """How many points the provider says it would give, None where it cannot say: evidence for a person, so no
        trouble of its own stops what is asked. Raises CannotOpen."""
        self._purpose = "predict"
        try:
            with self._understanding():
                return self._connect().predict(Money(self.operation.amount_minor or 0, self.operation.currency)).count
        except Failure:
            return None

    def find(self) -> Receipt:
        """How the operation ended, by the provider's own record. Raises Failure, CannotOpen; Declined where it is not
        done by now."""
        operation, original = self.operation, self.operation.original
        self._purpose = "find"
        request = FindRequest(
            verb=operation.verb,
            reference=operation.reference,
            provider_reference=operation.provider_reference,
            original=original.provider_reference if original else "",
            number=self._number(),
            amount=Money(operation.amount_minor, operation.currency) if operation.amount_minor is not None else None,
        )
        with self._understanding():
            return self._connect().find(request)

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """Note on the last exchange what was wrong, once the connector has understood the answer. A no is an answer."""
        try:
            yield
        except Failure as failure:
            is_answer = isinstance(failure, Declined) and failure.reason != Reason.THROTTLED
            if self.evidence and not is_answer:
                self.evidence[-1].cause = failure.reason
            raise

    def _request(self) -> object:
        operation = self.operation
        common: dict[str, Any] = {
            "number": self._number(),
            "reference": operation.reference,
            "extra": self._extra(operation.verb),
        }
        if operation.verb in ("issue_points", "redeem_points"):
            return PointsRequest(points=Points(operation.points or 0), **common)
        if operation.verb == "activate":
            return ActivateRequest(customer=self._customer(), **common)
        amount = Money(operation.amount_minor or 0, operation.currency)
        if operation.verb == "top_up":
            return TopUpRequest(amount=amount, activate=operation.also_activate, customer=self._customer(), **common)
        if operation.verb == "sale":
            basket = baskets.read(operation.basket, load=operation.load_minor, currency=operation.currency)
            return SaleRequest(lines=basket.lines, load=basket.load, amount=amount, customer=self._customer(), **common)
        if operation.verb == "award":
            return AwardRequest(amount=amount, **common)
        if operation.verb == "issue_code":
            return CodeRequest(amount=amount, reference=operation.reference, extra=common["extra"])
        if operation.verb == "pay":
            return replace(self._payment(), letter=self._letter())
        assert operation.original is not None
        kind = {"void": VoidRequest, "tip": TipRequest}[operation.verb]
        return kind(original=operation.original.provider_reference, amount=amount, **common)

    def _payment(self) -> PayRequest:
        operation = self.operation
        return PayRequest(
            number=self._number(),
            amount=Money(operation.amount_minor or 0, operation.currency),
            reference=operation.reference,
            asked_at=operation.asked_at.astimezone(ZoneInfo(operation.connection.merchant.time_zone)),
            extra=self._extra("pay"),
        )

    def _letter(self) -> str:
        operation = self.operation
        if operation.looked_up is None or operation.sealed_input is None:
            return ""
        return vault.open_sealed(place(operation, "input"), operation.sealed_input).decode()

    def _extra(self, verb: str) -> Extra | None:
        declared = self._connect().extras.get(verb)
        if declared is None:
            return None
        known = {name: value for name, value in self.operation.extra.items() if name in declared.declared()}
        return declared.parse(known)

    def _number(self) -> str:
        return cards.number_of(self.operation.card) if self.operation.card else ""

    def _customer(self) -> CustomerDetails | None:
        if self.operation.sealed_input is None:
            return None
        return CustomerDetails(
            **json.loads(vault.open_sealed(place(self.operation, "input"), self.operation.sealed_input))
        )

    def _connect(self) -> Connector:
        if self._connector is None:
            connection = self.operation.connection
            self._connector = connect(
                connection.provider,
                connections.settings_for_a_call(connection),
                wire=wire(),
                on_exchange=self._keep,
                connect_seconds=settings.OPERATION_CONNECT_SECONDS,
                total_seconds=settings.OPERATION_SECONDS,
                environment=connection.environment,
                tokens=provider_tokens.of(connection),
            )
            give_back_database()
        return self._connector

    def _keep(self, made: http.Exchange) -> None:
        self.certificate_until = made.certificate_until or self.certificate_until
        self.evidence.append(
            Exchange(
                merchant_id=self.operation.merchant_id,
                operation=self.operation,
                purpose=self._purpose,
                attempt=self.operation.attempt,
                at=clock.now(),
                method=made.method,
                url=made.url[:2000],
                request_headers=list(made.request_headers),
                request_body=made.request_body,
                status=made.status,
                response_headers=list(made.response_headers),
                response_body=made.response_body,
                connect_ms=round(made.connect_seconds * 1000),
                total_ms=round(made.total_seconds * 1000),
                reused=made.reused,
                reason=made.reason,
            )
        )
