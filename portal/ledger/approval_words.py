"""A wish before a second person, in words. Whole sentences: in other languages the verb stands elsewhere."""

from datetime import datetime

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.ledger import limits, operation_words, outcome_words
from portal.ledger.models import Approval, ApprovalState, Operation
from portal.merchants.models import Member, Merchant, Person

NAMED = 3  # so many approvers are named; the others are counted

SHAPES: dict[str, str] = {
    ApprovalState.PENDING: "person",
    ApprovalState.APPROVED: "done",
    ApprovalState.REFUSED: "refused",
    ApprovalState.WITHDRAWN: "not_sent",
    ApprovalState.EXPIRED: "not_sent",
}

_WANTS: dict[str, Promise] = {
    "top_up": _("%(name)s wants to add %(amount)s to %(card)s."),
    "sale": _("%(name)s wants to sell for %(amount)s with %(card)s."),
    "pay": _("%(name)s wants to take %(amount)s from %(card)s."),
    "void": _("%(name)s wants to void %(original)s on %(card)s."),
    "tip": _("%(name)s wants to take a tip of %(amount)s from %(card)s."),
    "award": _("%(name)s wants to give the points for a purchase of %(amount)s to %(card)s."),
    "issue_code": _("%(name)s wants to show a code that gives the points for a purchase of %(amount)s."),
    "cancel_code": _("%(name)s wants to cancel %(original)s."),
    "issue_points": _("%(name)s wants to give %(amount)s to %(card)s."),
    "redeem_points": _("%(name)s wants to redeem %(amount)s from %(card)s."),
}
_LET: dict[str, Promise] = {
    "top_up": _("Let %(name)s add %(amount)s to %(card)s at %(connection)s."),
    "sale": _("Let %(name)s sell for %(amount)s with %(card)s at %(connection)s."),
    "pay": _("Let %(name)s take %(amount)s from %(card)s at %(connection)s."),
    "void": _("Let %(name)s void %(original)s on %(card)s at %(connection)s."),
    "tip": _("Let %(name)s take a tip of %(amount)s from %(card)s at %(connection)s."),
    "award": _("Let %(name)s give the points for a purchase of %(amount)s to %(card)s at %(connection)s."),
    "issue_code": _("Let %(name)s show a code of %(connection)s that gives the points for a purchase of %(amount)s."),
    "cancel_code": _("Let %(name)s cancel %(original)s at %(connection)s."),
    "issue_points": _("Let %(name)s give %(amount)s to %(card)s at %(connection)s."),
    "redeem_points": _("Let %(name)s redeem %(amount)s from %(card)s at %(connection)s."),
}
_DO_NOT_LET: dict[str, Promise] = {
    "top_up": _("Do not let %(name)s add %(amount)s to %(card)s at %(connection)s."),
    "sale": _("Do not let %(name)s sell for %(amount)s with %(card)s at %(connection)s."),
    "pay": _("Do not let %(name)s take %(amount)s from %(card)s at %(connection)s."),
    "void": _("Do not let %(name)s void %(original)s on %(card)s at %(connection)s."),
    "tip": _("Do not let %(name)s take a tip of %(amount)s from %(card)s at %(connection)s."),
    "award": _("Do not let %(name)s give the points for a purchase of %(amount)s to %(card)s at %(connection)s."),
    "issue_code": _(
        "Do not let %(name)s show a code of %(connection)s that gives the points for a purchase of %(amount)s."
    ),
    "cancel_code": _("Do not let %(name)s cancel %(original)s at %(connection)s."),
    "issue_points": _("Do not let %(name)s give %(amount)s to %(card)s at %(connection)s."),
    "redeem_points": _("Do not let %(name)s redeem %(amount)s from %(card)s at %(connection)s."),
}


def outcome(approval: Approval) -> tuple[str, str]:
    """The shape, and the word people see."""
    return SHAPES[approval.state], str(ApprovalState(approval.state).label)


def above(asked: Operation, limit: int, merchant: Merchant) -> str:
    """Why the sentence to confirm asks for a second person."""
    size = formats.points(limit)
    if asked.points is None:
        size = formats.money(limits.at(asked.currency, limit, merchant))
    return gettext("Alone you may move up to %(limit)s. A second person has to approve this first.") % {"limit": size}


