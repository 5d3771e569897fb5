"""A look-up in words: what the card page and the desk say about each state, each card and each way to fail."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors.base import CardStatus, Reason
from portal.ledger.models import NOT_NOW, SEALED_ELSEWHERE, WORKER_LOST, Inquiry, State
from portal.money import Money

# The one page says more than "waiting" when no worker has come for this long.
STALLED_AFTER = timedelta(seconds=5)

STATUS_WORDS: dict[str, tuple[str, Promise]] = {
    CardStatus.USABLE: ("done", _("Usable")),
    CardStatus.EMPTY: ("not_sent", _("Empty")),
    CardStatus.EXPIRED: ("refused", _("Expired")),
    CardStatus.NOT_FOUND: ("refused", _("Not found")),
    CardStatus.NEEDS_FULL_NUMBER: ("checking", _("Needs the whole number")),
    CardStatus.NEAR_MISS: ("checking", _("Password nearly right")),
}


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything the card page shows, decided here so that the template decides nothing."""

    state: str
    spoken: str = ""
    stalled: bool = False
    near_miss: bool = False
    kind: str = ""
    outcome: str = ""
    balance_text: str = ""
    status_text: str = ""
    expiry_text: str = ""
    as_of: datetime | None = None
    description: str = ""
    failure_title: str = ""
    failure_text: str = ""
    provider_text: str = ""
    trace: str = ""
    pin_label: str = ""
    pin_hint: str = ""
    next_url: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)


def view(inquiry: Inquiry, *, next_url: str) -> View:
    """What the card page shows for this look-up now."""
    match State(inquiry.state):
        case State.WANTS_PIN:
            near = inquiry.card_status == CardStatus.NEAR_MISS
            return View(
                state=inquiry.state,
                near_miss=near,
                pin_label=gettext("Password of the card"),
                pin_hint=gettext("Usually printed on the back. It is used for this question and then forgotten."),
                spoken=gettext("The password is nearly right.") if near else "",
                next_url=next_url,
            )
        case State.WANTS_NUMBER:
            return View(
                state=inquiry.state,
                spoken=gettext("The card company needs the whole number."),
                next_url=next_url,
            )
        case State.WAITING | State.ASKING | State.HELD:
            stalled = (
                inquiry.state == State.WAITING
                and inquiry.woken_at is not None
                and inquiry.woken_at < timezone.now() - STALLED_AFTER
            )
            return View(
                state=inquiry.state,
                stalled=stalled,
                spoken=gettext("Nobody is asking at the moment. Your look-up is kept.") if stalled else "",
                next_url=next_url,
            )
        case State.ANSWERED:
            return _answered(inquiry, next_url)
        case State.FAILED:
            title, text = failure_words(inquiry.reason)
            return View(
                state=inquiry.state,
                outcome=_failure_outcome(inquiry),
                failure_title=title,
                failure_text=text,
                provider_text=inquiry.provider_text,
                trace=inquiry.trace,
                spoken=f"{title} {text}",
                next_url=next_url,
            )


def _answered(inquiry: Inquiry, next_url: str) -> View:
    outcome, status = STATUS_WORDS[inquiry.card_status]
    balance = balance_text(inquiry)
    expiry = expiry_text(inquiry.expires_on, expired=inquiry.card_status == CardStatus.EXPIRED)
    if inquiry.card_status == CardStatus.NOT_FOUND:
        spoken = gettext("No card found for these details.")
        # Not a description of a card, then, but what the provider said instead of one.
        facts = [(gettext("The card company says"), inquiry.description)] if inquiry.description else []
    else:
        facts = []
        spoken = gettext("Card ending in %(last_four)s: balance %(balance)s. %(status)s. %(expiry)s") % {
            "last_four": inquiry.last_four,
            "balance": balance,
            "status": status,
            "expiry": expiry,
        }
    return View(
        state=inquiry.state,
        kind=inquiry.card_status,
        outcome=outcome,
        balance_text=balance,
        status_text=str(status),
        expiry_text=expiry,
        as_of=inquiry.ended_at,
        description="" if facts else inquiry.description,
        facts=facts,
        spoken=spoken.strip(),
        next_url=next_url,
    )


def state_words(inquiry: Inquiry) -> tuple[str, str]:
    """For a list: the outcome's shape and the state in words."""
    if inquiry.state == State.ANSWERED:
        shape, words = STATUS_WORDS[inquiry.card_status]
        return shape, str(words)
    if inquiry.state == State.FAILED:
        return _failure_outcome(inquiry), failure_words(inquiry.reason)[0]
    shape = {State.ASKING: "checking", State.WAITING: "waiting"}.get(State(inquiry.state), "person")
    return shape, str(State(inquiry.state).label)


def balance_text(inquiry: Inquiry) -> str:
    """The balance as money in the reader's language, or nothing where none is known."""
    if inquiry.balance_minor is None:
        return ""
    return formats.money(Money(inquiry.balance_minor, inquiry.balance_currency))


