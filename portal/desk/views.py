"""The desk: where staff start, and where a scanned card goes."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.desk import frame
from portal.ledger import balances, shift_pages, shifts, words
from portal.ledger.forms import ScanForm
from portal.ledger.models import Inquiry, State
from portal.merchants import connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection
from portal.merchants.roles import Permission, may
from portal.middleware import client_context, current_request_id

RECENT = 20


@dataclass(frozen=True, kw_only=True)
class Line:
    """One look-up in the desk's list."""

    url: str
    last_four: str
    connection: Connection
    environment: str
    by: str
    asked_at: datetime
    outcome: str
    state_label: str
    balance_text: str


@require_safe
@member(Permission.SEE_DESK)
def home(request: StaffRequest) -> HttpResponse:
    """The look-ups of the last minutes, newest first."""
    return _home(request)


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
    return _home(request, status=422, scan=scan_box)


def _home(request: StaffRequest, status: int = 200, **more: object) -> HttpResponse:
    return render(
        request,
        "desk/home.html",
        {
            "look_ups": _recent(request),
            "under_way": _under_way(request),
            "time_zone": request.merchant.time_zone,
            **more,
        },
        status=status,
    )


def _recent(request: StaffRequest) -> list[Line]:
    """Only for those who may look up themselves: a list of cards and balances is what they would see."""
    if not may(request.member.role, Permission.LOOK_UP_CARDS):
        return []
    newest = (
        Inquiry.objects.filter(merchant=request.merchant)
        .select_related("connection", "asked_by")
        .order_by("-id")[:RECENT]
    )
    return [_line(request, inquiry) for inquiry in newest]


def _under_way(request: StaffRequest) -> list[shift_pages.OpenItem]:
    """What was asked at this till and has not ended: after a lock, it is found again here."""
    if request.till is None or not may(request.member.role, Permission.LOOK_UP_CARDS):
        return []
    return [shift_pages.open_item(request, each) for each in shifts.under_way(request.till)]


def _line(request: StaffRequest, inquiry: Inquiry) -> Line:
    outcome, label = words.state_words(inquiry)
    return Line(
        url=reverse("look_up", args=[request.merchant.slug, inquiry.key]),
        last_four=inquiry.last_four,
        connection=inquiry.connection,
        environment=inquiry.connection.environment,
        by=inquiry.asked_by.name if inquiry.asked_by else "",
        asked_at=inquiry.asked_at,
        outcome=outcome,
        state_label=label,
        balance_text=words.balance_text(inquiry),
    )


def broken(request: HttpRequest) -> HttpResponse:
    """Django's last resort. Stands on nothing that may be what broke: no database, no session, no request context."""
    away = isinstance(sys.exc_info()[1], OperationalError)
    words = {"request_id": current_request_id()}
    with suppress(ValueError):  # no manifest yet: the page reads well without its stylesheet
        words["stylesheet"] = static("css/tillside.css")
    return HttpResponse(render_to_string("503.html" if away else "500.html", words), status=503 if away else 500)


def form_expired(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF refusal, in our words."""
    return render(request, "403_csrf.html", status=403)
