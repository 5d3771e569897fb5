"""The card page: one look-up, from the password it still needs to the balance it found."""

import uuid

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from portal.ledger import balances, words
from portal.ledger.forms import PinForm, WholeNumberForm
from portal.ledger.models import Inquiry, State
from portal.merchants import audit, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission


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
    if inquiry.card is not None and inquiry.state not in (State.WANTS_PIN, State.WANTS_NUMBER):
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
                return redirect(request.path)
    page = {
        "look_up": inquiry,
        "view": words.view(inquiry, next_url=_desk(request)),
        "form": form,
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": inquiry.connection.environment == "sandbox",
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "ledger/look_up.html" + ("#reading" if request.htmx else ""), page, status=status)


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
