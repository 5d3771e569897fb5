"""Who holds a card: choosing the customer, from the card's page, and letting go again."""

import uuid

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from portal.customers import book, finding
from portal.customers.models import Customer
from portal.desk.customers import denied, found_by, lines
from portal.ledger import holders
from portal.ledger.models import Card
from portal.merchants import audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.EDIT_CUSTOMERS)
def choose(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Who holds the card, or a box to find the one who does. Nothing is listed before somebody is looked for."""
    card = _card(request, key)
    typed = request.POST.get("q", "").strip() if request.method == "POST" else ""
    rows = finding.page(found_by(request, typed), sort="name", after=None) if typed else []
    slug = request.merchant.slug
    page = {
        "card": card,
        "holder": lines(request, [card.customer])[0] if card.customer else None,
        "typed": typed[: finding.LONGEST],
        "lines": lines(request, rows[: finding.PAGE]),
        "more": len(rows) > finding.PAGE,
        "card_url": reverse("card", args=[slug, card.key]),
        "attach_url": reverse("attach_card", args=[slug, card.key]),
        "detach_url": reverse("detach_card", args=[slug, card.key]),
        "new_url": f"{reverse('new_customer', args=[slug])}?card={card.key}",
        "sandbox_shown": card.connection.environment == "sandbox",
    }
    return render(request, "customers/card_holder.html", page)


@require_POST
@member(Permission.EDIT_CUSTOMERS)
def attach(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Let the customer that was pressed hold the card."""
    card, customer = _card(request, key), _customer(request)
    if customer is None:
        return redirect("card_holder", request.merchant.slug, card.key)
    try:
        holders.attach(member=request.member, card=card, customer=customer)
    except holders.OthersCard:
        messages.error(request, gettext("Somebody else holds this card by now. Nothing was changed."))
        return redirect("card_holder", request.merchant.slug, card.key)
    except book.Gone:
        messages.error(request, gettext("This customer was merged or erased meanwhile. Nothing was changed."))
        return redirect("card_holder", request.merchant.slug, card.key)
    except PermissionDenied:
        return denied(request, Permission.EDIT_CUSTOMERS)
    return redirect("card", request.merchant.slug, card.key)


@require_POST
@member(Permission.EDIT_CUSTOMERS)
def detach(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Let the customer hold the card no more. The card and what was done with it stay as they are."""
    card, customer = _card(request, key), _customer(request)
    if customer is None:
        return redirect("card_holder", request.merchant.slug, card.key)
    try:
        holders.detach(member=request.member, card=card, customer=customer)
    except PermissionDenied:
        return denied(request, Permission.EDIT_CUSTOMERS)
    return redirect("card", request.merchant.slug, card.key)


def _card(request: StaffRequest, key: uuid.UUID) -> Card:
    found = Card.objects.select_related("connection", "customer").filter(merchant=request.merchant, key=key).first()
    if found is None:
        audit.record("card not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found


def _customer(request: StaffRequest) -> Customer | None:
    """The customer the form names, None where it names nobody; one of another merchant was never there."""
    try:
        key = uuid.UUID(request.POST.get("customer", ""))
    except ValueError:
        return None
    found = Customer.objects.filter(merchant=request.merchant, key=key).first()
    if found is None:
        audit.record("customer not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found
