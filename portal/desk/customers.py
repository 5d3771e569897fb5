"""Customers: finding one, making one, and taking the list away as a file.

What is looked for travels in the body of a post: names and addresses have no place in a browser's history or in the
log of a server.
"""

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from portal import formats
from portal.customers import contact, files, finding, words
from portal.customers.forms import CustomerForm, NewCustomerForm, SearchForm
from portal.customers.models import Customer, Purpose, Source
from portal.ledger import holders
from portal.ledger.models import Card
from portal.merchants import accounts, audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection
from portal.merchants.roles import Permission, may, who_can


@dataclass(frozen=True, kw_only=True)
class Line:
    """One customer in a list. A cashier sees whom, and too little to carry the addresses away."""

    key: uuid.UUID
    url: str
    name: str
    email: str
    phone: str
    cards: str
    has_consent: bool


# ---- The list -----------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_CONSENTING_CUSTOMERS)
def customers(request: StaffRequest) -> HttpResponse:
    """A page of customers, all or those that are looked for; `after` names the last one of the page before."""
    asked = request.POST if request.method == "POST" else request.GET
    typed = SearchForm(request.POST).data.get("q", "").strip() if request.method == "POST" else ""
    sort = asked.get("sort", "")
    sort = sort if sort in finding.SORTS else finding.SORTS[0]
    after = _after(request, asked.get("after", ""))
    rows = finding.page(found_by(request, typed), sort=sort, after=after)
    role = request.member.role
    page = {
        "lines": lines(request, rows[: finding.PAGE]),
        "after": rows[finding.PAGE - 1].key if len(rows) > finding.PAGE else None,
        "first_page": after is None,
        "typed": typed[: finding.LONGEST],
        "sort": sort,
        "sees_cards": may(role, Permission.SEE_CUSTOMERS),
        "may_add": may(role, Permission.EDIT_CUSTOMERS),
        "may_export": may(role, Permission.EXPORT_CUSTOMERS),
        "limit": "" if may(role, Permission.SEE_CUSTOMERS) else who_can(Permission.SEE_CUSTOMERS),
    }
    return render(request, "customers/list.html", page)


def found_by(request: StaffRequest, typed: str) -> QuerySet[Customer]:
    """The customers this member may see and has asked for."""
    sees_all = may(request.member.role, Permission.SEE_CUSTOMERS)
    rows = finding.live(request.merchant, consenting_only=not sees_all)
    return finding.matching(
        rows,
        typed,
        region=region(request),
        holders=(lambda last_four: holders.who_hold(request.merchant, last_four)) if sees_all else None,
    )


def lines(request: StaffRequest, rows: list[Customer]) -> list[Line]:
    """Customers as they stand in a list."""
    whole = may(request.member.role, Permission.EXPORT_CUSTOMERS)
    cards = _cards(request, rows) if may(request.member.role, Permission.SEE_CUSTOMERS) else {}
    return [
        Line(
            key=row.key,
            url=reverse("customer", args=[request.merchant.slug, row.key]),
            name=_name_in_list(row, whole=whole),
            email=contact.show_email(row.email) if whole else words.masked_email(row.email),
            phone=contact.show_phone(row.phone) if whole else words.masked_phone(row.phone),
            cards=" ".join(cards.get(row.pk, [])),
            has_consent=row.has_consent,
        )
        for row in rows
    ]


def _name_in_list(row: Customer, *, whole: bool) -> str:
    has_name = row.first_name or row.last_name
    if has_name or whole:
        return words.name(row)
    return words.masked_email(row.email) or words.masked_phone(row.phone)


