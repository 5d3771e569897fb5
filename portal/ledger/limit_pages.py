"""The page of limits, below Settings."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods

from portal.ledger import limits as rules
from portal.ledger.limit_forms import LimitsForm
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SET_LIMITS)
def limits(request: StaffRequest) -> HttpResponse:
    """How much each role moves alone."""
    if request.method != "POST":
        return _show(request, LimitsForm(merchant=request.merchant))
    form = LimitsForm(request.POST, merchant=request.merchant)
    if form.is_valid():
        try:
            changed = rules.change(
                member=request.member,
                wanted=form.wanted(),
                second_person_from=form.cleaned_data["two"],
                second_person_from_points=form.cleaned_data["two_points"],
                seen=form.cleaned_data["seen"],
                request=request,
            )
        except rules.ChangedMeanwhile:
            form.add_error(None, gettext("Somebody changed the limits meanwhile. Reload the page to see them."))
        else:
            said = ngettext("%(count)s limit was changed.", "%(count)s limits were changed.", changed)
            messages.success(request, said % {"count": changed} if changed else gettext("Nothing was changed."))
            return redirect("limits", request.merchant.slug)
    return _show(request, form, status=422)


def _show(request: StaffRequest, form: LimitsForm, *, status: int = 200) -> HttpResponse:
    page = {
        "form": form,
        "roles": form.roles,
        "currency": request.merchant.currency,
        "settings_url": reverse("settings", args=[request.merchant.slug]),
    }
    return render(request, "ledger/limits.html", page, status=status)
