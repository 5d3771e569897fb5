"""The scan box: where a scanned or typed card goes."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from portal.desk import frame, home
from portal.ledger import balances
from portal.ledger.forms import ScanForm
from portal.ledger.models import State
from portal.merchants import connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission
from portal.middleware import client_context


@require_POST
@member(Permission.LOOK_UP_CARDS)
def scan(request: StaffRequest) -> HttpResponse:
    """Take one scanned or typed card and go to its page."""
    offered = frame.scannable(request)
    form = ScanForm(request.POST, connections=offered)
    if form.is_valid():
        connection = form.cleaned_data["connection"]
        request.session["connection"] = str(connection.key)
        try:
            inquiry = balances.open_look_up(
                member=request.member,
                key=form.cleaned_data["key"],
                connection=connection,
                number=form.cleaned_data["number"],
                client=client_context(request),
                extra=form.entered(),
            )
        except connections.NotNow as not_now:
            form.add_error(None, connections.not_now_words(not_now.connection))
        else:
            if inquiry.card is not None and inquiry.state not in (State.WANTS_PIN, State.WANTS_NUMBER):
                return redirect("card", request.merchant.slug, inquiry.card.key)
            return redirect("look_up", request.merchant.slug, inquiry.key)
    scan_box = {"url": reverse("scan", args=[request.merchant.slug]), "form": form}
    return home.page(request, status=422, scan=scan_box)
