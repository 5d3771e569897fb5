"""What secuconnect's answers say: Smart Transactions, cards, and errors of two shapes.

From the provider's document: HTTP 200 and the status `ok` together are success; the balances of a card. From its public
pages: the shape of errors, the codes 1007, 1016 and 2003, that a `code` may be a text, the other words of `status`.
ASSUMED and named here: what an error means by its name and words where its code is not listed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from portal.connectors.base import (
    MOVES_VALUE,
    Balance,
    CardStatus,
    Declined,
    Detail,
    Failure,
    Misconfigured,
    Reading,
    Reason,
    Unclear,
)
from portal.connectors.failures import unreadable
from portal.connectors.http import HttpAnswer
from portal.connectors.redaction import clean
from portal.connectors.results import BONUS, CASH, POINTS, TOTAL
from portal.connectors.strict_json import is_whole, read_object
from portal.money import HARD_CAP, Money, Points

TRANSACTION_ID = re.compile("STX_[0-9A-Z]{1,60}")
PRIVATE_MEMBERS = (
    *("cardnumber", "access_token", "refresh_token", "client_secret", "forename", "surname", "companyname", "email"),
    *("phone", "mobile", "dob", "street", "street_number", "additional_address_data", "postal_code", "city"),
)
"""Members never kept as evidence: the card's number, whose it is, and what lets us in."""

TOKEN_NEEDED, CARD_REFUSED, CANNOT_CANCEL = 2003, 1016, 1007
NOT_DONE = frozenset({"failed", "aborted"})
NOT_STARTED = frozenset({"created", "approved", "processing"})
PREPARED = frozenset({"approved"})

SAYINGS: tuple[tuple[str, Reason], ...] = (
    (r"locked|blocked|expired|not active|inactive", Reason.CARD_INACTIVE),
    (r"(unknown|no such) card|card (is )?(unknown|not found)", Reason.CARD_UNKNOWN),
    (r"insufficient|not enough", Reason.NOT_ENOUGH),
)
"""ASSUMED: words in an error's `error_details` and what they mean, the first that fits; otherwise it is REFUSED."""

Data = Mapping[str, Any]


# ---- Whether a call was accepted ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reply:
    """An answer and its JSON object, or an empty one where HTTP alone says enough."""

    answer: HttpAnswer
    data: Data

    @property
    def code(self) -> int:
        """Of an error, 0 where it has none. Some clients of the provider read it as a text."""
        code = str(self.data.get("code", ""))
        return int(code) if re.fullmatch("[0-9]{1,6}", code) else 0

    @property
    def is_error(self) -> bool:
        return self.data.get("status") == "error" and isinstance(self.data.get("error"), str)

    @property
    def said(self) -> str:
        """What may be shown comes first; it is German."""
        texts = (self.data.get(name) for name in ("error_user", "error_details", "error_description", "error"))
        return next((text for text in texts if isinstance(text, str) and text), "")

    def words(self, reason: Reason, text: str | None = None, detail: Detail | None = None) -> dict[str, Any]:
        support = self.data.get("supportId")
        return {
            "reason": reason,
            "provider_text": self.answer.redact(self.said if text is None else text),
            "retry_after": self.answer.retry_after(),
            "trace": support if isinstance(support, str) else "",
            "detail": detail,
        }


def wants_another_token(answer: HttpAnswer) -> bool:
    """Whether it was refused for the token alone, before anything was done: 401, or 403 with code 2003."""
    return answer.status == 401 or (answer.status == 403 and _reply(answer).code == TOKEN_NEEDED)


def accepted(answer: HttpAnswer, verb: str) -> Data:
    """The object of an answer with HTTP 200, which is not yet done. Raises what any other means: Declined,
    Misconfigured or Unclear."""
    reply = _reply(answer)
    status = answer.status
    if status == 200 and reply.data and "error" not in reply.data:
        return reply.data
    raise _failure(reply, verb) if 400 <= status <= 599 else Unclear(**reply.words(Reason.UNREADABLE))


def _failure(reply: _Reply, verb: str) -> Failure:
    status = reply.answer.status
    if status >= 500 or status == 408:
        return Unclear(**reply.words(Reason.SERVER_ERROR))
    if status == 429:
        # Nothing says that it is decided before the work, so it proves nothing for verbs that move value.
        return (Unclear if verb in MOVES_VALUE else Declined)(**reply.words(Reason.THROTTLED))
    if wants_another_token(reply.answer):
        detail = Detail.TOKEN_REFUSED if status == 401 else Detail.TOKEN_EXPIRED
        return Misconfigured(**reply.words(Reason.KEY_REFUSED, detail=detail))
    if not reply.is_error:
        if status == 403:
            return Misconfigured(**reply.words(Reason.ACCESS_REFUSED))
        return Unclear(**reply.words(Reason.UNREADABLE))  # any proxy, or a wrong address, says 404
    if 2000 <= reply.code <= 2999 or (verb == "balance" and status == 403):
        return Misconfigured(**reply.words(Reason.ACCESS_REFUSED))
    return Declined(**reply.words(_meaning(reply, verb)))


