"""Finding customers: one box for a name, an e-mail address, a telephone number or the last four of a card.

Prefixes are ranges, not LIKE: under row-level security PostgreSQL looks at the policy before an operator that might
tell of rows it must not show, and LIKE is one, so it could use no index. All is plain text: no sign has a meaning.
"""

import re
from collections.abc import Callable

from django.db.models import Q, QuerySet

from portal.customers import contact
from portal.customers.models import LIVE, Customer
from portal.merchants.models import Merchant

PAGE = 25
LONGEST = 254  # an e-mail address; nothing longer is looked for
LAST = "\U0010ffff"
SORTS = ("name", "newest")


def live(merchant: Merchant, *, consenting_only: bool) -> QuerySet[Customer]:
    """The merchant's customers, without those merged and erased."""
    mine = Customer.objects.filter(LIVE, merchant=merchant)
    return mine.filter(has_consent=True) if consenting_only else mine


def matching(
    rows: QuerySet[Customer], typed: str, *, region: str, holders: Callable[[str], list[int]] | None
) -> QuerySet[Customer]:
    """Those who are meant by what was typed. `holders` tells the ids of those who hold cards that end so; None where
    cards are not looked at. As ids and not as a query of its own: then one index each, together, finds them all."""
    text = contact.fold(contact.one_line(typed[:LONGEST]))
    if not text:
        return rows
    wanted = _begins("by_last", text) | _begins("by_first", text) | _begins("email", text)
    if number := contact.phone_beginning(text, region):
        wanted |= _begins("phone", number)
    if holders is not None and re.fullmatch("[0-9a-z]{4}", text):
        wanted |= Q(pk__in=holders(text))
    return rows.filter(wanted)


def page(rows: QuerySet[Customer], *, sort: str, after: Customer | None, size: int = PAGE) -> list[Customer]:
    """The next customers after this one, and one more where there is a further page."""
    if sort == "newest":
        if after is not None:
            rows = rows.filter(id__lt=after.pk)
        return list(rows.order_by("-id")[: size + 1])
    if after is not None:
        further = Q(by_last__gt=after.by_last) | Q(by_last=after.by_last, id__gt=after.pk)
        rows = rows.filter(further, by_last__gte=after.by_last)
    return list(rows.order_by("by_last", "id")[: size + 1])


def same_address(merchant: Merchant, *, email: str, phone: str, but: Customer | None) -> list[Customer]:
    """Others with this e-mail address or telephone number, a few of them."""
    same = Q()
    if email:
        same |= Q(email=email)
    if phone:
        same |= Q(phone=phone)
    if not same:
        return []
    return list(
        live(merchant, consenting_only=False).filter(same).exclude(pk__in=[but.pk] if but else []).order_by("id")[:3]
    )


def _begins(column: str, text: str) -> Q:
    return Q(**{f"{column}__gte": text, f"{column}__lt": text + LAST})