def _cards(request: StaffRequest, rows: list[Customer]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    held = Card.objects.filter(merchant=request.merchant, customer__in=rows).order_by("id")
    for holder, last_four in held.values_list("customer_id", "last_four"):
        found.setdefault(holder or 0, []).append(formats.masked(last_four))
    return found


def _after(request: StaffRequest, text: str) -> Customer | None:
    try:
        key = uuid.UUID(text)
    except ValueError:
        return None
    # Also one that was merged or erased meanwhile: an erased one has lost its place, so the list begins anew.
    row = Customer.objects.filter(merchant=request.merchant, key=key).first()
    return row if row is not None and row.erased_at is None else None


# ---- A file of all ------------------------------------------------------------------------------------------------
@require_POST
@member(Permission.EXPORT_CUSTOMERS)
def export(request: StaffRequest) -> HttpResponse | StreamingHttpResponse:
    """All customers as a table for a spreadsheet, written while it is sent."""
    accounts.require_recent_proof(request)
    count = finding.live(request.merchant, consenting_only=False).count()
    audit.record(
        "customers exported",
        "all customers",
        merchant=request.merchant,
        person=request.person,
        request=request,
        rows=count,
    )
    answer = StreamingHttpResponse(files.table(request.merchant), content_type="text/csv; charset=utf-8")
    day = timezone.localdate().isoformat()
    answer["Content-Disposition"] = f'attachment; filename="customers-{request.merchant.slug}-{day}.csv"'
    answer["Cache-Control"] = "no-store, private"
    return answer


# ---- A new one ----------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.EDIT_CUSTOMERS)
def new(request: StaffRequest) -> HttpResponse:
    """Make a customer, and give them the card they came with (`card`), if they came with one."""
    asked = request.POST if request.method == "POST" else request.GET
    card = _card(request, asked.get("card", ""))
    offered = connections(request)
    if request.method != "POST":
        form = NewCustomerForm(initial={"key": uuid.uuid4()}, region=region(request), connections=offered)
        return _new_page(request, form, card)
    form = NewCustomerForm(request.POST, region=region(request), connections=offered)
    made_before = _made_before(request, asked.get("key", ""))
    if made_before is not None:  # pressed twice, or a form from the history: the first press counts
        return _made(request, made_before, card)
    if not form.is_valid():
        return _new_page(request, form, card, status=422)
    if warned := same(request, form, but=None):
        return _new_page(request, form, card, warned=warned)
    try:
        customer, made = holders.add(
            member=request.member,
            key=form.cleaned_data["key"],
            details=form.details(),
            agreement=holders.Agreement(
                purposes=[Purpose(each) for each in form.cleaned_data["purposes"]],
                source=Source(form.cleaned_data["source"] or Source.AT_THE_TILL),
            ),
            card=card,
        )
    except holders.OthersCard:
        form.add_error(None, gettext("Somebody else holds this card by now. Look at the card first."))
        return _new_page(request, form, card, status=422)
    except PermissionDenied:
        return denied(request, Permission.EDIT_CUSTOMERS)
    if made:
        messages.success(request, gettext("The customer is kept."))
    return _made(request, customer, card)


def _made(request: StaffRequest, customer: Customer, card: Card | None) -> HttpResponse:
    if card is not None:
        return redirect("card", request.merchant.slug, card.key)
    return redirect("customer", request.merchant.slug, customer.key)


def _new_page(
    request: StaffRequest,
    form: NewCustomerForm,
    card: Card | None,
    *,
    warned: list[Customer] | None = None,
    status: int = 200,
) -> HttpResponse:
    page = {
        "form": form,
        "card": card,
        "warned": lines(request, warned or []),
        "warned_keys": keys_of(warned or []),
        "back_url": reverse("card", args=[request.merchant.slug, card.key])
        if card
        else reverse("customers", args=[request.merchant.slug]),
        "sandbox_shown": card is not None and card.connection.environment == "sandbox",
    }
    return render(request, "customers/new.html", page, status=status)


def same(request: StaffRequest, form: CustomerForm, *, but: Customer | None) -> list[Customer]:
    """Others with the same address, unless just these were shown beside the warning and it is meant all the same."""
    others = finding.same_address(
        request.merchant, email=form.cleaned_data["email"], phone=form.cleaned_data["phone"], but=but
    )
    return [] if form.cleaned_data["anyway"] == keys_of(others) else others


def keys_of(rows: list[Customer]) -> str:
    """A short name for exactly these."""
    return " ".join(row.key.hex for row in rows)


def _made_before(request: StaffRequest, text: str) -> Customer | None:
    try:
        key = uuid.UUID(text)
    except ValueError:
        return None
    return Customer.objects.filter(merchant=request.merchant, key=key).first()


def _card(request: StaffRequest, text: str) -> Card | None:
    """The card of that key; a foreign or made-up one is a wrong address like any other."""
    if not text:
        return None
    try:
        key = uuid.UUID(text)
    except ValueError:
        raise Http404 from None
    found = Card.objects.select_related("connection").filter(merchant=request.merchant, key=key).first()
    if found is None:
        audit.record("card not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found


# ---- What the other customer pages need, too ----------------------------------------------------------------------
def region(request: StaffRequest) -> str:
    """The country whose telephone numbers are typed without their code."""
    return request.merchant.country or contact.region_of(request.merchant.time_zone)


def connections(request: StaffRequest) -> list[Connection]:
    """The merchant's connections, by name."""
    return list(request.merchant.connection_set.order_by("name", "id"))


def denied(request: StaffRequest, permission: Permission) -> HttpResponse:
    """Removed or lowered between the page and the press."""
    return render(request, "403.html", {"who_can": who_can(permission)}, status=403)
