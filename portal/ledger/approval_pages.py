"""Where a wish above somebody's limit waits: the asker watches it, a second person approves or refuses it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from portal.ledger import approval_words as words
from portal.ledger import approvals, basket_words, operations, till_words
from portal.ledger.models import Approval, ApprovalState
from portal.merchants import audit, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission, may, who_can

APPROVE, REFUSE = "approve", "refuse"
SHOWN = 50  # in the queue; they expire in minutes, so more are a flood, and the oldest come first


class VerdictForm(forms.Form):
    """Yes or no, and why, if there is something to say. The verdict is the button that was pressed."""

    verdict = forms.ChoiceField(
        choices=[(APPROVE, _("Approve")), (REFUSE, _("Refuse"))],
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(("required", "invalid_choice"), _("Say yes or no.")),
    )
    reason = forms.CharField(
        label=_("A word to go with it, if you like"),
        required=False,
        max_length=approvals.REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"max_length": _("Say it in at most 500 characters.")},
    )


# ---- The queue, part of the Attention page ------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Line:
    """One wish in the queue; `mine` where the person who looks can decide it."""

    url: str
    approval: Approval
    name: str
    amount: str
    left: str
    mine: bool


def lines(request: StaffRequest) -> list[Line]:
    """What waits for a second person, oldest first."""
    rows = approvals.waiting(request.merchant.pk).select_related("connection", "card", "original", "asked_by")[:SHOWN]
    decides = approvals.what_may_be_decided(request.member, rows)
    return [
        Line(
            url=reverse("approval", args=[request.merchant.slug, row.key]),
            approval=row,
            name=words.name(row),
            amount=words.amount(row),
            left=words.left(row.expires_at),
            mine=row.pk in decides,
        )
        for row in rows
    ]


# ---- One of them --------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_OPERATIONS)
def approval(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One wish; while it waits, htmx asks for the fragment `outcome`. A post is a second person's word, in two beats.

    Once approved it is an operation, and its page is the operation's.
    """
    found = _find(request, key)
    if found.state == ApprovalState.APPROVED:
        url = reverse("operation", args=[request.merchant.slug, found.key])
        return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    if request.method != "POST":
        return _show(request, found, VerdictForm())
    if not approvals.may_decide(request.member, found):
        return _denied(request, found)
    if approvals.is_over(found):
        messages.error(request, gettext("It is too late: this is over."))
        return redirect(request.path)
    form = VerdictForm(request.POST)
    if not form.is_valid():
        return _show(request, found, form, status=422)
    if "confirmed" in request.POST:
        return _decide(request, found, form)
    return _show(request, found, form, confirming="back" not in request.POST)


@require_POST
@member(Permission.SEE_OPERATIONS)
def withdraw(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """The asker takes it back; too late is said."""
    found = _find(request, key)
    if found.asked_by_id != request.person.pk:
        said = gettext("Only %(name)s can take it back. Who approves may refuse it.")
        messages.warning(request, said % {"name": found.asked_by.name})
    elif not approvals.withdraw(found, member=request.member, request=request):
        messages.warning(request, gettext("It is too late to take it back."))
    return redirect("approval", request.merchant.slug, found.key)


def first_outcome(
    request: StaffRequest, found: Approval, *, url: str, verb: str, exact: list[tuple[str, str]]
) -> HttpResponse:
    """The form's key was used for another wish: where that stands, and the way to a new one at `url`, which keeps what
    was typed (`exact`)."""
    start_new = {
        "url": url,
        "verb": verb,
        # A key of its own: a form drawn anew keeps the first one's for as long as that waits.
        "exact": [*exact, ("key", str(uuid.uuid4()))],
    }
    return _show(request, found, VerdictForm(), status=409, start_new=start_new)


# ---- Their parts --------------------------------------------------------------------------------------------------
def _decide(request: StaffRequest, found: Approval, form: VerdictForm) -> HttpResponse:
    said = {"member": request.member, "reason": form.cleaned_data["reason"], "request": request}
    try:
        if form.cleaned_data["verdict"] == APPROVE:
            approvals.approve(found, **said)
            messages.success(request, gettext("Approved: %(thing)s is on its way.") % {"thing": words.thing(found)})
        else:
            approvals.refuse(found, **said)
            messages.success(request, gettext("Refused: %(thing)s.") % {"thing": words.thing(found)})
    except approvals.Over:
        messages.error(request, gettext("It is too late: this is over."))
        return redirect(request.path)
    except (approvals.NotTheirs, PermissionDenied):
        return _denied(request, found)
    except operations.CannotAsk as cannot:
        form.add_error(None, till_words.cannot_ask(cannot.why))
    except connections.NotNow as not_now:
        form.add_error(None, not_now.words)
    except operations.OtherContent:
        form.add_error(None, gettext("The same form was used for something else meanwhile. Nothing was sent."))
    else:
        return redirect("attention", request.merchant.slug)
    return _show(request, found, form, status=422)


def _denied(request: StaffRequest, found: Approval) -> HttpResponse:
    why = words.not_yours(found, request.person)
    if not may(request.member.role, Permission.APPROVE):
        why = who_can(Permission.APPROVE)
    return render(request, "403.html", {"who_can": why}, status=403)


def _show(
    request: StaffRequest,
    found: Approval,
    form: VerdictForm,
    *,
    confirming: bool = False,
    status: int = 200,
    start_new: Mapping[str, object] | None = None,
) -> HttpResponse:
    over = approvals.is_over(found)
    state = ApprovalState.EXPIRED if over and found.state == ApprovalState.PENDING else ApprovalState(found.state)
    is_mine = found.asked_by_id == request.person.pk
    decides = not over and approvals.may_decide(request.member, found)
    able = [] if over else approvals.approvers(request.merchant, found)
    slug = request.merchant.slug
    page: dict[str, object] = {
        "approval": found,
        "state": state,
        "shape": words.SHAPES[state],
        "word": state.label,
        "title": words.thing(found),
        "card_name": words.card_of(found),
        "sentence": words.wish(found, request.person),
        "basket": basket_words.of(found),
        "advice": words.over(found, state) if over else words.who_and_until(able, found),
        "over": over,
        "decides": decides,
        "form": form,
        "start_new": start_new,
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": found.connection.environment == "sandbox",
        "approval_url": reverse("approval", args=[slug, found.key]),
        "desk_url": reverse("desk", args=[slug]),
        "queue_url": reverse("attention", args=[slug]),
        "withdraw_url": reverse("withdraw_approval", args=[slug, found.key]) if is_mine and not over else "",
        "is_mine": is_mine,
    }
    if found.card is not None and may(request.member.role, Permission.LOOK_UP_CARDS):
        page["card_url"] = reverse("card", args=[slug, found.card.key])
    if confirming and decides:
        approves = form.cleaned_data["verdict"] == APPROVE
        page["question"], page["consequence"], page["confirm"] = words.question(found, approves=approves)
    template = "ledger/approval.html" + ("#outcome" if request.htmx else "")
    return render(request, template, page, status=status)


def _find(request: StaffRequest, key: uuid.UUID) -> Approval:
    found = approvals.of_key(request.merchant, key)
    if found is None:
        audit.record("approval not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found
