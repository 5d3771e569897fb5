"""A code that gives the points for a purchase to whoever scans it first: asked for in two beats, shown large, cancelled
in two more.

A code is named by the key of the operation that made it. Its page is there from the first moment: it says that it is
being made, shows it, and says what became of it.
"""

import dataclasses
import uuid

import segno
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.codes import states, words
from portal.codes.states import CodeState
from portal.connectors import doctor
from portal.ledger import (
    approval_pages,
    approvals,
    clock,
    new_card,
    operation_words,
    operations,
    pages,
    predictions,
    till,
)
from portal.ledger.models import Card, Operation, OperationState
from portal.ledger.till_forms import ActionForm
from portal.merchants import audit, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection
from portal.merchants.roles import Permission, may, who_can
from portal.money import Money, minor_digits

VERB = "issue_code"


def makers(request: StaffRequest) -> list[Connection]:
    """The connections that make codes, by name; on a till those that serve its store."""
    mine = new_card.served(request)
    return [each for each in mine if VERB in doctor.capabilities(each.provider, each.options).can]


# ---- Making one ---------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.MOVE_POINTS)
def new_code(request: StaffRequest) -> HttpResponse:
    """The form, and the sentence it comes back with. htmx asks for the fragments `action` and `prediction`."""
    offered = makers(request)
    chosen = _chosen(request, offered)
    if chosen is None:
        return _form_page(request, offered, None, None)
    if request.htmx and request.htmx.target == "prediction":
        asked_for, here = request.GET.get("prediction", ""), _new_url(request, chosen)
        prediction = predictions.find(request, _nobodys(chosen), asked_for, page=here)
        return render(request, "ledger/confirm.html#prediction", {"prediction": prediction})
    if request.method == "POST" and "change" not in request.POST:
        return _form_page(request, offered, chosen, _bound(request, chosen), asked=True)
    typed = {name: str(value) for name, value in request.POST.items() if name != "minor"}
    typed |= till.amount_to_type(_nobodys(chosen), str(request.POST.get("minor", "")))
    return _form_page(request, offered, chosen, _blank(chosen, {"key": uuid.uuid4(), **typed}))


@require_POST
@member(Permission.MOVE_POINTS)
def make_code(request: StaffRequest) -> HttpResponse:
    """The second beat: ask for it, once per key, and go to where it is shown."""
    offered = makers(request)
    chosen = _chosen(request, offered)
    if chosen is None:
        return _form_page(request, offered, None, None, status=422)
    form = _bound(request, chosen)
    if form.is_valid():
        again = _new_url(request, chosen)
        fresh = [pair for pair in form.exact() if pair[0] != "key"]
        try:
            asked = approvals.request(
                member=request.member, key=form.cleaned_data["key"], wish=_wish(form, chosen), till=request.till
            )
        except operations.OtherContent as other:
            return pages.first_outcome(request, other.operation, url=again, verb=VERB, exact=fresh)
        except approvals.OtherContent as other:
            return approval_pages.first_outcome(request, other.approval, url=again, verb=VERB, exact=fresh)
        except operations.CannotAsk as cannot:
            form.add_error(None, operation_words.cannot_ask(cannot.why))
        except connections.NotNow as not_now:
            form.add_error(None, not_now.words)
        except PermissionDenied:
            form.add_error(None, who_can(Permission.MOVE_POINTS))
        else:
            # 303: a reload of what follows asks for the page, never for another code.
            page = "code" if isinstance(asked, Operation) else "approval"
            return HttpResponseRedirect(reverse(page, args=[request.merchant.slug, asked.key]), status=303)
    return _form_page(request, offered, chosen, till.as_typed(form), status=422)


def _chosen(request: StaffRequest, offered: list[Connection]) -> Connection | None:
    """The connection in the address, else the first one. Raises Http404 for one that makes no codes."""
    named = request.GET.get("connection", "")
    if named:
        found = next((each for each in offered if str(each.key) == named), None)
        if found is None:
            raise Http404
        return found
    return next(iter(offered), None)


def _bound(request: StaffRequest, chosen: Connection) -> ActionForm:
    return ActionForm(request.POST, verb=VERB, card=_nobodys(chosen))


def _blank(chosen: Connection, initial: dict[str, object]) -> ActionForm:
    return ActionForm(verb=VERB, card=_nobodys(chosen), initial=initial)


def _nobodys(chosen: Connection) -> Card:
    """No card, never stored: what the form has to know of it is where it would be."""
    return Card(merchant_id=chosen.merchant_id, connection=chosen)


def _wish(form: ActionForm, chosen: Connection) -> operations.Wish:
    return dataclasses.replace(form.wish(), card=None, connection=chosen)


def _form_page(
    request: StaffRequest,
    offered: list[Connection],
    chosen: Connection | None,
    form: ActionForm | None,
    *,
    asked: bool = False,
    status: int = 200,
) -> HttpResponse:
    here = reverse("new_code", args=[request.merchant.slug])
    page: dict[str, object] = {
        "offered": [(each, f"{here}?connection={each.key}", each == chosen) for each in offered],
        "chosen": chosen,
        "form": form,
        "desk_url": reverse("desk", args=[request.merchant.slug]),
    }
    if chosen is not None and form is not None:
        is_question = asked and form.is_valid()
        page |= {
            "not_now": connections.not_now(chosen, VERB),
            "question": _question(request, form, chosen) if is_question else None,
            "wants_money": True,
            "currency": form.currency,
            "places": minor_digits(form.currency),
            "card_url": _new_url(request, chosen),
            "confirm_url": f"{reverse('make_code', args=[request.merchant.slug])}?connection={chosen.key}",
            "sandbox_shown": chosen.environment == "sandbox",
        }
    template = "codes/new_code.html" + ("#action" if request.htmx else "")
    return render(request, template, page, status=422 if form is not None and form.errors else status)


def _new_url(request: StaffRequest, chosen: Connection) -> str:
    return f"{reverse('new_code', args=[request.merchant.slug])}?connection={chosen.key}"


def _question(request: StaffRequest, form: ActionForm, chosen: Connection) -> dict[str, object]:
    """The sentence to confirm, as confirm.html draws it."""
    wish = _wish(form, chosen)
    assert wish.amount is not None
    amount = operation_words.amount(Operation(amount_minor=wish.amount.minor, currency=wish.amount.currency))
    second = till.second_person(request, wish)
    return {
        "amount": amount,
        "sentence": operation_words.question(VERB, card=form.card, amount=amount, original=None, also_activate=False),
        "warnings": till.warnings(form, wish),
        "second": second,
        "button": gettext("Ask a second person")
        if second
        else operation_words.button(VERB, amount=amount, original=None),
        "exact": form.exact(),
        "prediction": predictions.ask(
            request, form.card, wish.amount, form_key=form.cleaned_data["key"], page=_new_url(request, chosen)
        ),
    }


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
        "another_url": _new_url(request, made_by.connection) if may(role, Permission.MOVE_POINTS) else "",
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
    may_ask = may(request.member.role, operations.PERMISSIONS[VERB])
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
        wrong = operation_words.cannot_ask(cannot.why)
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
    second = till.second_person(request, _cancelling(made_by))
    page = {
        "operation": made_by,
        "sentence": operation_words.question(
            "void", card=_nobodys(made_by.connection), amount="", original=made_by, also_activate=False
        ),
        "second": second,
        "button": gettext("Ask a second person")
        if second
        else operation_words.button("void", amount="", original=made_by),
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
    found = rows.filter(merchant=request.merchant, key=key, verb=VERB).first()
    if found is None:
        audit.record("code not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found
