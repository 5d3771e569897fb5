"""A till's lock: who works here, a number pad, and the way back to work. Nothing of a customer stands here."""

import uuid

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from portal.ledger import shifts
from portal.merchants import tenancy, tills
from portal.merchants.models import Member, Till
from portal.middleware import current_request_id

NOBODY = uuid.UUID(int=0)
LONGEST_ENTRY = 64  # longer than any PIN and most cards: a scan is seen as one, not cut down to a PIN


@require_http_methods(["GET", "HEAD", "POST"])
def lock_page(request: HttpRequest) -> HttpResponse:
    """Choose who you are, type your PIN. Whoever sees this page is at a locked till: it locks one that is open."""
    till = tills.of(request)
    if till is None:
        return redirect("start")
    if request.method != "POST":
        if till.cashier_id is not None or request.user.is_authenticated:
            tills.lock(request, till, why="lock page opened")
        return _page(request, till, _uuid(request.GET.get("who", "")))
    who = _uuid(request.POST.get("who", ""))
    member = tills.unlock(request, till, who=who, digits=request.POST.get("pin", "")[:LONGEST_ENTRY])
    if member is None:
        return _page(request, till, who, refused=True)
    return HttpResponseRedirect(_first_place(request, till, member), status=303)


@require_POST
def lock_now(request: HttpRequest) -> HttpResponse:
    """Lock at once, by button, key or script. Sends along what is half typed."""
    till = tills.of(request)
    if till is None:
        return redirect("start")
    typed = {
        name.removeprefix("draft-"): str(value) for name, value in request.POST.items() if name.startswith("draft-")
    }
    tills.keep(request, path=request.POST.get("path", ""), typed=typed)
    tills.lock(request, till, why="left alone" if request.POST.get("idle") else "button")
    return redirect("lock")


@require_POST
def awake(request: HttpRequest) -> HttpResponse:
    """The page's script says that somebody types or points: 204 while the till is open, 409 once it is locked."""
    till = tills.of(request)
    if till is None:
        return redirect("start")
    if request.user.is_authenticated:
        is_open = not tills.was_left_alone(request, till)
    else:
        is_open = tills.cashier(request, till) is not None
    return HttpResponse(status=204 if is_open else 409)


def _first_place(request: HttpRequest, till: Till, member: Member) -> str:
    """Where one was, or first of all to the tap that begins the day's shift."""
    with tenancy.merchant(till.merchant_id), timezone.override(till.merchant.time_zone):
        is_later = request.session.get("no_shift") == str(timezone.localdate())
        if not is_later and shifts.is_first_today(till, member.person):
            return reverse("shift", args=[till.merchant.slug])
    return tills.back(request, till)


def _page(request: HttpRequest, till: Till, who: uuid.UUID, *, refused: bool = False) -> HttpResponse:
    people = tills.people(till)
    chosen = _chosen(request, till, people, who)
    page = {
        "locked_till": till,
        "people": people,
        "chosen": chosen,
        "chosen_key": chosen.pin.key if chosen else who,
        "error": gettext(
            "That did not open the till. After several wrong tries a PIN has to wait, and in the end it takes the"
            " password to go on."
        )
        if refused
        else "",
        "request_id": current_request_id(),
    }
    return render(request, "desk/lock.html", page, status=422 if refused else 200)


def _chosen(request: HttpRequest, till: Till, people: list[Member], who: uuid.UUID) -> Member | None:
    """Whose PIN is asked for: the one named, or the one who was here last and is most likely back."""
    if "all" in request.GET:
        return None
    by_key = {each.pin.key: each for each in people}
    by_person = {each.person_id: each for each in people}
    return by_person.get(till.last_cashier_id or 0) if who == NOBODY else by_key.get(who)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return NOBODY
