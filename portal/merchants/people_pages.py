"""Pages about who works at a merchant: the list, one person, inviting, leaving, and what each role can do.

Shows and asks; people.py and invitations.py write.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import formats
from portal.merchants import audit, invitations, people, second_factor
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Invitation, InvitationState, Member
from portal.merchants.people_forms import InviteForm, RoleForm
from portal.merchants.roles import (
    AboveYou,
    Permission,
    Role,
    doings,
    given_by,
    held,
    in_words,
    may,
    may_give,
    who_can,
)

PAGE = 50
MOST_INVITATIONS = 50  # on the page; the newest


# ---- The list -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class PersonLine:
    """One member in the list. `url` is empty where the person who looks can change nothing about them."""

    name: str
    email: str
    role_label: str
    since: datetime
    seen_at: datetime | None
    seen: str
    second_factor: bool
    is_you: bool
    url: str


@dataclass(frozen=True, kw_only=True)
class InvitationLine:
    """One invitation that waits. The addresses of what can be done are empty for who may not."""

    email: str
    role_label: str
    by: str
    invited_at: datetime
    age: str
    left: str
    resend_url: str
    withdraw_url: str


@require_safe
@member(Permission.SEE_SETTINGS)
def listing(request: StaffRequest) -> HttpResponse:
    """Everybody here by name, and who is invited; `after` names the last person of the page before."""
    after = _find(request, _uuid(request.GET.get("after", "")))
    rows = _members(request, after)
    proving = second_factor.who_have_one([row.person_id for row in rows])
    manages = may(request.member.role, Permission.MANAGE_PEOPLE)
    return render(
        request,
        "merchants/people.html",
        {
            "lines": [_person_line(request, row, proving, manages=manages) for row in rows[:PAGE]],
            "invited": [] if after else _invited(request),
            "manages": manages,
            "denied": "" if manages else who_can(Permission.MANAGE_PEOPLE),
            "first_page": after is None,
            "after": rows[PAGE - 1].key if len(rows) > PAGE else None,
            "time_zone": request.merchant.time_zone,
        },
    )


def _members(request: StaffRequest, after: Member | None) -> list[Member]:
    """A page of them, and one more where there is a further page."""
    rows = Member.objects.filter(merchant=request.merchant).select_related("person")
    if after is not None:
        name = after.person.name
        rows = rows.filter(Q(person__name__gt=name) | Q(person__name=name, id__gt=after.pk))
    return list(rows.order_by("person__name", "id")[: PAGE + 1])


def _person_line(request: StaffRequest, row: Member, proving: set[int], *, manages: bool) -> PersonLine:
    return PersonLine(
        name=row.person.name,
        email=row.person.email,
        role_label=row.get_role_display(),
        since=row.since,
        seen_at=row.seen_at,
        seen=formats.age(timezone.now() - row.seen_at) if row.seen_at else "",
        second_factor=row.person_id in proving,
        is_you=row.pk == request.member.pk,
        url=reverse("person", args=[request.merchant.slug, row.key]) if manages else "",
    )


def _invited(request: StaffRequest) -> list[InvitationLine]:
    rows = Invitation.objects.filter(merchant=request.merchant, state=InvitationState.PENDING)
    newest = rows.select_related("invited_by").order_by("-invited_at", "-id")[:MOST_INVITATIONS]
    return [_invitation_line(request, row) for row in newest]


def _invitation_line(request: StaffRequest, row: Invitation) -> InvitationLine:
    place = [request.merchant.slug, row.key]
    may_send = invitations.may_send(request.member.role, row.role)
    return InvitationLine(
        email=row.email,
        role_label=row.get_role_display(),
        by=row.invited_by.name,
        invited_at=row.invited_at,
        age=formats.age(timezone.now() - row.invited_at),
        left="" if invitations.is_over(row) else formats.age(row.expires_at - timezone.now()),
        resend_url=reverse("resend_invitation", args=place) if may_send else "",
        withdraw_url=reverse("withdraw_invitation", args=place) if may_send else "",
    )


# ---- Inviting -------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MANAGE_PEOPLE)
def invite(request: StaffRequest) -> HttpResponse:
    """Ask for an address and a role, beside what each role can do, and send the invitation."""
    roles = given_by(request.member.role)
    form = InviteForm(request.POST or None, roles=roles, initial={"role": Role.CASHIER})
    if request.method == "POST" and form.is_valid():
        wrong = _invite(request, form)
        if wrong is None:
            messages.success(
                request, _("The invitation to %(email)s is on its way.") % {"email": form.cleaned_data["email"]}
            )
            return redirect("people", request.merchant.slug)
        form.add_error(*wrong)
    return render(
        request,
        "merchants/invite.html",
        {"form": form, "roles": _choices(form, roles), "days": settings.INVITATION_DAYS},
        status=422 if form.errors else 200,
    )


def _invite(request: StaffRequest, form: InviteForm) -> tuple[str, str] | None:
    """Send it, or say at which field what is in the way."""
    email = form.cleaned_data["email"]
    try:
        invitations.invite(request.member, email=email, role=form.cleaned_data["role"], request=request)
    except invitations.AlreadyMember as there:
        return "email", _("%(name)s already works here, as %(role)s. You can change the role on the page People.") % {
            "name": there.member.person.name,
            "role": there.member.get_role_display(),
        }
    except invitations.AlreadyInvited:
        return "email", _("An invitation to this address is open. Send it anew or withdraw it on the page People.")
    except invitations.TooMany:
        return "email", _too_many()
    except AboveYou:
        return "role", _("Your own role does not hold all of this role, so you cannot give it.")
    return None


def _too_many() -> str:
    return _("So many invitations were sent within 24 hours that this one has to wait. Nothing was sent.")


def _not_open() -> str:
    return _("This invitation is over already: accepted, declined, withdrawn or sent anew.")


def _choices(form: RoleForm, roles: list[Role]) -> list[dict[str, object]]:
    """The roles to choose from, each with its words."""
    return [{"words": in_words(role), "checked": form["role"].value() == role} for role in roles]


@require_POST
@member(Permission.MANAGE_PEOPLE)
def resend(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Send a waiting invitation anew; the old link is dead."""
    try:
        row = invitations.resend(request.member, key, request=request)
    except Invitation.DoesNotExist:
        return _missing(request, "invitation", key)
    except AboveYou:
        return _denied(request)
    except invitations.NotOpen:
        messages.error(request, _not_open())
    except invitations.TooMany:
        messages.error(request, _too_many())
    else:
        messages.success(
            request, _("The invitation to %(email)s is sent anew. The link before is dead.") % {"email": row.email}
        )
    return redirect("people", request.merchant.slug)


