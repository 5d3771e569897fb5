"""Pausing a connection, resuming it, and the page that says what waited and how it went on."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import formats
from portal.ledger import holding, operation_words, outcome_words, pause_words
from portal.ledger.models import Operation
from portal.merchants import connections, pauses, second_factor
from portal.merchants.access import StaffRequest, member
from portal.merchants.fields import NameField
from portal.merchants.models import Connection, Environment, Pause
from portal.merchants.roles import Permission, may, who_can

PAGE = 50
# How long, in minutes; nothing: until somebody resumes it.
DURATIONS = (30, 60, 2 * 60, 4 * 60, 12 * 60, 24 * 60)


class PauseForm(forms.Form):
    """Why, in words that the tills show, and for how long."""

    reason = NameField(
        label=gettext_lazy("Why"),
        help_text=gettext_lazy("The tills show it. One sentence, without card numbers or names of customers."),
        max_length=pauses.REASON_LENGTH,
        error_messages={
            "required": gettext_lazy("Say why: whoever stands at a till reads it."),
            "max_length": gettext_lazy("Shorten it to 200 characters."),
        },
    )
    minutes = forms.TypedChoiceField(
        label=gettext_lazy("How long"),
        coerce=int,
        empty_value=None,
        required=False,
        error_messages={"invalid_choice": gettext_lazy("Choose one of the times listed.")},
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choices = [("", _("Until somebody resumes it"))]
        choices += [(str(each), formats.age(timedelta(minutes=each))) for each in DURATIONS]
        self.fields["minutes"].choices = choices  # type: ignore[attr-defined]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One held operation."""

    url: str
    key: uuid.UUID
    text: str
    by: str
    asked: str
    shape: str
    word: str


