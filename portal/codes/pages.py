"""A code that gives the points for a purchase to whoever scans it first: asked for in two beats, shown large, cancelled
in two more.

A code is named by the key of the operation that made it. Its page is there from the first moment: it says that it is
being made, shows it, and says what became of it.
"""

import uuid

import segno
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.codes import states, words
from portal.codes.states import CodeState
from portal.ledger import approvals, clock, operations, pages, till_words, two_beats, without_card
from portal.ledger.models import Operation, OperationState
from portal.merchants import audit, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission, may, who_can
from portal.money import Money

MAKE_CODE = without_card.Action(
    verb="issue_code",
    form="new_code",
    confirm="make_code",
    shown="code",
    title=_("Points by code"),
    lead_in=_(
        "No card and no number: the customer scans a code on this screen and collects the points for the purchase."
        " Whoever scans it first has them."
    ),
    nobody_can=_("None of your connections makes codes that give points."),
)


# ---- Making one ---------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MOVE_POINTS)
def new_code(request: StaffRequest) -> HttpResponse:
    """The form, and the sentence it comes back with."""
    return without_card.first_beat(request, MAKE_CODE)


@require_POST
@member(Permission.MOVE_POINTS)
def make_code(request: StaffRequest) -> HttpResponse:
    """Ask for the code, and go to where it is shown."""
    return without_card.second_beat(request, MAKE_CODE)


# ---- Showing it ---------------------------------------------------------------------------------------------------
@require_safe
@member(Permission.SEE_OPERATIONS)
def code(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One code; while something may become of it, htmx asks for the fragment `outcome`.

    Whoever sees it can claim it, so only those see it who may give points.
    """
    made_by = _made_by(request, key)
    kept, cancelling = states.read(made_by)
    state = states.of(made_by, kept, cancelling, clock.now())
    view = words.view(state, made_by, kept, cancelling, pages.view_of(request, made_by))
    slug, role = request.merchant.slug, request.member.role
    shows = state == CodeState.OPEN and may(role, Permission.MOVE_POINTS)
    page = {
        "operation": made_by,
        "view": view,
        "qr": _drawn(kept.address) if kept is not None and shows else "",
        "denied": who_can(Permission.MOVE_POINTS) if state == CodeState.OPEN and not shows else "",
        "cancel_url": _cancel_url(request, made_by) if _may_be_cancelled(request, state) else "",
        "another_url": without_card.form_at(request, MAKE_CODE, made_by.connection)
        if may(role, Permission.MOVE_POINTS)
        else "",
        "withdraw_url": _withdraw_url(request, made_by),
        "code_url": reverse("code", args=[slug, made_by.key]),
        "operation_url": reverse("operation", args=[slug, made_by.key]),
        "cancelling_url": reverse("operation", args=[slug, cancelling.key]) if cancelling is not None else "",
        "desk_url": reverse("desk", args=[slug]),
        "sandbox_shown": made_by.connection.environment == "sandbox",
    }
    return render(request, "codes/code.html" + ("#outcome" if request.htmx else ""), page)


def _drawn(address: str) -> SafeString:
    """The address as a QR code, an SVG without a size; level M bears a reflection on the screen."""
    symbol = segno.make_qr(address, error="m", boost_error=False)
    return mark_safe(symbol.svg_inline(border=4, svgclass=None, lineclass=None, omitsize=True))


def _withdraw_url(request: StaffRequest, made_by: Operation) -> str:
    may_ask = may(request.member.role, operations.PERMISSIONS[MAKE_CODE.verb])
    waits = made_by.state == OperationState.WAITING
    return reverse("withdraw", args=[request.merchant.slug, made_by.key]) if waits and may_ask else ""


def _may_be_cancelled(request: StaffRequest, state: CodeState) -> bool:
    return state in (CodeState.OPEN, CodeState.UNKNOWN) and may(request.member.role, Permission.VOID)


# ---- Cancelling it ------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.VOID)
def cancel(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """The sentence to confirm; a post cancels it, once per key, and goes back to where the code is shown."""
    made_by = _made_by(request, key)
    if made_by.state != OperationState.DONE:
        return redirect("code", request.merchant.slug, made_by.key)
    if request.method != "POST":
        return _cancel_page(request, made_by)
    wish = _cancelling(made_by)
    try:
        asked = approvals.request(member=request.member, key=_pressed(request), wish=wish, till=request.till)
    except (operations.OtherContent, approvals.OtherContent):
        wrong = gettext("This form is out of date. Reload the page.")
    except operations.CannotAsk as cannot:
        wrong = till_words.cannot_ask(cannot.why)
    except connections.NotNow as not_now:
        wrong = not_now.words
    except PermissionDenied:
        wrong = who_can(Permission.VOID)
    else:
        place, page_of = ("code", made_by) if isinstance(asked, Operation) else ("approval", asked)
        return HttpResponseRedirect(reverse(place, args=[request.merchant.slug, page_of.key]), status=303)
    return _cancel_page(request, made_by, wrong=wrong)


def _pressed(request: StaffRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("key", ""))
    except ValueError:
        return uuid.uuid4()


def _cancelling(made_by: Operation) -> operations.Wish:
    amount = Money(made_by.amount_minor or 0, made_by.currency)
    return operations.Wish(verb="void", card=None, connection=made_by.connection, amount=amount, original=made_by)


def _cancel_page(request: StaffRequest, made_by: Operation, *, wrong: str = "") -> HttpResponse:
    second = two_beats.second_person(request, _cancelling(made_by))
    page = {
        "operation": made_by,
        "sentence": till_words.question(
            "void", card=without_card.nobodys_card(made_by.connection), amount="", original=made_by, also_activate=False
        ),
        "second": second,
        "button": gettext("Ask a second person") if second else till_words.button("void", amount="", original=made_by),
        "key": uuid.uuid4(),
        "wrong": wrong,
        "code_url": reverse("code", args=[request.merchant.slug, made_by.key]),
        "cancel_url": _cancel_url(request, made_by),
        "sandbox_shown": made_by.connection.environment == "sandbox",
    }
    return render(request, "codes/cancel.html", page, status=422 if wrong else 200)


def _cancel_url(request: StaffRequest, made_by: Operation) -> str:
    return reverse("cancel_code", args=[request.merchant.slug, made_by.key])


def _made_by(request: StaffRequest, key: uuid.UUID) -> Operation:
    """The operation that makes or made the code."""
    rows = Operation.objects.select_related("connection", "asked_by", "original", "card", "decided_by")
    found = rows.filter(merchant=request.merchant, key=key, verb=MAKE_CODE.verb).first()
    if found is None:
        audit.record("code not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found
