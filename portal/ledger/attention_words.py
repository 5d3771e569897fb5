"""An operation whose end nobody knows, in words: what was asked, what is known of it, and what somebody says about it.

Suggests and never decides. Whole sentences, one for each thing that can be asked: in other languages the verb stands
elsewhere.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.connectors import PROVIDERS
from portal.connectors.base import Reason
from portal.ledger import limits, operation_words, settling
from portal.ledger.attention_forms import DID_NOT, HAPPENED
from portal.ledger.models import WORKER_LOST, Exchange, Operation
from portal.merchants.models import Member, Merchant
from portal.money import Money

# One line per thing that can be asked; a void is two of them, by what it undoes.
NAMES: dict[str, Promise] = {
    "make": _("New card"),
    "activate": _("Activation"),
    "top_up": _("Top-up"),
    "sale": _("Sale"),
    "pay": _("Payment"),
    "tip": _("Tip"),
    "award": _("Points for a purchase"),
    "issue_points": _("Points given"),
    "redeem_points": _("Points redeemed"),
    "void_pay": _("Void of a payment"),
    "void_top_up": _("Void of a top-up"),
    "void_sale": _("Void of a sale"),
    "void_issue_code": _("Cancelling of a code"),
}

TITLES: dict[str, Promise] = {
    "make": _("New card"),
    "activate": _("Activation of %(card)s"),
    "top_up": _("Top-up of %(amount)s"),
    "sale": _("Sale of %(amount)s"),
    "pay": _("Payment of %(amount)s"),
    "tip": _("Tip of %(amount)s"),
    "award": _("Points for a purchase of %(amount)s"),
    "issue_points": _("%(amount)s to give"),
    "redeem_points": _("%(amount)s to redeem"),
    "void_pay": _("Void of a payment of %(amount)s"),
    "void_top_up": _("Void of a top-up of %(amount)s"),
    "void_sale": _("Void of a sale of %(amount)s"),
    "void_issue_code": _("Cancelling of a code for a purchase of %(amount)s"),
}

MAYBE: dict[str, Promise] = {
    "make": _("The card may or may not have been made."),
    "activate": _("The card may or may not be active now."),
    "top_up": _("The money may or may not have been added."),
    "sale": _("The sale may or may not have been booked on the card."),
    "pay": _("The money may or may not have been taken."),
    "tip": _("The tip may or may not have been taken."),
    "award": _("The points for this purchase may or may not have been given."),
    "issue_points": _("The points may or may not have been given."),
    "redeem_points": _("The points may or may not have been taken."),
    "void_pay": _("The money may or may not have been given back."),
    "void_top_up": _("The money may or may not have been taken back."),
    "void_sale": _("The sale may or may not have been taken back."),
    "void_issue_code": _("The code may or may not have been cancelled."),
}

FACTS: dict[tuple[str, str], Promise] = {
    ("make", HAPPENED): _("A new card was made."),
    ("make", DID_NOT): _("No new card was made."),
    ("activate", HAPPENED): _("%(card)s was activated."),
    ("activate", DID_NOT): _("%(card)s was not activated."),
    ("top_up", HAPPENED): _("%(amount)s was added to %(card)s."),
    ("top_up", DID_NOT): _("%(amount)s was not added to %(card)s."),
    ("sale", HAPPENED): _("A sale of %(amount)s was booked on %(card)s."),
    ("sale", DID_NOT): _("The sale of %(amount)s was not booked on %(card)s."),
    ("pay", HAPPENED): _("%(amount)s was taken from %(card)s."),
    ("pay", DID_NOT): _("%(amount)s was not taken from %(card)s."),
    ("tip", HAPPENED): _("A tip of %(amount)s was taken from %(card)s."),
    ("tip", DID_NOT): _("The tip of %(amount)s was not taken from %(card)s."),
    ("award", HAPPENED): _("The points for a purchase of %(amount)s went to %(card)s."),
    ("award", DID_NOT): _("The points for a purchase of %(amount)s did not go to %(card)s."),
    ("issue_points", HAPPENED): _("%(amount)s went to %(card)s."),
    ("issue_points", DID_NOT): _("%(amount)s did not go to %(card)s."),
    ("redeem_points", HAPPENED): _("%(amount)s went from %(card)s."),
    ("redeem_points", DID_NOT): _("%(amount)s did not go from %(card)s."),
    ("void_pay", HAPPENED): _("%(amount)s was given back to %(card)s."),
    ("void_pay", DID_NOT): _("%(amount)s was not given back to %(card)s."),
    ("void_top_up", HAPPENED): _("%(amount)s was taken back from %(card)s."),
    ("void_top_up", DID_NOT): _("%(amount)s was not taken back from %(card)s."),
    ("void_sale", HAPPENED): _("A sale of %(amount)s was taken back on %(card)s."),
    ("void_sale", DID_NOT): _("The sale of %(amount)s was not taken back on %(card)s."),
    ("void_issue_code", HAPPENED): _("The code for a purchase of %(amount)s was cancelled."),
    ("void_issue_code", DID_NOT): _("The code for a purchase of %(amount)s was not cancelled."),
}

# The second beat. Whole sentences: in other languages the verb stands elsewhere.
RECORDS: dict[tuple[str, str], Promise] = {
    ("make", HAPPENED): _("Record that a new card was made."),
    ("make", DID_NOT): _("Record that no new card was made."),
    ("activate", HAPPENED): _("Record that %(card)s was activated."),
    ("activate", DID_NOT): _("Record that %(card)s was not activated."),
    ("top_up", HAPPENED): _("Record that %(amount)s was added to %(card)s."),
    ("top_up", DID_NOT): _("Record that %(amount)s was not added to %(card)s."),
    ("sale", HAPPENED): _("Record that a sale of %(amount)s was booked on %(card)s."),
    ("sale", DID_NOT): _("Record that the sale of %(amount)s was not booked on %(card)s."),
    ("pay", HAPPENED): _("Record that %(amount)s was taken from %(card)s."),
    ("pay", DID_NOT): _("Record that %(amount)s was not taken from %(card)s."),
    ("tip", HAPPENED): _("Record that a tip of %(amount)s was taken from %(card)s."),
    ("tip", DID_NOT): _("Record that the tip of %(amount)s was not taken from %(card)s."),
    ("award", HAPPENED): _("Record that the points for a purchase of %(amount)s went to %(card)s."),
    ("award", DID_NOT): _("Record that the points for a purchase of %(amount)s did not go to %(card)s."),
    ("issue_points", HAPPENED): _("Record that %(amount)s went to %(card)s."),
    ("issue_points", DID_NOT): _("Record that %(amount)s did not go to %(card)s."),
    ("redeem_points", HAPPENED): _("Record that %(amount)s went from %(card)s."),
    ("redeem_points", DID_NOT): _("Record that %(amount)s did not go from %(card)s."),
    ("void_pay", HAPPENED): _("Record that %(amount)s was given back to %(card)s."),
    ("void_pay", DID_NOT): _("Record that %(amount)s was not given back to %(card)s."),
    ("void_top_up", HAPPENED): _("Record that %(amount)s was taken back from %(card)s."),
    ("void_top_up", DID_NOT): _("Record that %(amount)s was not taken back from %(card)s."),
    ("void_sale", HAPPENED): _("Record that a sale of %(amount)s was taken back on %(card)s."),
    ("void_sale", DID_NOT): _("Record that the sale of %(amount)s was not taken back on %(card)s."),
    ("void_issue_code", HAPPENED): _("Record that the code for a purchase of %(amount)s was cancelled."),
    ("void_issue_code", DID_NOT): _("Record that the code for a purchase of %(amount)s was not cancelled."),
}

VERDICTS: dict[str, Promise] = {HAPPENED: _("It happened"), DID_NOT: _("It did not")}

# How it came that nobody knows. `when` is "at 09:58" or "on 8 November at 09:58".
CAUSES: dict[str, Promise] = {
    Reason.TIMEOUT: _("We asked %(connection)s %(when)s and got no answer."),
    Reason.CUT: _("We asked %(connection)s %(when)s, and the connection broke before the answer was here."),
    Reason.UNREADABLE: _("We asked %(connection)s %(when)s and got an answer that cannot be read."),
    Reason.UNKNOWN_WORD: _("We asked %(connection)s %(when)s and got an answer with a word we do not know."),
    Reason.REDIRECTED: _("We asked %(connection)s %(when)s and were sent to another address, which we never follow."),
    Reason.SERVER_ERROR: _("We asked %(connection)s %(when)s, and it reported trouble of its own."),
    Reason.PENDING: _("We asked %(connection)s %(when)s. It had it in hand and did not say how it would end."),
    Reason.DUPLICATE: _("We asked %(connection)s %(when)s, and it said that it had seen this before."),
    Reason.MISMATCH: _("We asked %(connection)s %(when)s, and its answer was about something else."),
    WORKER_LOST: _("Our worker broke off while asking %(connection)s %(when)s."),
}
OTHER_CAUSE = _("We asked %(connection)s %(when)s and do not know how it ended.")

# What came of one call, for the list of what happened. `seconds` is written as 0.2.
CAME: dict[str, Promise] = {
    "": _("Answered after %(seconds)s s"),
    Reason.TIMEOUT: _("No answer within %(seconds)s s"),
    Reason.CUT: _("The connection broke after %(seconds)s s"),
    Reason.UNREACHABLE: _("Could not be reached; nothing left us"),
    Reason.SERVER_ERROR: _("Trouble at the provider, said after %(seconds)s s"),
    Reason.REDIRECTED: _("Sent elsewhere after %(seconds)s s; not followed"),
    Reason.THROTTLED: _("Asked to slow down"),
}
OTHER_CAME = _("No usable answer, after %(seconds)s s")

READ: dict[str, Promise] = {
    "before": _("Read the card before: %(level)s"),
    "check": _("Read the card again: %(level)s"),
}
TRIED: dict[str, Promise] = {
    "check": _("Tried to read the card. %(came)s"),
    "predict": _("Asked how many points it would be. %(came)s"),
    "call": _("Asked for what is needed to send it. %(came)s"),
}
PURPOSES: dict[str, Promise] = {
    "call": _("Asking for what is needed to send it"),
    "before": _("Reading the card before"),
    "predict": _("Asking how many points it would be"),
    "check": _("Reading the card again"),
    "after": _("Reading the card afterwards"),
    "find": _("Reading the provider's record"),
    "resend": _("Sending the same once more"),
}

# By (in points?, more than before?).
IF_IT_HAPPENED: dict[tuple[bool, bool], Promise] = {
    (False, True): _("If it happened, the balance rose by %(amount)s."),
    (False, False): _("If it happened, the balance fell by %(amount)s."),
    (True, True): _("If it happened, the card has %(amount)s more."),
    (True, False): _("If it happened, the card has %(amount)s less."),
}
EXACTLY: dict[tuple[bool, bool], Promise] = {
    (False, True): _("The balance rose by exactly %(amount)s."),
    (False, False): _("The balance fell by exactly %(amount)s."),
    (True, True): _("The card has exactly %(amount)s more."),
    (True, False): _("The card has exactly %(amount)s less."),
}
MOVED: dict[tuple[bool, bool], Promise] = {
    (False, True): _("The balance rose by %(amount)s."),
    (False, False): _("The balance fell by %(amount)s."),
    (True, True): _("The card has %(amount)s more."),
    (True, False): _("The card has %(amount)s less."),
}

REFUSALS: dict[str, Promise] = {
    "reason_wanted": _("Write how you know. Others will rely on it."),
    "decided_already": _("Somebody else has decided this meanwhile. Nothing was changed by you."),
    "second_person_wanted": _("You have said so already. Somebody else has to say the same."),
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One line of what happened. `day` only where it is another than the line before."""

    at: datetime
    text: str
    day: date | None = None


