"""Operations in words: what the card page, the operation's page and its papers say of each verb, state and reason.

The five outcome words are the same everywhere; who did it and what is next stand beside them. Whole sentences are
kept together, so that they can be translated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats, languages
from portal.connectors import PROVIDERS, doctor
from portal.connectors.base import Reason
from portal.ledger import basket_words, words
from portal.ledger.baskets import Basket
from portal.ledger.models import OVER, Card, Exchange, Operation, OperationState
from portal.ledger.operations import NO_CODE_SHOWN, SEALED_ELSEWHERE, UNSENT_PAUSES, WITHDRAWN, WORKER_LOST
from portal.ledger.settling import DECIDED_NOT, RECORDED_NOT
from portal.merchants.models import Connection, Person
from portal.money import Money

# Waiting is honest: nothing for a second (the stylesheet's work), then who is asked, then that it takes long.
LONG, VERY_LONG = timedelta(seconds=3), timedelta(seconds=8)
STALLED = timedelta(seconds=5)


# ---- Amounts, moments, people -------------------------------------------------------------------------------------
def amount(operation: Operation) -> str:
    """What the operation is about: money, points, or nothing."""
    if operation.amount_minor is not None:
        return formats.money(Money(operation.amount_minor, operation.currency))
    return formats.points(operation.points) if operation.points is not None else ""


def loaded(operation: Operation) -> str:
    """What a sale loads onto the card beside its goods, "" where nothing."""
    return formats.money(Money(operation.load_minor, operation.currency)) if operation.load_minor else ""


def card_name(last_four: str) -> str:
    """•••• 8500."""
    return f"•••• {last_four}"


def card_of(operation: Operation) -> str:
    """The operation's card: one that is not made yet has no number, and a code is for nobody's before it is claimed."""
    if operation.card:
        return card_name(operation.card.last_four)
    return gettext("whoever scans it") if is_about_a_code(operation) else gettext("a new card")


def is_about_a_code(operation: Operation) -> bool:
    """Whether it makes a code, or cancels one."""
    return kind(operation) in ("issue_code", "cancel_code")


def kind(operation: Operation) -> str:
    """Its verb; where a card was to be made, "make", and where a code is to be cancelled, "cancel_code"."""
    if operation.verb == "void" and operation.original is not None and operation.original.verb == "issue_code":
        return "cancel_code"
    return "make" if operation.verb == "activate" and operation.in_flight_key is None else operation.verb


def _thing_and_card(operation: Operation) -> str:
    """Payment of $12.50, •••• 8500."""
    what = thing(operation)
    return what if is_about_a_code(operation) else f"{what}, {card_of(operation)}"


def name_of(person: Person | None) -> str:
    """The person's name; what nobody asked for was asked by the machine."""
    return person.name if person else gettext("Tillside")


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


# ---- What an operation is, as a thing: "Payment of $12.50" and, inside a sentence, "a payment of $12.50" ----------
_THING: dict[str, Promise] = {
    "make": _("New card"),
    "activate": _("Activation"),
    "top_up": _("Top-up of %(amount)s"),
    "sale": _("Sale of %(amount)s"),
    "pay": _("Payment of %(amount)s"),
    "void": _("Void of %(amount)s"),
    "tip": _("Tip of %(amount)s"),
    "award": _("Points for a purchase of %(amount)s"),
    "issue_code": _("Code for a purchase of %(amount)s"),
    "cancel_code": _("Cancelling of a code for a purchase of %(amount)s"),
    "issue_points": _("Issue of %(amount)s"),
    "redeem_points": _("Redemption of %(amount)s"),
}
_A_THING: dict[str, Promise] = {
    "make": _("a new card"),
    "activate": _("an activation"),
    "top_up": _("a top-up of %(amount)s"),
    "sale": _("a sale of %(amount)s"),
    "pay": _("a payment of %(amount)s"),
    "void": _("a void of %(amount)s"),
    "tip": _("a tip of %(amount)s"),
    "award": _("points for a purchase of %(amount)s"),
    "issue_code": _("a code for a purchase of %(amount)s"),
    "cancel_code": _("the cancelling of a code for a purchase of %(amount)s"),
    "issue_points": _("an issue of %(amount)s"),
    "redeem_points": _("a redemption of %(amount)s"),
}


def thing(operation: Operation) -> str:
    """Payment of $12.50."""
    return str(_THING[kind(operation)]) % {"amount": amount(operation)}


def a_thing(operation: Operation) -> str:
    """A payment of $12.50, inside a sentence."""
    return str(_A_THING[kind(operation)]) % {"amount": amount(operation)}