@require_POST
@member(Permission.MANAGE_PEOPLE)
def withdraw(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Take a waiting invitation back."""
    try:
        row = invitations.withdraw(request.member, key, request=request)
    except Invitation.DoesNotExist:
        return _missing(request, "invitation", key)
    except AboveYou:
        return _denied(request)
    except invitations.NotOpen:
        messages.error(request, _not_open())
    else:
        messages.success(
            request, _("The invitation to %(email)s is withdrawn. Its link is dead.") % {"email": row.email}
        )
    return redirect("people", request.merchant.slug)


# ---- One person -----------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MANAGE_PEOPLE)
def person(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One member, and another role for them in two beats: choose, then confirm what they gain and lose."""
    theirs = _find(request, key)
    if theirs is None:
        return _missing(request, "person", key)
    may_change = may_give(request.member.role, theirs.role)
    roles = given_by(request.member.role)
    form = RoleForm(request.POST or None, roles=roles, initial={"role": theirs.role})
    if request.method == "POST":
        if not may_change:
            return _denied(request)
        if form.is_valid() and "back" not in request.POST:
            chosen = Role(form.cleaned_data["role"])
            if chosen == theirs.role:
                return redirect("people", request.merchant.slug)
            if "confirmed" not in request.POST:
                return _confirm_role(request, theirs, chosen)
            return _change_role(request, theirs, chosen)
    return render(
        request,
        "merchants/person.html",
        {
            "theirs": theirs,
            "is_you": theirs.pk == request.member.pk,
            "seen": formats.age(timezone.now() - theirs.seen_at) if theirs.seen_at else "",
            "second_factor": second_factor.has_one(theirs.person),
            "may_change": may_change,
            "denied": "" if may_change else who_can(Permission.MANAGE_OWNERS),
            "last_owner": people.is_last_owner(theirs),
            "form": form,
            "roles": _choices(form, roles),
            "time_zone": request.merchant.time_zone,
        },
        status=422 if form.errors else 200,
    )


def _confirm_role(request: StaffRequest, theirs: Member, chosen: Role) -> HttpResponse:
    is_you = theirs.pk == request.member.pk
    words = {"name": theirs.person.name, "before": theirs.get_role_display(), "after": chosen.label}
    return render(
        request,
        "merchants/confirm.html",
        {
            "title": _("Change your role?") if is_you else _("Change the role of %(name)s?") % words,
            "sentence": _("You become %(after)s instead of %(before)s.") % words
            if is_you
            else _("%(name)s becomes %(after)s instead of %(before)s.") % words,
            "consequence": _("It holds from the next page on. You cannot take this back yourself.")
            if is_you
            else _("It holds from their next page on, and they stay signed in."),
            "gained": doings(held(chosen) - held(theirs.role)),
            "lost": doings(held(theirs.role) - held(chosen)),
            "exact": [("role", chosen.value)],
            "button": _("Make me %(after)s") % words if is_you else _("Make %(name)s %(after)s") % words,
            "back_url": reverse("person", args=[request.merchant.slug, theirs.key]),
        },
    )


def _change_role(request: StaffRequest, theirs: Member, chosen: Role) -> HttpResponse:
    try:
        changed = people.change_role(request.member, theirs.key, chosen, request=request)
    except Member.DoesNotExist:
        return _missing(request, "person", theirs.key)
    except AboveYou:
        return _denied(request)
    except people.LastOwner:
        messages.error(request, _last_owner_words())
        return redirect("person", request.merchant.slug, theirs.key)
    words = {"name": changed.person.name, "role": changed.get_role_display()}
    messages.success(request, _("%(name)s is %(role)s now.") % words)
    return redirect(_next(request, changed), request.merchant.slug)


def _next(request: StaffRequest, changed: Member) -> str:
    """Somebody who lowered themselves may not see the list any more."""
    still_sees = changed.pk != request.member.pk or may(changed.role, Permission.SEE_SETTINGS)
    return "people" if still_sees else "desk"


def _last_owner_words() -> str:
    return _("This is the only owner. Make somebody else an owner first.")


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MANAGE_PEOPLE)
def remove(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Take somebody out, after a sentence that says what they lose."""
    theirs = _find(request, key)
    if theirs is None:
        return _missing(request, "person", key)
    if theirs.pk == request.member.pk:
        return redirect("leave", request.merchant.slug)
    if not may_give(request.member.role, theirs.role):
        return _denied(request)
    if request.method == "POST" and "confirmed" in request.POST:
        return _remove(request, theirs)
    words = {"name": theirs.person.name, "merchant": request.merchant.name, "role": theirs.get_role_display()}
    return render(
        request,
        "merchants/confirm.html",
        {
            "title": _("Remove %(name)s?") % words,
            "sentence": _("%(name)s, %(role)s, loses %(merchant)s at once, on every device.") % words,
            "consequence": _(
                "What they have asked for is still carried out; nothing more is taken from them. Invitations of theirs"
                " that are open are withdrawn. What they did stays in the trail under their name, and their account"
                " stays theirs."
            ),
            "lost": doings(held(theirs.role) - {Permission.LEAVE}),
            "button": _("Remove %(name)s") % words,
            "back_url": reverse("person", args=[request.merchant.slug, theirs.key]),
        },
    )


def _remove(request: StaffRequest, theirs: Member) -> HttpResponse:
    try:
        people.remove(request.member, theirs.key, request=request)
    except Member.DoesNotExist:
        return _missing(request, "person", theirs.key)
    except AboveYou:
        return _denied(request)
    except people.LastOwner:
        messages.error(request, _last_owner_words())
        return redirect("person", request.merchant.slug, theirs.key)
    messages.success(request, _("%(name)s does not work here any more.") % {"name": theirs.person.name})
    return redirect("people", request.merchant.slug)


# ---- Oneself --------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.LEAVE)
def leave(request: StaffRequest) -> HttpResponse:
    """Go oneself, after a sentence that says what one loses."""
    words = {"merchant": request.merchant.name}
    if request.method == "POST" and "confirmed" in request.POST:
        try:
            people.leave(request.member, request=request)
        except people.LastOwner:
            messages.error(
                request, _("You are the only owner, so you cannot leave. Make somebody else an owner first.")
            )
            return redirect(request.path)
        messages.success(request, _("You have left %(merchant)s.") % words)
        return redirect("choose")
    stays = people.is_last_owner(request.member)
    return render(
        request,
        "merchants/confirm.html",
        {
            "title": _("Leave %(merchant)s?") % words,
            "sentence": _("You are the only owner of %(merchant)s, so you cannot leave it.") % words
            if stays
            else _("You lose %(merchant)s at once, on every device. Only an invitation brings you back.") % words,
            "consequence": _("Make somebody else an owner first.")
            if stays
            else _("Invitations of yours that are open are withdrawn. What you did stays under your name."),
            "lost": [] if stays else doings(held(request.member.role) - {Permission.LEAVE}),
            "button": "" if stays else _("Leave %(merchant)s") % words,
            "back_url": reverse("roles", args=[request.merchant.slug]),
        },
    )


@require_safe
@member(Permission.SEE_DESK)
def roles(request: StaffRequest) -> HttpResponse:
    """What each role can and cannot do, from the table the code checks; one's own first of all."""
    return render(
        request,
        "merchants/roles.html",
        {
            "roles": [in_words(role) for role in Role],
            "mine": request.member.role,
            "role_name": request.member.get_role_display(),
            "merchant_name": request.merchant.name,
            "may_leave": not request.by_pin,
        },
    )


# ---- One row --------------------------------------------------------------------------------------------------
def _find(request: StaffRequest, key: uuid.UUID | None) -> Member | None:
    if key is None:
        return None
    return Member.objects.select_related("person").filter(merchant=request.merchant, key=key).first()


def _denied(request: StaffRequest) -> HttpResponse:
    return render(request, "403.html", {"who_can": who_can(Permission.MANAGE_OWNERS)}, status=403)


def _missing(request: StaffRequest, what: str, key: uuid.UUID) -> HttpResponse:
    audit.record(f"{what} not found", str(key), merchant=request.merchant, person=request.person, request=request)
    return render(request, "404.html", status=404)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
