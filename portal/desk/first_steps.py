"""What a new merchant does first, each step known from what is there; and hiding the list for good."""

from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from portal.ledger.models import Card, Operation, OperationState
from portal.merchants import access, audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection, Invitation, Member, Merchant, Till
from portal.merchants.roles import Permission, Role, may, who_can
from portal.merchants.second_factor import FACTORS


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what to do, whether it is done, and where it is done."""

    name: str
    label: str
    done: bool
    url: str


@dataclass(frozen=True, kw_only=True)
class FirstSteps:
    """All of them, in order. `next` is the first that is not done."""

    steps: list[Step]
    next: Step | None
    done: int
    may_close: bool


def of(request: StaffRequest) -> FirstSteps | None:
    """The list for those who set a merchant up, until somebody hides it."""
    sets_up = may(request.member.role, Permission.CONNECT) and not request.by_pin
    if not sets_up or request.merchant.first_steps_closed_at is not None:
        return None
    steps = _steps(request)
    following = next((step for step in steps if not step.done), None)
    return FirstSteps(
        steps=steps,
        next=following,
        done=sum(step.done for step in steps),
        may_close=following is None or request.member.role == Role.OWNER,
    )


def note_look_up(merchant: Merchant) -> None:
    """Remember that a card was looked up: look-ups themselves are erased after minutes."""
    if merchant.first_look_up_at is None:
        Merchant.objects.filter(pk=merchant.pk, first_look_up_at=None).update(first_look_up_at=Now())


@require_POST
@member(Permission.CONNECT)
def close(request: StaffRequest) -> HttpResponse:
    """Hide the list from everybody: once all is done, or because an owner says so."""
    try:
        with transaction.atomic():
            role = access.still_may(request.member, Permission.CONNECT)
            if role != Role.OWNER and not all(step.done for step in _steps(request)):
                messages.warning(request, gettext("Before all steps are done, only an owner hides them."))
            elif Merchant.objects.filter(pk=request.merchant.pk, first_steps_closed_at=None).update(
                first_steps_closed_at=Now()
            ):
                audit.record(
                    "first steps hidden",
                    request.merchant.name,
                    merchant=request.merchant,
                    person=request.person,
                    request=request,
                )
    except PermissionDenied:
        return render(request, "403.html", {"who_can": who_can(Permission.CONNECT)}, status=403)
    return redirect("desk", request.merchant.slug)


def _steps(request: StaffRequest) -> list[Step]:
    """In one query: each is only asked whether there is one. The merchant is named outright: of an outer row's merchant
    the planner does not know how few rows it has, and would read everybody's."""
    slug, mine = request.merchant.slug, {"merchant": request.merchant}
    others = Member.objects.filter(**mine).exclude(pk=request.member.pk)
    facts = (
        Merchant.objects.filter(pk=request.merchant.pk)
        .values(
            connected=Exists(Connection.objects.filter(**mine)),
            looked_up=Exists(Card.objects.filter(**mine)),
            moved=Exists(Operation.objects.filter(**mine, state=OperationState.DONE)),
            invited=Exists(others),
            asked=Exists(Invitation.objects.filter(**mine)),
            factor=Exists(Authenticator.objects.filter(user=request.person, type__in=FACTORS)),
            counter=Exists(Till.objects.filter(**mine)),
        )
        .get()
    )
    desk = reverse("desk", args=[slug])
    box = f"{desk}#scan-number"
    told = [
        ("connect", gettext("Connect a provider"), facts["connected"], reverse("connect", args=[slug])),
        (
            "look_up",
            gettext("Look up a first card"),
            facts["looked_up"] or request.merchant.first_look_up_at is not None,
            box,
        ),
        ("operation", gettext("Take a first payment, or add money"), facts["moved"], box),
        (
            "colleague",
            gettext("Invite a colleague"),
            facts["invited"] or facts["asked"],
            reverse("invite", args=[slug]),
        ),
        ("factor", gettext("Give your sign-in a second factor"), facts["factor"], reverse("account")),
        ("till", gettext("Make the browser at the counter a till"), facts["counter"], reverse("tills", args=[slug])),
    ]
    return [Step(name=name, label=label, done=done, url=url) for name, label, done, url in told]
