"""The customers' book: the only writer of customers, of what they agreed to, and of their numbers at providers.

The trail hears which fields changed, never what stands in them: it is kept for ever, people are not. Each function
that says so runs in the caller's transaction, because the caller moves the cards in it.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.utils import timezone

from portal.customers import contact
from portal.customers.models import (
    PERSONAL,
    Consent,
    Customer,
    ProviderNumber,
    Purpose,
    Source,
    customer_writer,
)
from portal.merchants import access, audit
from portal.merchants.models import Member
from portal.merchants.roles import Permission

KEY_LENGTH = 600  # of a folded name: it stands in an index, whose rows end at 2,700 bytes


class Changed(Exception):
    """Somebody changed this customer since it was shown. Nothing was written; show it again."""


class Gone(Exception):
    """This customer was merged into another or erased meanwhile. Nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Details:
    """Everything personal of one customer, as the form read it. `numbers` are those at providers, by connection."""

    salutation: str = ""
    title: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""
    language: str = ""
    street: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = ""
    numbers: Mapping[int, str] = field(default_factory=dict)


# ---- One customer -------------------------------------------------------------------------------------------------
@customer_writer.writes
def add(*, member: Member, key: uuid.UUID, details: Details) -> tuple[Customer, bool]:
    """A new customer, once per key; the one this key made before, where it did. True if it was made now.

    In the caller's transaction. Raises PermissionDenied.
    """
    access.still_may(member, Permission.EDIT_CUSTOMERS)
    fresh = Customer(merchant_id=member.merchant_id, key=key, created_at=timezone.now(), created_by_id=member.person_id)
    _fill(fresh, details)
    try:
        with transaction.atomic():
            fresh.save(force_insert=True)
    except IntegrityError:
        made_before = Customer.objects.filter(merchant=member.merchant_id, key=key).first()
        if made_before is None:
            raise
        return made_before, False
    _set_numbers(fresh, details.numbers)
    audit.record("customer added", str(key), merchant=member.merchant, person=member.person)
    return fresh, True


@customer_writer.writes
def change(*, member: Member, customer: Customer, details: Details) -> None:
    """Write what was typed over what `customer` showed. Raises Changed, Gone, PermissionDenied."""
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.EDIT_CUSTOMERS)
        [held] = hold([customer])
        before = {name: getattr(held, name) for name in PERSONAL}
        _fill(held, details)
        changed = [name for name in PERSONAL if getattr(held, name) != before[name]]
        if _set_numbers(held, details.numbers):
            changed.append("numbers")
        if changed:
            _save(held)
            audit.record(
                "customer changed",
                str(held.key),
                merchant=member.merchant,
                person=member.person,
                fields=", ".join(changed),
            )


@customer_writer.writes
def say(*, member: Member, customer: Customer, purposes: Iterable[Purpose], given: bool, source: Source) -> None:
    """Keep that the customer agreed to these purposes, or takes it back; what is so already is not said twice.

    In the caller's transaction. Raises Gone, PermissionDenied.
    """
    access.still_may(member, Permission.EDIT_CUSTOMERS)
    [held] = hold([customer], whatever_version=True)
    now = agreed(held)
    new = [purpose for purpose in purposes if now.get(purpose, False) != given]
    for purpose in new:
        Consent(
            merchant_id=held.merchant_id,
            customer=held,
            purpose=purpose,
            given=given,
            source=source,
            at=timezone.now(),
            recorded_by_id=member.person_id,
        ).save(force_insert=True)
        audit.record(
            "consent given" if given else "consent withdrawn",
            str(held.key),
            merchant=member.merchant,
            person=member.person,
            what=purpose,
            source=source,
        )
    if new:
        _save(held)


def agreed(customer: Customer) -> dict[str, bool]:
    """What the last word on each purpose was."""
    words = Consent.objects.filter(merchant=customer.merchant_id, customer=customer).order_by("at", "id")
    return dict(words.values_list("purpose", "given"))