@dataclass(frozen=True, kw_only=True)
class Level:
    """What stood on the card once, as the provider told it."""

    text: str
    at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One call as it is shown: what was sent, what came, and how long it took."""

    title: str
    came: str
    at: datetime
    method: str
    url: str
    sent: str
    status: int | None
    answered: str
    total_ms: int
    connect_ms: int
    reused: bool


# ---- In whole sentences ---------------------------------------------------------------------------------------
def name(row: Operation) -> str:
    """What was asked, in a word or two."""
    return str(NAMES[_kind(row)])


def title(row: Operation) -> str:
    """What was asked, with how much."""
    return _told(TITLES[_kind(row)], row)


def maybe(row: Operation) -> str:
    """What nobody knows."""
    return str(MAYBE[_kind(row)])


def fact(row: Operation, verdict: str) -> str:
    """What is true if the verdict is."""
    return _told(FACTS[_kind(row), verdict], row)


def record(row: Operation, verdict: str) -> str:
    """What is about to be recorded, before the last press."""
    return _told(RECORDS[_kind(row), verdict], row)


def refusal(why: str) -> str:
    """Why a decision was not taken, for the person who made it."""
    return str(REFUSALS.get(why, _("This cannot be recorded.")))


def limit(row: Operation, merchant: Merchant) -> str:
    """Why one person is not enough."""
    from_here = limits.second_person_from(merchant, row)
    assert from_here is not None
    most = _money(row, limits.at(row.currency, from_here, merchant).minor) if row.points is None else ""
    size = most or formats.points(from_here)
    return gettext("From %(limit)s on, two people have to say the same.") % {"limit": size}


def first_word(row: Operation) -> str:
    """Who has spoken, and that somebody else has to; nothing where nobody has."""
    if not row.decision or row.decided_by is None:
        return ""
    said = {"name": row.decided_by.name, "verdict": VERDICTS[row.decision]}
    return gettext("%(name)s: “%(verdict)s”. Waits for a second person.") % said


def cause(row: Operation, exchanges: list[Exchange]) -> str:
    """How it came that nobody knows."""
    began = next((_began(one) for one in exchanges if _sends(one)), row.begun_at or row.asked_at)
    return str(CAUSES.get(row.reason, OTHER_CAUSE)) % {"connection": row.connection.name, "when": _when(began)}


# ---- The two readings -----------------------------------------------------------------------------------------
def level(row: Operation, minor: int | None, count: int | None, at: datetime | None) -> Level:
    """One reading of the card, as far as this operation is about it."""
    return Level(text=_level(row, minor, count) if at else "", at=at)


def expected(row: Operation) -> str:
    """How far the balance moved if it happened."""
    wanted = _wanted(row)
    return _moved(IF_IT_HAPPENED, row, wanted) if wanted else ""


def suggestion(row: Operation) -> str:
    """What the two readings suggest, in plain words and without deciding."""
    wanted = _wanted(row)
    if wanted is None:
        if row.verb == "award":
            return gettext("The provider did not say how many points it would be: compare both readings yourself.")
        if _kind(row) in ("sale", "void_sale"):
            return gettext("A balance cannot tell: what a sale earns is the card company's to say.")
        if _kind(row) == "void_issue_code":
            return gettext(
                "A balance cannot tell: nobody's points have moved yet. If somebody claims the code, the provider tells"
                " us, and then it was not cancelled."
            )
        return gettext("A balance cannot tell whether a card was activated.")
    if row.before_at is None:
        return gettext("The card was not read before, so there is nothing to compare.")
    if row.after_at is None:
        return gettext("The card could not be read afterwards, so there is nothing to compare.")
    in_points = _is_in_points(row)
    before, after = (row.before_points, row.after_points) if in_points else (row.before_minor, row.after_minor)
    if before is None or after is None:
        return gettext("The provider did not tell both balances, so there is nothing to compare.")
    moved, alone = after - before, row.connection.only_this_desk
    if moved == wanted:
        fits = _("That fits.") if alone else _("That fits, but others may move this card, too.")
        return f"{_moved(EXACTLY, row, moved)} {fits}"
    if moved:
        return f"{_moved(MOVED, row, moved)} {_('That does not fit: something else moved this card.')}"
    still = _("The points have not moved.") if in_points else _("The balance has not moved.")
    against = (
        _("That speaks against it, unless the provider is late.")
        if alone
        else _("That speaks against it, unless the provider is late or others moved this card, too.")
    )
    return f"{still} {against}"


def _wanted(row: Operation) -> int | None:
    if row.verb == "award":
        return row.predicted_points
    both = settling.expected(row)
    return None if both is None else both[1] if row.points is not None else both[0]


def _is_in_points(row: Operation) -> bool:
    """Whether it moves the card's points: what it is asked for may be money all the same."""
    return row.points is not None or row.verb == "award"


