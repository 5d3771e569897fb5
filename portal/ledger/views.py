"""The card page: one look-up, from the password it still needs to the balance it found."""

import uuid

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from portal.connectors import PROVIDERS
from portal.connectors.base import CardStatus
from portal.ledger import balances, till_words, words
from portal.ledger.forms import PinForm, WholeNumberForm
from portal.ledger.models import Inquiry, State
from portal.merchants import audit, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission, may


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.LOOK_UP_CARDS)
def look_up(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Show one look-up; while it waits, htmx asks for the fragment `reading` every second. A post brings what the
    card page asked for: the password, or the whole number."""
    of_staff = Inquiry.objects.filter(merchant=request.merchant, typed_by_shopper="", purchase_minor=None)
    inquiry = of_staff.select_related("connection", "card").filter(key=key).first()
    if inquiry is None:
        audit.record("look-up not found", str(key), merchant=request.merchant, person=request.person, request=request)
        return render(request, "ledger/look_up_gone.html", {"desk_url": _desk(request)}, status=404)
    if inquiry.card is not None and _goes_to(inquiry):
        return redirect("card", request.merchant.slug, inquiry.card.key)
    form = _form(request, inquiry)
    if request.method == "POST":
        if form is None:
            return redirect(request.path)  # pressed twice, or an old page: it is on its way already
        if form.is_valid():
            try:
                _give(inquiry, form)
            except connections.NotNow as not_now:
                form.add_error(None, not_now.words)
            else:
                known = inquiry.card  # before the answer: it was asked from the card's page
                return redirect("card", request.merchant.slug, known.key) if known else redirect(request.path)
    page = {
        "look_up": inquiry,
        "view": words.view(inquiry, next_url=_desk(request)),
        "form": form,
        "payment": _payment(request, inquiry),
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": inquiry.connection.environment == "sandbox",
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "ledger/look_up.html" + ("#reading" if request.htmx else ""), page, status=status)


def _goes_to(inquiry: Inquiry) -> bool:
    """Whether the answer is shown on the card's own page. Where only the answer told which card it is, it is shown
    here, and leads on."""
    if inquiry.state in (State.WANTS_PIN, State.WANTS_NUMBER):
        return False
    return PROVIDERS[inquiry.connection.provider].whole_numbers or inquiry.pending


def _payment(request: StaffRequest, inquiry: Inquiry) -> dict[str, str]:
    """The way on to a payment by the card that was found, or why there is none. Empty where nobody could take one."""
    connection = inquiry.connection
    asked = inquiry.state == State.ANSWERED and inquiry.card_status == CardStatus.USABLE
    able = "pay" in PROVIDERS[connection.provider].by_usage_token and "pay" not in till_words.unable(connection)
    if not asked or not able or not may(request.member.role, Permission.TAKE_PAYMENTS):
        return {}
    if inquiry.card is None:
        why = gettext(
            "To take a payment, look the card up by its whole number: what was typed may be the end of several cards."
        )
        return {"why_not": why}
    if why := connections.not_now(connection, "pay"):
        return {"why_not": why}
    page = reverse("card", args=[request.merchant.slug, inquiry.card.key])
    return {"url": f"{page}?do=pay"}


def _form(request: StaffRequest, inquiry: Inquiry) -> PinForm | WholeNumberForm | None:
    """The form this look-up waits for, filled with what was posted for it, or None where it waits for nobody."""
    wants = {State.WANTS_PIN: "pin", State.WANTS_NUMBER: "number"}.get(State(inquiry.state))
    if wants is None or (request.method == "POST" and wants not in request.POST):
        return None
    typed = request.POST if request.method == "POST" else None
    return PinForm(typed) if wants == "pin" else WholeNumberForm(typed, connection=inquiry.connection)


def _give(inquiry: Inquiry, form: PinForm | WholeNumberForm) -> None:
    if isinstance(form, PinForm):
        balances.give_pin(inquiry, pin=form.cleaned_data["pin"])
    else:
        balances.give_number(inquiry, number=form.cleaned_data["number"])


def _desk(request: StaffRequest) -> str:
    return reverse("desk", args=[request.merchant.slug])
