"""What is asked for without a card in hand: a card that is to be made, or a code for whoever scans it.

A connection is chosen instead of a card, and then it takes the same two beats as on a card's page, see two_beats.py.
Each such action is one `Action` and two views that say who may.
"""

import dataclasses
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext

from portal.connectors import doctor
from portal.ledger import operation_words, operations, predictions, till_words, two_beats
from portal.ledger.models import Card, Operation
from portal.ledger.till_forms import MONEY, ActionForm
from portal.merchants import connection_settings, connections
from portal.merchants.access import StaffRequest
from portal.merchants.models import Connection
from portal.merchants.roles import may
from portal.money import minor_digits


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action that takes no card: its verb, the names of its addresses, and its words."""

    verb: str
    form: str  # where it is typed and comes back as a sentence
    confirm: str  # where the sentence is posted to
    shown: str  # where its operation is shown, by key
    title: Promise
    lead_in: Promise  # above the form; may name the %(connection)s
    nobody_can: Promise  # where no connection can be asked for it


def makers(request: StaffRequest, action: Action) -> list[Connection]:
    """The connections it can be asked of, by name; on a till those that serve its store."""
    return [each for each in _served(request) if _makes(each, action.verb)]


def way_in(request: StaffRequest, action: Action) -> str:
    """The address of its form, for whoever may and where a connection can; else ""."""
    if not may(request.member.role, operations.PERMISSIONS[action.verb]) or not makers(request, action):
        return ""
    return reverse(action.form, args=[request.merchant.slug])


def form_at(request: StaffRequest, action: Action, connection: Connection) -> str:
    """The address of its form, with this connection chosen."""
    return f"{reverse(action.form, args=[request.merchant.slug])}?connection={connection.key}"


def nobodys_card(connection: Connection) -> Card:
    """No card, never stored: what form and sentence have to know of it is where it would be."""
    return Card(merchant_id=connection.merchant_id, connection=connection)


# ---- The two beats ------------------------------------------------------------------------------------------------
def first_beat(request: StaffRequest, action: Action) -> HttpResponse:
    """The form, and the sentence it comes back with. htmx asks for the fragments `action` and `prediction`."""
    offered = makers(request, action)
    chosen = _chosen(request, offered)
    if chosen is None:
        return _page(request, action, offered, None, None)
    if request.htmx and request.htmx.target == "prediction":
        asked_for, here = request.GET.get("prediction", ""), form_at(request, action, chosen)
        prediction = predictions.find(request, nobodys_card(chosen), asked_for, page=here)
        return render(request, "ledger/confirm.html#prediction", {"prediction": prediction})
    if request.method == "POST" and "change" not in request.POST:
        return _page(request, action, offered, chosen, _bound(request, action, chosen), asked=True)
    card = nobodys_card(chosen)
    typed = {name: str(value) for name, value in request.POST.items() if name != "minor"}
    typed |= two_beats.amount_to_type(card, str(request.POST.get("minor", "")))
    form = ActionForm(verb=action.verb, card=card, initial={"key": uuid.uuid4(), **typed})
    return _page(request, action, offered, chosen, form)


def second_beat(request: StaffRequest, action: Action) -> HttpResponse:
    """Ask for it, once per key, and go to where it is shown."""
    offered = makers(request, action)
    chosen = _chosen(request, offered)
    if chosen is None:
        return _page(request, action, offered, None, None, status=422)
    form = _bound(request, action, chosen)
    if form.is_valid():
        again = form_at(request, action, chosen)
        if answer := two_beats.ask(request, form, _wish(form), again=again, shown=action.shown):
            return answer
    return _page(request, action, offered, chosen, two_beats.as_typed(form), status=422)


# ---- Their parts --------------------------------------------------------------------------------------------------
def _served(request: StaffRequest) -> Sequence[Connection]:
    if request.till is None:
        return request.connections
    here = connection_settings.serves(request.till.store)
    return list(request.merchant.connection_set.filter(here).defer("sealed_secrets").order_by("name", "id"))


def _makes(connection: Connection, verb: str) -> bool:
    can = doctor.capabilities(connection.provider, connection.options).can
    return verb in can and operations.is_about_no_card(operations.Wish(verb=verb, card=None, connection=connection))


def _chosen(request: StaffRequest, offered: list[Connection]) -> Connection | None:
    """The connection in the address, else the first one. Raises Http404 for one that cannot be asked for it."""
    named = request.GET.get("connection", "")
    if named:
        found = next((each for each in offered if str(each.key) == named), None)
        if found is None:
            raise Http404
        return found
    return next(iter(offered), None)


def _bound(request: StaffRequest, action: Action, chosen: Connection) -> ActionForm:
    return ActionForm(request.POST, verb=action.verb, card=nobodys_card(chosen))


def _wish(form: ActionForm) -> operations.Wish:
    return dataclasses.replace(form.wish(), card=None, connection=form.card.connection)


def _page(
    request: StaffRequest,
    action: Action,
    offered: list[Connection],
    chosen: Connection | None,
    form: ActionForm | None,
    *,
    asked: bool = False,
    status: int = 200,
) -> HttpResponse:
    page: dict[str, object] = {
        "title": action.title,
        "nobody_can": action.nobody_can,
        "offered": [(each, form_at(request, action, each), each == chosen) for each in offered],
        "chosen": chosen,
        "form": form,
        "desk_url": reverse("desk", args=[request.merchant.slug]),
    }
    if chosen is not None and form is not None:
        confirm = reverse(action.confirm, args=[request.merchant.slug])
        page |= {
            "lead_in": str(action.lead_in) % {"connection": chosen.name},
            "not_now": connections.not_now(chosen, action.verb),
            "question": _question(request, action, form) if asked and form.is_valid() else None,
            "wants_money": action.verb in MONEY,
            "currency": form.currency,
            "places": minor_digits(form.currency) if form.currency else 2,
            "card_url": form_at(request, action, chosen),
            "confirm_url": f"{confirm}?connection={chosen.key}",
            "sandbox_shown": chosen.environment == "sandbox",
        }
    template = "ledger/without_card.html" + ("#action" if request.htmx else "")
    return render(request, template, page, status=422 if form is not None and form.errors else status)


def _question(request: StaffRequest, action: Action, form: ActionForm) -> two_beats.Question:
    wish = _wish(form)
    fresh = Operation(verb=wish.verb)
    if wish.amount is not None:
        fresh.amount_minor, fresh.currency = wish.amount.minor, wish.amount.currency
    amount, kind = operation_words.amount(fresh), operation_words.kind(fresh)
    second = two_beats.second_person(request, wish)
    return two_beats.Question(
        amount=amount,
        sentence=till_words.question(kind, card=form.card, amount=amount, original=None, also_activate=False),
        warnings=two_beats.warnings(form, wish),
        second=second,
        button=gettext("Ask a second person") if second else till_words.button(kind, amount=amount, original=None),
        exact=form.exact(),
        prediction=predictions.ask(
            request,
            form.card,
            wish.amount,
            form_key=form.cleaned_data["key"],
            page=form_at(request, action, form.card.connection),
        )
        if wish.amount is not None  # without a card, that of a purchase
        else None,
    )
