"""An operation's story: who asked, what was said to the provider and what it answered, and how it ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors import PROVIDERS
from portal.ledger.models import OVER, Exchange, Operation, OperationState
from portal.ledger.operation_words import name_of
from portal.ledger.outcome_words import because, ending, outcome
from portal.money import Money


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of an operation's story."""

    at: datetime
    text: str
    quote: str = ""


_PURPOSES: dict[str, Promise] = {
    "before": _("Asked %(connection)s for the card's balance before sending"),
    "predict": _("Asked %(connection)s how many points it would give"),
    "after": _("Asked %(connection)s for the card's balance afterwards"),
    "check": _("Asked %(connection)s for the card's balance to find out what became of it"),
    "find": _("Asked %(connection)s how it ended"),
    "resend": _("Sent the same once more to %(connection)s, which does it once"),
}


def story(operation: Operation, exchanges: Sequence[Exchange]) -> list[Moment]:
    """What happened, in order, in sentences."""
    told = [
        Moment(
            at=operation.asked_at,
            text=gettext("%(name)s asked for it.") % {"name": name_of(operation.asked_by)},
        )
    ]
    if operation.approval is not None:
        approved = gettext("%(name)s approved it.") % {"name": name_of(operation.approval.decided_by)}
        told.insert(0, Moment(at=operation.asked_at, text=approved, quote=operation.approval.reason))
        told[1] = replace(told[1], at=operation.approval.asked_at)
    told += [_exchange_moment(operation, exchange) for exchange in exchanges]
    if operation.missing_since:
        missing = (
            gettext("%(connection)s says no. What was sent before may still arrive, so we send the same once more.")
            if operation.looked_up
            else gettext(
                "The record of %(connection)s does not show it as done. It may still arrive, so we ask once more."
            )
        )
        told.append(Moment(at=operation.missing_since, text=missing % {"connection": operation.connection.name}))
    if operation.decided_at and operation.decision:
        said = (
            gettext("%(name)s looked and said: it happened.")
            if operation.decision == "happened"
            else gettext("%(name)s looked and said: it did not happen.")
        )
        told.append(
            Moment(
                at=operation.decided_at,
                text=said % {"name": name_of(operation.decided_by)},
                quote=operation.decision_reason,
            )
        )
        if operation.seconded_by and operation.ended_at:
            seconded = gettext("%(name)s said the same.") % {"name": name_of(operation.seconded_by)}
            told.append(Moment(at=operation.ended_at, text=seconded))
    if operation.ended_at and operation.state in OVER:
        told.append(Moment(at=operation.ended_at, text=_end_words(operation)))
    told.sort(key=lambda each: each.at)
    return told


def exchange_title(operation: Operation, exchange: Exchange) -> str:
    """Sent to PayWizard, attempt 1."""
    connection = {"connection": operation.connection.name}
    if step := PROVIDERS[operation.connection.provider].step(exchange.method, exchange.url):
        return gettext(step) % connection
    if exchange.purpose == "call" and exchange.method == "GET":  # on the way to what moves value
        return gettext("Asked %(connection)s for what is needed to send it") % connection
    if exchange.purpose == "call":
        return gettext("Sent to %(connection)s, attempt %(attempt)s") % {**connection, "attempt": exchange.attempt}
    return str(_PURPOSES.get(exchange.purpose, _("Asked %(connection)s"))) % connection


def _exchange_moment(operation: Operation, exchange: Exchange) -> Moment:
    asked = exchange_title(operation, exchange)
    reading = {
        "before": (operation.before_at, operation.before_minor, operation.before_points),
        "check": (operation.after_at, operation.after_minor, operation.after_points),
    }.get(exchange.purpose)
    levels = _levels(operation, reading[1], reading[2]) if reading and reading[0] else ""
    if exchange.purpose == "predict" and operation.predicted_points is not None:
        levels = formats.points(operation.predicted_points)
    return Moment(at=exchange.at, text=f"{asked}: {levels or _answer(exchange)}, {took(exchange)}.")


def _answer(exchange: Exchange) -> str:
    if exchange.status is None:
        return gettext("no answer")
    if exchange.reason:
        title = because(exchange.reason).rstrip(".")
        return gettext("HTTP %(status)s (%(title)s)") % {"status": exchange.status, "title": title}
    return gettext("answered")


def took(exchange: Exchange) -> str:
    """After 312 ms."""
    if exchange.total_ms < 1000:
        return gettext("after %(ms)s ms") % {"ms": exchange.total_ms}
    return gettext("after %(seconds)s s") % {"seconds": formats.number(round(exchange.total_ms / 1000, 1))}


def _levels(operation: Operation, minor: int | None, count: int | None) -> str:
    currency = str(operation.connection.options.get("currency", ""))
    both = [
        formats.money(Money(minor, currency)) if minor is not None else "",
        formats.points(count) if count is not None else "",
    ]
    return formats.listed([text for text in both if text])


def readings(operation: Operation) -> tuple[str, str]:
    """The card's levels before and after it, as far as they were read for it."""
    return (
        _levels(operation, operation.before_minor, operation.before_points),
        _levels(operation, operation.after_minor, operation.after_points),
    )


def _end_words(operation: Operation) -> str:
    _shape, word = outcome(operation)
    if operation.state == OperationState.DONE:
        how = {
            "answer": gettext("the answer says so"),
            "balance": gettext("the card's balance moved by exactly this amount"),
            "record": gettext("the card company's own record says so"),
            "resending": gettext("the answer to the same, sent again, says so"),
            "person": gettext("a person says so"),
        }.get(operation.settled_by, "")
        return f"{word}: {how}." if how else f"{word}."
    title, _advice = ending(operation)
    return f"{word}: {title}"
