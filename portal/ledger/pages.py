"""One operation's pages: its outcome as it comes, its story, the receipt, and the evidence on paper."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from portal import formats
from portal.connectors import PROVIDERS
from portal.connectors.base import Reason
from portal.ledger import (
    basket_words,
    card_words,
    case_pages,
    list_pages,
    operation_words,
    operations,
    outcome_words,
    receipts,
    settling,
    story_words,
    till_words,
)
from portal.ledger.models import IN_FLIGHT, Exchange, Operation, OperationState
from portal.merchants import audit, connections
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Store
from portal.merchants.roles import Permission, may, who_can
from portal.money import Money

# So long after Done the page looks for the card's new balance, which a worker reads next.
AFTER_PATIENCE = timedelta(seconds=6)
PAPERS = ("80mm", "a4")


@dataclass(frozen=True, kw_only=True)
class Told:
    """One exchange with the provider, with its words."""

    exchange: Exchange
    title: str
    took: str


# ---- Pages --------------------------------------------------------------------------------------------------------
@require_safe
@member(Permission.SEE_OPERATIONS)
def operation(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """One operation; while it is under way, htmx asks for the fragment `outcome` every second."""
    found = _operation(request, key)
    template = "ledger/operation.html" + ("#outcome" if request.htmx else "")
    return render(request, template, _page(request, found))


@require_POST
@member(Permission.SEE_OPERATIONS)
def withdraw(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Take back what no worker has begun; too late is said."""
    found = _operation(request, key)
    try:
        if not operations.withdraw(found, member=request.member):
            messages.warning(request, gettext("It is too late to take it back: it has begun."))
    except PermissionDenied:
        return render(request, "403.html", {"who_can": who_can(operations.PERMISSIONS[found.verb])}, status=403)
    return redirect("operation", request.merchant.slug, found.key)