def _meaning(reply: _Reply, verb: str) -> Reason:
    if reply.code == CANNOT_CANCEL:
        return Reason.TOO_LATE
    if reply.code == CARD_REFUSED:
        return Reason.CARD_UNKNOWN
    if reply.answer.status == 404 and verb in {"void", "find"}:
        return Reason.ORIGINAL_UNKNOWN
    words = clean(str(reply.data.get("error_details", ""))).casefold()
    return next((meant for saying, meant in SAYINGS if re.search(rf"\b(?:{saying})\b", words)), Reason.REFUSED)


def _reply(answer: HttpAnswer) -> _Reply:
    return _Reply(answer, read_object(answer.body))


def read_token(answer: HttpAnswer) -> tuple[str, int]:
    """A new token and for how many seconds it is good. Its errors have another shape than the API's.

    Raises Misconfigured, Declined (THROTTLED) or Unclear.
    """
    reply = _reply(answer)
    if answer.status == 200:
        token, seconds = reply.data.get("access_token"), reply.data.get("expires_in")
        if isinstance(token, str) and re.fullmatch("[!-~]{1,4096}", token) and is_whole(seconds) and seconds > 0:
            return token, seconds
        raise Unclear(**reply.words(Reason.UNREADABLE, ""))
    if answer.status in {400, 401, 403} and isinstance(reply.data.get("error"), str):
        raise Misconfigured(**reply.words(Reason.KEY_REFUSED))
    if answer.status == 401:
        raise Misconfigured(**reply.words(Reason.KEY_REFUSED))
    if answer.status == 403:
        raise Misconfigured(**reply.words(Reason.ACCESS_REFUSED))
    raise _failure(reply, "balance") if answer.status >= 400 else Unclear(**reply.words(Reason.UNREADABLE))


# ---- Smart Transactions ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a Smart Transaction of ours must look like. `number` is "" for a card that is made with it; `pays` where the
    card may pay in it, whose bonus is a discount there."""

    reference: str
    number: str
    amount: Money | None
    id: str = ""
    pays: bool = False


def created_id(answer: HttpAnswer, wanted: Wanted) -> str:
    """The id of what was created and not started. Raises any Failure; MISMATCH where it is not what we asked for."""
    data = _ours(answer, wanted, "top_up")
    if data.get("status") != "created":
        raise _unclear(answer, Reason.UNKNOWN_WORD, data, _word(data))
    return str(data["id"])


def missing_sum(answer: HttpAnswer) -> int:
    """How many cents of a transaction its card does not pay. Raises Declined, Misconfigured or Unclear."""
    missing = accepted(answer, "pay").get("missing_sum")
    if not is_whole(missing) or missing < 0:
        raise unreadable()
    return missing


def is_done(answer: HttpAnswer, wanted: Wanted, verb: str, *, done: str) -> Data | None:
    """The transaction, where its status says `done`; None where it is pending.

    Raises Declined where it says that nothing was done, REFUSED with its own word, and Unclear for every word that is
    neither.
    """
    data = _ours(answer, wanted, verb)
    match _word(data):
        case word if word == done:
            return data
        case "pending":
            return None
        case word if word in NOT_DONE and verb != "void":
            raise Declined(reason=Reason.REFUSED, provider_text=word, trace=str(data["id"]))
        case "":
            raise _unclear(answer, Reason.UNREADABLE, data, "")
        case word:
            raise _unclear(answer, Reason.UNKNOWN_WORD, data, word)


def recorded(answer: HttpAnswer, wanted: Wanted) -> tuple[str, Data]:
    """The word and the whole of a transaction of ours that was read, "" where it has no word. Raises any Failure."""
    data = _ours(answer, wanted, "find")
    return _word(data), data


def found_ids(answer: HttpAnswer, reference: str) -> tuple[str, ...]:
    """The ids of our transactions in a list that was searched by our reference. Raises Unclear (UNREADABLE) where the
    list holds others too: then it was not searched, and that ours is missing means nothing."""
    data = accepted(answer, "find")
    listed = data.get("data")
    if not is_whole(data.get("count")) or not isinstance(listed, list) or len(listed) != data["count"]:
        raise unreadable()
    if not all(isinstance(each, dict) and each.get("merchantRef") == reference for each in listed):
        raise unreadable()
    ids = tuple(str(each.get("id")) for each in listed)
    if not all(TRANSACTION_ID.fullmatch(each) for each in ids):
        raise unreadable()
    return ids


def card_of(data: Data) -> str:
    """The number of the card in a transaction, "" where none is told."""
    card = _merchant_card(data).get("card")
    number = card.get("cardnumber") if isinstance(card, dict) else None
    return number if isinstance(number, str) and re.fullmatch("[0-9A-Za-z]{4,40}", number) else ""


def balances_of(data: Data, currency: str) -> tuple[Balance, ...]:
    """The card's balances in a transaction that is done; none where they are not to be understood."""
    try:
        return _balances(_merchant_card(data), currency)
    except Unclear:
        return ()  # it is done all the same, and a balance can be looked up


