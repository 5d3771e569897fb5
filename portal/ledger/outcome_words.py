"""What became of an operation: the outcome's word, and what the operation's own page says now.

The five outcome words are the same everywhere; who did it and what is next stand beside them.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors.base import Reason
from portal.ledger import words
from portal.ledger.models import Operation, OperationState
from portal.ledger.operation_words import a_thing, amount, card_of, is_about_a_code, kind, name_of, thing
from portal.ledger.operations import NO_CODE_SHOWN, SEALED_ELSEWHERE, UNSENT_PAUSES, WITHDRAWN, WORKER_LOST
from portal.ledger.settling import DECIDED_NOT, RECORDED_NOT

# Waiting is honest: nothing for a second (the stylesheet's work), then who is asked, then that it takes long.
LONG, VERY_LONG = timedelta(seconds=3), timedelta(seconds=8)
STALLED = timedelta(seconds=5)


# ---- Outcome words ------------------------------------------------------------------------------------------------
SHAPES: dict[str, str] = {
    OperationState.WAITING: "waiting",
    OperationState.RUNNING: "checking",
    OperationState.CHECKING: "checking",
    OperationState.NEEDS_PERSON: "person",
    OperationState.DONE: "done",
    OperationState.REFUSED: "refused",
    OperationState.FAILED: "not_sent",
}


def outcome(operation: Operation) -> tuple[str, str]:
    """The shape, and the word people see."""
    return SHAPES[operation.state], str(OperationState(operation.state).label)


# ---- The operation's own page -------------------------------------------------------------------------------------
_TOLD: dict[str, Promise] = {
    "make": _("Made %(card)s."),
    "activate": _("Activated %(card)s."),
    "top_up": _("Added %(amount)s to %(card)s."),
    "sale": _("Sold for %(amount)s with %(card)s."),
    "pay": _("Took %(amount)s from %(card)s."),
    "void": _("Voided %(original)s on %(card)s."),
    "tip": _("Took a tip of %(amount)s from %(card)s."),
    "award": _("Gave %(card)s the points for a purchase of %(amount)s."),
    "issue_code": _("Made a code for a purchase of %(amount)s."),
    "cancel_code": _("Cancelled %(original)s."),
    "issue_points": _("Gave %(amount)s to %(card)s."),
    "redeem_points": _("Redeemed %(amount)s from %(card)s."),
}
_PLANNED: dict[str, Promise] = {
    "make": _("Make a new card."),
    "activate": _("Activate %(card)s."),
    "top_up": _("Add %(amount)s to %(card)s."),
    "sale": _("Sell for %(amount)s with %(card)s."),
    "pay": _("Take %(amount)s from %(card)s."),
    "void": _("Void %(original)s on %(card)s."),
    "tip": _("Take a tip of %(amount)s from %(card)s."),
    "award": _("Give %(card)s the points for a purchase of %(amount)s."),
    "issue_code": _("Make a code for a purchase of %(amount)s."),
    "cancel_code": _("Cancel %(original)s."),
    "issue_points": _("Give %(amount)s to %(card)s."),
    "redeem_points": _("Redeem %(amount)s from %(card)s."),
}

_NOTHING = _("Nothing was moved on the card.")
_SETTINGS = _("Nothing was moved on the card. An owner or manager has to look at this connection in Settings.")
# Where a refusal or an unsent operation reads better in other words than a look-up's: (what happened, what to do).
_ENDS: dict[str, tuple[Promise, Promise]] = {
    Reason.BAD_INPUT: (
        _("This cannot be sent as typed."),
        _("Nothing was sent. Check name, e-mail and telephone, and try again."),
    ),
    Reason.MEMBER_WANTED: (
        _("Points are taken by member ID alone, and nobody told the ID of this phone number."),
        _("Nothing was sent. Ask the customer for the member ID, look the member up by it, and redeem there."),
    ),
    Reason.REFUSED: (_("The card company said no."), _NOTHING),
    Reason.CARD_INACTIVE: (
        _("The card is not active."),
        _("Nothing was moved on the card. Activate it first, or tick “Also activate the card” when adding money."),
    ),
    Reason.ORIGINAL_UNKNOWN: (_("The card company does not know what this refers to."), _NOTHING),
    Reason.TOO_LATE: (
        _("It is too late for that: the card company has settled it."),
        _("Nothing was moved on the card. Give the amount back by a top-up instead, if that is meant."),
    ),
    Reason.CLAIMED: (
        _("The code has been claimed already."),
        _("Nothing was cancelled. The points belong to whoever claimed it."),
    ),
    Reason.ENDED: (
        _("The code had ended before anybody claimed it."),
        _("There was nothing left to cancel, and nobody can claim it."),
    ),
    NO_CODE_SHOWN: (
        _("No code was shown."),
        _(
            "Its answer got lost. If a code was made all the same, nobody has seen it, so nobody can claim it. You may"
            " make another."
        ),
    ),
    Reason.THROTTLED: (
        _("The card company asks us to slow down."),
        _("Nothing was sent. Try again in a few minutes."),
    ),
    Reason.KEY_REFUSED: (_("The card company does not accept our key."), _SETTINGS),
    Reason.ACCESS_REFUSED: (_("The card company refuses us access."), _SETTINGS),
    Reason.WRONG_KEY: (_("The stored key is one meant for browsers."), _SETTINGS),
    Reason.SETTINGS: (_("The settings of this connection are incomplete."), _SETTINGS),
    Reason.ADDRESS_REFUSED: (_("The address of this connection is not one we may call."), _SETTINGS),
    Reason.UNREACHABLE: (
        _("The card company cannot be reached."),
        _("Nothing was sent. You may try again, or take the payment otherwise."),
    ),
    Reason.UNSUPPORTED: (_("This connection cannot do that as it is set up."), _SETTINGS),
    Reason.CERTIFICATE: (
        _("The card company's address does not prove who it is."),
        _("Nothing was sent. If it stays so, tell the administrator."),
    ),
    DECIDED_NOT: (_("It did not happen: a person looked."), _NOTHING),
    RECORDED_NOT: (_("It did not happen: the card company's own record says so."), _NOTHING),
    WORKER_LOST: (
        _("Our worker broke off before it sent anything, several times."),
        _("Nothing was sent. Tell the administrator."),
    ),
    WITHDRAWN: (_("It was taken back before anything was sent."), _("Nothing was sent.")),
    SEALED_ELSEWHERE: (
        _("What was typed, or the key of this connection, cannot be opened."),
        _("Nothing was sent. Tell the administrator."),
    ),
}
_LOST: dict[str, Promise] = {
    Reason.TIMEOUT: _("%(connection)s did not answer in time."),
    Reason.CUT: _("The answer of %(connection)s broke off."),
    Reason.PENDING: _("%(connection)s has it in hand and has not said how it ends."),
    Reason.DUPLICATE: _("%(connection)s has seen this before and does not say how it ended."),
    Reason.MISMATCH: _("The answer of %(connection)s is about something else."),
    Reason.SERVER_ERROR: _("%(connection)s has trouble of its own."),
    WORKER_LOST: _("Our worker broke off while asking."),
}


@dataclass(frozen=True, kw_only=True)
class View:
    """What the operation's page says, decided here so that the template decides nothing."""

    shape: str
    word: str
    sentence: str
    advice: str = ""
    after: str = ""
    after_pending: bool = False
    provider_text: str = ""
    trace: str = ""
    spoken: str = ""
    at_once: bool = False
    pending: bool = False
    stage: str = ""


