"""The desk: where staff start. What needs them, what is going on, and how it went yesterday."""

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from portal.codes.pages import MAKE_CODE
from portal.desk import connection_tiles, demo, first_steps, needs, today, yesterday
from portal.ledger import shift_pages, shifts, without_card, words
from portal.ledger.models import Inquiry
from portal.ledger.new_card import MAKE_CARD
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection
from portal.merchants.roles import Permission, may

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
    """The start of the day, and where each customer begins."""
    return page(request)


def page(request: StaffRequest, status: int = 200, **more: object) -> HttpResponse:
    """The desk; `more` replaces its variables, such as a scan box with its errors."""
    at_the_back = not request.by_pin and may(request.member.role, Permission.SEE_SETTINGS)
    shown: dict[str, object] = {
        "needs": needs.of(request),
        "first_steps": first_steps.of(request),
        "look_ups": _recent(request),
        "under_way": _under_way(request),
        "time_zone": request.merchant.time_zone,
        "new_card_url": without_card.way_in(request, MAKE_CARD),
        "new_code_url": without_card.way_in(request, MAKE_CODE),
    }
    if at_the_back:  # those who sit: whoever stands at a till wants the next card, not yesterday
        mine, day = request.connections, yesterday.date()
        shown |= {
            "today": today.rows(request, mine),
            "tiles": connection_tiles.of(request) if mine else [],
            "yesterday": yesterday.lines(request.merchant, day) if mine else [],
            "yesterday_date": day,
            "demo_command": demo.removal(request.merchant, request.member.role),
        }
    return render(request, "desk/home.html", shown | more, status=status)


def _recent(request: StaffRequest) -> list[Line]:
    """Only for those who may look up themselves: a list of cards and balances is what they would see."""
    if not may(request.member.role, Permission.LOOK_UP_CARDS):
        return []
    newest = (
        Inquiry.objects.filter(merchant=request.merchant, typed_by_shopper="", purchase_minor=None)
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
