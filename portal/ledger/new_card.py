"""A new card, at a provider that makes them: a form, a sentence to confirm, and the operation that makes it.

The card has no number before it is made, so nothing of it can be looked up; its page comes with the operation's end.
"""

import dataclasses
import uuid
from collections.abc import Sequence

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from portal.connectors import PROVIDERS, doctor
from portal.ledger import operation_words, operations
from portal.ledger.models import Card
from portal.ledger.till_forms import ActionForm
from portal.merchants import connection_settings, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Connection
from portal.merchants.roles import Permission, who_can

VERB = "activate"


def makers(request: StaffRequest) -> list[Connection]:
    """The connections a card can be made at, by name."""
    return [each for each in served(request) if _makes(each)]


def served(request: StaffRequest) -> Sequence[Connection]:
    """The merchant's connections, by name; on a till those that serve its store."""
    if request.till is None:
        return request.connections
    here = connection_settings.serves(request.till.store)
    return list(request.merchant.connection_set.filter(here).defer("sealed_secrets").order_by("name", "id"))


def _makes(connection: Connection) -> bool:
    can = PROVIDERS[connection.provider].makes_cards
    return can and VERB in doctor.capabilities(connection.provider, connection.options).can


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.ACTIVATE_CARDS)
def new_card(request: StaffRequest) -> HttpResponse:
    """The form, and the sentence it comes back with. htmx asks for the fragment `action`."""
    offered = makers(request)
    chosen = _chosen(request, offered)
    if chosen is None:
        return _page(request, offered, None, None)
    if request.method == "POST" and "change" not in request.POST:
        return _page(request, offered, chosen, _form(request, chosen), asked=True)
    typed = {name: str(value) for name, value in request.POST.items()}
    return _page(request, offered, chosen, _fresh(chosen, {"key": uuid.uuid4(), **typed}))


@require_POST
@member(Permission.ACTIVATE_CARDS)
def make(request: StaffRequest) -> HttpResponse:
    """The second beat: ask for it, once per key, and go to the operation's page."""
    offered = makers(request)
    chosen = _chosen(request, offered)
    if chosen is None:
        return _page(request, offered, None, None, status=422)
    form = _form(request, chosen)
    if form.is_valid():
        wish = dataclasses.replace(form.wish(), card=None, connection=chosen)
        key = form.cleaned_data["key"]
        try:
            asked = operations.request(member=request.member, key=key, wish=wish, till=request.till)
        except operations.OtherContent as other:
            asked = other.operation
            return HttpResponseRedirect(reverse("operation", args=[request.merchant.slug, asked.key]), status=303)
        except operations.CannotAsk as cannot:
            form.add_error(None, operation_words.cannot_ask(cannot.why))
        except connections.NotNow as not_now:
            form.add_error(None, not_now.words)
        except PermissionDenied:
            form.add_error(None, who_can(Permission.ACTIVATE_CARDS))
        else:
            # 303: a reload of what follows asks for the page, never for another card.
            return HttpResponseRedirect(reverse("operation", args=[request.merchant.slug, asked.key]), status=303)
    return _page(request, offered, chosen, form, status=422)


def _chosen(request: StaffRequest, offered: list[Connection]) -> Connection | None:
    """The connection in the address, else the first one. Raises Http404 for one that makes none."""
    named = request.GET.get("connection", "")
    if named:
        found = next((each for each in offered if str(each.key) == named), None)
        if found is None:
            raise Http404
        return found
    return next(iter(offered), None)


def _form(request: StaffRequest, chosen: Connection) -> ActionForm:
    return ActionForm(request.POST, verb=VERB, card=_blank(chosen))


def _fresh(chosen: Connection, initial: dict[str, object]) -> ActionForm:
    return ActionForm(verb=VERB, card=_blank(chosen), initial=initial)


def _blank(chosen: Connection) -> Card:
    """The card to come, never stored: what the form has to know of it is where it is made."""
    return Card(merchant_id=chosen.merchant_id, connection=chosen)


def _page(
    request: StaffRequest,
    offered: list[Connection],
    chosen: Connection | None,
    form: ActionForm | None,
    *,
    asked: bool = False,
    status: int = 200,
) -> HttpResponse:
    here = reverse("new_card", args=[request.merchant.slug])
    at = f"?connection={chosen.key}" if chosen is not None else ""
    is_question = asked and form is not None and form.is_valid()
    page = {
        "offered": [(each, f"{here}?connection={each.key}", each == chosen) for each in offered],
        "chosen": chosen,
        "not_now": connections.not_now(chosen, VERB) if chosen is not None else "",
        "form": form,
        "question": _question(form) if is_question and form is not None else None,
        "card_url": f"{here}{at}",
        "confirm_url": f"{reverse('make_card', args=[request.merchant.slug])}{at}",
        "desk_url": reverse("desk", args=[request.merchant.slug]),
        "sandbox_shown": chosen is not None and chosen.environment == "sandbox",
    }
    template = "ledger/new_card.html" + ("#action" if request.htmx else "")
    return render(request, template, page, status=422 if form is not None and form.errors else status)


def _question(form: ActionForm) -> dict[str, object]:
    """The sentence to confirm, as confirm.html draws it."""
    return {
        "sentence": operation_words.question(
            "make", card=form.card, amount="", original=None, also_activate=False, basket=None
        ),
        "button": operation_words.button("make", amount="", original=None),
        "exact": form.exact(),
    }
