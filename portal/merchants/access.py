"""The one access rule: who is at this merchant, in which role, and may they do this.

    @member(Permission.LOOK_UP_CARDS)
    def view(request: StaffRequest, …): …

The address names the merchant by its slug. Somebody who is no member of it gets the same 404 as for a merchant that
does not exist; a member whose role is too small gets a 403 that says who can. Inside the view the database shows this
merchant's rows and no others.
"""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from portal import formats
from portal.merchants import audit, tenancy
from portal.merchants.models import Member, Merchant, Person
from portal.merchants.roles import Permission, may, who_can

log = logging.getLogger(__name__)
P = ParamSpec("P")


class StaffRequest(HttpRequest):
    """A request inside `@member`: its person, membership and merchant are known."""

    person: Person
    member: Member
    merchant: Merchant
    htmx: HtmxDetails


def member(
    permission: Permission,
) -> Callable[[Callable[Concatenate[StaffRequest, P], HttpResponse]], Callable[..., HttpResponse]]:
    """Decorate a staff view. Its address must have a `merchant` part, the slug, which the view itself does not get."""

    def decorate(view: Callable[Concatenate[StaffRequest, P], HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def checked(request: HttpRequest, *, merchant: str, **rest: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return _to_sign_in(request)
            staff = cast(StaffRequest, request)
            staff.person = request.user
            found = _membership(staff.person, merchant)
            if found is None:
                audit.record(
                    "address refused",
                    f"merchant {merchant}",
                    merchant=None,
                    person=staff.person,
                    request=request,
                )
                raise Http404
            staff.member, staff.merchant = found, found.merchant
            with (
                tenancy.merchant(found.merchant_id),
                timezone.override(found.merchant.time_zone),
                formats.at_home_in(found.merchant.country),
            ):
                if not may(found.role, permission):
                    return render(request, "403.html", {"who_can": who_can(permission)}, status=403)
                return view(staff, **rest)  # type: ignore[call-arg]

        checked.permission = permission  # type: ignore[attr-defined]
        return checked

    return decorate


def memberships(person: Person) -> list[Member]:
    """All memberships of a person with their merchants, by the merchant's name."""
    with tenancy.memberships_of(person.pk):
        return list(Member.objects.filter(person=person).select_related("merchant").order_by("merchant__name", "id"))


def still_may(member: Member, permission: Permission) -> None:
    """Call inside the transaction that writes: raise PermissionDenied if the person has meanwhile been removed or
    their role lowered. The row is held until the end of the transaction."""
    role = (
        Member.objects.select_for_update(no_key=True)
        .filter(pk=member.pk, merchant=member.merchant_id)
        .values_list("role", flat=True)
        .first()
    )
    if role is None or not may(role, permission):
        raise PermissionDenied(who_can(permission))


def _membership(person: Person, slug: str) -> Member | None:
    with tenancy.memberships_of(person.pk):
        return Member.objects.select_related("merchant").filter(person=person, merchant__slug=slug).first()


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    answer = redirect_to_login(request.get_full_path())
    # A fragment cannot be replaced by the sign-in page: the whole browser has to go there.
    return HttpResponseClientRedirect(answer.url) if getattr(request, "htmx", False) else answer
