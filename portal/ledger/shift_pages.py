"""Pages about shifts: the one that runs, its end, and those that are over, on paper too."""

import uuid
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from portal import formats
from portal.connectors.redaction import printable
from portal.ledger import operation_words, outcome_words, shifts
from portal.ledger.models import Operation, Shift
from portal.merchants import tills
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission, who_can
from portal.money import Money

PAGE = 25

ACTIONS: dict[str, Promise] = {
    "pay": gettext_lazy("Payments"),
    "tip": gettext_lazy("Tips"),
    "top_up": gettext_lazy("Money added"),
    "sale": gettext_lazy("Sales"),
    "void": gettext_lazy("Voided"),
    "make": gettext_lazy("New cards"),
    "activate": gettext_lazy("Cards activated"),
    "award": gettext_lazy("Points for purchases"),
    "issue_code": gettext_lazy("Codes shown"),
    "issue_points": gettext_lazy("Points given"),
    "redeem_points": gettext_lazy("Points redeemed"),
}


class NoteForm(forms.Form):
    """What whoever comes next should know."""

    note = forms.CharField(
        label=gettext_lazy("Note for whoever comes next"),
        help_text=gettext_lazy("Left out where there is nothing to say. No card numbers or passwords."),
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def clean_note(self) -> str:
        return "\n".join(printable(line).strip() for line in self.cleaned_data["note"].splitlines()).strip()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One total as the page and the paper show it."""

    action: str
    connection: str
    environment: str
    count: int
    moved: str
    unsettled: int


@dataclass(frozen=True, kw_only=True)
class OpenItem:
    """An operation that has not ended."""

    url: str
    text: str
    shape: str
    word: str
    when: str


# ---- The shift that runs ------------------------------------------------------------------------------------------
@require_safe
@member(Permission.LOOK_UP_CARDS)
def shift(request: StaffRequest) -> HttpResponse:
    """One's own shift at this till: begin it, or what was done so far and its end."""
    return _running_page(request, NoteForm())


@require_POST
@member(Permission.LOOK_UP_CARDS)
def start(request: StaffRequest) -> HttpResponse:
    """Begin, with a tap, and go on to where one was; or `later`, without one for today."""
    if request.till is None:
        return redirect("shift", request.merchant.slug)
    if "later" in request.POST:
        request.session["no_shift"] = str(timezone.localdate())
    else:
        try:
            shifts.start(request.member, request.till, request=request)
        except PermissionDenied:
            return _denied(request)
    return redirect(tills.back(request, request.till))


@require_POST
@member(Permission.LOOK_UP_CARDS)
def end(request: StaffRequest) -> HttpResponse:
    """End it, and show its report."""
    form = NoteForm(request.POST)
    found = shifts.running(request.till, request.person) if request.till else None
    if found is None:
        messages.warning(request, _("No shift of yours is running at this till."))
        return redirect("shift", request.merchant.slug)
    if not form.is_valid():
        return _running_page(request, form)
    try:
        shifts.end(request.member, found, note=form.cleaned_data["note"], request=request)
    except PermissionDenied:
        return _denied(request)
    return redirect("shift_report", request.merchant.slug, found.key)


def _running_page(request: StaffRequest, form: NoteForm) -> HttpResponse:
    found = shifts.running(request.till, request.person) if request.till else None
    before = shifts.note_before(request.till) if request.till and found is None else None
    page = {
        "shift": found,
        "form": form,
        "before": before if before and before.note else None,
        "start_url": reverse("start_shift", args=[request.merchant.slug]),
        "end_url": reverse("end_shift", args=[request.merchant.slug]),
        "shifts_url": reverse("shifts", args=[request.merchant.slug]),
        **(_report(request, found) if found else {}),
    }
    return render(request, "ledger/shift.html", page, status=422 if form.errors else 200)


# ---- Those that are over ------------------------------------------------------------------------------------------
@require_safe
@member(Permission.SEE_OPERATIONS)
def report(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One shift as it stands now, for the screen and the printer."""
    found = (
        Shift.objects.select_related("till__store", "person", "merchant")
        .filter(merchant=request.merchant, key=key)
        .first()
    )
    if found is None:
        raise Http404
    page = {
        "shift": found,
        "shifts_url": reverse("shifts", args=[request.merchant.slug]),
        "desk_url": reverse("desk", args=[request.merchant.slug]),
        "printed_at": timezone.now(),
        **_report(request, found),
    }
    return render(request, "ledger/shift_report.html", page)


@require_safe
@member(Permission.SEE_OPERATIONS)
def listed(request: StaffRequest) -> HttpResponse:
    """All shifts, newest first; `after` names the last one of the page before."""
    rows = Shift.objects.select_related("till__store", "person").filter(merchant=request.merchant)
    after = _uuid(request.GET.get("after", ""))
    if after is not None:
        rows = rows.filter(id__lt=Shift.objects.filter(merchant=request.merchant, key=after).values("id"))
    found = list(rows.order_by("-id")[: PAGE + 1])
    page = {
        "shifts": [
            {"shift": each, "url": reverse("shift_report", args=[request.merchant.slug, each.key])}
            for each in found[:PAGE]
        ],
        "first_page": after is None,
        "after": found[PAGE - 1].key if len(found) > PAGE else None,
        "time_zone": request.merchant.time_zone,
    }
    return render(request, "ledger/shifts.html", page)


# ---- Their parts --------------------------------------------------------------------------------------------------
def _report(request: StaffRequest, found: Shift) -> dict[str, object]:
    totals = shifts.totals(found)
    return {
        "lines": [_line(each) for each in totals],
        "open_items": [open_item(request, each) for each in shifts.unsettled(found)],
        "time_zone": request.merchant.time_zone,
        "has_sandbox": any(each.environment == "sandbox" for each in totals),
    }


def _line(total: shifts.Total) -> Line:
    moved = formats.money(Money(total.minor, total.currency)) if total.currency else ""
    if total.kind.endswith("_points"):
        moved = formats.points(total.points)
    return Line(
        action=str(ACTIONS[total.kind]),
        connection=total.connection,
        environment=total.environment,
        count=total.done,
        moved=moved,
        unsettled=total.unsettled,
    )


def open_item(request: StaffRequest, operation: Operation) -> OpenItem:
    """An operation as the lists of what has not ended show it, here and on the desk."""
    shape, word = outcome_words.outcome(operation)
    return OpenItem(
        url=reverse("operation", args=[request.merchant.slug, operation.key]),
        text=f"{operation_words.thing(operation)}, "
        f"{formats.masked(operation.card.last_four if operation.card else '')}",
        shape=shape,
        word=word,
        when=formats.clock(operation.asked_at),
    )


def _denied(request: StaffRequest) -> HttpResponse:
    return render(request, "403.html", {"who_can": who_can(Permission.LOOK_UP_CARDS)}, status=403)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