def _moved(table: dict[tuple[bool, bool], Promise], row: Operation, moved: int) -> str:
    in_points = _is_in_points(row)
    size = formats.points(abs(moved)) if in_points else _money(row, abs(moved))
    return str(table[in_points, moved > 0]) % {"amount": size}


# ---- What happened --------------------------------------------------------------------------------------------
def moments(row: Operation, exchanges: list[Exchange]) -> list[Moment]:
    """From the wish to the moment the machine gave up."""
    by = row.asked_by.name if row.asked_by else ""
    told = [(row.asked_at, gettext("%(name)s asked for it") % {"name": by} if by else gettext("It was asked for"))]
    last = {one.purpose: one.pk for one in exchanges}
    levels = {
        "before": _level(row, row.before_minor, row.before_points) if row.before_at else "",
        "check": _level(row, row.after_minor, row.after_points) if row.after_at else "",
    }
    for one in exchanges:
        is_last = last[one.purpose] == one.pk
        step = PROVIDERS[row.connection.provider].step(one.method, one.url)
        if one.purpose == "call" and (step or _sends(one)):
            sent = gettext(step) if step else gettext("Sent, attempt %(number)d")
            told.append((_began(one), sent % {"number": one.attempt, "connection": row.connection.name}))
            told.append((one.at, _came(one, _meant(row, one))))
        elif one.purpose == "find":
            told.append((one.at, gettext("Asked for the provider's record of it. %(came)s") % {"came": _came(one)}))
        elif one.purpose == "resend":
            told.append((one.at, gettext("Sent the same once more. %(came)s") % {"came": _came(one, _meant(row, one))}))
        elif is_last and levels.get(one.purpose):
            told.append((one.at, str(READ[one.purpose]) % {"level": levels[one.purpose]}))
        elif one.purpose == "predict" and is_last and row.predicted_points is not None:
            said = gettext("The provider said that it would be %(points)s")
            told.append((one.at, said % {"points": formats.points(row.predicted_points)}))
        else:
            tried = gettext(step) + ". %(came)s" if step else str(TRIED.get(one.purpose, TRIED["check"]))
            told.append((one.at, tried % {"came": _came(one), "connection": row.connection.name}))
    if row.reason == WORKER_LOST and row.begun_at:
        told.append((row.begun_at, gettext("Our worker broke off")))
    told.sort(key=lambda each: each[0])
    told.append((row.after_at or told[-1][0], gettext("Left to a person")))
    days = [timezone.localtime(at).date() for at, _text in told]
    return [
        Moment(at=at, text=text, day=day if day != before else None)
        for (at, text), day, before in zip(told, days, [None, *days], strict=False)
    ]


