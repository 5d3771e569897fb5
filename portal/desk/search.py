"""One search over what a person may see: pages, cards by their last four, operations by a reference, a
shopper's try by the one they were told, customers and colleagues by name.

What is typed may be somebody's name, so it is posted and never stands in an address.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from portal import formats
from portal.customers import contact
from portal.customers import finding as customer_finding
from portal.desk import customers, doors
from portal.ledger import finding, operation_words, outcome_words
from portal.ledger.models import Card, Operation
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Member
from portal.merchants.roles import BY_PIN, Permission, may
from portal.shopper.models import Outcome, Try, ending_of
from portal.shopper.settings_pages import SHAPES

MOST = 6  # of one kind; whoever needs more looks in that kind's own list
SHORTEST = 2  # a single letter is the beginning of half the names


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One thing found. `note` tells it from its like; `shape` and `word` are its outcome, where it has one."""

    url: str
    text: str
    note: str = ""
    shape: str = ""
    word: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Hits of one kind."""

    title: str
    hits: list[Hit]


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_DESK)
def search(request: StaffRequest) -> HttpResponse:
    """All pages by name, or what was found for what was typed. htmx asks for the fragment `finder`, box and all, and
    while somebody types for `found`."""
    typed = " ".join(request.POST.get("q", "").split())[: finding.LONGEST]
    page = {
        "typed": typed,
        "groups": list(_found(request, typed)) if typed else [_pages(doors.open_to(request))],
        "search_url": request.path,
    }
    part = "" if not request.htmx else "#found" if request.method == "POST" else "#finder"
    return render(request, f"desk/search.html{part}", page)


def _found(request: StaffRequest, typed: str) -> Iterator[Group]:
    groups = [_pages(doors.named(request, typed)[:MOST])]
    if len(typed) >= SHORTEST:
        groups += [look(request, typed) for permission, look in _KINDS.items() if _sees(request, permission)]
    return (group for group in groups if group.hits)


def _sees(request: StaffRequest, permission: Permission) -> bool:
    return may(request.member.role, permission) and (permission in BY_PIN or not request.by_pin)


def _pages(found: list[doors.Door]) -> Group:
    return Group(title=gettext("Pages"), hits=[Hit(url=door.url, text=door.label) for door in found])


def _cards(request: StaffRequest, typed: str) -> Group:
    """By the last four, and nothing shorter: two digits are half the cards."""
    ids = finding.card_ids(request.merchant, typed) if len(typed) == 4 else []
    rows = Card.objects.filter(merchant=request.merchant, pk__in=ids).select_related("connection").order_by("-id")
    hits = [
        Hit(
            url=reverse("card", args=[request.merchant.slug, row.key]),
            text=formats.masked(row.last_four),
            note=row.connection.name,
        )
        for row in rows[:MOST]
    ]
    return Group(title=gettext("Cards"), hits=hits)


def _operations(request: StaffRequest, typed: str) -> Group:
    """By a reference or the last four of a card, with an amount or a day to narrow it. An amount alone is looked for
    in the list of operations, which has the patience."""
    currencies = {str(each.options.get("currency", "")) for each in request.connections} - {""}
    sought = finding.read(typed, currencies=currencies | {request.merchant.currency})
    ids = finding.operation_ids(request.merchant, sought) if sought.reference or sought.last_four else []
    rows = Operation.objects.filter(merchant=request.merchant, pk__in=ids).select_related("card", "original")
    hits = []
    for row in rows.order_by("-asked_at", "-id")[:MOST]:
        shape, word = outcome_words.outcome(row)
        name = formats.masked(row.card.last_four) if row.card else ""
        hits.append(
            Hit(
                url=reverse("operation", args=[request.merchant.slug, row.key]),
                text=operation_words.thing(row),
                note=", ".join(filter(None, [name, formats.moment(row.asked_at)])),
                shape=shape,
                word=word,
            )
        )
    return Group(title=gettext("Operations"), hits=hits)


def _tries(request: StaffRequest, typed: str) -> Group:
    """A shopper's try at the balance page, by the reference that was told to them."""
    ending = ending_of(typed)
    rows = Try.objects.filter(merchant=request.merchant, ending=ending) if ending else Try.objects.none()
    url = reverse("balance_tries", args=[request.merchant.slug])
    hits = [
        Hit(
            url=f"{url}?reference={row.reference}",
            text=row.reference,
            note=formats.moment(row.at),
            shape=SHAPES[Outcome(row.outcome)],
            word=row.get_outcome_display(),
        )
        for row in rows.order_by("-at", "-id")[:MOST]
    ]
    return Group(title=gettext("Tries at the balance page"), hits=hits)


def _customers(request: StaffRequest, typed: str) -> Group:
    rows = customer_finding.page(customers.found_by(request, typed), sort="name", after=None, size=MOST)[:MOST]
    return Group(
        title=gettext("Customers"),
        hits=[
            Hit(url=line.url, text=line.name, note=" ".join(filter(None, [line.email or line.phone, line.cards])))
            for line in customers.lines(request, rows)
        ],
    )


def _colleagues(request: StaffRequest, typed: str) -> Group:
    """By any part of the name or the address; a merchant's people are few."""
    wanted = contact.fold(typed)
    rows = Member.objects.filter(merchant=request.merchant).select_related("person").order_by("person__name", "id")
    return Group(
        title=gettext("People"),
        hits=[
            Hit(
                url=reverse("person", args=[request.merchant.slug, row.key]),
                text=row.person.name,
                note=row.get_role_display(),
            )
            for row in rows
            if wanted in contact.fold(row.person.name) or wanted in row.person.email
        ][:MOST],
    )


_KINDS: dict[Permission, Callable[[StaffRequest, str], Group]] = {
    Permission.LOOK_UP_CARDS: _cards,
    Permission.SEE_OPERATIONS: _operations,
    Permission.MANAGE_BALANCE_PAGE: _tries,
    Permission.SEE_CONSENTING_CUSTOMERS: _customers,
    Permission.SEE_SETTINGS: _colleagues,
}
