"""Pages about merchants themselves: choosing one, and what belongs to it."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.connectors import PROVIDERS
from portal.merchants import access, connections, tills, viewing
from portal.merchants.access import StaffRequest, member
from portal.merchants.connecting_pages import draft_lines
from portal.merchants.models import Connection, InvitationState, Member, Person
from portal.merchants.roles import Permission, may


@require_safe
@login_required
def choose(request: HttpRequest) -> HttpResponse:
    """The merchants this person works for."""
    person = cast(Person, request.user)
    return render(
        request,
        "merchants/choose.html",
        {"memberships": switcher(access.memberships(person), current=None), "person_name": person.name},
    )


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Straight to the desk for people with one merchant and on a till, otherwise to the choice."""
    if not request.user.is_authenticated:
        till = tills.of(request)
        return redirect("desk", till.merchant.slug) if till else redirect_to_login("/")
    mine = access.memberships(request.user)
    return redirect("desk", mine[0].merchant.slug) if len(mine) == 1 else redirect("choose")


@require_POST
@login_required
def end_viewing(request: HttpRequest) -> HttpResponse:
    """An administrator stops looking at a merchant, and goes back to where it began."""
    ended = viewing.end(request)
    return redirect("admin:merchants_merchant_change", ended.merchant) if ended else redirect("start")


def switcher(memberships: list[Member], *, current: Member | None) -> list[dict[str, object]]:
    """Memberships as the switcher and the choice show them."""
    return [
        {
            "merchant": membership.merchant,
            "role_label": membership.get_role_display(),
            "url": reverse("desk", args=[membership.merchant.slug]),
            "current": current is not None and membership.pk == current.pk,
        }
        for membership in memberships
    ]


@require_safe
@member(Permission.SEE_SETTINGS)
def settings_page(request: StaffRequest) -> HttpResponse:
    """The merchant's connections, stores and people."""
    may_pause = may(request.member.role, Permission.PAUSE_CONNECTIONS)
    mine = list(request.merchant.connection_set.order_by("name"))
    only_paused = request.GET.get("only") == "paused"
    return render(
        request,
        "merchants/settings.html",
        {
            "stores": request.merchant.store_set.order_by("name"),
            "may_manage_stores": may(request.member.role, Permission.MANAGE_STORES),
            "people_count": request.merchant.member_set.count(),
            "invited_count": request.merchant.invitation_set.filter(state=InvitationState.PENDING).count(),
            "people_url": reverse("people", args=[request.merchant.slug]),
            "connections": [
                _connection_line(request, one, may_pause=may_pause) for one in mine if one.paused_at or not only_paused
            ],
            "only_paused": only_paused,
            "drafts": draft_lines(request) if may(request.member.role, Permission.CONNECT) else [],
            "connect_url": reverse("connect", args=[request.merchant.slug])
            if may(request.member.role, Permission.CONNECT)
            else "",
            "time_zone": request.merchant.time_zone,
            "tills_url": reverse("tills", args=[request.merchant.slug])
            if may(request.member.role, Permission.MANAGE_TILLS)
            else "",
            "may_manage_balance_page": may(request.member.role, Permission.MANAGE_BALANCE_PAGE),
            "may_see_outbox": may(request.member.role, Permission.SEE_OUTBOX),
            "limits_url": reverse("limits", args=[request.merchant.slug])
            if may(request.member.role, Permission.SET_LIMITS)
            else "",
            "may_see_audit": may(request.member.role, Permission.SEE_AUDIT),
            "sandbox_shown": any(one.environment == "sandbox" for one in mine),
        },
    )


def _connection_line(request: StaffRequest, connection: Connection, *, may_pause: bool) -> dict[str, object]:
    outcome, label = connections.state_words(connection)
    place = [request.merchant.slug, connection.key]
    return {
        "name": connection.name,
        "url": reverse("connection", args=[request.merchant.slug, connection.key]),
        "provider_label": PROVIDERS[connection.provider].name,
        "environment": connection.environment,
        "outcome": outcome,
        "state_label": label,
        "paused": connection.paused_at is not None,
        "health_url": reverse("connection_health", args=place),
        "resume_url": reverse("resume_connection", args=place) if may_pause and connection.paused_at else "",
        "pause_url": reverse("pause_connection", args=place) if may_pause else "",
    }
