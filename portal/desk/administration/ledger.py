"""What happened: operations with their calls, cards, look-ups, and what waited for a second person."""

import uuid
from collections.abc import Callable
from typing import Any, cast

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.desk.administration.deeds import Deed, NotDone
from portal.desk.administration.facts import OF_MERCHANT, Fact, link, reference, state, when
from portal.desk.administration.lists import OfMerchant
from portal.desk.administration.rows import Rows
from portal.desk.administration.site import site
from portal.ledger import (
    approval_words,
    attention_words,
    card_words,
    operation_words,
    operations,
    outcome_words,
    settling,
    words,
)
from portal.ledger.list_forms import SETTLED
from portal.ledger.models import Approval, Card, Exchange, Inquiry, Operation, OperationState
from portal.merchants.models import Merchant, Person

# The states that somebody looks for. Each has an index of its own; an end is looked for by merchant or reference.
OPEN_STATES = (OperationState.NEEDS_PERSON, OperationState.CHECKING, OperationState.RUNNING, OperationState.WAITING)


def as_key(text: str) -> uuid.UUID | None:
    """One of our references as people copy it, with dashes or without."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def anywhere(rows: QuerySet[Any], **which: object) -> QuerySet[Any]:
    """Rows of whatever merchant, by indexes that begin with the merchant: each merchant's is asked."""
    return rows.filter(merchant__in=Merchant.objects.values("pk"), **which)


class InState(SimpleListFilter):
    """What is still under way."""

    title = _("State")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, str(state.label)) for state in OPEN_STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in OPEN_STATES else queryset


class OfOperation(SimpleListFilter):
    """The calls of one operation."""

    title = _("Operation")
    parameter_name = "operation"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.value() or "", self.value() or "")] if self.value() else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        key = as_key(self.value() or "")
        operation = anywhere(Operation.objects.all(), key=key).first() if key else None
        if not self.value():
            return queryset
        return queryset.filter(merchant=operation.merchant_id, operation=operation) if operation else queryset.none()


def _hand_over(request: HttpRequest, row: Operation, said: dict[str, Any]) -> tuple[str, str]:
    _help(settling.hand_over, request, row, said)
    return gettext("It stands in the merchant’s queue now."), ""


def _look_again(request: HttpRequest, row: Operation, said: dict[str, Any]) -> tuple[str, str]:
    _help(settling.look_again, request, row, said)
    return gettext("A worker looks within seconds."), ""


def _help(service: Callable[..., None], request: HttpRequest, row: Operation, said: dict[str, Any]) -> None:
    try:
        service(row, by=cast(Person, request.user), reason=said["reason"], request=request)
    except operations.CannotAsk:
        raise NotDone(gettext("It is not being looked at any more, or not long enough. Nothing was changed.")) from None


DEEDS = (
    Deed(
        slug="look-again",
        label=_("Check now"),
        sentence=lambda row: gettext(
            "A worker looks what became of it, rather than at the next time. Nothing is sent again."
        ),
        do=_look_again,
        offered=settling.is_quietly_checking,
    ),
    Deed(
        slug="hand-over",
        label=_("Hand to the merchant"),
        sentence=lambda row: gettext(
            "Nobody looks any more what became of it: the merchant’s people say so, with the evidence there is. This"
            " decides nothing."
        ),
        do=_hand_over,
        offered=settling.is_quietly_checking,
    ),
)


class Operations(Rows):
    title = _("Operations")
    what = _("Everything asked of a provider that moves value. Nobody edits it; what became of it is decided.")
    in_rail = True
    related = ("merchant", "connection", "original")
    page_related = ("card", "asked_by", "decided_by", "seconded_by", "till")
    list_filter = (InState, OfMerchant)
    deeds = DEEDS
    search_help_text = _("Our whole reference, or the provider’s")
    lists = (
        Fact(_("Operation"), operation_words.thing),
        state(_("State"), outcome_words.outcome),
        OF_MERCHANT,
        Fact(_("Connection"), "connection", link),
        when(_("Asked"), "asked_at"),
    )
    shows = (
        *lists,
        Fact(_("Our reference"), "reference"),
        Fact(_("Provider’s reference"), "provider_reference"),
        Fact(_("Card"), "card", lambda card: link(card, formats.masked(card.last_four))),
        Fact(_("Asked by"), "asked_by", link),
        Fact(_("Till"), "till", link),
        Fact(_("Belongs to"), "original", lambda row: link(row, operation_words.thing(row))),
        Fact(_("Attempts"), "attempt"),
        when(_("Last begun"), "begun_at"),
        when(_("Lease until"), "lease_until"),
        when(_("Next step not before"), "next_attempt_at"),
        Fact(_("Looks at what became of it"), "checks"),
        when(_("Missing in the provider’s record since"), "missing_since"),
        when(_("Ended"), "ended_at"),
        Fact(_("Reason"), "reason", outcome_words.because),
        Fact(_("What the provider said"), "provider_text"),
        Fact(_("The provider’s own trace"), "trace"),
        Fact(_("Known by"), "settled_by", SETTLED.get),
        Fact(_("Decided by"), "decided_by", link),
        Fact(_("Because"), "decision_reason"),
        Fact(_("Seconded by"), "seconded_by", link),
    )

    def name(self, row: Operation) -> str:
        return operation_words.thing(row)

    def subject(self, row: Operation) -> str:
        return row.reference

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        key = as_key(text)
        return anywhere(rows, key=key) if key else anywhere(rows, provider_reference=text)

    def ways(self, row: Operation) -> list[tuple[str, str]]:
        calls = Rows.of(site, Exchange)
        return [(str(calls.title), f"{calls.list_url()}?operation={row.key}")]


