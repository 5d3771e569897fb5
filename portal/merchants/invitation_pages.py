"""What somebody sees who follows the link of an invitation.

The link's token is looked at once and leaves the address bar at once: the browser's session remembers which
invitation it opened, and every page after that stands at one address without it.
"""

import uuid

from allauth.account.utils import perform_login
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from portal import formats
from portal.merchants import invitations
from portal.merchants.models import Invitation, InvitationState, Member, Person
from portal.merchants.people_forms import JoinForm
from portal.merchants.roles import Role, in_words

_REMEMBERED = "invitation"


@csrf_exempt
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Take the token from the address. Nothing is decided by opening a link: mail programs do that, too.

    Whatever is wrong with it or with the way it is asked, the answer is the same redirect: a refusal would be logged
    with its address.
    """
    found = invitations.by_token(token.strip("/"))
    if found is None:
        request.session.pop(_REMEMBERED, None)
    else:
        request.session[_REMEMBERED] = str(found.key)
    return redirect("invitation")


@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest) -> HttpResponse:
    """Who invites to what, and what this visitor can do: accept, decline, sign in, make an account, sign out."""
    found = _remembered(request)
    if found is None or _why_over(found):
        return _over(request, found)
    with timezone.override(found.merchant.time_zone), formats.at_home_in(found.merchant.country):
        if request.method == "POST":
            return _act(request, found)
        return _show(request, found)


def _remembered(request: HttpRequest) -> Invitation | None:
    key = request.session.get(_REMEMBERED)
    return invitations.by_key(uuid.UUID(key)) if key else None


def _show(request: HttpRequest, found: Invitation, form: JoinForm | None = None) -> HttpResponse:
    person = _person(request)
    there = invitations.membership(found, person) if person else None
    page: dict[str, object] = {
        "invitation": found,
        "role": in_words(Role(found.role)),
        "person": person,
        "there": there,
        "desk_url": reverse("desk", args=[found.merchant.slug]),
    }
    if person is None and not Person.objects.filter(email=found.email).exists():
        page["form"] = form or JoinForm(email=found.email)
    return render(request, "merchants/invitation.html", page, status=422 if form and form.errors else 200)


def _act(request: HttpRequest, found: Invitation) -> HttpResponse:
    person, wish = _person(request), request.POST.get("do")
    if wish == "sign_out" and person is not None:
        logout(request)
        request.session[_REMEMBERED] = str(found.key)
        return redirect("invitation")
    try:
        if wish == "decline":
            invitations.decline(found, person=person, request=request)
            return redirect("invitation")
        if wish == "accept" and person is not None and person.email == found.email:
            return _arrive(request, invitations.accept(found, person, request=request))
        if wish == "join" and person is None:
            return _join(request, found)
    except invitations.NotOpen:
        return _over(request, _remembered(request))
    except (invitations.AlreadyMember, invitations.AccountThere):
        pass  # the page says so
    return _show(request, found)


def _join(request: HttpRequest, found: Invitation) -> HttpResponse:
    form = JoinForm(request.POST, email=found.email)
    if not form.is_valid():
        return _show(request, found, form)
    name, password = form.cleaned_data["name"], form.cleaned_data["password"]
    member = invitations.join(found, name=name, password=password, request=request)
    perform_login(request, member.person)
    return _arrive(request, member)


def _arrive(request: HttpRequest, member: Member) -> HttpResponse:
    request.session.pop(_REMEMBERED, None)
    messages.success(
        request,
        _("Welcome to %(merchant)s. You are %(role)s here.")
        % {"merchant": member.merchant.name, "role": member.get_role_display()},
    )
    return redirect("desk", member.merchant.slug)


def _over(request: HttpRequest, found: Invitation | None) -> HttpResponse:
    why = _why_over(found) if found else "unknown"
    return render(request, "merchants/invitation_over.html", {"why": why, "invitation": found})


def _why_over(found: Invitation) -> str:
    """Our word for why nothing can be accepted any more, or nothing."""
    if found.state != InvitationState.PENDING:
        return found.state
    return "expired" if invitations.is_over(found) else ""


def _person(request: HttpRequest) -> Person | None:
    return request.user if request.user.is_authenticated else None
