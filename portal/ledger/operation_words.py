"""What an operation is called, wherever one is named: its amount, its card, who asked, and its line in a list.

Whole sentences are kept together, so that they can be translated.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.ledger.models import Operation, OperationState
from portal.merchants.models import Person
from portal.money import Money


# ---- Amounts, moments, people -------------------------------------------------------------------------------------
def amount(operation: Operation) -> str:
    """What the operation is about: money, points, or nothing."""
    if operation.amount_minor is not None:
        return formats.money(Money(operation.amount_minor, operation.currency))
    return formats.points(operation.points) if operation.points is not None else ""


def loaded(operation: Operation) -> str:
    """What a sale loads onto the card beside its goods, "" where nothing."""
    return formats.money(Money(operation.load_minor, operation.currency)) if operation.load_minor else ""


def card_of(operation: Operation) -> str:
    """The operation's card: one that is not made yet has no number, and a code is for nobody's before it is claimed."""
    if operation.card:
        return formats.masked(operation.card.last_four)
    return gettext("whoever scans it") if is_about_a_code(operation) else gettext("a new card")


def is_about_a_code(operation: Operation) -> bool:
    """Whether it makes a code, or cancels one."""
    return kind(operation) in ("issue_code", "cancel_code")


def kind(operation: Operation) -> str:
    """Its verb; where a card was to be made, "make", and where a code is to be cancelled, "cancel_code"."""
    if operation.verb == "void" and operation.original is not None and operation.original.verb == "issue_code":
        return "cancel_code"
    if operation.verb != "activate":
        return operation.verb  # the administration reads rows without their keys: of these it is not asked for
    return made_or(operation.verb, operation.in_flight_key)


def made_or(verb: str, in_flight_key: bytes | memoryview | None) -> str:
    """The verb; "make" for an activation of no card that was there, by which nothing else had to wait for it."""
    return "make" if verb == "activate" and in_flight_key is None else verb


def name_of(person: Person | None) -> str:
    """The person's name; what nobody asked for was asked by the machine."""
    return person.name if person else gettext("Tillside")


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
    """Payment; what is cancelled is a void, as lists are narrowed."""
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