# ---- Pages --------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.PAUSE_CONNECTIONS)
def pause(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Pause a connection, in two beats. One that is paused shows its pause instead."""
    connection = _connection(request, key)
    if connection.paused_at and (there := pauses.under_way(connection)):
        return redirect("pause_report", request.merchant.slug, key, there.key)
    posted = request.method == "POST"
    if posted and "change" in request.POST:
        form = PauseForm(initial={"reason": request.POST.get("reason"), "minutes": request.POST.get("minutes")})
    else:
        form = PauseForm(request.POST if posted else None)
    if form.is_bound and form.is_valid():
        if "confirmed" not in request.POST:
            return _question(request, connection, form)
        return _paused(request, connection, form)
    page = {
        "form": form,
        "connection": connection,
        "settings_url": reverse("settings", args=[request.merchant.slug]),
        "sandbox_shown": connection.environment == Environment.SANDBOX,
    }
    return render(request, "ledger/pause.html", page, status=422 if form.errors else 200)


@require_POST
@member(Permission.PAUSE_CONNECTIONS)
def resume(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Ask a paused connection again, and show how what was held runs."""
    connection = _connection(request, key)
    if connection.environment == Environment.LIVE:
        why = _("A live connection moves real money: it is resumed by somebody with a second factor.")
        if (first := second_factor.required_before(request, why)) is not None:
            return first
    found = pauses.under_way(connection)
    if found is None:
        return redirect("settings", request.merchant.slug)
    try:
        if holding.resume(found, member=request.member, request=request):
            messages.success(request, _("%(name)s is asked again.") % {"name": connection.name})
    except pauses.Untested:
        messages.warning(request, _("%(name)s has to pass its test before it is asked.") % {"name": connection.name})
        return redirect("connection", request.merchant.slug, key)
    except PermissionDenied:
        return render(request, "403.html", {"who_can": who_can(Permission.PAUSE_CONNECTIONS)}, status=403)
    found.refresh_from_db(fields=["ended_at", "first_held", "last_held"])
    if found.first_held is None:
        return redirect("settings", request.merchant.slug)
    return redirect("pause_report", request.merchant.slug, key, found.key)


@require_safe
@member(Permission.SEE_SETTINGS)
def report(request: StaffRequest, key: uuid.UUID, pause: uuid.UUID) -> HttpResponse:
    """One pause: what waits, or what waited and how it went on; htmx asks for the fragment `progress`."""
    found = pauses.of(request.merchant.pk, key, pause)
    if found is None:
        raise Http404
    page = _report(request, found)
    return render(request, "ledger/pause_report.html" + ("#progress" if request.htmx else ""), page)


# ---- Their parts --------------------------------------------------------------------------------------------------
def _question(request: StaffRequest, connection: Connection, form: PauseForm) -> HttpResponse:
    minutes = form.cleaned_data["minutes"]
    sentence = _("Pause %(name)s? Nothing is sent there until somebody resumes it.") % {"name": connection.name}
    if minutes:
        sentence = _("Pause %(name)s for %(time)s? Nothing is sent there until then, or until somebody resumes it.") % {
            "name": connection.name,
            "time": formats.age(timedelta(minutes=minutes)),
        }
    page = {
        "title": _("Pause %(name)s") % {"name": connection.name},
        "sentence": sentence,
        "consequence": _(
            "The tills say: “%(reason)s”. What was accepted is kept and runs in order afterwards; nothing is lost."
        )
        % {"reason": form.cleaned_data["reason"]},
        "exact": [("reason", form.cleaned_data["reason"]), ("minutes", minutes or "")],
        "button": _("Pause %(name)s") % {"name": connection.name},
        "back_url": request.path,
        "sandbox_shown": connection.environment == Environment.SANDBOX,
    }
    return render(request, "merchants/confirm.html", page)


def _paused(request: StaffRequest, connection: Connection, form: PauseForm) -> HttpResponse:
    minutes = form.cleaned_data["minutes"]
    expires_at = timezone.now() + timedelta(minutes=minutes) if minutes else None
    reason = form.cleaned_data["reason"]
    try:
        begun = pauses.begin(connection, member=request.member, reason=reason, expires_at=expires_at, request=request)
    except pauses.PausedAlready:
        return redirect(request.path)  # which shows that pause
    except PermissionDenied:
        return render(request, "403.html", {"who_can": who_can(Permission.PAUSE_CONNECTIONS)}, status=403)
    messages.success(request, _("%(name)s is paused.") % {"name": connection.name})
    return redirect("pause_report", request.merchant.slug, connection.key, begun.key)


def _report(request: StaffRequest, found: Pause) -> dict[str, object]:
    slug = request.merchant.slug
    lines, after = _lines(request, found)
    may_resume = found.ended_at is None and may(request.member.role, Permission.PAUSE_CONNECTIONS)
    return {
        "pause": found,
        "connection": found.connection,
        "why": connections.reason_words(found.reason),
        "begun_by": operation_words.name_of(found.begun_by),
        "ended_by": operation_words.name_of(found.ended_by) if found.ended_by else _("by itself, as said"),
        "lasted": formats.age((found.ended_at or timezone.now()) - found.begun_at),
        "progress": pause_words.progress(found, holding.tally(found)),
        "lines": lines,
        "after": after,
        "first_page": "after" not in request.GET,
        "page_url": request.path,
        "resume_url": reverse("resume_connection", args=[slug, found.connection.key]) if may_resume else "",
        "settings_url": reverse("settings", args=[slug]),
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": found.connection.environment == Environment.SANDBOX,
    }


def _lines(request: StaffRequest, found: Pause) -> tuple[list[Line], uuid.UUID | None]:
    """A page of the held in order, and the last one's key where there are more; `after` names the one before."""
    rows = holding.held(found).select_related("card", "original", "asked_by")
    try:
        before = uuid.UUID(request.GET.get("after", ""))
        last = Operation.objects.filter(merchant=request.merchant, key=before).first()
    except ValueError:
        last = None
    if last is not None:
        rows = rows.filter(Q(priority__gt=last.priority) | Q(priority=last.priority, id__gt=last.pk))
    shown = list(rows[: PAGE + 1])
    return [_line(request, each) for each in shown[:PAGE]], shown[PAGE - 1].key if len(shown) > PAGE else None


def _line(request: StaffRequest, operation: Operation) -> Line:
    shape, word = outcome_words.outcome(operation)
    card = formats.masked(operation.card.last_four if operation.card else "")
    return Line(
        url=reverse("operation", args=[request.merchant.slug, operation.key]),
        key=operation.key,
        text=f"{operation_words.thing(operation)}, {card}",
        by=operation_words.name_of(operation.asked_by),
        asked=formats.moment(operation.asked_at),
        shape=shape,
        word=word,
    )


def _connection(request: StaffRequest, key: uuid.UUID) -> Connection:
    found = request.merchant.connection_set.filter(key=key).first()
    if found is None:
        raise Http404
    return found
