"""The lists of operations and of cards: narrowed by what their address says, searched by what is posted.

An address holds no more than a colleague may see in it: kinds, days and amounts. What is searched for travels in the
body of a post, since anything may be typed there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from django.db.models import Model
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from portal import dates, formats
from portal.ledger import finding, list_files, list_words, listing, saved_views
from portal.ledger.list_forms import MORE, Around, CardsForm, ListForm, OperationsForm
from portal.ledger.listing import Page, Wanted
from portal.ledger.models import Card, Operation, SavedView
from portal.merchants import accounts, audit
from portal.merchants.access import StaffRequest, member
from portal.merchants.models import Environment
from portal.merchants.roles import Permission, may

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Empty:
    """Why a list is empty, and the one next thing to do."""

    text: str
    url: str = ""
    action: str = ""


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A saved view above its list."""

    label: str
    url: str
    current: bool


# ---- Pages ----------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_OPERATIONS)
def operations(request: StaffRequest) -> HttpResponse:
    """What was asked of the providers. A post brings what is searched for: a reference, the end of a card's number, an
    amount, a day."""
    views = saved_views.of(request.member, "operations")
    if start := _start(request, views):
        return redirect(start)
    form = operations_form(request)
    if not form.is_valid():
        return _invalid(request, "operations", form)
    typed = searched(request)
    ids = operation_ids(request, form, typed)
    found, page = _page(request, "operations", form, operations_wanted(form, ids), typed)
    writer = list_words.OperationWriter(
        prefix=reverse("operations", args=[request.merchant.slug]),
        connections=form.around.connections,
    )
    return render(
        request,
        "ledger/operations.html",
        page | {"rows": writer.rows(found.rows), "views": _tabs(request, views, form)},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@member(Permission.SEE_OPERATIONS)
def cards(request: StaffRequest) -> HttpResponse:
    """The cards Tillside has seen, with the last reading of each. A post brings the last characters of a number."""
    views = saved_views.of(request.member, "cards")
    if start := _start(request, views):
        return redirect(start)
    form = cards_form(request)
    if not form.is_valid():
        return _invalid(request, "cards", form)
    typed = last_four(searched(request))
    found, page = _page(request, "cards", form, cards_wanted(form, card_ids(request, typed)), typed)
    writer = list_words.CardWriter(
        prefix=reverse("cards", args=[request.merchant.slug])
        if may(request.member.role, Permission.LOOK_UP_CARDS)
        else "",
        connections=form.around.connections,
    )
    return render(
        request,
        "ledger/cards.html",
        page | {"rows": writer.rows(found.rows), "views": _tabs(request, views, form)},
    )


@require_POST
@member(Permission.EXPORT_OPERATIONS)
def export_operations(request: StaffRequest) -> HttpResponse | StreamingHttpResponse:
    """The operations the page shows, all of them, as a file for a spreadsheet, written while it is sent."""
    form = operations_form(request)
    if not form.is_valid():
        return _invalid(request, "operations", form)
    typed = searched(request)
    accounts.require_recent_proof(request)
    audit.record(
        "operations exported",
        request.merchant.name,
        merchant=request.merchant,
        person=request.person,
        request=request,
        filter=_filter(form),
        searched=bool(typed),
    )
    wanted = form.wanted(operation_ids(request, form, typed))
    return _as_file(request, "operations", list_files.operations(wanted, form.around))


@require_POST
@member(Permission.EXPORT_OPERATIONS)
def export_cards(request: StaffRequest) -> HttpResponse | StreamingHttpResponse:
    """The cards the page shows, all of them, as a file for a spreadsheet, written while it is sent."""
    form = cards_form(request)
    if not form.is_valid():
        return _invalid(request, "cards", form)
    typed = last_four(searched(request))
    accounts.require_recent_proof(request)
    audit.record(
        "cards exported",
        request.merchant.name,
        merchant=request.merchant,
        person=request.person,
        request=request,
        filter=_filter(form),
        searched=bool(typed),
    )
    wanted = form.wanted(card_ids(request, typed))
    return _as_file(request, "cards", list_files.cards(wanted, form.around))


def view_url(request: StaffRequest, view: SavedView) -> str:
    """The list as a saved view shows it."""
    return f"{reverse(view.page, args=[request.merchant.slug])}?{view.query or 'all'}"


def way_back(request: HttpRequest, name: str, slug: str) -> str:
    """The address of the list somebody has just come from, as they had narrowed it, or nothing. Our pages tell our own
    pages where one came from, and nobody else (Referrer-Policy)."""
    own = reverse(name, args=[slug])
    came, mark, query = request.headers.get("Referer", "").partition("?")
    if came.partition("://")[2] != f"{request.get_host()}{own}":
        return ""
    return f"{own}{mark}{query}"


# ---- What is wanted, for the page and for the file ------------------------------------------------------------------
def operations_form(request: StaffRequest) -> OperationsForm:
    """The filter of the list of operations, as the address says it."""
    return OperationsForm(request.GET, around=_around(request))


def cards_form(request: StaffRequest) -> CardsForm:
    """The filter of the list of cards, as the address says it."""
    return CardsForm(request.GET, around=_around(request))


def searched(request: StaffRequest) -> str:
    """What was typed into the search box, in one line."""
    typed = request.POST.get("q", "") if request.method == "POST" else ""
    return " ".join("".join(each if each.isprintable() else " " for each in typed[: finding.LONGEST]).split())


def last_four(typed: str) -> str:
    """The last four of what was typed; more of a card's number is nowhere shown again."""
    return re.sub("[^0-9A-Za-z]", "", typed)[-4:]


def operation_ids(request: StaffRequest, form: ListForm, typed: str) -> list[int] | None:
    """The operations that were searched for, or None where nothing was."""
    sought = finding.read(typed, currencies=form.around.currencies)
    return None if sought.is_empty else finding.operation_ids(request.merchant, sought)


def card_ids(request: StaffRequest, typed: str) -> list[int] | None:
    """The cards that were searched for, or None where nothing was."""
    return finding.card_ids(request.merchant, typed) if typed else None


def operations_wanted(form: OperationsForm, ids: list[int] | None) -> Wanted[Operation]:
    """The operations of the list, with what a line of it needs."""
    return replace(form.wanted(ids), columns=list_words.OPERATION_COLUMNS)


def cards_wanted(form: CardsForm, ids: list[int] | None) -> Wanted[Card]:
    """The cards of the list, with what a line of it needs."""
    return replace(form.wanted(ids), columns=list_words.CARD_COLUMNS)


def _around(request: StaffRequest) -> Around:
    return Around(merchant=request.merchant, connections=request.connections)


def _filter(form: ListForm) -> str | None:
    """What the file was narrowed to, for the trail."""
    return "; ".join(f"{name}: {value}" for name, value in form.narrowed().items()) or None


def _as_file(request: StaffRequest, name: str, pieces: Iterator[str]) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    day = dates.today().isoformat()
    answer["Content-Disposition"] = f'attachment; filename="{request.merchant.slug}-{name}-{day}.csv"'
    answer["Cache-Control"] = "no-store, private"
    return answer


# ---- Their parts ----------------------------------------------------------------------------------------------------
def _page(
    request: StaffRequest, name: str, form: ListForm, wanted: Wanted[M], typed: str
) -> tuple[Page[M], dict[str, object]]:
    asked = request.POST if request.method == "POST" else request.GET
    after, before = listing.place(asked.get("after", "")), listing.place(asked.get("before", ""))
    found = listing.page(wanted, after=after, before=before)
    count, of_all = (len(found.rows), True) if found.is_all else listing.count(wanted)
    page = _around_the_list(request, name, form, typed) | {
        "count": list_words.how_many(count, of_all=of_all, oldest_first=wanted.oldest_first),
        "too_many": wanted.few and count > finding.MOST,
        "previous": str(found.previous or ""),
        "next": str(found.next or ""),
        "looked_to": found.looked_to,
        "shown": formats.number(len(found.rows)),
        "filter_in_words": form.in_words(),
        "shop": request.merchant.name,
        "now": timezone.now(),
        "empty": None if found.rows else _empty(request, name, form, found, typed),
    }
    if any(each.environment == Environment.SANDBOX for each in form.around.connections):
        page["sandbox_shown"] = True  # also for those without a scan box, by which the frame knows
    return found, page


def _start(request: StaffRequest, views: list[SavedView]) -> str:
    """Where the list begins if its address does not say how it is narrowed, and one of the views is to start with."""
    if request.method == "POST" or request.GET:
        return ""
    return next((view_url(request, each) for each in views if each.is_start and each.query), "")


def _tabs(request: StaffRequest, views: list[SavedView], form: ListForm) -> list[Tab]:
    if not views:
        return []
    now = urlencode(form.narrowed())
    mine = [
        Tab(
            label=each.name,
            url=view_url(request, each),
            current=each.query == now,
        )
        for each in views
    ]
    everything = f"{reverse(views[0].page, args=[request.merchant.slug])}?all"
    return [Tab(label=gettext("Everything"), url=everything, current=not now), *mine]


def _around_the_list(request: StaffRequest, name: str, form: ListForm, typed: str) -> dict[str, object]:
    slug, narrowed = request.merchant.slug, form.narrowed()
    url = reverse(name, args=[slug])
    turned = {each: value for each, value in narrowed.items() if each != "sort"}
    if "sort" not in narrowed:
        turned["sort"] = "oldest"
    return {
        "form": form,
        "typed": typed,
        "url": url,
        "here_url": _with(url, narrowed),
        "turn_url": _with(url, turned),
        "page_url": _with(url, narrowed, for_more=True),
        "more_url": _with(url, narrowed, for_more=True) + MORE,
        "everything_url": f"{url}?all",
        "views_url": reverse("saved_views", args=[slug]),
        "save_url": _with(reverse(f"save_{name}", args=[slug]), narrowed),
        "oldest_first": "sort" in narrowed,
        "export_url": _with(reverse(f"export_{name}", args=[slug]), narrowed)
        if may(request.member.role, Permission.EXPORT_OPERATIONS)
        else "",
        "time_zone": request.merchant.time_zone,
    }


def _invalid(request: StaffRequest, name: str, form: ListForm) -> HttpResponse:
    page = _around_the_list(request, name, form, "")
    return render(request, f"ledger/{name}.html", page, status=422)


def _empty(request: StaffRequest, name: str, form: ListForm, found: Page[M], typed: str) -> Empty:
    slug, narrowed = request.merchant.slug, form.narrowed()
    url = reverse(name, args=[slug])
    if typed:
        return Empty(
            text=gettext("Nothing was found for “%(typed)s”.") % {"typed": typed},
            url=_with(url, narrowed),
            action=gettext("Show the list again"),
        )
    if found.looked_to is not None and found.next is not None:
        back = gettext("Nothing like this among the %(count)s looked through, back to %(day)s.")
        onward = gettext("Nothing like this among the %(count)s looked through, from the oldest to %(day)s.")
        text = onward if "sort" in narrowed else back
        return Empty(
            text=text % {"count": formats.number(listing.WALK), "day": formats.day(found.looked_to)},
            url=_with(url, narrowed | {"after": str(found.next)}),
            action=gettext("Look further"),
        )
    if (wider := dates.wider(form.period)) is not None:
        others = {each: value for each, value in narrowed.items() if each not in dates.NAMES}
        return Empty(
            text=dates.nothing_in(form.period, request.merchant.time_zone),
            url=_with(url, others | wider[0]),
            action=wider[1],
        )
    if form.narrows():
        return Empty(text=gettext("Nothing here is like this."), url=f"{url}?all", action=gettext("Show everything"))
    text = {
        "operations": gettext("Operations appear here once something is done with a card."),
        "cards": gettext("Cards appear here after the first look-up."),
    }[name]
    return Empty(text=text, url=reverse("desk", args=[slug]), action=gettext("Go to the desk"))


def _with(path: str, query: dict[str, str], *, for_more: bool = False) -> str:
    """The path with what is asked of it; `for_more` so that one more can be added at its end."""
    asked = urlencode(query)
    if for_more:
        return f"{path}?{asked}&" if asked else f"{path}?"
    return f"{path}?{asked}" if asked else path