def waits(approval: Approval, reader: Person) -> str:
    """One line on the card's page."""
    values = {"thing": operation_words.a_thing(_as_operation(approval)), "name": approval.asked_by.name}
    if approval.asked_by_id == reader.pk:
        return gettext("You have asked for %(thing)s, which somebody has to approve.") % values
    return gettext("%(name)s has asked for %(thing)s, which somebody has to approve.") % values


def thing(approval: Approval) -> str:
    """Payment of $250.00."""
    return operation_words.thing(_as_operation(approval))


def name(approval: Approval) -> str:
    """Payment."""
    return operation_words.title(_as_operation(approval))


def amount(approval: Approval) -> str:
    """$250.00, or 500 points."""
    return operation_words.amount(_as_operation(approval))


def wish(approval: Approval, reader: Person) -> str:
    """Alice wants to take $250.00 from •••• 8500. For Alice: take $250.00 from •••• 8500."""
    asked = _as_operation(approval)
    told = outcome_words.planned(asked)
    if approval.asked_by_id != reader.pk:
        told = str(_WANTS[_kind(approval)]) % _values(approval)
    return f"{told} {gettext('The card is activated, too.')}" if approval.also_activate else told


def who_and_until(approvers: list[Member], approval: Approval) -> str:
    """Who can say yes, and until when."""
    names = [member.person.name for member in approvers[:NAMED]]
    if len(approvers) > NAMED:
        names.append(gettext("others"))
    if not names:
        return gettext("Nobody here may approve so much any more. Take it back, or ask an owner about the limits.")
    return gettext("%(names)s can approve it until %(time)s. Nothing has been sent.") % {
        "names": formats.listed_or(names),
        "time": formats.clock(approval.expires_at),
    }


def over(approval: Approval, state: str) -> str:
    """How it ended, without having been sent."""
    match state:
        case ApprovalState.REFUSED:
            return gettext("%(name)s said no. Nothing was sent.") % {
                "name": operation_words.name_of(approval.decided_by)
            }
        case ApprovalState.WITHDRAWN:
            return gettext("%(name)s took it back. Nothing was sent.") % {"name": approval.asked_by.name}
        case _:
            return gettext("Nobody approved it until %(time)s. Nothing was sent.") % {
                "time": formats.clock(approval.expires_at)
            }


def question(approval: Approval, *, approves: bool) -> tuple[str, str, str]:
    """The second beat: the sentence to confirm, what follows from it, and the button."""
    values = _values(approval)
    if approves:
        return (
            str(_LET[_kind(approval)]) % values,
            gettext("It is sent at once, in the name of %(name)s, with yours beside it.") % values,
            gettext("Approve"),
        )
    return (
        str(_DO_NOT_LET[_kind(approval)]) % values,
        gettext("Nothing is sent, and %(name)s sees your answer at once. This cannot be changed.") % values,
        gettext("Refuse"),
    )


def left(until: datetime) -> str:
    """14 min left, for a list."""
    return gettext("%(time)s left") % {"time": formats.age(until - timezone.now())}


def not_yours(approval: Approval, reader: Person) -> str:
    """Why this person has no buttons."""
    if approval.asked_by_id == reader.pk:
        return gettext("You asked for it, so somebody else has to approve it.")
    return gettext("It is above your own limit, too.")


def card_of(approval: Approval) -> str:
    """The card it is about."""
    return operation_words.card_of(_as_operation(approval))


def _kind(approval: Approval) -> str:
    return operation_words.kind(_as_operation(approval))


def _values(approval: Approval) -> dict[str, str]:
    asked = _as_operation(approval)
    return {
        "name": approval.asked_by.name,
        "amount": operation_words.amount(asked),
        "card": operation_words.card_of(asked),
        "connection": approval.connection.name,
        "original": operation_words.a_thing(approval.original) if approval.original else "",
    }


def _as_operation(approval: Approval) -> Operation:
    """For the words of operations, which it has in common."""
    return Operation(
        connection=approval.connection,
        card=approval.card,
        original=approval.original,
        verb=approval.verb,
        amount_minor=approval.amount_minor,
        currency=approval.currency,
        points=approval.points,
        basket=approval.basket,
        load_minor=approval.load_minor,
        asked_by=approval.asked_by,
        asked_at=approval.asked_at,
    )
