"""Who holds which card: the only writer of `Card.customer`, and what merging and erasing a customer does to cards.

Every function here is one transaction of its own. All lock in one order, so that no two wait for each other: the
member, the customers by their ids, the cards.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from portal import formats
from portal.customers import book
from portal.customers.book import Details
from portal.customers.models import Customer, Purpose, Source
from portal.ledger import balances
from portal.ledger.models import Approval, Card, Operation
from portal.merchants import access, audit
from portal.merchants.models import Member, Merchant
from portal.merchants.roles import Permission

MOST_HOLDERS = 500  # among a million cards a hundred end alike


class OthersCard(Exception):
    """Somebody else holds this card. Nothing was written: detach it first."""


class UnderWay(Exception):
    """Something asked for on one of the cards still carries the customer's details, sealed. They go when
    it ends."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What a new customer agrees to, and where they said so."""

    purposes: Iterable[Purpose] = ()
    source: Source = Source.AT_THE_TILL


def cards_of(customer: Customer) -> QuerySet[Card]:
    """The customer's cards, the longest known first."""
    return Card.objects.filter(merchant=customer.merchant_id, customer=customer).order_by("id")


def who_hold(merchant: Merchant, last_four: str) -> list[int]:
    """The ids of those who hold cards that end so."""
    held = Card.objects.filter(merchant=merchant, last_four__in=[last_four, last_four.upper()]).exclude(customer=None)
    return [holder for holder in held.values_list("customer", flat=True)[:MOST_HOLDERS] if holder]


def add(
    *, member: Member, key: uuid.UUID, details: Details, agreement: Agreement, card: Card | None
) -> tuple[Customer, bool]:
    """A new customer with what they agreed to, holding this card where there is one. Once per key: pressed twice, the
    first press counts, and False says so. Raises OthersCard, PermissionDenied."""
    with transaction.atomic(durable=True):
        customer, made = book.add(member=member, key=key, details=details)
        if made:
            book.say(member=member, customer=customer, purposes=agreement.purposes, given=True, source=agreement.source)
            if card is not None:
                _give(member, card, customer)
    return customer, made


def say(*, member: Member, customer: Customer, purpose: Purpose, given: bool, source: Source) -> None:
    """Keep a word on consent. Raises Gone, PermissionDenied."""
    with transaction.atomic(durable=True):
        book.say(member=member, customer=customer, purposes=[purpose], given=given, source=source)


def attach(*, member: Member, card: Card, customer: Customer) -> None:
    """Let the customer hold the card. Raises OthersCard, Gone, PermissionDenied."""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.EDIT_CUSTOMERS)
        [held] = book.hold([customer], whatever_version=True)
        _give(member, card, held)


def detach(*, member: Member, card: Card, customer: Customer) -> None:
    """Let the customer hold the card no more; where somebody else does by now, nothing happens."""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.EDIT_CUSTOMERS)
        mine = Card.objects.filter(merchant=member.merchant_id, pk=card.pk, customer=customer)
        if mine.update(customer=None):
            _record("card detached", member, customer, card)


def merge(*, member: Member, kept: Customer, other: Customer, details: Details) -> None:
    """Make one of two: cards, consent and history go to `kept`. Raises book.Changed, book.Gone, PermissionDenied."""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.EDIT_CUSTOMERS)
        book.hold([kept, other])
        Card.objects.filter(merchant=member.merchant_id, customer=other).update(customer=kept)
        book.merge(member=member, kept=kept, other=other, details=details)


def erase(*, member: Member, customer: Customer) -> None:
    """Forget the person, at once and for good. Operations, with their amounts and references, stay.

    Raises UnderWay, book.Changed, book.Gone, PermissionDenied.
    """
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.ERASE_CUSTOMERS)
        book.hold([customer])
        cards = list(Card.objects.select_for_update().filter(merchant=member.merchant_id, customer=customer))
        if under_way(customer):
            raise UnderWay
        balances.forget_holders(cards)
        Card.objects.filter(merchant=member.merchant_id, customer=customer).update(customer=None)
        book.erase(member=member, customer=customer)


def under_way(customer: Customer) -> list[Operation | Approval]:
    """What on the customer's cards still carries sealed details of somebody: operations, and wishes that wait for a
    second person."""
    sealed = {"merchant": customer.merchant_id, "card__in": cards_of(customer), "sealed_input__isnull": False}
    return [*Approval.objects.filter(**sealed).order_by("id"), *Operation.objects.filter(**sealed).order_by("id")]


def _give(member: Member, card: Card, customer: Customer) -> None:
    row = Card.objects.select_for_update(no_key=True).get(merchant=member.merchant_id, pk=card.pk)
    if row.customer_id == customer.pk:
        return
    if row.customer_id is not None:
        raise OthersCard
    Card.objects.filter(merchant=member.merchant_id, pk=row.pk).update(customer=customer)
    _record("card attached", member, customer, row)


def _record(verb: str, member: Member, customer: Customer, card: Card) -> None:
    audit.record(
        verb, str(customer.key), merchant=member.merchant, person=member.person, card=formats.masked(card.last_four)
    )


# ---- In words for the person themselves ---------------------------------------------------------------------------
def everything(customer: Customer) -> dict[str, object]:
    """The customer's cards and what was done with them, for a file: amounts in minor units of their currency."""
    cards = list(cards_of(customer).select_related("connection"))
    done = Operation.objects.filter(merchant=customer.merchant_id, card__in=cards).select_related("card").order_by("id")
    return {
        "cards": [
            {
                "at": card.connection.name,
                "last_four": card.last_four,
                "known_since": card.first_seen_at.isoformat(),
                "balance_minor": card.balance_minor,
                "currency": card.balance_currency,
                "points": card.points,
                "read_at": card.read_at.isoformat() if card.read_at else None,
            }
            for card in cards
        ],
        "operations": [
            {
                "what": each.verb,
                "card": each.card.last_four if each.card else None,
                "amount_minor": each.amount_minor,
                "currency": each.currency,
                "points": each.points,
                "state": each.state,
                "asked_at": each.asked_at.isoformat(),
                "reference": each.reference,
            }
            for each in done
        ],
    }
