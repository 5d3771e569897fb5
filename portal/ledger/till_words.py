"""What is said before anything is asked: the sentence to confirm and its button, why a wish is refused, and why an
action is not offered."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats, languages
from portal.connectors import PROVIDERS, doctor
from portal.ledger import basket_words
from portal.ledger.baskets import Basket
from portal.ledger.models import Card, Operation, OperationState
from portal.ledger.operation_words import a_thing, the_thing, thing
from portal.merchants.models import Connection

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
        "card": formats.masked(card.last_four),
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
