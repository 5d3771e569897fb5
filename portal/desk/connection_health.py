"""The page that says how a connection is: its last good call, what goes wrong, how long answers take, and 30 days."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal import formats
from portal.desk import strip
from portal.ledger import health, outcome_words
from portal.ledger.models import Operation
from portal.merchants import connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Environment, Pause
from portal.merchants.roles import Permission, may


@require_safe
@member(Permission.SEE_SETTINGS)
def page(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One connection's health."""
    found = next((each for each in health.of_connections(request.merchant) if each.connection.key == key), None)
    if found is None:
        raise Http404
    connection, zone = found.connection, request.merchant.time_zone
    days, causes = health.history(connection, today=timezone.localdate(), zone=zone)
    pauses = _pauses(request, found)
    bars = strip.bars(days, [(each["first"], each["last"]) for each in pauses])
    shape, state = connections.state_words(connection)
    shown = {
        "connection": connection,
        "health": found,
        "endings": connections.endings(connection),
        "shape": shape,
        "state": state,
        "share": formats.number(found.share, "0.#%"),
        "median": length_words(found.median_ms),
        "p95": length_words(found.p95_ms),
        "unclear_money": formats.money(found.unclear_money) if found.unclear_money else "",
        "recent": [(outcome_words.because(cause), count) for cause, count in found.causes],
        "causes": _causes(request, causes),
        "bars": bars,
        "has_days": any(bar.calls or bar.paused for bar in bars),
        "strip_width": strip.SIZE[0],
        "strip_height": strip.SIZE[1],
        "summary": strip.summary(bars),
        "pauses": pauses,
        "pause_url": reverse("pause_connection", args=[request.merchant.slug, key])
        if may(request.member.role, Permission.PAUSE_CONNECTIONS)
        else "",
        "attention_url": reverse("attention", args=[request.merchant.slug]),
        "time_zone": zone,
        "sandbox_shown": connection.environment == Environment.SANDBOX,
    }
    return render(request, "desk/connection_health.html", shown)


def _pauses(request: StaffRequest, found: health.Health) -> list[dict[str, Any]]:
    since = timezone.now() - timedelta(days=health.DAYS)
    rows = Pause.objects.filter(merchant=request.merchant, connection=found.connection).exclude(ended_at__lt=since)
    return [
        {
            "pause": each,
            "why": connections.reason_words(each.reason),
            "by": each.begun_by.name if each.begun_by else _("Tillside"),
            "lasted": formats.age((each.ended_at or timezone.now()) - each.begun_at),
            "url": reverse("pause_report", args=[request.merchant.slug, found.connection.key, each.key]),
            "first": timezone.localtime(each.begun_at).date(),
            "last": timezone.localtime(each.ended_at or timezone.now()).date(),
        }
        for each in rows.select_related("begun_by").order_by("-begun_at")[:50]
    ]


def _causes(request: StaffRequest, causes: Sequence[health.Cause]) -> list[dict[str, object]]:
    """With an operation to look at, for who may see operations."""
    seen = may(request.member.role, Permission.SEE_OPERATIONS)
    ids = [each.example for each in causes if each.example] if seen else []
    keys = dict(Operation.objects.filter(merchant=request.merchant, pk__in=ids).values_list("pk", "key"))
    return [
        {
            "cause": each,
            "title": outcome_words.because(each.cause),
            "url": reverse("operation", args=[request.merchant.slug, keys[each.example]])
            if each.example in keys
            else "",
        }
        for each in causes
    ]


def length_words(ms: int | None) -> str:
    """About 340 ms; about 1.4 s."""
    if ms is None:
        return "–"
    if ms < 1000:
        rounded = round(ms, -1) if ms >= 100 else ms
        return _("about %(count)s ms") % {"count": formats.number(rounded)}
    return _("about %(count)s s") % {"count": formats.number(round(ms / 1000, 1))}