# ---- Two that are one ---------------------------------------------------------------------------------------------
@customer_writer.writes
def merge(*, member: Member, kept: Customer, other: Customer, details: Details) -> None:
    """Make `other` a pointer to `kept`, which gets `details`, every word on consent and both histories.

    `other` keeps its own data until the person is erased, so nothing is lost. In the caller's transaction, which has
    moved the cards before. Raises Changed, Gone, PermissionDenied.
    """
    access.still_may(member, Permission.EDIT_CUSTOMERS)
    winner, loser = hold([kept, other])
    loser.merged_into = winner
    loser.version += 1
    loser.save()
    Customer.objects.filter(merchant=member.merchant_id, merged_into=loser).update(merged_into=winner)
    Consent.objects.filter(merchant=member.merchant_id, customer=loser).update(customer=winner)
    before = {name: getattr(winner, name) for name in PERSONAL}
    _fill(winner, details)
    _set_numbers(winner, details.numbers)
    _save(winner)
    changed = [name for name in PERSONAL if getattr(winner, name) != before[name]]
    audit.record(
        "customer merged",
        str(winner.key),
        merchant=member.merchant,
        person=member.person,
        other=str(loser.key),
        fields=", ".join(changed),
    )
    audit.record(
        "merged into another", str(loser.key), merchant=member.merchant, person=member.person, other=str(winner.key)
    )


# ---- Nobody any more ----------------------------------------------------------------------------------------------
@customer_writer.writes
def erase(*, member: Member, customer: Customer) -> None:
    """Empty the customer and all that were merged into it, for good.

    In the caller's transaction, which has released the cards before. Raises Changed, Gone, PermissionDenied.
    """
    access.still_may(member, Permission.ERASE_CUSTOMERS)
    [held] = hold([customer])
    merged = Customer.objects.select_for_update().filter(merchant=member.merchant_id, merged_into=held).order_by("id")
    gone = [held, *merged]
    for each in gone:
        _fill(each, Details())
        each.by_last = each.by_first = ""
        each.has_consent = False
        each.erased_at = timezone.now()
        each.version += 1
        each.save()
    Consent.objects.filter(merchant=member.merchant_id, customer__in=gone).delete()
    ProviderNumber.objects.filter(merchant=member.merchant_id, customer__in=gone).delete()
    audit.record("customer erased", str(held.key), merchant=member.merchant, person=member.person, records=len(gone))


# ---- How it is written --------------------------------------------------------------------------------------------
def hold(customers: list[Customer], *, whatever_version: bool = False) -> list[Customer]:
    """The rows themselves, locked until the end of the transaction, in the order asked for.

    Always taken in the order of their ids, so that two of us never wait for each other. Raises Gone and, unless
    whatever version will do, Changed.
    """
    rows = {
        row.pk: row
        for row in Customer.objects.select_for_update()
        .filter(merchant=customers[0].merchant_id, pk__in=[each.pk for each in customers])
        .order_by("id")
    }
    held = [rows[each.pk] for each in customers]
    if not all(row.is_live for row in held):
        raise Gone
    if not whatever_version and any(row.version != each.version for row, each in zip(held, customers, strict=True)):
        raise Changed
    return held


def _fill(customer: Customer, details: Details) -> None:
    for name in PERSONAL:
        setattr(customer, name, getattr(details, name))
    last, first = contact.fold(details.last_name), contact.fold(details.first_name)
    reachable = details.email or details.phone  # nobody stands at the top of the list for having no name
    customer.by_last = (f"{last} {first}".strip() or reachable)[:KEY_LENGTH]
    customer.by_first = (f"{first} {last}".strip() or reachable)[:KEY_LENGTH]


def _save(customer: Customer) -> None:
    customer.version += 1
    customer.has_consent = any(agreed(customer).values())
    customer.save()


def _set_numbers(customer: Customer, numbers: Mapping[int, str]) -> bool:
    """Bring the numbers at providers to these; an empty one is taken away. Whether anything changed."""
    mine = ProviderNumber.objects.filter(merchant=customer.merchant_id, customer=customer)
    stored = dict(mine.values_list("connection_id", "number"))
    wanted = {connection: number for connection, number in numbers.items() if number}
    if stored == wanted:
        return False
    mine.delete()
    for connection, number in wanted.items():
        ProviderNumber(
            merchant_id=customer.merchant_id, customer=customer, connection_id=connection, number=number
        ).save(force_insert=True)
    return True
