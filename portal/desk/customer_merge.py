"""Two records of one person: found, laid side by side, chosen from field by field, and made one."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from portal import formats
from portal.customers import book, finding, words
from portal.customers.book import Details
from portal.customers.models import PERSONAL, Consent, Customer, ProviderNumber, Purpose
from portal.desk.customer import live
from portal.desk.customers import denied, found_by, lines
from portal.ledger import holders
from portal.merchants import audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission

KEPT, OTHER = "kept", "other"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One field of two records. Where they differ, somebody chooses; `chosen` is kept or other."""

    name: str
    label: str
    kept: str
    other: str
    chosen: str

    @property
    def differs(self) -> bool:
        """Whether there is anything to choose."""
        return self.kept != self.other


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.EDIT_CUSTOMERS)
def merge(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Find the other record (`q`), compare the two (`other`), and make them one (`confirmed`)."""
    kept = live(request, key)
    if kept is None:
        return redirect("customer", request.merchant.slug, key)
    other = _other(request, kept)
    if other is None:
        return _find(request, kept)
    if "confirmed" not in request.POST:
        return _compare(request, kept, other)
    kept.version, other.version = (_version(request, name) for name in ("kept_version", "other_version"))
    try:
        holders.merge(member=request.member, kept=kept, other=other, details=_details(request, kept, other))
    except book.Changed:
        fresh = live(request, key)
        again = _other(request, kept)
        if fresh is None or again is None:
            return redirect("customer", request.merchant.slug, key)
        return _compare(request, fresh, again, changed=True, status=409)
    except book.Gone:
        messages.error(request, gettext("One of the two was merged or erased meanwhile. Nothing was changed."))
        return redirect("customer", request.merchant.slug, key)
    except PermissionDenied:
        return denied(request, Permission.EDIT_CUSTOMERS)
    messages.success(request, gettext("The two records are one. Links to the other one lead here."))
    return redirect("customer", request.merchant.slug, kept.key)


def _other(request: StaffRequest, kept: Customer) -> Customer | None:
    """The record to merge, None where none was chosen yet; one of another merchant was never there."""
    try:
        key = uuid.UUID(request.POST.get("other", ""))
    except ValueError:
        return None
    found = Customer.objects.filter(merchant=request.merchant, key=key).first()
    if found is None:
        audit.record("customer not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found if found.is_live and found.pk != kept.pk else None


def _version(request: StaffRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


# ---- First: which one ---------------------------------------------------------------------------------------------
def _find(request: StaffRequest, kept: Customer) -> HttpResponse:
    typed = request.POST.get("q", "").strip()
    if typed:
        rows = finding.page(found_by(request, typed).exclude(pk=kept.pk), sort="name", after=None)
    else:  # who has the same address is the likeliest
        rows = finding.same_address(request.merchant, email=kept.email, phone=kept.phone, but=kept)
    page = {
        "customer": kept,
        "name": words.name(kept),
        "typed": typed[: finding.LONGEST],
        "lines": lines(request, rows[: finding.PAGE]),
        "more": len(rows) > finding.PAGE,
        "back_url": reverse("customer", args=[request.merchant.slug, kept.key]),
    }
    return render(request, "customers/merge_find.html", page)


# ---- Then: what of each -------------------------------------------------------------------------------------------
def _compare(
    request: StaffRequest, kept: Customer, other: Customer, *, changed: bool = False, status: int = 200
) -> HttpResponse:
    choices = [*_personal(request, kept, other), *_numbers(request, kept, other)]
    cards = {row.pk: [formats.masked(card.last_four) for card in holders.cards_of(row)] for row in (kept, other)}
    page = {
        "kept": kept,
        "other": other,
        "kept_name": words.name(kept),
        "other_name": words.name(other),
        "choices": [each for each in choices if each.differs],
        "alike": [each for each in choices if not each.differs and each.kept],
        "kept_cards": cards[kept.pk],
        "other_cards": cards[other.pk],
        "consent": _consent_after(kept, other),
        "changed": changed,
        "back_url": reverse("customer", args=[request.merchant.slug, kept.key]),
        "time_zone": request.merchant.time_zone,
    }
    return render(request, "customers/merge.html", page, status=status)


def _picked(request: StaffRequest, name: str, kept: str, other: str) -> str:
    """What was chosen; unless somebody says otherwise what is kept stays, and what it lacks is filled in."""
    said = request.POST.get(f"pick_{name}", "")
    return said if said in (KEPT, OTHER) else KEPT if kept or not other else OTHER


def _personal(request: StaffRequest, kept: Customer, other: Customer) -> list[Choice]:
    return [
        Choice(
            name=name,
            label=str(words.LABELS[name]),
            kept=words.value(kept, name),
            other=words.value(other, name),
            chosen=_picked(request, name, getattr(kept, name), getattr(other, name)),
        )
        for name in PERSONAL
    ]


def _numbers(request: StaffRequest, kept: Customer, other: Customer) -> list[Choice]:
    """The numbers at each connection where one of the two has one."""
    rows = ProviderNumber.objects.filter(merchant=request.merchant, customer__in=[kept, other])
    found: dict[int, dict[int, str]] = {}
    names: dict[int, tuple[str, str]] = {}
    for row in rows.select_related("connection").order_by("connection__name", "id"):
        found.setdefault(row.connection_id, {})[row.customer_id] = row.number
        names[row.connection_id] = (row.connection.key.hex, row.connection.name)
    return [
        Choice(
            name=f"number_{names[connection][0]}",
            label=gettext("Number at %(connection)s") % {"connection": names[connection][1]},
            kept=(mine := numbers.get(kept.pk, "")),
            other=(theirs := numbers.get(other.pk, "")),
            chosen=_picked(request, f"number_{names[connection][0]}", mine, theirs),
        )
        for connection, numbers in found.items()
    ]


def _details(request: StaffRequest, kept: Customer, other: Customer) -> Details:
    """What the one record will hold."""
    of: dict[str, Callable[[Choice], str]] = {KEPT: lambda each: each.kept, OTHER: lambda each: each.other}
    chosen = {each.name: kept if each.chosen == KEPT else other for each in _personal(request, kept, other)}
    connections = {each.key.hex: each.pk for each in request.connections}
    return Details(
        **{name: getattr(row, name) for name, row in chosen.items()},
        numbers={
            connections[each.name.removeprefix("number_")]: of[each.chosen](each)
            for each in _numbers(request, kept, other)
        },
    )


def _consent_after(kept: Customer, other: Customer) -> list[tuple[str, Consent]]:
    """The last word on each purpose, whichever record it stands at."""
    said = Consent.objects.filter(merchant=kept.merchant_id, customer__in=[kept, other]).order_by("at", "id")
    last = {word.purpose: word for word in said}
    return [(str(label), last[value]) for value, label in Purpose.choices if value in last]