TITLES: dict[str, Promise] = {
    "make": _("New card"),
    "activate": _("Activation"),
    "top_up": _("Top-up"),
    "sale": _("Sale"),
    "pay": _("Payment"),
    "void": _("Void"),
    "tip": _("Tip"),
    "award": _("Points for a purchase"),
    "issue_code": _("Code"),
    "issue_points": _("Points given"),
    "redeem_points": _("Points redeemed"),
}


def title(operation: Operation) -> str:
    """Payment."""
    return str(TITLES["void" if (what := kind(operation)) == "cancel_code" else what])


# ---- A line in the card's list ------------------------------------------------------------------------------------
_YOU: dict[str, Promise] = {
    "make": _("You made the card"),
    "activate": _("You activated the card"),
    "top_up": _("You added %(amount)s"),
    "sale": _("You sold for %(amount)s"),
    "pay": _("You took %(amount)s"),
    "void": _("You voided %(original)s"),
    "tip": _("You took a tip of %(amount)s"),
    "award": _("You gave the points for a purchase of %(amount)s"),
    "issue_code": _("You showed a code for a purchase of %(amount)s"),
    "cancel_code": _("You cancelled a code for a purchase of %(amount)s"),
    "issue_points": _("You issued %(amount)s"),
    "redeem_points": _("You redeemed %(amount)s"),
}
_SOMEBODY: dict[str, Promise] = {
    "make": _("%(name)s made the card"),
    "activate": _("%(name)s activated the card"),
    "top_up": _("%(name)s added %(amount)s"),
    "sale": _("%(name)s sold for %(amount)s"),
    "pay": _("%(name)s took %(amount)s"),
    "void": _("%(name)s voided %(original)s"),
    "tip": _("%(name)s took a tip of %(amount)s"),
    "award": _("%(name)s gave the points for a purchase of %(amount)s"),
    "issue_code": _("%(name)s showed a code for a purchase of %(amount)s"),
    "cancel_code": _("%(name)s cancelled a code for a purchase of %(amount)s"),
    "issue_points": _("%(name)s issued %(amount)s"),
    "redeem_points": _("%(name)s redeemed %(amount)s"),
}
# What it moved on the card; a void goes the other way than its original.
_SIGN = {"top_up": 1, "pay": -1, "tip": -1, "issue_points": 1, "redeem_points": -1}


def line(operation: Operation, reader: Person) -> str:
    """What happened, by whom: "You added $20.00". What has not happened is named, not told: "Payment of $80.00"."""
    mine = operation.asked_by_id == reader.pk
    name = name_of(operation.asked_by)
    if operation.state != OperationState.DONE:
        return (gettext("%(thing)s, by you") if mine else gettext("%(thing)s, by %(name)s")) % {
            "thing": thing(operation),
            "name": name,
        }
    values = {
        "name": name,
        "amount": amount(operation),
        "original": a_thing(operation.original) if operation.original else "",
    }
    return str((_YOU if mine else _SOMEBODY)[kind(operation)]) % values


def movement(operation: Operation) -> str:
    """+ $20.00 or − $5.40, where it did move the card; else a dash."""
    verb = operation.original.verb if operation.verb == "void" and operation.original else operation.verb
    sign = _SIGN.get(verb, 0) * (-1 if operation.verb == "void" else 1)
    moved = amount(operation)
    if verb == "sale":  # what it earned is the provider's to say; what it loaded is ours
        sold = operation.original if operation.verb == "void" and operation.original else operation
        sign, moved = (-1 if operation.verb == "void" else 1) if sold.load_minor else 0, loaded(sold)
    if operation.state != OperationState.DONE or sign == 0:
        return "–"
    return f"{'+' if sign > 0 else '−'} {moved}"


