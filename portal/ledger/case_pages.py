"""Cases on screen: their part of the Attention page, the evidence of one and how it is closed, and what the pages of
its operation and its card say of it. Shows and asks; cases.close writes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from portal import formats
from portal.connectors import PROVIDERS
from portal.ledger import attention_words as words
from portal.ledger import cases
from portal.ledger.models import Card, Case, Exchange, Operation
from portal.merchants import audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection
from portal.merchants.roles import Permission, may, who_can
from portal.money import Money

SHOWN = 50  # of the open ones, the oldest: when they are closed, others come

DOUBTS: dict[str, Promise] = {
    cases.MOVED_BY_OTHERS: _("Not known: others may move this card, too."),
    cases.NOT_READ_BEFORE: _("Not known: the card was not read before."),
    cases.NOT_READ_AFTER: _("Not known: the card was not read afterwards."),
    cases.MOVED_MEANWHILE: _("Not known: another operation had begun on the card before it was read."),
}
REFUSALS: dict[str, Promise] = {
    "reason_wanted": _("Write what you found. Others will rely on it."),
    "closed_already": _("Somebody else has closed this case meanwhile. Nothing was changed by you."),
}


class ClosingForm(forms.Form):
    """How the case was seen to."""

    reason = forms.CharField(
        label=_("What did you find?"),
        help_text=_("For example: what the provider said about it, with the name of who said so."),
        max_length=cases.REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={
            "required": _("Write what you found. Others will rely on it."),
            "max_length": _("Say it in at most 500 characters."),
        },
    )


@dataclass(frozen=True, kw_only=True)
class Line:
    """One open case in the queue."""

    url: str
    name: str
    last_four: str
    amount: str
    connection: Connection
    misfit: str
    opened_at: datetime
    age: str


@dataclass(frozen=True, kw_only=True)
class Level:
    """What was paid in on the card at one moment; `text` is "" where nobody told."""

    label: str
    text: str
    at: datetime | None


# ---- Part of other pages ------------------------------------------------------------------------------------------
def lines(request: StaffRequest) -> list[Line]:
    """The open cases for the queue, oldest first."""
    linked = cases.waiting(request.merchant.pk).select_related("operation__connection", "operation__card")
    return [
        Line(
            url=_url(request, each.operation),
            name=words.name(each.operation),
            last_four=words.last_four(each.operation),
            amount=words.amount(each.operation),
            connection=each.operation.connection,
            misfit=_in_short(each),
            opened_at=each.opened_at,
            age=formats.age(timezone.now() - each.opened_at),
        )
        for each in linked[:SHOWN]
    ]


def on_card(request: StaffRequest, card: Card) -> str:
    """The address of the card's oldest open case, "" where there is none."""
    if not PROVIDERS[card.connection.provider].tells_paid_in:
        return ""  # nothing is ever compared there
    oldest = cases.waiting(request.merchant.pk).filter(operation__card=card).select_related("operation").first()
    return _url(request, oldest.operation) if oldest is not None else ""


def beside(request: StaffRequest, operation: Operation, exchanges: Sequence[Exchange]) -> dict[str, object]:
    """For the operation's own pages: its case, or why nobody can say whether the balance fits."""
    found = Case.objects.filter(merchant=request.merchant, operation=operation).select_related("closed_by")
    case = found.first() if cases.expected(operation) is not None else None  # without it, nothing was compared
    if case is None:
        why = cases.doubt(operation, exchanges)
        return {"doubt": str(DOUBTS[why])} if why else {}
    case.operation = operation
    return {"case": case, "case_url": _url(request, operation), "findings": findings(case)}


