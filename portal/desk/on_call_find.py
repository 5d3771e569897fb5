"""On call: from a reference to what became of it. One box, and one page for one operation of whatever merchant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from portal import formats
from portal.desk import references, trail_words
from portal.desk.administration.facts import page_url
from portal.desk.administration.ledger import Operations
from portal.desk.administration.rows import Rows
from portal.desk.administration.site import site
from portal.ledger import operation_words, outcome_words, settling, story_words
from portal.ledger.models import IN_FLIGHT, Exchange, Operation, OperationState
from portal.ledger.pages import Told
from portal.merchants import audit, connections
from portal.shopper.models import Outcome
from portal.shopper.settings_pages import SHAPES


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One thing that was found."""

    url: str
    title: str
    shape: str
    word: str
    merchant: str
    detail: str
    at: datetime


@require_http_methods(["GET", "HEAD", "POST"])
def found(request: HttpRequest) -> HttpResponse:
    """What was typed goes by post: it may be part of a card's number, which no address holds. A single hit is
    shown at once."""
    if request.method != "POST":
        return redirect("on_call")
    typed = request.POST.get("reference", "").replace("\0", "").strip()[: references.LONGEST]
    hits = references.find(typed) if typed else None
    if hits is not None:
        merchants = {each.merchant_id for each in hits.operations} | {each.merchant_id for each in hits.look_ups}
        merchants |= {each.merchant_id for each in hits.tries}
        merchants |= {each.merchant_id for each in hits.mails if each.merchant_id}
        audit.looked("search", merchants=merchants, request=request)
        only = len(hits.operations) == 1 and not (hits.look_ups or hits.tries or hits.mails or hits.lines)
        if only:
            return redirect("on_call_operation", hits.operations[0].pk)
    page = {"typed": typed, "hits": hits, "groups": _groups(hits) if hits else []}
    return render(request, "desk/on_call_found.html", site.each_context(request) | page)


def _groups(hits: references.Found) -> list[tuple[str, list[Hit]]]:
    groups = [
        (gettext("Operations"), [_operation_hit(each) for each in hits.operations]),
        (
            gettext("Look-ups"),
            [
                Hit(
                    url=page_url(each),
                    title=formats.masked(each.last_four),
                    shape="plain",
                    word=each.get_state_display(),
                    merchant=each.merchant.name,
                    detail=each.connection.name,
                    at=each.asked_at,
                )
                for each in hits.look_ups
            ],
        ),
        (
            gettext("Tries at the balance page"),
            [
                Hit(
                    url=page_url(each.merchant),
                    title=each.reference,
                    shape=SHAPES[Outcome(each.outcome)],
                    word=each.get_outcome_display(),
                    merchant=each.merchant.name,
                    detail=each.connection.name,
                    at=each.at,
                )
                for each in hits.tries
            ],
        ),
        (
            gettext("Mails"),
            [
                Hit(
                    url=page_url(each),
                    title=each.subject,
                    shape="plain",
                    word=each.get_state_display(),
                    merchant=each.merchant.name if each.merchant else "Tillside",
                    detail="",
                    at=each.created_at,
                )
                for each in hits.mails
            ],
        ),
        (
            gettext("Audit trail"),
            [
                Hit(
                    url=page_url(each),
                    title=trail_words.sentence(each),
                    shape="plain",
                    word="",
                    merchant=each.merchant.name if each.merchant else "Tillside",
                    detail=each.subject,
                    at=each.at,
                )
                for each in hits.lines
            ],
        ),
    ]
    return [(title, lines) for title, lines in groups if lines]


def _operation_hit(row: Operation) -> Hit:
    shape, word = outcome_words.outcome(row)
    card = formats.masked(row.card.last_four) if row.card else ""
    return Hit(
        url=reverse("on_call_operation", args=[row.pk]),
        title=operation_words.thing(row),
        shape=shape,
        word=word,
        merchant=row.merchant.name,
        detail=" · ".join(filter(None, [row.connection.name, card])),
        at=row.asked_at,
    )