# ---- The sentence to confirm, and its button ----------------------------------------------------------------------
_CONFIRM: dict[str, Promise] = {
    "make": _("Make a new card at {connection}, with nothing on it."),
    "activate": _("Activate card {card} at {connection}."),
    "top_up": _("Add {amount} to card {card} at {connection}."),
    "sale": _("Sell {goods} for {price} with card {card} at {connection}."),
    "pay": _("Take {amount} from card {card} at {connection}."),
    "tip": _("Take a tip of {amount} from card {card} at {connection}, beside {original}."),
    "award": _("Give card {card} at {connection} the points for a purchase of {amount}."),
    "issue_code": _(
        "Show a code at {connection}. Whoever scans it first is given the points for a purchase of {amount}."
    ),
    "issue_points": _("Give {amount} to card {card} at {connection}."),
    "redeem_points": _("Redeem {amount} from card {card} at {connection}."),
}
# Where a number is a member's rather than a card's.
_CONFIRM_MEMBER: dict[str, Promise] = {
    "award": _("Give member {card} at {connection} the points for a purchase of {amount}."),
    "issue_points": _("Give {amount} to member {card} at {connection}."),
    "redeem_points": _("Redeem {amount} from member {card} at {connection}."),
}
_CONFIRM_VOID: dict[str, Promise] = {
    "pay": _("Undo {original} on card {card} at {connection}. {amount} goes back onto the card."),
    "top_up": _("Undo {original} on card {card} at {connection}. {amount} is taken off the card again."),
    "sale": _(
        "Undo {original} on card {card} at {connection}, all {amount} of it. What the card earned by it, and what was"
        " loaded with it, is taken off the card again."
    ),
    "issue_code": _("Cancel {original} at {connection}. Whoever scans it then is given nothing."),
}
_BUTTON: dict[str, Promise] = {
    "issue_code": _("Show the code"),
    "make": _("Make the card"),
    "activate": _("Activate the card"),
    "top_up": _("Add %(amount)s"),
    "sale": _("Sell for %(amount)s"),
    "pay": _("Take %(amount)s"),
    "tip": _("Take a tip of %(amount)s"),
    "award": _("Give the points"),
    "issue_points": _("Give %(amount)s"),
    "redeem_points": _("Redeem %(amount)s"),
}
_BUTTON_VOID: dict[str, Promise] = {
    "pay": _("Void the payment of %(amount)s"),
    "top_up": _("Void the top-up of %(amount)s"),
    "sale": _("Void the sale of %(amount)s"),
    "issue_code": _("Cancel the code"),
}


def question(
    verb: str, *, card: Card, amount: str, original: Operation | None, also_activate: bool, basket: Basket | None = None
) -> SafeString:
    """Take $12.50 from card •••• 8500 at PayWizard."""
    at = {
        "card": format_html('<span class="together">{}</span>', card_name(card.last_four)),
        "connection": card.connection.name,
    }
    if basket is not None:
        return _sale(basket, at)
    words_of = _CONFIRM | _CONFIRM_MEMBER if PROVIDERS[card.connection.provider].names_members else _CONFIRM
    sentence = (_CONFIRM_VOID[original.verb] if original else "") if verb == "void" else words_of[verb]
    asked = format_html(
        str(sentence),
        amount=format_html("<strong>{}</strong>", amount),
        **at,
        original=the_thing(original) if original else "",
    )
    if not also_activate:
        return asked
    return format_html("{} <strong>{}</strong>", asked, gettext("The card is activated, too."))


def _sale(basket: Basket, at: Mapping[str, str]) -> SafeString:
    """Sell Dining service for €59.00 with card •••• 4352 at secuconnect. €20.00 is put onto the card. …"""
    told = [
        format_html(
            str(_CONFIRM["sale"]),
            goods=basket_words.goods(basket),
            price=format_html("<strong>{}</strong>", basket_words.goods_price(basket)),
            **at,
        )
    ]
    if basket.load is not None:
        load = format_html("<strong>{}</strong>", formats.money(basket.load))
        told.append(format_html(gettext("{amount} is put onto the card."), amount=load))
    told.append(
        format_html(
            gettext("To be paid: {amount}. What the card earns by it is for {connection} to say."),
            amount=format_html("<strong>{}</strong>", formats.money(basket.total)),
            connection=at["connection"],
        )
    )
    return format_html_join(" ", "{}", ((each,) for each in told))


def done_just_now(operation: Operation) -> str:
    """That the same was asked a few minutes ago."""
    said = (
        gettext("%(thing)s: done for this card at %(time)s already. Go on only if this is another purchase.")
        if operation.state == OperationState.DONE
        else gettext("%(thing)s: asked for this card at %(time)s already, and how it ended is not known yet.")
    )
    return said % {"thing": thing(operation), "time": formats.clock(operation.asked_at)}


def button(verb: str, *, amount: str, original: Operation | None) -> str:
    """Take $12.50."""
    words = _BUTTON_VOID[original.verb] if verb == "void" and original else _BUTTON[verb]
    return str(words) % {"amount": amount}


def the_thing(operation: Operation) -> str:
    """A payment of $12.50 by Ben at 10:14: exactly what a void undoes."""
    return _signed(operation, a_thing(operation))


def choice(operation: Operation) -> str:
    """Payment of $12.50 by Ben at 10:14, in a list to choose from."""
    return _signed(operation, thing(operation))