# ---- One of them --------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_OPERATIONS)
def balance_case(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """The evidence of the case of the operation `key`, and its end: a person's reason."""
    case = _find(request, key)
    if request.method != "POST":
        return _show(request, case, ClosingForm())
    if not may(request.member.role, Permission.DECIDE):
        return _denied(request)
    form = ClosingForm(request.POST)
    if not form.is_valid():
        return _show(request, case, form, status=422)
    try:
        cases.close(case, member=request.member, reason=form.cleaned_data["reason"])
    except cases.CannotClose as refusal:
        messages.error(request, str(REFUSALS[refusal.why]))
        return redirect(request.path)
    except PermissionDenied:
        return _denied(request)
    messages.success(request, gettext("The case is closed."))
    return redirect("attention", request.merchant.slug)


def findings(case: Case) -> list[str]:
    """What was there, what was asked, what was answered and what was there afterwards, and which of it fits."""
    operation, wanted = case.operation, _wanted(case)
    rise = cases.loads(operation) or 0
    told = {
        "connection": operation.connection.name,
        "before": _money(operation, wanted - rise),
        "rise": _money(operation, rise),
        "expected": _money(operation, wanted),
    }
    sentences = [gettext("Paid in before it was sent: %(before)s.") % told]
    if rise:
        sentences.append(gettext("It loads %(rise)s, so this should be paid in afterwards: %(expected)s.") % told)
    else:
        sentences.append(gettext("It loads nothing, so this should still be paid in afterwards: %(expected)s.") % told)
    if case.answered_minor is None:
        sentences.append(gettext("%(connection)s answered that it is done, and told no balance.") % told)
    else:
        said = gettext("%(connection)s answered that it is done, and that this is paid in: %(told)s. %(fits)s")
        sentences.append(said % (told | _held_against(case, case.answered_minor)))
    if case.read_minor is None:
        sentences.append(
            gettext(
                "The balance afterwards says nothing about it: it was not read, or another operation had begun on the"
                " card by then."
            )
        )
    else:
        said = gettext("Read afterwards, this was paid in: %(told)s. %(fits)s")
        sentences.append(said % _held_against(case, case.read_minor))
    return sentences


# ---- Its parts ----------------------------------------------------------------------------------------------------
def _find(request: StaffRequest, key: uuid.UUID) -> Case:
    links = ("operation__connection", "operation__card", "operation__asked_by", "closed_by")
    found = Case.objects.select_related(*links).filter(merchant=request.merchant, operation__key=key).first()
    if found is None:
        audit.record("operation not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found


def _show(request: StaffRequest, case: Case, form: ClosingForm, *, status: int = 200) -> HttpResponse:
    operation, slug = case.operation, request.merchant.slug
    page = {
        "case": case,
        "operation": operation,
        "title": words.title(operation),
        "last_four": words.last_four(operation),
        "age": formats.age(timezone.now() - case.opened_at),
        "levels": _levels(case),
        "findings": findings(case),
        "form": form,
        "denied": "" if may(request.member.role, Permission.DECIDE) else who_can(Permission.DECIDE),
        "operation_url": reverse("operation", args=[slug, operation.key]),
        "sandbox_shown": operation.connection.environment == "sandbox",
    }
    if operation.card is not None and may(request.member.role, Permission.LOOK_UP_CARDS):
        page["card_url"] = reverse("card", args=[slug, operation.card.key])
    return render(request, "ledger/balance_case.html", page, status=status)


def _levels(case: Case) -> list[Level]:
    operation, wanted = case.operation, _wanted(case)
    told = [
        (gettext("Before"), wanted - (cases.loads(operation) or 0), operation.before_at),
        (gettext("Expected"), wanted, None),
        (gettext("By the answer"), case.answered_minor, operation.ended_at),
        (gettext("Afterwards"), case.read_minor, case.read_at),
    ]
    return [
        Level(label=label, text=_money(operation, minor) if minor is not None else "", at=at)
        for label, minor, at in told
    ]


def _denied(request: StaffRequest) -> HttpResponse:
    return render(request, "403.html", {"who_can": who_can(Permission.DECIDE)}, status=403)


def _url(request: StaffRequest, operation: Operation) -> str:
    return reverse("balance_case", args=[request.merchant.slug, operation.key])


def _wanted(case: Case) -> int:
    wanted = cases.expected(case.operation)
    assert wanted is not None, "a case is opened where this is known, and what it is made of never changes"
    return wanted


def _in_short(case: Case) -> str:
    """What does not fit, for one line of a list."""
    wanted = _wanted(case)
    told = next(each for each in (case.read_minor, case.answered_minor) if each not in (None, wanted))
    amounts = {"told": _money(case.operation, told), "expected": _money(case.operation, wanted)}
    return gettext("%(told)s instead of %(expected)s") % amounts


def _held_against(case: Case, told: int) -> dict[str, str]:
    off = told - _wanted(case)
    size = {"amount": _money(case.operation, abs(off))}
    fits = (
        gettext("That fits.")
        if not off
        else gettext("That is %(amount)s too much.") % size
        if off > 0
        else gettext("That is %(amount)s too little.") % size
    )
    return {"told": _money(case.operation, told), "fits": fits}


def _money(operation: Operation, minor: int) -> str:
    return formats.money(Money(minor, operation.currency))