def purchase_text(inquiry: Inquiry) -> str:
    """Of which purchase it is asked what it would give, or nothing where it is about a card."""
    if inquiry.purchase_minor is None:
        return ""
    return formats.money(Money(inquiry.purchase_minor, str(inquiry.connection.options["currency"])))


def expiry_text(last_day: date | None, *, expired: bool) -> str:
    """'Valid until 31 December 2027', 'Expired on 12 May 2026', or nothing where the provider says nothing."""
    if last_day is None:
        return ""
    said = gettext("Expired on %(day)s") if expired else gettext("Valid until %(day)s")
    return said % {"day": formats.day(last_day)}


def _failure_outcome(inquiry: Inquiry) -> str:
    """The shape beside the words. Never "checking": a look-up that failed is over, and nobody works on it."""
    return "not_sent" if inquiry.failure == "unreachable" else "refused"


_AGAIN = _("Nothing was changed on the card. Scan it again in a moment.")
_OWNER = _("Nothing was changed on the card. An owner or manager has to look at this connection in Settings.")

_LATER = _("Nothing was changed on the card. Try again in a few minutes.")
_ADMIN = _("Nothing was changed on the card. Tell the administrator: the card company answers in a way we do not know.")

FAILURES: dict[str, tuple[Promise, Promise]] = {
    Reason.BAD_INPUT: (
        _("This cannot be asked as typed."),
        _("Nothing was sent. Check number and password and scan the card again."),
    ),
    Reason.REFUSED: (_("The card company refused the question."), _AGAIN),
    Reason.THROTTLED: (
        _("The card company asks us to slow down."),
        _("Look-ups over this connection wait as long as it asked; the desk says until when."),
    ),
    Reason.KEY_REFUSED: (_("The card company does not accept our key."), _OWNER),
    Reason.ACCESS_REFUSED: (_("The card company refuses us access."), _OWNER),
    Reason.WRONG_KEY: (_("The stored key is one meant for browsers."), _OWNER),
    Reason.SETTINGS: (_("The settings of this connection are incomplete."), _OWNER),
    Reason.ADDRESS_REFUSED: (_("The address of this connection is not one we may call."), _OWNER),
    NOT_NOW: (_("This connection is not asked at the moment."), _("Nothing was sent. The top of the page says why.")),
    Reason.UNREACHABLE: (_("The card company cannot be reached."), _LATER),
    Reason.CERTIFICATE: (
        _("The card company's address does not prove who it is."),
        _("Nothing was sent. Try again later; if it stays so, tell the administrator."),
    ),
    Reason.TIMEOUT: (_("The card company did not answer in time."), _LATER),
    Reason.CUT: (_("The answer of the card company broke off."), _AGAIN),
    Reason.UNREADABLE: (_("The answer of the card company cannot be read."), _ADMIN),
    Reason.UNKNOWN_WORD: (_("The card company says something we do not know."), _ADMIN),
    Reason.REDIRECTED: (_("The card company sent us to another address."), _ADMIN),
    Reason.SERVER_ERROR: (_("The card company has trouble of its own."), _LATER),
    Reason.UNSUPPORTED: (_("This card company cannot tell balances."), _OWNER),
    Reason.NOT_ENOUGH: (
        _("There is not enough on the card."),
        _("Nothing was taken. Ask for less, or take the rest otherwise."),
    ),
    Reason.TOKEN_LAPSED: (
        _("The look-up is too old, or was used already."),
        _("Nothing was taken. Look the card up again, with its password, and take the payment then."),
    ),
    Reason.CARD_UNKNOWN: (_("The card company does not know this card."), _("Nothing was changed. Check the number.")),
    Reason.CARD_INACTIVE: (_("The card is not active."), _("Nothing was changed. Activate it first.")),
    Reason.TOO_LATE: (_("It is too late for that: the card company has settled it."), _("Nothing was changed.")),
    Reason.CLAIMED: (_("The code has been claimed already."), _("Nothing was changed.")),
    Reason.ENDED: (_("The code had ended before anybody claimed it."), _("Nothing was changed.")),
    Reason.PENDING: (
        _("The card company has it in hand and has not said how it ends."),
        _("Do not ask again. We are checking."),
    ),
    Reason.DUPLICATE: (_("The card company has seen this before."), _("Do not ask again. We are checking.")),
    Reason.MISMATCH: (_("The answer is about something else than we asked."), _("Do not ask again. We are checking.")),
    SEALED_ELSEWHERE: (
        _("What was typed, or the key of this connection, cannot be opened."),
        _("Nothing was sent. Scan the card again; if it happens again, tell the administrator."),
    ),
    WORKER_LOST: (
        _("Our worker broke off while asking."),
        _("Nothing was changed on the card. Scan it again; if it happens again, tell the administrator."),
    ),
}


def failure_words(reason: str) -> tuple[str, str]:
    """What happened, and what to do next, for one of our reasons. A reason without words of its own gets honest
    general ones."""
    title, text = FAILURES.get(reason, (_("The balance cannot be shown."), _AGAIN))
    return str(title), str(text)
