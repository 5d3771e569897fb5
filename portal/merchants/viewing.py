"""View as: an administrator looks at a merchant's pages, for a while, for a reason, and changes nothing.

What they see is what the role Read-only sees. Two walls keep them from changing anything: `access.member` refuses every
request that is not safe, and the database refuses to write while a page is made. The merchant's owners get a mail when
it begins; every page opened is a line in the merchant's trail. Which merchant it is, and until when, stands in the
administrator's session.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.merchants import audit, owners, tenancy
from portal.merchants.fields import one_line
from portal.merchants.models import Member, Merchant, Person
from portal.merchants.roles import Permission, Role, held

_KEY = "viewing"
# Leaving is for members.
OPEN = held(Role.READ_ONLY) - {Permission.LEAVE}
SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, kw_only=True)
class Viewing:
    """One look at one merchant; `until` is the moment it is over."""

    merchant: int
    slug: str
    until: datetime

    @property
    def is_over(self) -> bool:
        return self.until <= timezone.now()


def begin(request: HttpRequest, merchant: Merchant, *, reason: str) -> Viewing:
    """Begin to look, and let the owners know, in one transaction. The caller made sure that this is an administrator;
    it is looked at again with every page."""
    person = cast(Person, request.user)
    until = time.time() + settings.VIEW_AS_SECONDS
    with tenancy.merchant(merchant.pk), transaction.atomic():
        audit.record(
            "view as begun",
            merchant.name,
            merchant=merchant,
            person=person,
            request=request,
            reason=reason,
            minutes=settings.VIEW_AS_SECONDS // 60,
        )
        _tell(merchant, administrator=person, reason=reason, until=_moment(until))
    request.session[_KEY] = {"merchant": merchant.pk, "slug": merchant.slug, "until": until, "page": ""}
    return Viewing(merchant=merchant.pk, slug=merchant.slug, until=_moment(until))


def of(request: HttpRequest) -> Viewing | None:
    """The look that this session has begun, over or not; nobody but an administrator has one."""
    kept = request.session.get(_KEY) if request.user.is_authenticated and request.user.is_staff else None
    return Viewing(merchant=kept["merchant"], slug=kept["slug"], until=_moment(kept["until"])) if kept else None


def end(request: HttpRequest) -> Viewing | None:
    """Stop looking. Returns what it was, or None where nobody looked."""
    viewing = of(request)
    if viewing is None:
        return None
    with tenancy.merchant(viewing.merchant):
        merchant = Merchant.objects.filter(pk=viewing.merchant).first()
        if merchant is not None:
            person = cast(Person, request.user)
            audit.record("view as ended", merchant.name, merchant=merchant, person=person, request=request)
    del request.session[_KEY]
    return viewing


def onlooker(viewing: Viewing, person: Person) -> Member | None:
    """The administrator as a member in the role Read-only: never a row, and never saved. None where the merchant has
    gone."""
    with tenancy.merchant(viewing.merchant):
        merchant = Merchant.objects.filter(pk=viewing.merchant).first()
    return Member(merchant=merchant, person=person, role=Role.READ_ONLY) if merchant is not None else None


def refused(request: HttpRequest, merchant: Merchant) -> str:
    """The words for somebody who looks and tried to change something, which is a line in the trail."""
    audit.record(
        "change by onlooker refused",
        request.path,
        merchant=merchant,
        person=cast(Person, request.user),
        request=request,
    )
    return _("You look at %(merchant)s as an administrator; nothing can be changed.") % {"merchant": merchant.name}


def note(request: HttpRequest, merchant: Merchant) -> None:
    """A page was opened: a line in the merchant's trail. What a page fetches for itself, again and again, is none."""
    kept = request.session[_KEY]
    if getattr(request, "htmx", False) and kept["page"] == request.path:
        return
    request.session[_KEY] = kept | {"page": request.path}
    audit.record("page viewed", request.path, merchant=merchant, person=cast(Person, request.user), request=request)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Within this block the database refuses to write, whoever asks it to. Lines of the trail wait until it ends."""
    with audit.written_afterwards(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _tell(merchant: Merchant, *, administrator: Person, reason: str, until: datetime) -> None:
    def write(owner: Person) -> tuple[str, str]:
        words = {
            "owner": one_line(owner.name),
            "merchant": one_line(merchant.name),
            "administrator": one_line(administrator.name),
            "reason": one_line(reason),
            "until": until,
            "zone": merchant.time_zone,
        }
        return _("An administrator looks at %(merchant)s") % words, render_to_string(
            "merchants/viewing_mail.txt", words
        )

    owners.tell(merchant, write)