@require_safe
@member(Permission.SEE_OPERATIONS)
def receipt(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """The paper for the shopper, 80 mm wide or A4."""
    found = _operation(request, key)
    size = request.GET.get("paper", "")
    url = reverse("receipt", args=[request.merchant.slug, found.key])
    page = {
        "operation": found,
        "paper": _paper(request, found, _exchanges(request, found)),
        "size": size if size in PAPERS else PAPERS[0],
        "sizes": [(name, f"{url}?paper={name}") for name in PAPERS],
        "operation_url": reverse("operation", args=[request.merchant.slug, found.key]),
        "desk_url": reverse("desk", args=[request.merchant.slug]),
        "sandbox_shown": found.connection.environment == "sandbox",
    }
    return render(request, "ledger/receipt.html", page)


@require_safe
@member(Permission.SEE_OPERATIONS)
def evidence(request: StaffRequest, key: uuid.UUID) -> HttpResponse:
    """Everything that is known of the operation, for a file or a letter to the provider."""
    found = _operation(request, key)
    exchanges = _exchanges(request, found)
    before, after = story_words.readings(found)
    page = {
        "operation": found,
        "title": operation_words.thing(found),
        "view": _view(request, found, exchanges),
        "basket": basket_words.of(found),
        "story": story_words.story(found, exchanges),
        "exchanges": _told(found, exchanges),
        "before": before,
        "after": after,
        **case_pages.beside(request, found, exchanges),
        "printed_at": timezone.now(),
        "printed_by": request.person.name,
        "merchant_name": request.merchant.name,
        "time_zone": request.merchant.time_zone,
        "operation_url": reverse("operation", args=[request.merchant.slug, found.key]),
        "sandbox_shown": found.connection.environment == "sandbox",
    }
    return render(request, "ledger/evidence.html", page)


def first_outcome(
    request: StaffRequest, found: Operation, *, url: str, verb: str, exact: list[tuple[str, str]]
) -> HttpResponse:
    """The form's key was used for something else before: what became of that, and the way to a new one at `url`, which
    keeps what was typed (`exact`)."""
    page = _page(request, _operation(request, found.key))
    page["start_new"] = {
        "url": url,
        "verb": verb,
        "exact": exact,
    }
    return render(request, "ledger/operation.html", page, status=409)


# ---- Their parts --------------------------------------------------------------------------------------------------
def _page(request: StaffRequest, found: Operation) -> dict[str, object]:
    exchanges = _exchanges(request, found)
    slug = request.merchant.slug
    page: dict[str, object] = {
        "operation": found,
        "title": operation_words.thing(found),
        "card_name": operation_words.card_of(found),
        "view": _view(request, found, exchanges),
        "story": story_words.story(found, exchanges),
        "exchanges": _told(found, exchanges),
        "paper": _paper(request, found, exchanges),
        "basket": basket_words.of(found),
        "time_zone": request.merchant.time_zone,
        "sandbox_shown": found.connection.environment == "sandbox",
        "operation_url": reverse("operation", args=[slug, found.key]),
        "receipt_url": reverse("receipt", args=[slug, found.key]),
        "evidence_url": reverse("evidence", args=[slug, found.key]),
        "desk_url": reverse("desk", args=[slug]),
        "original_url": reverse("operation", args=[slug, found.original.key]) if found.original else "",
        "follow_ups": _follow_ups(request, found),
        "list_url": list_pages.way_back(request, "operations", slug),
        **case_pages.beside(request, found, exchanges),
    }
    if found.card is not None and may(request.member.role, Permission.LOOK_UP_CARDS):
        page["card_url"] = reverse("card", args=[slug, found.card.key])
    if found.state == OperationState.WAITING and may(request.member.role, operations.PERMISSIONS[found.verb]):
        page["withdraw_url"] = reverse("withdraw", args=[slug, found.key])
    return page


def view_of(request: StaffRequest, found: Operation) -> outcome_words.View:
    """What there is to say of the operation now, where its calls are not shown."""
    return _view(request, found, [])


def _view(request: StaffRequest, found: Operation, exchanges: list[Exchange]) -> outcome_words.View:
    money, points, is_pending = _after(request, found, exchanges)
    waits = found.state == OperationState.WAITING
    return outcome_words.view(
        found,
        after=outcome_words.new_balance(money, points),
        after_pending=is_pending,
        behind=_behind(request, found) if waits else None,
        not_now=connections.not_now(found.connection, found.verb) if waits else "",
    )


def _after(request: StaffRequest, found: Operation, exchanges: list[Exchange]) -> tuple[str, str, bool]:
    """The card's money and points after the operation and before anything else, and whether they may still come.

    Never our own sum: only what the provider told after it. A reading that later operations may have changed says
    nothing about this one.
    """
    if found.state != OperationState.DONE or found.card is None or found.ended_at is None:
        return "", "", False
    if found.settled_by == "balance":
        currency = str(found.connection.options.get("currency", ""))
        money = formats.money(Money(found.after_minor, currency)) if found.after_minor is not None else ""
        return money, _points_after(found, money, found.after_points), False
    if PROVIDERS[found.connection.provider].wants_pin(found.connection.options):
        return "", "", False  # only whoever has the card's password can ask
    read = next((each for each in exchanges if each.purpose == "after"), None)
    if read is None or read.reason:
        waits = (
            read is None
            and found.settled_by in ("answer", "record")
            and timezone.now() - found.ended_at < AFTER_PATIENCE
        )
        return "", "", waits
    card = found.card
    if card.read_at is None or card.read_at < read.at:
        return "", "", timezone.now() - found.ended_at < AFTER_PATIENCE
    changed = Operation.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=found.ended_at),
        merchant=request.merchant,
        card=card,
        begun_at__lt=card.read_at,
        state__in=(OperationState.DONE, *IN_FLIGHT),
    ).exclude(pk=found.pk)
    if changed.exists():
        return "", "", False
    money = card_words.money_in_parts(card)
    return money, _points_after(found, money, card.points), False


def _points_after(found: Operation, money: str, count: int | None) -> str:
    """The card's points after the operation: beside money, none are worth a word only where there were some."""
    if count is None or (count == 0 and money and not found.before_points):
        return ""
    return formats.points(count)