# ---- One operation --------------------------------------------------------------------------------------------
@require_safe
def operation(request: HttpRequest, pk: int) -> HttpResponse:
    """What became of it, what happened, what comes next, and what can be done. That it was looked at stands in the
    merchant's trail."""
    row = (
        Operation.objects.select_related(
            *("merchant", "connection", "card", "original__asked_by", "original__card", "asked_by"),
            *("approval__decided_by", "decided_by", "seconded_by", "till"),
        )
        .filter(pk=pk)
        .first()
    )
    if row is None:
        raise Http404
    audit.looked(row.reference, merchants={row.merchant_id}, request=request)
    exchanges = list(Exchange.objects.filter(merchant=row.merchant_id, operation=row).order_by("id"))
    admin = Rows.of(site, Operation)
    with timezone.override(row.merchant.time_zone):
        shape, word = outcome_words.outcome(row)
        page = {
            "operation": row,
            "title": operation_words.thing(row),
            "shape": shape,
            "word": word,
            "next_step": next_step(row),
            "story": story_words.story(row, exchanges),
            "exchanges": _told(row, exchanges),
            "readings": story_words.readings(row),
            "time_zone": row.merchant.time_zone,
            "deeds": [(each.label, admin.deed_url(row, each)) for each in Operations.deeds if each.offered(row)],
            "admin_url": page_url(row),
            "merchant_url": page_url(row.merchant),
            "original_url": reverse("on_call_operation", args=[row.original_id]) if row.original_id else "",
            "sandbox_shown": row.connection.environment == "sandbox",
        }
        return render(request, "desk/on_call_operation.html", site.each_context(request) | page)


def _told(row: Operation, exchanges: Sequence[Exchange]) -> list[Told]:
    return [
        Told(exchange=each, title=story_words.exchange_title(row, each), took=story_words.took(each))
        for each in exchanges
    ]


def next_step(row: Operation) -> str:
    """What happens next by itself, or who has to do something."""
    match OperationState(row.state):
        case OperationState.WAITING:
            return _before_it_begins(row)
        case OperationState.RUNNING:
            return gettext("A worker asks now. If it is not heard of by %(at)s, we check what became of it.") % {
                "at": _clock(row.lease_until)
            }
        case OperationState.CHECKING if row.connection.paused_at:
            return gettext("We look again when the connection is resumed.")
        case OperationState.CHECKING:
            return gettext("We look again at %(at)s, for the %(number)s. time of %(most)s. Then a person is asked.") % {
                "at": _clock(row.next_attempt_at),
                "number": formats.number(row.checks + 1),
                "most": formats.number(settling.CHECKS),
            }
        case OperationState.NEEDS_PERSON:
            return gettext("It waits for the merchant’s people: it stands in their Attention, with the evidence.")
        case _:
            return gettext("Nothing. It is over.")


def _before_it_begins(row: Operation) -> str:
    if why := connections.not_now(row.connection, row.verb):
        return why
    if row.next_attempt_at and row.next_attempt_at > timezone.now():
        return gettext("We try again at %(at)s: nothing has left us yet.") % {"at": _clock(row.next_attempt_at)}
    busy = Operation.objects.filter(
        merchant=row.merchant_id, connection=row.connection_id, in_flight_key=row.in_flight_key, state__in=IN_FLIGHT
    )
    if busy.exists():
        return gettext("It begins when the operation before it on the same card has ended.")
    overdue = (timezone.now() - row.asked_at).total_seconds() > settings.ALERT_WAITING_SECONDS
    if overdue:
        return gettext("It could begin, and no worker takes it: look at the workers.")
    return gettext("A worker takes it within seconds.")


def _clock(at: datetime | None) -> str:
    return formats.clock_exact(at) if at else "–"


on_call_find = site.admin_view(found)
on_call_operation = site.admin_view(operation)
