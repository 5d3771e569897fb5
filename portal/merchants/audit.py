"""The append-only trail: who did what, when, from where, and what it was before and after.

The database refuses to change or delete a line, for us as for anyone with our login. Lines are read newest first, by
the moment and then by their number; each filter has an index of its own in that order.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from portal.merchants import tenancy
from portal.merchants.models import AuditEntry, Member, Merchant, Person
from portal.middleware import client_address, current_request_id

Value = str | int | bool | None
_waiting: ContextVar[list[AuditEntry] | None] = ContextVar("lines that wait", default=None)


def record(
    verb: str,
    subject: str,
    *,
    merchant: Merchant | None,
    person: Person | None = None,
    request: HttpRequest | None = None,
    changes: Mapping[str, tuple[Value, Value]] | None = None,
    **detail: Value,
) -> AuditEntry:
    """Write one line and return it. `verb` is ours (`connection paused`) and has its words in desk/trail_words.py;
    `subject` names the thing. Neither these nor `detail` ever hold a card number or a secret.

    `changes` says for each thing that changed what it was and what it is now: `{"role": ("cashier", "manager")}`; a
    pair of equals is left out. Without a person the machine itself is meant.
    """
    changed = {name: [before, after] for name, (before, after) in (changes or {}).items() if before != after}
    line = AuditEntry(
        merchant=merchant,
        person=person,
        verb=verb,
        subject=subject[:200],
        address=client_address(request) if request else None,
        request_id=current_request_id(),
        detail=detail | ({"changes": changed} if changed else {}),
    )
    waiting = _waiting.get()
    if waiting is not None:
        waiting.append(line)
    else:
        _write(line)
    return line


def _write(line: AuditEntry) -> None:
    if line.merchant_id is None:
        with tenancy.every_merchant("a line of the trail about no merchant is the administrators'"):
            line.save(force_insert=True)
    else:
        line.save(force_insert=True)


@contextmanager
def written_afterwards() -> Iterator[None]:
    """Lines recorded within this block are written when it ends, whichever way: for where nothing may be written."""
    lines: list[AuditEntry] = []
    before = _waiting.set(lines)
    try:
        yield
    finally:
        _waiting.reset(before)
        for line in lines:
            _write(line)


LOOKED = "administrator looked"
LOOKED_AGAIN_AFTER = timedelta(hours=1)


def looked(subject: str, *, merchants: Collection[int], request: HttpRequest) -> None:
    """An administrator looked at something of these merchants: a line for each of them, at most one an hour about the
    same thing, so that turning pages does not bury what was done."""
    person = cast(Person, request.user)
    lately = AuditEntry.objects.filter(
        merchant__in=merchants,
        subject=subject[:200],
        at__gt=timezone.now() - LOOKED_AGAIN_AFTER,
        person=person,
        verb=LOOKED,
    )
    known = set(lately.values_list("merchant", flat=True)) if merchants else set()
    AuditEntry.objects.bulk_create(
        AuditEntry(
            merchant_id=merchant,
            person=person,
            verb=LOOKED,
            subject=subject[:200],
            address=client_address(request),
            request_id=current_request_id(),
        )
        for merchant in sorted(set(merchants) - known)
    )


# ---- Reading --------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Which:
    """Which lines are wanted; what is None or empty does not matter. `until` is the first moment that is too late."""

    person: int | None = None
    machine: bool = False
    verbs: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


def newest(merchant: Merchant, which: Which, *, before: AuditEntry | None = None) -> QuerySet[AuditEntry]:
    """Lines of the merchant, newest first, older than `before`. The caller takes as many as it needs."""
    rows = AuditEntry.objects.filter(merchant=merchant).select_related("person").order_by("-at", "-id")
    if which.machine:
        rows = rows.filter(person=None)
    elif which.person is not None:
        rows = rows.filter(person=which.person)
    if which.verbs:
        rows = rows.filter(verb__in=which.verbs)
    if which.subjects:
        rows = rows.filter(subject__in=which.subjects)
    if which.since is not None:
        rows = rows.filter(at__gte=which.since)
    if which.until is not None:
        rows = rows.filter(at__lt=which.until)
    if before is not None:
        # Bound first, then the equals taken out: a range the index can begin at, which a pair of ORs is not.
        rows = rows.filter(at__lte=before.at).exclude(at=before.at, id__gte=before.pk)
    return rows


# Who appears at all, by stepping through the index from one person to the next: a DISTINCT would read every line.
_PEOPLE = """
WITH RECURSIVE seen (person_id) AS (
    SELECT 0::bigint
    UNION ALL
    SELECT (SELECT person_id FROM merchants_auditentry
            WHERE merchant_id = %(merchant)s AND person_id > seen.person_id ORDER BY person_id LIMIT 1)
    FROM seen WHERE seen.person_id IS NOT NULL
)
SELECT person_id FROM seen WHERE person_id > 0
"""


def people(merchant: Merchant) -> list[Person]:
    """Everybody who works here or did something here, those who have left included, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"merchant": merchant.pk})
        found = {row[0] for row in cursor.fetchall()}
    found |= set(Member.objects.filter(merchant=merchant).values_list("person", flat=True))
    return list(Person.objects.filter(pk__in=found).order_by("name", "id"))
