"""The page of daily limits, below Settings: what holds, how much of it is used, and asking for more."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models.functions import Now
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from portal import formats
from portal.mail.models import OutgoingMail
from portal.merchants import daily_limits as rules
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import DailyLimit, Invitation, LimitKind, LimitState, Merchant
from portal.merchants.roles import Permission

A_DAY = timedelta(hours=24)


class AskForm(forms.Form):
    """More of a kind, and why."""

    kind = forms.ChoiceField(label=_("What"), choices=LimitKind.choices)
    most = forms.IntegerField(
        label=_("In 24 hours at most"),
        min_value=1,
        max_value=rules.MOST,
        error_messages={
            "required": _("Type how many you need."),
            "invalid": _("Type a whole number, such as 2000."),
            "max_value": _("Nobody gets as many."),
        },
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    reason = forms.CharField(
        label=_("Why you need it"),
        help_text=_("The administrators of this installation read it."),
        min_length=10,
        max_length=rules.TEXT_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={
            "required": _("Say why. The administrators decide by it."),
            "min_length": _("Say it in a few words more. The administrators decide by it."),
        },
    )


@dataclass(frozen=True, kw_only=True)
class Line:
    """One kind: what holds, what of it was used in the last 24 hours, and what was last said about it."""

    label: str
    most: str
    used: str
    is_reached: bool
    last: DailyLimit | None


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SET_LIMITS)
def daily_limits(request: StaffRequest) -> HttpResponse:
    """What holds; a post asks for more."""
    if request.method != "POST":
        return _show(request, AskForm())
    form = AskForm(request.POST)
    if form.is_valid():
        kind = LimitKind(form.cleaned_data["kind"])
        try:
            rules.ask(
                request.member,
                kind,
                form.cleaned_data["most"],
                reason=form.cleaned_data["reason"],
                request=request,
            )
        except rules.NotMore:
            most = formats.number(rules.of(request.merchant.pk, kind))
            form.add_error("most", gettext("As many as %(most)s are allowed now.") % {"most": most})
        else:
            messages.success(request, gettext("The administrators are asked. You get a mail when they have decided."))
            return redirect("daily_limits", request.merchant.slug)
    return _show(request, form, status=422)


@require_POST
@member(Permission.SET_LIMITS)
def take_back(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Ask for it no longer."""
    limit = DailyLimit.objects.filter(merchant=request.merchant, key=key).first()
    if limit is None:
        raise Http404
    if rules.take_back(request.member, limit, request=request):
        messages.success(request, gettext("You no longer ask for it."))
    else:
        messages.warning(request, gettext("It has been decided already."))
    return redirect("daily_limits", request.merchant.slug)


def _show(request: StaffRequest, form: AskForm, *, status: int = 200) -> HttpResponse:
    page: dict[str, Any] = {
        "form": form,
        "lines": [_line(request.merchant, kind) for kind in LimitKind],
        "limits_url": reverse("limits", args=[request.merchant.slug]),
        "settings_url": reverse("settings", args=[request.merchant.slug]),
    }
    return render(request, "desk/daily_limits.html", page, status=status)


def _line(merchant: Merchant, kind: LimitKind) -> Line:
    most = rules.of(merchant.pk, kind)
    used = _used(merchant, kind, up_to=most)
    last = rules.last_of(merchant, kind)
    return Line(
        label=str(kind.label),
        most=formats.number(most),
        used=formats.number(used),
        is_reached=used >= most,
        last=last if last and last.state != LimitState.ENDED else None,
    )


def _used(merchant: Merchant, kind: LimitKind, *, up_to: int) -> int:
    """As each of them is counted where it is kept to."""
    since = Now() - A_DAY
    if kind == LimitKind.MAILS:
        return OutgoingMail.objects.filter(merchant=merchant, begun_at__gt=since)[:up_to].count()
    return Invitation.objects.filter(merchant=merchant, invited_at__gt=since)[:up_to].count()
