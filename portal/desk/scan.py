"""The scan box: where what was scanned or typed leads."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from portal.desk import first_steps, frame, home, resolver
from portal.ledger import balances, cards, operation_words
from portal.ledger.forms import ScanForm
from portal.ledger.models import Approval, Card, Operation, State
from portal.merchants import connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.roles import Permission
from portal.middleware import client_context


@require_POST
@member(Permission.LOOK_UP_CARDS)
def scan(request: StaffRequest) -> HttpResponse:
    """Go to what our own reference or address names; otherwise take one card and go to its page."""
    text = resolver.clean(request.POST.get("number", ""))
    named = resolver.ours(text, origin=settings.PUBLIC_URL)
    if named is not None and (url := _ours(request, named)):
        return redirect(url)
    typed = request.POST.copy()
    typed["number"] = text
    form = ScanForm(typed, connections=frame.scannable(request))
    if instead := resolver.no_card(text):
        _say(form, instead if named is None else gettext("Nothing here has this address."))
    elif form.is_valid():
        connection, number = form.cleaned_data["connection"], form.cleaned_data["number"]
        request.session["connection"] = str(connection.key)
        operation = _by_provider_reference(request, text)
        is_known = cards.known(connection, number)
        if operation is not None and len(text) >= resolver.TELLING and not is_known:
            return redirect("operation", request.merchant.slug, operation.key)
        try:
            page = _look_up(request, form)
        except connections.NotNow as not_now:
            form.add_error(None, not_now.words)
        else:
            if not is_known and (also := _also(request, text, operation)):
                messages.info(request, also)
            return page
    elif product := resolver.product(text):
        _say(form, product)
    scan_box = {"url": reverse("scan", args=[request.merchant.slug]), "form": form}
    return home.page(request, status=422, scan=scan_box)


def _say(form: ScanForm, sentence: str) -> None:
    """Instead of what is wrong with it as a card's number."""
    form.errors.pop("number", None)
    form.add_error("number", sentence)


def _look_up(request: StaffRequest, form: ScanForm) -> HttpResponse:
    """Ask for the card, and the page where its balance arrives. Raises NotNow."""
    inquiry = balances.open_look_up(
        member=request.member,
        key=form.cleaned_data["key"],
        connection=form.cleaned_data["connection"],
        number=form.cleaned_data["number"],
        client=client_context(request),
        extra=form.entered(),
    )
    first_steps.note_look_up(request.merchant)
    if inquiry.card is not None and inquiry.state not in (State.WANTS_PIN, State.WANTS_NUMBER):
        return redirect("card", request.merchant.slug, inquiry.card.key)
    return redirect("look_up", request.merchant.slug, inquiry.key)


def _also(request: StaffRequest, text: str, operation: Operation | None) -> str:
    """What the number may be besides a card's, for a card that was never seen before."""
    if operation is not None:
        return format_html(
            gettext('This is looked up as a card. It is also the reference of an operation: <a href="{}">{}</a>.'),
            reverse("operation", args=[request.merchant.slug, operation.key]),
            operation_words.thing(operation),
        )
    if product := resolver.product(text):
        return f"{product} {gettext('It is looked up as a card all the same.')}"
    return ""


def _ours(request: StaffRequest, named: resolver.Ours) -> str:
    """Where it stands at this merchant, or nothing."""
    slug = request.merchant.slug
    if named.slug not in ("", slug):
        return ""
    places = {
        resolver.Place.OPERATION: (("operation", Operation), ("approval", Approval)),
        resolver.Place.CARD: (("card", Card),),
    }
    for place, model in places[named.place]:
        if model._default_manager.filter(merchant=request.merchant, key=named.key).exists():
            return reverse(place, args=[slug, named.key])
    return ""


def _by_provider_reference(request: StaffRequest, text: str) -> Operation | None:
    """What a provider knows by this text. A void may bear its payment's reference: then the payment, which came first
    and leads on to it."""
    found = Operation.objects.filter(merchant=request.merchant, provider_reference=text, provider_reference__gt="")
    return found.select_related("original").order_by("id").first()