def _signed(operation: Operation, what: str) -> str:
    values = {
        "thing": what,
        "name": name_of(operation.asked_by),
        "day": formats.moment(operation.asked_at),
        "time": formats.clock(operation.asked_at),
    }
    if values["day"] == values["time"]:
        return gettext("%(thing)s by %(name)s at %(time)s") % values
    return gettext("%(thing)s by %(name)s, %(day)s %(time)s") % values


# ---- Why something is not even asked ------------------------------------------------------------------------------
CANNOT_ASK: dict[str, Promise] = {
    "not_offered": _("The card company has no such call. Nothing was sent."),
    "no_amount_wanted": _("An activation has no amount. Reload the page and try again. Nothing was sent."),
    "amount_wanted": _("Type how much. Nothing was sent."),
    "amount_out_of_range": _("This amount is too small or too large. Nothing was sent."),
    "other_currency": _("These cards are in another currency. Nothing was sent."),
    "no_original_wanted": _("This does not refer to another operation. Reload the page. Nothing was sent."),
    "basket_wanted": _("Add what is sold. Nothing was sent."),
    "basket_differs": _("The sum is not that of the basket. Reload the page. Nothing was sent."),
    "wrong_line": _("A line of the basket cannot be sold so. Reload the page. Nothing was sent."),
    "reserved_article": _("A line has the number that stands for a load. Nothing was sent."),
    "original_wanted": _("Choose what it is for: a payment, top-up or sale on this card. Nothing was sent."),
    "original_not_done": _("What it refers to is not done, so there is nothing to undo. Nothing was sent."),
    "voided_already": _("This has been voided already. Nothing was sent."),
    "only_the_whole": _("Only the whole amount can be voided. Nothing was sent."),
    "has_a_tip": _("There is a tip on this payment, so it cannot be voided here. Ask a manager. Nothing was sent."),
    "reason_wanted": _("Say why, in a few words."),
    "not_checking": _("It is not at Checking any more, or the provider may still be at work on it."),
    "decided_already": _("Somebody has decided this meanwhile."),
    "second_person_wanted": _("A second person has to say the same."),
    "nobody_may_approve": _(
        "This is above your limit, and nobody else here may approve so much. An owner can change the limits in "
        "Settings. Nothing was sent."
    ),
    "look_up_again": _("Look the card up again, with its password: a payment takes a fresh look-up. Nothing was sent."),
    "asker_may_not": _("Who asked for it may not any more. Nothing was sent."),
}


def cannot_ask(why: str) -> str:
    """The sentence for one of the words of operations.CannotAsk."""
    return str(CANNOT_ASK.get(why, _("This cannot be asked. Nothing was sent.")))


def lock(operation: Operation) -> str:
    """What stands on the card's page while an earlier operation on it is not settled."""
    what = {"what": a_thing(operation)}
    if operation.state == OperationState.NEEDS_PERSON:
        return gettext("Do not repeat. Somebody has to find out what became of %(what)s.") % what
    return gettext("Do not repeat. We are checking %(what)s.") % what


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


# ---- Its story ----------------------------------------------------------------------------------------------------
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
        title, _advice = words.failure_words(exchange.reason)
        return gettext("HTTP %(status)s (%(title)s)") % {"status": exchange.status, "title": title.rstrip(".")}
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


# ---- Why an action is not offered ---------------------------------------------------------------------------------
def unable(connection: Connection) -> dict[str, str]:
    """What cannot be done with a card that is there, by verb, and why."""
    provider = PROVIDERS[connection.provider]
    named = {"connection": connection.name}
    why = {
        verb: languages.said(sentence)
        if verb in provider.supports()
        else gettext("There is no such call for cards of %(connection)s.") % named
        for verb, sentence in doctor.capabilities(connection.provider, connection.options).cannot
    }
    if provider.makes_cards:
        why["activate"] = (
            gettext("Cards of %(connection)s need no activation. A new one is made from the desk.") % named
        )
    return why


def nothing_to(verb: str) -> str:
    """A void or tip has nothing to refer to."""
    if verb == "tip":
        return gettext("There is no payment on this card that can take a tip.")
    return gettext("There is nothing on this card that can be voided.")


def look_up_first(connection: Connection, *, pending: bool) -> str:
    """A payment takes what a look-up gives, and there is none at hand."""
    if pending:
        return gettext("The card is being looked up.")
    return gettext(
        "At %(connection)s a payment takes a fresh look-up, and each look-up pays once. Look the card up again, with "
        "its password: press “Ask again”."
    ) % {"connection": connection.name}


def locked() -> str:
    """An earlier operation is not settled."""
    return gettext("An earlier operation on this card is not settled yet.")
