"""How much each role moves alone, and from where on a decision by hand takes two people. The only writer of limits.

A limit is one number per role and kind of operation: minor units of the merchant's currency, or points. At a connection
in another currency the same number holds in that currency (100.00 is €100.00 and $100.00): nothing is ever converted,
and a new connection is never without a limit because nobody thought of its currency.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from portal.ledger.models import Approval, Limit, Operation, limit_writer
from portal.merchants import access, audit, standing
from portal.merchants.models import Member, Merchant, Person
from portal.merchants.roles import Permission, Role
from portal.money import Money, minor_digits

POINTS = ("issue_points", "redeem_points")
# The kinds of operation that have an amount, in the order people read them.
VERBS = ("pay", "top_up", "sale", "void", "tip", "award", *POINTS)

# What is a way around another's limit keeps within that: a code gives the points for a purchase, too.
_WITHIN = {"issue_code": "award"}

Table = Mapping[tuple[str, str], int]
"""What stands: the most, by role and verb."""


class ChangedMeanwhile(Exception):
    """Somebody else changed the limits after this page was drawn. Nothing was written."""


# ---- What holds -------------------------------------------------------------------------------------------------
def may_alone(merchant: Merchant, role: str, row: Operation | Approval) -> bool:
    """Whether this role may have `row` done without anybody else's word. Asks the database, each time."""
    return exceeded(row, merchant, lambda verb: of(merchant, role, verb)) is None


def exceeded(row: Operation | Approval, merchant: Merchant, limit_of: Callable[[str], int | None]) -> int | None:
    """The limit that `row` lies above, None where it lies within all of them. `limit_of` says one as `of` returns it.

    What a sale loads onto the card has to keep within the limit of adding money, too: otherwise a sale would be the way
    around it.
    """
    limit = limit_of(_WITHIN.get(row.verb, row.verb))
    if limit is not None and _beyond(row, limit, merchant) > 0:
        return limit
    most = limit_of("top_up") if row.load_minor else None
    if most is not None and (row.load_minor or 0) * _parts(merchant.currency) > most * _parts(row.currency):
        return most
    return None


def of(merchant: Merchant, role: str, verb: str) -> int | None:
    """The most this role moves alone, as a number of the merchant's currency or of points; None: any."""
    return Limit.objects.filter(merchant=merchant, role=role, verb=verb).values_list("most", flat=True).first()


def wants_two(merchant: Merchant, row: Operation) -> bool:
    """Whether two people have to say what became of it."""
    limit = second_person_from(merchant, row)
    return limit is not None and _beyond(row, limit, merchant) >= 0


def second_person_from(merchant: Merchant, row: Operation) -> int | None:
    """From where on a decision about `row` takes two: a number of its own kind, or None."""
    return merchant.second_person_from if row.points is None else merchant.second_person_from_points


def table(merchant: Merchant) -> dict[tuple[str, str], int]:
    """All limits of the merchant."""
    rows = Limit.objects.filter(merchant=merchant, role__in=Role.values, verb__in=VERBS)
    return {(role, verb): most for role, verb, most in rows.values_list("role", "verb", "most")}


def at(currency: str, limit: int, merchant: Merchant) -> Money:
    """The limit as it holds at a connection in `currency`: the same number, rounded down to what there is."""
    return Money(limit * _parts(currency) // _parts(merchant.currency), currency)


def _beyond(row: Operation | Approval, limit: int, merchant: Merchant) -> int:
    """How far the row's number lies above the limit's; only its sign means anything. What has no amount is nothing."""
    if row.points is not None:
        return row.points - limit
    if row.amount_minor is None:
        return -1
    return row.amount_minor * _parts(merchant.currency) - limit * _parts(row.currency)


def _parts(currency: str) -> int:
    """How many minor units make one."""
    return int(10 ** minor_digits(currency))


# ---- Setting them -----------------------------------------------------------------------------------------------
def mark(merchant: Merchant) -> str:
    """A short word for exactly the limits that stand now: a page keeps it to notice that they changed meanwhile."""
    stands = [sorted(table(merchant).items()), merchant.second_person_from, merchant.second_person_from_points]
    return hashlib.sha256(repr(stands).encode()).hexdigest()[:16]


@limit_writer.writes
def change(
    *,
    member: Member,
    wanted: Mapping[tuple[str, str], int | None],
    second_person_from: int | None,
    second_person_from_points: int | None,
    seen: str,
    request: HttpRequest | None = None,
) -> int:
    """Set all of them; returns how many changed. Each change is a line in the trail, before and after.

    Raises ChangedMeanwhile where `seen` is not the mark of what stands, PermissionDenied.
    """
    with transaction.atomic(durable=True):
        access.still_may(member, Permission.SET_LIMITS)
        two = (second_person_from, second_person_from_points)
        return _change(member.merchant_id, wanted, two, seen, person=member.person, request=request)


@limit_writer.writes
def change_for(
    merchant: Merchant,
    *,
    by: Person,
    reason: str,
    wanted: Mapping[tuple[str, str], int | None],
    second_person_from: int | None,
    second_person_from_points: int | None,
    seen: str,
    request: HttpRequest | None = None,
) -> int:
    """The same by an administrator, for a reason that stands in the trail, too."""
    with transaction.atomic(durable=True):
        standing.still_administers(by)
        two = (second_person_from, second_person_from_points)
        return _change(merchant.pk, wanted, two, seen, person=by, request=request, reason=reason)


def _change(
    merchant_id: int,
    wanted: Mapping[tuple[str, str], int | None],
    two: tuple[int | None, int | None],
    seen: str,
    *,
    person: Person,
    request: HttpRequest | None,
    **why: Any,
) -> int:
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=merchant_id)
    if mark(merchant) != seen:
        raise ChangedMeanwhile
    stands = table(merchant)
    changes = [(name, stands.get(name), most) for name, most in wanted.items() if most != stands.get(name)]
    for (role, verb), _before, after in changes:
        if after is None:
            Limit.objects.filter(merchant=merchant, role=role, verb=verb).delete()
        else:
            Limit.objects.update_or_create(merchant=merchant, role=role, verb=verb, defaults={"most": after})
    told = [(f"{role}: {verb}", verb in POINTS, before, after) for (role, verb), before, after in changes]
    told += [
        ("second person", False, merchant.second_person_from, two[0]),
        ("second person: points", True, merchant.second_person_from_points, two[1]),
    ]
    told = [line for line in told if line[2] != line[3]]
    for subject, counts, before, after in told:
        audit.record(
            "limit changed",
            subject,
            merchant=merchant,
            person=person,
            request=request,
            before=_plain(before, counts, merchant),
            after=_plain(after, counts, merchant),
            **why,
        )
    merchant.second_person_from, merchant.second_person_from_points = two
    merchant.save(update_fields=["second_person_from", "second_person_from_points"])
    return len(told)


@limit_writer.writes
def begin_with(merchant: Merchant, most: Mapping[tuple[str, str], int]) -> None:
    """Give a merchant that is just being made its first limits; nobody has set them, so the trail says nothing."""
    Limit.objects.bulk_create(
        Limit(merchant=merchant, role=role, verb=verb, most=limit) for (role, verb), limit in most.items()
    )


def _plain(limit: int | None, counts: bool, merchant: Merchant) -> str | None:
    if limit is None:
        return None
    return str(limit) if counts else f"{Money(limit, merchant.currency).decimal_text()} {merchant.currency}"