def view(operation: Operation, *, after: str, after_pending: bool, behind: Operation | None, not_now: str) -> View:
    """The operation now. `after` is the balance after it, `behind` what it waits for, `not_now` why nobody is asked."""
    shape, word = outcome(operation)
    values = _values(operation)
    match OperationState(operation.state):
        case OperationState.WAITING | OperationState.RUNNING:
            stage, advice = _waiting(operation, behind, not_now)
            return View(
                shape=shape,
                word=word,
                sentence=str(_PLANNED[kind(operation)]) % values,
                advice=advice,
                spoken=advice if stage in ("long", "very_long", "stalled", "held", "again") else "",
                pending=True,
                stage=stage,
            )
        case OperationState.DONE:
            told = str(_TOLD[kind(operation)]) % values
            if operation.verb == "activate" or not operation.also_activate:
                sentence = told
            else:
                sentence = f"{told} {gettext('It is activated, too.')}"
            how = {
                "balance": gettext("No answer came, and the card's balance moved by exactly this amount."),
                "record": gettext("No clear answer came, and %(connection)s's own record says that it is done.")
                % values,
                "resending": gettext(
                    "No clear answer came, so the same was sent again, and %(connection)s says that it is done. It is "
                    "done once, however often it is sent."
                )
                % values,
                "person": gettext("%(name)s looked and says it happened.") % {"name": name_of(operation.decided_by)},
            }.get(operation.settled_by, "")
            return View(
                shape=shape,
                word=word,
                sentence=sentence,
                advice=how,
                after=after,
                after_pending=after_pending,
                spoken=f"{word}. {sentence} {after}".strip(),
                pending=after_pending,
            )
        case OperationState.CHECKING | OperationState.NEEDS_PERSON:
            return _unsettled(operation, shape, word, values)
    title, advice = ending(operation)
    return View(
        shape=shape,
        word=word,
        sentence=f"{title} {_thing_and_card(operation)}.",
        advice=advice,
        provider_text=operation.provider_text,
        trace=operation.trace,
        spoken=f"{word}. {title} {advice}",
        at_once=True,
    )


