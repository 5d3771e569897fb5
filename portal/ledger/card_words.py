"""A known card in words: its last reading, how old it is, and what the newest look-up of it is doing."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext

from portal import formats
from portal.connectors import PROVIDERS
from portal.connectors.base import CardStatus
from portal.ledger import words
from portal.ledger.models import Card, Inquiry, State
from portal.money import Money

# A reading older than this is grey: somebody else may have used the card since.
OLD = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class View:
    """What stands on the left of the card's page."""

    state: str  # known, asking, nothing, wants_pin, not_found
    pending: bool = False
    stalled: bool = False
    balance: str = ""
    points: str = ""
    shape: str = ""
    status: str = ""
    expiry: str = ""
    as_of: datetime | None = None
    old: bool = False
    failure: str = ""
    failure_text: str = ""
    provider_text: str = ""
    trace: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    spoken: str = ""


def view(card: Card, inquiry: Inquiry | None, *, sees_customers: bool) -> View:
    """The card now. `inquiry` is the newest look-up of it, where there is one; `sees_customers` shows the holder."""
    pending = inquiry is not None and inquiry.pending
    failed = _failed(card, inquiry)
    title, text = words.failure_words(inquiry.reason) if inquiry and failed else ("", "")
    shape, status = status_words(card)
    balance, points = levels(card)
    expiry = words.expiry_text(card.expires_on, expired=card.card_status == CardStatus.EXPIRED)
    spoken = gettext("Card ending in %(last_four)s: %(balance)s. %(status)s. %(expiry)s") % {
        "last_four": card.last_four,
        "balance": formats.listed([text for text in (balance, points) if text]),
        "status": status,
        "expiry": expiry,
    }
    return View(
        state=_state(card, inquiry, pending=pending),
        pending=pending,
        stalled=bool(inquiry and _stalled(inquiry)),
        balance=balance,
        points=points,
        shape=shape,
        status="" if card.card_status == CardStatus.EXPIRED and expiry else status,
        expiry=expiry,
        as_of=card.read_at,
        old=card.read_at is not None and timezone.now() - card.read_at > OLD,
        failure=title,
        failure_text=text,
        provider_text=inquiry.provider_text if inquiry and failed else "",
        trace=inquiry.trace if inquiry and failed else "",
        facts=_facts(card, inquiry, sees_customers),
        spoken=f"{title} {text}" if failed else "" if pending else spoken.strip(),
    )


def levels(card: Card) -> tuple[str, str]:
    """Its money and its points as last read, "" where unknown. Beside money, no points are not worth a word."""
    balance = formats.money(Money(card.balance_minor, card.balance_currency)) if card.balance_minor is not None else ""
    return balance, formats.points(card.points) if card.points or (card.points == 0 and not balance) else ""


def money_in_parts(card: Card) -> str:
    """Its money with what it consists of, where bonus is part of it: €30.10 (Paid in €22.00, Bonus €8.10)."""
    balance, _points = levels(card)
    told = ", ".join(f"{label} {amount}" for label, amount in parts(card)) if card.bonus_minor else ""
    return f"{balance} ({told})" if balance and told else balance


def parts(card: Card) -> list[tuple[str, str]]:
    """What its money consists of as last read: label and amount."""
    known = [(gettext("Paid in"), card.cash_minor), (gettext("Bonus"), card.bonus_minor)]
    currency = card.balance_currency
    return [(label, formats.money(Money(minor, currency))) for label, minor in known if minor is not None]


def _state(card: Card, inquiry: Inquiry | None, *, pending: bool) -> str:
    if inquiry is not None and inquiry.state in (State.WANTS_PIN, State.WANTS_NUMBER):
        return "wants_pin"
    if card.card_status == CardStatus.NOT_FOUND:
        return "not_found"
    if card.read_at is not None:
        return "known"
    return "asking" if pending else "nothing"


def _failed(card: Card, inquiry: Inquiry | None) -> bool:
    if inquiry is None or inquiry.state != State.FAILED or inquiry.ended_at is None:
        return False
    return card.read_at is None or inquiry.ended_at > card.read_at


def _stalled(inquiry: Inquiry) -> bool:
    woken = inquiry.woken_at
    return inquiry.state == State.WAITING and woken is not None and timezone.now() - woken > words.STALLED_AFTER


def status_words(card: Card) -> tuple[str, str]:
    """What the card was when it was last looked up: the outcome's shape and the word; nothing where nobody knows."""
    shape, status = words.STATUS_WORDS.get(card.card_status, ("", ""))
    return shape, str(status)


def _facts(card: Card, inquiry: Inquiry | None, sees_customers: bool) -> list[tuple[str, str]]:
    facts = parts(card) if card.bonus_minor else []
    if inquiry is None:
        return facts
    labels = {"name": gettext("Holder"), "email": gettext("E-mail"), "phone": gettext("Phone")}
    if sees_customers:
        facts += [(labels[what], text) for what, text in inquiry.holder.items() if what in labels]
    declared = PROVIDERS[card.connection.provider].extras.get("balance")
    for name, asked in declared.declared().items() if declared else ():
        if (value := inquiry.extra.get(name)) is not None:
            facts.append((gettext(asked.label), gettext(dict(asked.choices).get(value, str(value)))))
    return facts