def _behind(request: StaffRequest, found: Operation) -> Operation | None:
    """What has to end on the same card before this one begins; a card that is to be made has no other."""
    if found.in_flight_key is None:
        return None
    earlier = Q(state__in=IN_FLIGHT) | Q(state=OperationState.WAITING, pk__lt=found.pk)
    return (
        Operation.objects.filter(
            earlier,
            merchant=request.merchant,
            connection=found.connection,
            in_flight_key=found.in_flight_key,
        )
        .exclude(pk=found.pk)
        .order_by("pk")
        .first()
    )


def _follow_ups(request: StaffRequest, found: Operation) -> list[tuple[str, str]]:
    """What may come next, label and address: void and tip of what is done, a new one for what did not happen."""
    role = request.member.role
    if operation_words.is_about_a_code(found):
        return _of_a_code(request, found)
    if found.card is None or not may(role, Permission.LOOK_UP_CARDS):
        return []
    card = reverse("card", args=[request.merchant.slug, found.card.key])
    anew = (settling.DECIDED_NOT, settling.RECORDED_NOT, Reason.TOKEN_LAPSED)
    if found.state == OperationState.FAILED or found.reason in anew:
        of = f"&of={found.original.key}" if found.original else ""
        may_ask = may(role, operations.PERMISSIONS[found.verb])
        return [(gettext("Start a new one"), f"{card}?do={found.verb}{of}")] if may_ask else []
    if (
        found.state != OperationState.DONE
        or found.verb not in operations.ORIGINALS["void"]
        or not found.provider_reference
    ):
        return []
    verbs = set(
        Operation.objects.filter(merchant=request.merchant, original=found)
        .exclude(state__in=(OperationState.REFUSED, OperationState.FAILED))
        .values_list("verb", flat=True)
    )
    offered = {"void": not verbs, "tip": found.verb == "pay" and "void" not in verbs}
    labels = {"void": gettext("Void it"), "tip": gettext("Add a tip")}
    unable = till_words.unable(found.connection)
    return [
        (labels[verb], f"{card}?do={verb}&of={found.key}")
        for verb, possible in offered.items()
        if possible and verb not in unable and may(role, operations.PERMISSIONS[verb])
    ]


def _of_a_code(request: StaffRequest, found: Operation) -> list[tuple[str, str]]:
    """The page that shows it, or where another is made."""
    made_by = found.original or found
    if made_by.state == OperationState.DONE:
        return [(gettext("To the code"), reverse("code", args=[request.merchant.slug, made_by.key]))]
    is_over = found.state in (OperationState.REFUSED, OperationState.FAILED)
    if not is_over or not may(request.member.role, operations.PERMISSIONS["issue_code"]):
        return []
    at = f"?connection={found.connection.key}"
    return [(gettext("Make another"), reverse("new_code", args=[request.merchant.slug]) + at)]


def _paper(request: StaffRequest, found: Operation, exchanges: list[Exchange]) -> receipts.Paper:
    money, points, _is_pending = _after(request, found, exchanges)
    if found.till is not None:
        stores = [(found.till.store.name, found.till.store.address)]
    else:  # asked in a browser that is no till: where there is only one store, it is that one
        stores = list(Store.objects.filter(merchant=request.merchant).values_list("name", "address")[:2])
    store = ", ".join(filter(None, stores[0])) if len(stores) == 1 else ""
    after = " · ".join(filter(None, [money, points]))
    return receipts.paper(found, merchant=request.merchant, store=store, after=after)


def _told(found: Operation, exchanges: list[Exchange]) -> list[Told]:
    return [
        Told(
            exchange=each,
            title=story_words.exchange_title(found, each),
            took=story_words.took(each),
        )
        for each in exchanges
    ]


def _exchanges(request: StaffRequest, found: Operation) -> list[Exchange]:
    return list(Exchange.objects.filter(merchant=request.merchant, operation=found).order_by("id"))


def _operation(request: StaffRequest, key: uuid.UUID) -> Operation:
    found = (
        Operation.objects.select_related(
            *("connection", "card", "original__asked_by", "asked_by"),
            *("approval__decided_by", "decided_by", "seconded_by", "till__store"),
        )
        .filter(merchant=request.merchant, key=key)
        .first()
    )
    if found is None:
        audit.record("operation not found", str(key), merchant=request.merchant, person=request.person, request=request)
        raise Http404
    return found