def planned(operation: Operation) -> str:
    """Take $12.50 from •••• 8500."""
    return str(_PLANNED[kind(operation)]) % _values(operation)


def because(reason: str) -> str:
    """What happened, for one of our reasons; nothing for none."""
    title, _advice = _ENDS.get(reason) or words.failure_words(reason)
    return str(title) if reason else ""


def ending(operation: Operation) -> tuple[str, str]:
    """Why it ended without being done, and what follows from that."""
    title, advice = _ENDS.get(operation.reason) or words.failure_words(operation.reason)
    if is_about_a_code(operation) and advice == _NOTHING:
        advice = _("No code was made.") if operation.verb == "issue_code" else _("The code was not cancelled.")
    return str(title), str(advice)


def _values(operation: Operation) -> dict[str, str]:
    last_four = operation.card.last_four if operation.card else ""
    return {
        "amount": amount(operation),
        "card": card_of(operation),
        "last_four": last_four,
        "original": a_thing(operation.original) if operation.original else "",
        "connection": operation.connection.name,
    }


def _waiting(operation: Operation, behind: Operation | None, not_now: str) -> tuple[str, str]:
    age = timezone.now() - operation.asked_at
    name = {"connection": operation.connection.name}
    if operation.state == OperationState.RUNNING:
        if age >= VERY_LONG:
            return "very_long", gettext(
                "%(connection)s takes long. You may serve the next customer; the result stays here."
            ) % name
        if age >= LONG:
            return "long", gettext("Still waiting for %(connection)s…") % name
        return "asking", gettext("Asking %(connection)s…") % name
    if not_now:
        return "held", not_now
    if behind is not None:
        what = {"what": a_thing(behind)}
        return "behind", gettext("It waits until %(what)s on the same card is settled. Nothing was sent yet.") % what
    if operation.next_attempt_at is not None and operation.attempt:
        if operation.reason == WORKER_LOST:
            return "again", gettext("Our worker broke off before it sent anything. We try again by ourselves.")
        return "again", gettext(
            "%(connection)s cannot be reached. Nothing was sent yet; we try again by ourselves "
            "(attempt %(next)s of %(all)s)."
        ) % {**name, "next": operation.attempt + 1, "all": len(UNSENT_PAUSES) + 1}
    if age >= STALLED:
        return "stalled", gettext(
            "Nobody is asking %(connection)s at the moment. Nothing was sent; it is kept and goes on as soon as the "
            "worker is back."
        ) % name
    return "asking", gettext("Asking %(connection)s…") % name


def _thing_and_card(operation: Operation) -> str:
    """Payment of $12.50, •••• 8500."""
    what = thing(operation)
    return what if is_about_a_code(operation) else f"{what}, {card_of(operation)}"


def _unsettled(operation: Operation, shape: str, word: str, values: dict[str, str]) -> View:
    lost = _LOST.get(operation.reason)
    what = (str(lost) % values) if lost else gettext("The answer of %(connection)s cannot be relied on.") % values
    if operation.state == OperationState.CHECKING and operation.looked_up:
        advice = gettext(
            "Do not repeat it. We send the same again until %(connection)s answers: it is done once, however often it "
            "is sent. If the customer pays otherwise meanwhile, tell an owner or manager."
        ) % {"connection": operation.connection.name}
    elif operation.state == OperationState.CHECKING:
        advice = gettext(
            "Do not repeat it. We are checking, and the result appears here. You may serve the next customer."
        )
    elif operation.decision:
        said = gettext("it happened") if operation.decision == "happened" else gettext("it did not happen")
        advice = gettext("%(name)s says %(said)s. A second person has to say the same.") % {
            "name": name_of(operation.decided_by),
            "said": said,
        }
    else:
        advice = gettext("Do not repeat it. An owner or manager has to find out whether it happened.")
    return View(
        shape=shape,
        word=word,
        sentence=f"{what} {_thing_and_card(operation)}.",
        advice=advice,
        provider_text=operation.provider_text,
        trace=operation.trace,
        spoken=f"{word}. {what} {advice}",
        at_once=True,
        pending=operation.state == OperationState.CHECKING,
        stage=str(operation.checks),
    )


def new_balance(money_text: str, points_text: str) -> str:
    """New balance $17.60 and 53 points."""
    both = [text for text in (money_text, points_text) if text]
    if not both:
        return ""
    return gettext("New balance %(balance)s.") % {"balance": formats.listed(both)}