def _ours(answer: HttpAnswer, wanted: Wanted, verb: str) -> Data:
    """A transaction that is the one we asked for, by every field that says so. Raises any Failure."""
    data = accepted(answer, verb)
    id = data.get("id")
    if data.get("object") != "smart.transactions" or not isinstance(id, str) or not TRANSACTION_ID.fullmatch(id):
        raise unreadable()
    idents = data.get("idents")
    ident = idents[0] if isinstance(idents, list) and idents and isinstance(idents[0], dict) else {}
    mine = (
        (not wanted.id or id == wanted.id)
        and (not wanted.reference or data.get("merchantRef") == wanted.reference)
        and (wanted.amount is None or _is_about(data, wanted.amount, pays=wanted.pays))
        and (not wanted.number or ident.get("value") == wanted.number)
    )
    if not mine:
        raise Unclear(reason=Reason.MISMATCH, provider_reference=wanted.id)
    return data


def _is_about(data: Data, amount: Money, *, pays: bool) -> bool:
    """Whether a transaction is of so much, before the discounts of bonus that is spent."""
    info = data.get("basket_info")
    if not isinstance(info, dict) or info.get("currency") != amount.currency or not is_whole(info.get("sum")):
        return False
    # No document says whether the sum is lowered with the basket.
    return info["sum"] == amount.minor or (pays and info["sum"] + _discounts(data) == amount.minor)


def _discounts(data: Data) -> int:
    """Cents of bonus that is spent: products with a negative price."""
    basket = data.get("basket")
    products = basket.get("products") if isinstance(basket, dict) else None
    prices = (each.get("priceOne") for each in products or () if isinstance(each, dict))
    return -sum(price for price in prices if is_whole(price) and price < 0)


def _word(data: Data) -> str:
    word = data.get("status")
    return word if isinstance(word, str) else ""


def _unclear(answer: HttpAnswer, reason: Reason, data: Data, word: str) -> Unclear:
    return Unclear(reason=reason, provider_text=answer.redact(word), provider_reference=str(data["id"]))


def _merchant_card(data: Data) -> Data:
    idents = data.get("idents")
    ident = idents[0] if isinstance(idents, list) and idents and isinstance(idents[0], dict) else {}
    card = ident.get("merchantcard")
    return card if isinstance(card, dict) else {}


# ---- Cards -------------------------------------------------------------------------------------------------


def read_card(answer: HttpAnswer, *, number: str, currency: str, now: datetime) -> Reading:
    """The reading of the card `number` out of a list with it or nothing. Raises Declined, Misconfigured or Unclear."""
    data = accepted(answer, "balance")
    listed = data.get("data")
    if not isinstance(listed, list) or not is_whole(data.get("count")) or len(listed) > 1:
        raise unreadable()
    if not listed and data["count"] == 0:
        return Reading(status=CardStatus.NOT_FOUND)
    found = listed[0] if listed and isinstance(listed[0], dict) else {}
    card = found.get("card")
    named = card.get("cardnumber") if isinstance(card, dict) else None
    if not isinstance(named, str):
        raise unreadable()
    if named != number:
        raise Unclear(reason=Reason.MISMATCH)
    lock = found.get("lock_status")
    if lock == "locked":
        raise Declined(reason=Reason.CARD_INACTIVE, provider_text="locked")
    balances = _balances(found, currency)
    expires_at = _moment(found.get("expiry_date"))
    empty = all((b.value.minor if isinstance(b.value, Money) else b.value.count) == 0 for b in balances)
    status = CardStatus.EMPTY if empty else CardStatus.USABLE
    if expires_at is not None and expires_at <= now:
        status = CardStatus.EXPIRED
    # Not its stock_status: the document loads a card that is "inactive" in stock.
    return Reading(
        status=status,
        balances=balances,
        expires_at=expires_at,
        status_word=answer.redact(lock) if isinstance(lock, str) else "",
    )


def _balances(card: Data, currency: str) -> tuple[Balance, ...]:
    """What is on a card: all of it, what was paid in, what was given, and points. Raises Unclear where they are not
    whole cents, below zero, or not each other's sum."""
    total, cash, bonus = (_count(card.get(name)) for name in ("balance", "cash_balance", "bonus_balance"))
    points = _count(card.get("points"))
    if total != cash + bonus:
        raise unreadable()
    money = [Balance(kind, Money(cents, currency)) for kind, cents in ((TOTAL, total), (CASH, cash), (BONUS, bonus))]
    return (*money, Balance(POINTS, Points(points)))


def _count(value: object) -> int:
    if not is_whole(value) or not 0 <= value <= HARD_CAP:
        raise unreadable()
    return value


def _moment(text: object) -> datetime | None:
    if text is None or text == "":
        return None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise unreadable()
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
