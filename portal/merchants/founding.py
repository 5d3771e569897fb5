"""Founding a merchant: the row, its place in our addresses, its first store, and the founder as its owner."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.text import slugify

from portal.merchants import audit, tenancy
from portal.merchants.models import Member, Merchant, Person, Store
from portal.merchants.roles import Role

# The same name by the same person so soon after is a second press of the button, not a second shop.
ONE_PRESS = timedelta(minutes=1)
MOST = 20  # merchants one person owns; more is a mistake or a flood


class TooMany(Exception):
    """This person owns as many merchants as anybody may."""


def found(
    *,
    founder: Person,
    name: str,
    country: str,
    currency: str,
    time_zone: str,
    language: str,
    store: str = "",
    request: HttpRequest | None = None,
) -> Merchant:
    """A new merchant with `founder` as its owner, and its first store where `store` names one.

    `country` is ISO 3166, `currency` ISO 4217, `time_zone` IANA. Asked twice within a minute it is one merchant.
    Raises TooMany.
    """
    with transaction.atomic(durable=True):
        Person.objects.select_for_update(no_key=True).get(pk=founder.pk)  # two presses, one after the other
        if (already := _just_founded(founder, name)) is not None:
            return already
        number = _next_number()
        with tenancy.merchant(number):
            merchant = _insert(
                Merchant(
                    id=number, name=name, country=country, currency=currency, time_zone=time_zone, language=language
                )
            )
            Member.objects.create(merchant=merchant, person=founder, role=Role.OWNER)
            if store:
                Store.objects.create(merchant=merchant, name=store)
            audit.record("merchant founded", name, merchant=merchant, person=founder, request=request)
    return merchant


def _just_founded(founder: Person, name: str) -> Merchant | None:
    with tenancy.memberships_of(founder.pk):
        owned = Merchant.objects.filter(member__person=founder, member__role=Role.OWNER)
        recent = owned.filter(name=name, founded_at__gt=Now() - ONE_PRESS).first()
        if recent is None and owned.count() >= MOST:
            raise TooMany
        return recent


def _next_number() -> int:
    """The row's id before the row: within its own merchant's context it may be written, and no other row may."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('merchants_merchant', 'id'))")
        return int(cursor.fetchone()[0])


def _insert(merchant: Merchant) -> Merchant:
    """Save it under the first of its possible slugs that nobody has. Others' slugs cannot be looked at from here, but
    the database refuses them."""
    for slug in _slugs(merchant.name):
        merchant.slug = slug
        try:
            with transaction.atomic():
                merchant.save(force_insert=True)
        except IntegrityError as taken:
            if "slug" not in str(taken):
                raise
        else:
            return merchant
    raise AssertionError("unreachable: the slugs do not end")


def _slugs(name: str) -> Iterator[str]:
    base = slugify(name)[:40].strip("-_") or "shop"
    yield base
    yield from (f"{base}-{number}" for number in range(2, 6))
    while True:
        yield f"{base}-{secrets.token_hex(3)}"
