"""The one access rule: who is at this merchant, in which role, and may they do this.

    @member(Permission.LOOK_UP_CARDS)
    def view(request: StaffRequest, …): …

The address names the merchant by its slug. Somebody who is no member of it gets the same 404 as for a merchant that
does not exist; a member whose role is too small gets a 403 that says who can. Inside the view the database shows this
merchant's rows and no others.

On a till a PIN is enough, for the till's work: who came in by one acts as a cashier, and meets a 403 everywhere else.

An administrator who has begun to look at the merchant (viewing.py) is in the role Read-only and changes nothing: every
request that is not safe meets a 403, and the database refuses to write.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from portal import formats
from portal.merchants import audit, tenancy, tills, viewing
from portal.merchants.models import Connection, Member, Merchant, Person, Till
from portal.merchants.roles import BY_PIN, Permission, may, who_can
from portal.merchants.standing import still_may as still_may  # asked for by this module's name
from portal.merchants.viewing import Viewing

log = logging.getLogger(__name__)
P = ParamSpec("P")

SEEN_EVERY = timedelta(minutes=5)


class StaffRequest(HttpRequest):
    """A request inside `@member`: its person, membership and merchant are known, and the till it comes from, if any.

    By a PIN, `member.role` is Cashier whatever stands in the row, and `user` is nobody: it opens only what asks
    `@member`. For an administrator who only looks, `viewing` is set and `member` is no row at all. Neither of them gets
    to know other merchants: `memberships`, by the merchant's name, are all of a person's who is signed in.

    `connections` are the merchant's, by name and without their secrets, read when a page first wants them.
    """

    person: Person
    member: Member
    memberships: list[Member]
    connections: Sequence[Connection]
    merchant: Merchant
    till: Till | None
    by_pin: bool
    viewing: Viewing | None
    htmx: HtmxDetails


def member(
    permission: Permission,
) -> Callable[[Callable[Concatenate[StaffRequest, P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorate a staff view. Its address must have a `merchant` part, the slug, which the view itself does not get."""

    def decorate(view: Callable[Concatenate[StaffRequest, P], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def checked(request: HttpRequest, *, merchant: str, **rest: Any) -> HttpResponseBase:
            staff = cast(StaffRequest, request)
            till = tills.of(request)
            staff.by_pin = not request.user.is_authenticated
            looking = viewing.of(request)
            staff.viewing = looking if looking and looking.slug == merchant else None
            if staff.viewing:
                if staff.viewing.is_over:
                    return _to_administration(request, staff.viewing)
                staff.person = cast(Person, request.user)
                found = viewing.onlooker(staff.viewing, staff.person)
                staff.memberships = [found] if found else []
            elif staff.by_pin:
                found = tills.cashier(request, till) if till and till.merchant.slug == merchant else None
                if found is None:
                    return _to_lock(request, till) if till else _to_sign_in(request)
                staff.person, staff.memberships = found.person, [found]
            elif till and tills.was_left_alone(request, till):
                return _to_lock(request, till)
            else:
                staff.person = cast(Person, request.user)
                staff.memberships = memberships(staff.person)
                found = next((each for each in staff.memberships if each.merchant.slug == merchant), None)
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
            staff.connections = cast(Sequence[Connection], SimpleLazyObject(lambda: _connections(staff.merchant)))
            staff.till = till if till and till.merchant_id == found.merchant_id and not staff.viewing else None
            with (
                tenancy.merchant(found.merchant_id),
                timezone.override(found.merchant.time_zone),
                formats.at_home_in(found.merchant.country),
                translation.override(_language(staff)),
            ):
                if staff.viewing:
                    return _look(staff, permission, lambda: view(staff, **rest))  # type: ignore[call-arg]
                _was_here(found)
                if staff.by_pin and permission not in BY_PIN:
                    return render(request, "403.html", {"who_can": _("A PIN does not open this page.")}, status=403)
                if not may(found.role, permission):
                    return render(request, "403.html", {"who_can": who_can(permission)}, status=403)
                return view(staff, **rest)  # type: ignore[call-arg]

        checked.permission = permission  # type: ignore[attr-defined]
        return checked

    return decorate


def _look(staff: StaffRequest, permission: Permission, page: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """What an administrator gets who only looks."""
    if staff.method not in viewing.SAFE:
        return render(staff, "403.html", {"who_can": viewing.refused(staff, staff.merchant)}, status=403)
    viewing.note(staff, staff.merchant)
    if permission not in viewing.OPEN:
        return render(staff, "403.html", {"who_can": who_can(permission)}, status=403)
    with viewing.nothing_written():
        return page()


def memberships(person: Person) -> list[Member]:
    """All memberships of a person with their merchants, by the merchant's name."""
    with tenancy.memberships_of(person.pk):
        return list(Member.objects.filter(person=person).select_related("merchant").order_by("merchant__name", "id"))


def _language(staff: StaffRequest) -> str | None:
    """By a PIN nobody is signed in, so the middleware could not know whose language to speak."""
    chosen = staff.person.language if staff.by_pin else ""
    return chosen if chosen in dict(settings.LANGUAGES) else translation.get_language()


def _was_here(member: Member) -> None:
    """Note that they were seen; of all their pages only one in SEEN_EVERY costs a write."""
    now = timezone.now()
    if member.seen_at is None or now - member.seen_at > SEEN_EVERY:
        long_ago = Q(seen_at=None) | Q(seen_at__lt=now - SEEN_EVERY)
        Member.objects.filter(long_ago, pk=member.pk, merchant=member.merchant_id).update(seen_at=now)


def _connections(merchant: Merchant) -> list[Connection]:
    return list(merchant.connection_set.defer("sealed_secrets").order_by("name", "id"))


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    return _whole_browser(request, redirect_to_login(request.get_full_path()))


def _to_administration(request: HttpRequest, looked: Viewing) -> HttpResponse:
    """The time is over: to where another look is begun."""
    viewing.end(request)
    messages.warning(request, _("The time for looking at this merchant is over. Nothing was changed."))
    page = HttpResponseRedirect(reverse("admin:merchants_merchant_change", args=[looked.merchant]), status=303)
    return _whole_browser(request, page)


def _to_lock(request: HttpRequest, till: Till) -> HttpResponse:
    """To the till's lock page. What was half typed waits there for the same person."""
    tills.keep(request, path=request.path, typed=request.POST.dict())
    tills.lock(request, till, why="left alone")
    return _whole_browser(request, HttpResponseRedirect(reverse("lock"), status=303))


def _whole_browser(request: HttpRequest, answer: HttpResponseRedirect) -> HttpResponse:
    # A fragment cannot be replaced by another page: the whole browser has to go there.
    return HttpResponseClientRedirect(answer.url) if getattr(request, "htmx", False) else answer