CARD = Fact(_("Card"), "last_four", formats.masked, cell="number")


class Exchanges(Rows):
    title = _("Calls")
    what = _("Each call made for an operation, as evidence: without numbers, passwords and keys.")
    related = ("merchant", "operation")
    list_filter = (OfMerchant, OfOperation)
    lists = (
        Fact(_("For"), attention_words.purpose),
        Fact(_("Operation"), "operation", lambda row: link(row, reference(row.reference))),
        OF_MERCHANT,
        Fact(_("Answer"), lambda row: answer(row)),
        Fact(_("Milliseconds"), "total_ms", formats.number),
        when(_("When"), "at"),
    )
    shows = (
        lists[0],
        Fact(_("Operation"), "operation", lambda row: link(row, row.reference)),
        *lists[2:],
        Fact(_("Attempt"), "attempt"),
        Fact(_("Method"), "method"),
        Fact(_("Address"), "url"),
        Fact(_("Headers sent"), "request_headers", lambda headers: _lines(headers)),
        Fact(_("Body sent"), "request_body"),
        Fact(_("Headers received"), "response_headers", lambda headers: _lines(headers)),
        Fact(_("Body received"), "response_body"),
        Fact(_("Milliseconds to connect"), "connect_ms", formats.number),
    )

    def name(self, row: Exchange) -> str:
        return attention_words.purpose(row)

    def subject(self, row: Exchange) -> str:
        return row.operation.reference


def answer(row: Exchange) -> str:
    """The answer's number, and what was wrong with it or with the call."""
    number = gettext("none") if row.status is None else str(row.status)
    return "\n".join(filter(None, [number, outcome_words.because(row.reason)]))


def _lines(headers: Any) -> str:
    """Each header on a line."""
    return "\n".join(f"{name}: {text}" for name, text in (headers.items() if isinstance(headers, dict) else headers))


class Cards(Rows):
    title = _("Cards")
    what = _("Cards that were looked up or used, by their last four digits.")
    related = ("merchant", "connection")
    list_filter = (OfMerchant,)
    search_help_text = _("The last four digits")
    lists = (
        CARD,
        OF_MERCHANT,
        Fact(_("Connection"), "connection", link),
        Fact(_("Balance"), lambda row: " · ".join(filter(None, card_words.levels(row)))),
        when(_("As of"), "read_at"),
    )
    shows = (*lists, state(_("State"), card_words.status_words), when(_("First seen"), "first_seen_at"))

    def name(self, row: Card) -> str:
        return formats.masked(row.last_four)

    def subject(self, row: Card) -> str:
        return str(row.key)

    def found(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        return anywhere(rows, last_four=text[-4:]) if text.isascii() and text.isdigit() else rows.none()


class Inquiries(Rows):
    title = _("Look-ups")
    what = _("Balances asked for in the last minutes. They are erased by themselves.")
    related = ("merchant", "connection")
    page_related = ("asked_by",)
    list_filter = (OfMerchant,)
    lists = (
        CARD,
        state(_("State"), words.state_words),
        OF_MERCHANT,
        Fact(_("Connection"), "connection", link),
        when(_("Asked"), "asked_at"),
    )
    shows = (
        *lists,
        Fact(_("Asked by"), "asked_by", link),
        Fact(_("Balance"), words.balance_text),
        Fact(_("Points for a purchase of"), words.purchase_text),
        Fact(_("Attempts"), "attempt"),
        when(_("Ended"), "ended_at"),
        Fact(_("Reason"), "reason", lambda reason: words.failure_words(reason)[0]),
        Fact(_("What the provider said"), "provider_text"),
        Fact(_("The provider’s own trace"), "trace"),
    )
    in_trail = "look-ups"

    def name(self, row: Inquiry) -> str:
        return formats.masked(row.last_four)

    def subject(self, row: Inquiry) -> str:
        return str(row.key)


class Approvals(Rows):
    title = _("Approvals")
    what = _("What was above somebody’s limit and waited for a second person.")
    related = ("merchant", "asked_by")
    page_related = ("connection", "card", "decided_by", "original")
    list_filter = (OfMerchant,)
    lists = (
        Fact(_("Operation"), approval_words.thing),
        state(_("State"), approval_words.outcome),
        OF_MERCHANT,
        Fact(_("Asked by"), "asked_by.name"),
        when(_("Asked"), "asked_at"),
    )
    shows = (
        *lists,
        Fact(_("Our reference"), "reference"),
        Fact(_("Card"), "card", lambda card: link(card, formats.masked(card.last_four))),
        Fact(_("Connection"), "connection", link),
        when(_("Valid until"), "expires_at"),
        Fact(_("Decided by"), "decided_by", link),
        Fact(_("Because"), "reason"),
        when(_("Ended"), "ended_at"),
    )

    def name(self, row: Approval) -> str:
        return approval_words.thing(row)

    def subject(self, row: Approval) -> str:
        return row.reference
