"""What the public page says of a try. Everything that is wrong with a card is one sentence."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.translation import gettext

from portal import formats
from portal.connectors.base import CardStatus
from portal.ledger import words as ledger_words
from portal.ledger.models import Inquiry, State
from portal.money import Money
from portal.shopper import grid
from portal.shopper.models import Outcome, Try


@dataclass(frozen=True, kw_only=True)
class View:
    """What the answer page shows. `state` is proof, pending, number, found, refused, trouble or over; `spoken` is the
    one sentence a screen reader says."""

    state: str
    spoken: str = ""
    next_ms: int = 0
    balance: str = ""
    headline: str = ""
    as_of: datetime | None = None
    expiry: str = ""
    parts: list[tuple[str, str]] = field(default_factory=list)


def view(found: Try, inquiry: Inquiry | None, *, now: datetime) -> View:
    """What may be seen of a try at this moment."""
    if found.outcome == Outcome.HELD:
        return View(state="proof")
    if found.asked_at is None or found.outcome == Outcome.LEFT:
        return View(state="over")
    wants_number = inquiry is not None and inquiry.state == State.WANTS_NUMBER
    if found.outcome == Outcome.ASKED and not wants_number:
        return View(state="pending", next_ms=grid.next_look(found.asked_at, found.step_ms, now=now))
    ended = found.asked_at if inquiry is None or inquiry.ended_at is None else inquiry.ended_at
    if found.outcome == Outcome.SILENCED:
        ended = found.asked_at + timedelta(milliseconds=found.took_ms or 0)
    seen_at = grid.seen_at(found.asked_at, found.step_ms, ended_at=ended)
    if now < seen_at:
        return View(state="pending", next_ms=grid.next_look(found.asked_at, found.step_ms, now=now))
    if wants_number:
        return View(state="number", spoken=gettext("Please type the whole number of the card."))
    if now > seen_at + timedelta(seconds=settings.SHOPPER_SHOWN_SECONDS):
        return View(state="over")
    match Outcome(found.outcome):
        case Outcome.FOUND if inquiry is not None:
            return _found(inquiry)
        case Outcome.FOUND:
            return View(state="over")
        case Outcome.TROUBLE:
            return View(state="trouble", spoken=trouble())
    return View(state="refused", spoken=negative())


def negative() -> str:
    """The one answer to everything that is wrong with a card."""
    return gettext(
        "We could not show a balance for these details. Check the number and PIN on the card, or contact the shop."
    )


def trouble() -> str:
    """Nothing was learnt of the card."""
    return gettext("The card system does not answer. Your money is safe. Try again later.")


def closed() -> str:
    """Nobody is let in, whoever or whatever closed the page."""
    return gettext(
        "No balance can be shown here at the moment. Your money is safe. Ask in the shop, or try again later."
    )


def too_many(seconds: int) -> str:
    """How long an address has to wait."""
    if seconds <= 60:
        return gettext("There were several tries from your connection. Please wait a minute.")
    if seconds <= 3600:
        return gettext("There were many tries from your connection. Please try again in an hour.")
    return gettext("There were too many tries from your connection today. Please try again tomorrow.")


def _found(inquiry: Inquiry) -> View:
    expired = inquiry.card_status == CardStatus.EXPIRED
    expiry = ledger_words.expiry_text(inquiry.expires_on, expired=expired)
    balance = ledger_words.balance_text(inquiry)
    points = formats.points(inquiry.points) if inquiry.points or (inquiry.points == 0 and not balance) else ""
    headline = ""
    if expired:
        headline = expiry or gettext("This card has expired.")
    elif inquiry.card_status == CardStatus.EMPTY:
        headline = gettext("This card is empty.")
    elif not balance and not points:
        headline = gettext("This card is good. Its balance is told in the shop.")
    large = "" if expired else balance or points
    spoken = headline or gettext("The balance is %(balance)s. %(expiry)s") % {"balance": large, "expiry": expiry}
    return View(
        state="found",
        balance=large,
        headline=headline,
        as_of=inquiry.ended_at,
        expiry="" if expired else expiry,
        parts=_parts(inquiry, points if balance else ""),
        spoken=spoken.strip(),
    )


def _parts(inquiry: Inquiry, points: str) -> list[tuple[str, str]]:
    """Paid in and given, apart, where something was given; and points beside money."""
    parts = []
    if inquiry.cash_minor is not None and inquiry.bonus_minor:
        for label, minor in ((gettext("Paid in"), inquiry.cash_minor), (gettext("Bonus"), inquiry.bonus_minor)):
            parts.append((label, formats.money(Money(minor, inquiry.balance_currency))))
    if points:
        parts.append((gettext("Points"), points))
    return parts