def shown(row: Operation, one: Exchange) -> Asked:
    """One call with all that was kept of it."""
    return Asked(
        title=name(row) if _sends(one) else purpose(one),
        came=_came(one, _meant(row, one)),
        at=_began(one),
        method=one.method,
        url=one.url,
        sent=_message(one.request_headers, one.request_body),
        status=one.status,
        answered=_message(one.response_headers, one.response_body),
        total_ms=one.total_ms,
        connect_ms=one.connect_ms,
        reused=one.reused,
    )


def purpose(one: Exchange) -> str:
    """What a call was made for, in a few words."""
    if _sends(one):
        return gettext("Sending it")
    return str(PURPOSES[one.purpose])


def _message(headers: list[list[str]], body: str) -> str:
    lines = "\n".join(f"{header}: {value}" for header, value in headers)
    with suppress(ValueError):  # what is no JSON is shown as it came
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return "\n\n".join(part for part in (lines, body) if part)


# ---- Asking the provider --------------------------------------------------------------------------------------
def question(row: Operation, member: Member) -> str:
    """A text for the provider's support: all it needs to look, and nothing secret."""
    facts = [
        (_("What"), name(row)),
        (_("Amount"), amount(row)),
        (_("Card ending in"), last_four(row)),
        (_("When"), row.asked_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")),
        (_("Our reference"), row.reference),
        (_("It concerns your reference"), row.original.provider_reference if row.original else ""),
        (_("Your reference"), row.provider_reference or row.trace),
    ]
    lines = [
        gettext("Good day,"),
        "",
        gettext("we asked you for the following and do not know how it ended. Did it happen?"),
        "",
        *(f"{label}: {value}" for label, value in facts if value),
        "",
        gettext("Kind regards"),
        member.person.name,
        member.merchant.name,
    ]
    return "\n".join(lines)


# ---- Small words ----------------------------------------------------------------------------------------------
def last_four(row: Operation) -> str:
    """The card, as far as anybody sees its number."""
    return row.card.last_four if row.card else ""


def amount(row: Operation) -> str:
    """How much was asked for, or nothing where no amount was."""
    if row.points is not None:
        return formats.points(row.points)
    return "" if row.amount_minor is None else _money(row, row.amount_minor)


def _kind(row: Operation) -> str:
    if row.verb == "void" and row.original is not None:
        return f"void_{row.original.verb}"
    return operation_words.made_or(row.verb, row.in_flight_key)


def _told(sentence: Promise, row: Operation) -> str:
    return str(sentence) % {"amount": amount(row), "card": formats.masked(last_four(row))}


def _money(row: Operation, minor: int) -> str:
    return formats.money(Money(minor, row.currency or str(row.connection.options["currency"])))


def _level(row: Operation, minor: int | None, count: int | None) -> str:
    if _is_in_points(row):
        return gettext("not told") if count is None else formats.points(count)
    return gettext("not told") if minor is None else _money(row, minor)


def _sends(one: Exchange) -> bool:
    """Whether it may have moved value: what is only read on the way to that has not."""
    return one.purpose == "call" and one.method != "GET"


def _began(one: Exchange) -> datetime:
    return one.at - timedelta(milliseconds=one.total_ms)


def _meant(row: Operation, one: Exchange) -> str:
    """What the last call's answer meant. A worker that broke off, and a person, say nothing about it."""
    is_last = _sends(one) and one.attempt == row.attempt
    return row.reason if is_last and row.reason in list(Reason) else ""


def _came(one: Exchange, reason: str = "") -> str:
    """What came of one call. `reason` is what it meant, where that is known: an answer may come and say nothing."""
    status = one.status or 0
    said = Reason.SERVER_ERROR if status >= 500 else Reason.THROTTLED if status == 429 else ""
    pattern = "0.##" if one.total_ms < 1000 else "0.#"
    seconds = formats.number(max(one.total_ms, 10) / 1000, pattern)
    return str(CAME.get(one.reason or said or reason, OTHER_CAME)) % {"seconds": seconds}


def _when(moment: datetime) -> str:
    local = timezone.localtime(moment)
    if local.date() == timezone.localdate():
        return gettext("at %(time)s") % {"time": formats.clock(moment)}
    return gettext("on %(day)s at %(time)s") % {
        "day": formats.day_of_year(moment),
        "time": formats.clock(moment),
    }
