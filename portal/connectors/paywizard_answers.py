"""What a PayWizard answer says: {"code": 200, "msg": "success", "timestamp": …, "data": {…}}.

From the vendor's public pages: the envelope, `result` with 0, 1 and 2, checkoutId, balances by valueCode. No
page lists error codes or texts of failures, so ASSUMED and named here: what each other `code` means, that HTTP
may say the same by its status, and what can be told from the words in `msg`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException
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
from portal.connectors.paywizard_customers import WIRE_NAMES, read_customer
from portal.connectors.redaction import clean
from portal.connectors.results import OTHER_CURRENCY, POINTS, TOTAL
from portal.connectors.strict_json import is_whole, read_json
from portal.money import HARD_CAP, Money, MoneyError, Points, minor_digits

PRIVATE_MEMBERS = ("accountId", *WIRE_NAMES.values())
"""Members never kept as evidence: the card's number and whose it is."""

CHECKOUT_ID = re.compile("[0-9A-Za-z_-]{1,64}")  # 18 digits in every sample; more is ASSUMED
POINTS_CODE = "Points"

SAYINGS: tuple[tuple[str, Reason], ...] = (
    (r"duplicated?|\w*(order|transaction)\w*( number| no)? already (exists|used|processed)", Reason.DUPLICATE),
    (r"token|sign|signature", Reason.REFUSED),  # whatever is said of these, "expired" is not about the card
    (r"insufficient|not enough|not sufficient|nsf", Reason.NOT_ENOUGH),
    (r"(original|transaction|order|payment) (is )?(not found|unknown)", Reason.ORIGINAL_UNKNOWN),
    (r"(card|account) (is )?(not found|unknown)|(unknown|no such) (card|account)", Reason.CARD_UNKNOWN),
    (r"inactive|not active|not (been )?activated|deactivated|blocked|expired", Reason.CARD_INACTIVE),
    (r"settled|settlement", Reason.TOO_LATE),
)
"""ASSUMED: words in the `msg` of a refusal and what they mean, the first that fits; otherwise it is REFUSED."""

CREDENTIALS: tuple[tuple[str, Detail], ...] = (
    (r"\btoken\b.*\bexpired\b|\bexpired\b.*\btoken\b", Detail.TOKEN_EXPIRED),
    (r"\bsign(ature)?\b", Detail.SIGNATURE),
    (r"\btoken\b", Detail.TOKEN_REFUSED),
)
"""ASSUMED: words in the `msg` of a refusal that say which of the credentials is wrong."""

_SIGNS_OF_SUCCESS = {"result", "checkoutId", "balances"}

# What a server makes of cents in binary fractions: 0.30000000000000004. A true fraction of a cent is larger.
NOISE = Decimal("0.000001")
_EXACT = Context(prec=80)  # read_json lets numbers of 64 characters pass

Data = Mapping[str, object]


# ---- What is read ------------------------------------------------------------------------------------------


def read_transaction(answer: HttpAnswer, verb: str, *, original: str = "") -> str:
    """The checkoutId of a transaction that is done: HTTP 2xx, code 200, result 0 and that id, all four.

    Raises Declined, Misconfigured or Unclear otherwise; MISMATCH where the answer names another original.
    """
    reply = _accepted(answer, verb)
    _refuse_unless_done(reply)
    if not reply.checkout_id:
        raise reply.unclear(Reason.UNREADABLE)
    if reply.data.get("oriCheckoutId") not in (None, "", original):
        raise reply.unclear(Reason.MISMATCH)
    return reply.checkout_id


def read_activation(answer: HttpAnswer, *, number: str, currency: str) -> tuple[Balance, ...]:
    """The balances of the card `number`, which is active now; none where they are not to be understood.

    Raises Declined, Misconfigured or Unclear.
    """
    data = _card(answer, "activate", number)
    try:
        return _balances(data, currency, answer.redact)
    except Unclear:
        return ()  # it is done all the same, and a balance can be looked up


def prove_accepted(answer: HttpAnswer) -> None:
    """Returns if the answer to a look-up proves that our credentials are good, whatever it says of the card.

    A card that is not found proves it only where the words speak of the card: gateways say 404 of a wrong address too.
    Raises Declined, Misconfigured or Unclear.
    """
    try:
        reply = _accepted(answer, "balance")
        if "result" in reply.data:
            _refuse_unless_done(reply)
    except Declined as no:
        if _meaning(no.provider_text) not in {Reason.CARD_UNKNOWN, Reason.CARD_INACTIVE}:
            raise
    else:
        if not reply.data:
            raise reply.unclear(Reason.UNREADABLE)


def read_inquiry(answer: HttpAnswer, *, number: str, currency: str) -> Reading:
    """The reading of the card `number`. Raises Declined, Misconfigured or Unclear."""
    try:
        data = _card(answer, "balance", number)
    except Declined as no:
        if no.reason is Reason.CARD_UNKNOWN:
            return Reading(status=CardStatus.NOT_FOUND, description=clean(no.provider_text, limit=200))
        raise
    balances = _balances(data, currency, answer.redact)
    return Reading(
        status=_status(data, balances),
        balances=balances,
        customer=read_customer(data.get("customerInfo"), answer.redact),
    )


# ---- Whether it was accepted, and done ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Reply:
    """A readable envelope, or an empty one where HTTP alone says enough."""

    answer: HttpAnswer
    envelope: Data

    @property
    def data(self) -> Data:
        """Empty where there is none: then whatever is looked for in it is missing."""
        data = self.envelope.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def said(self) -> str:
        message = self.envelope.get("msg")
        return message if isinstance(message, str) else ""

    @property
    def checkout_id(self) -> str:
        """The handle for voids and tips, "" where the answer has none that could be one."""
        found = self.data.get("checkoutId")
        return found if isinstance(found, str) and CHECKOUT_ID.fullmatch(found) else ""

    @property
    def says_no(self) -> bool:
        result = self.data.get("result")
        return is_whole(result) and result == 1

    def unclear(self, reason: Reason, text: str | None = None) -> Unclear:
        return Unclear(**self._words(reason, text))

    def pending(self) -> Unclear:
        """In hand: once it proves done, its checkoutId is what a void or a tip needs. Not where the answer names
        another transaction beside it."""
        mine = "" if self.data.get("oriCheckoutId") else self.checkout_id
        return Unclear(**self._words(Reason.PENDING), provider_reference=mine)

    def declined(self, reason: Reason) -> Declined:
        return Declined(**self._words(reason))

    def misconfigured(self, reason: Reason) -> Misconfigured:
        return Misconfigured(**self._words(reason))

    def _words(self, reason: Reason, text: str | None = None) -> dict[str, Any]:
        return {
            "reason": reason,
            "provider_text": self.answer.redact(self.said if text is None else text),
            "retry_after": self.answer.retry_after(),
            "trace": self.checkout_id,
            "detail": self._credentials() if reason in {Reason.KEY_REFUSED, Reason.REFUSED} else None,
        }

    def _credentials(self) -> Detail | None:
        """Which of our credentials the words blame; None where they blame none, or more than one."""
        words = clean(self.said).casefold()
        blamed = [detail for saying, detail in CREDENTIALS if re.search(saying, words)]
        token = {Detail.TOKEN_EXPIRED, Detail.TOKEN_REFUSED}
        return None if Detail.SIGNATURE in blamed and token.intersection(blamed) else next(iter(blamed), None)


def _accepted(answer: HttpAnswer, verb: str) -> _Reply:
    """An answer with HTTP 2xx and code 200: accepted, which is not yet done. Raises what any other means."""
    reply = _Reply(answer, _envelope(answer))
    code = _code(reply)
    if code != 200:
        # An error with the data of a success contradicts itself: it does not prove that nothing was done.
        contradicts = reply.data.keys() & _SIGNS_OF_SUCCESS and not reply.says_no
        raise reply.unclear(Reason.UNREADABLE) if contradicts else _error(code, reply, verb)
    return reply


def _envelope(answer: HttpAnswer) -> Data:
    try:
        document = read_json(answer.body)
    except Unclear:
        document = None  # an error page, perhaps; _code decides what HTTP alone is worth
    return document if isinstance(document, dict) else {}


def _code(reply: _Reply) -> int:
    """The code that counts: the envelope's, unless HTTP says otherwise. Raises Unclear."""
    status, code = reply.answer.status, reply.envelope.get("code")
    if status >= 500 or status == 408:
        return status
    if "code" not in reply.envelope and status in {401, 403, 429}:
        return status  # said before any work is done. Not so 400 or 404: any proxy, or a wrong address, says those.
    if is_whole(code) and (200 <= status <= 299 or code == status):
        return code
    raise reply.unclear(Reason.UNREADABLE)


def _error(code: int, reply: _Reply, verb: str) -> Failure:
    match code:
        case 400 | 422:
            return _refusal(reply)
        case 401:
            return reply.misconfigured(Reason.KEY_REFUSED)
        case 403:
            return reply.misconfigured(Reason.ACCESS_REFUSED)
        case 404:
            # A void names no card: what was not found is its original.
            return reply.declined(Reason.ORIGINAL_UNKNOWN if verb == "void" else Reason.CARD_UNKNOWN)
        case 409:
            return reply.unclear(Reason.DUPLICATE)
        case 429:
            # Nothing says that it is decided before the work, so it proves nothing for verbs that move value.
            return (reply.unclear if verb in MOVES_VALUE else reply.declined)(Reason.THROTTLED)
        case _ if code == 408 or 500 <= code <= 599:
            return reply.unclear(Reason.SERVER_ERROR)
    return reply.unclear(Reason.UNKNOWN_WORD, f"{code} {reply.said}")


def _refuse_unless_done(reply: _Reply) -> None:
    result = reply.data.get("result")
    if not is_whole(result):
        raise reply.unclear(Reason.UNREADABLE)
    match result:
        case 0:
            return
        case 1:
            raise _refusal(reply)
        case 2:
            raise reply.pending()
    raise reply.unclear(Reason.UNKNOWN_WORD, f"result {result} {reply.said}")


def _refusal(reply: _Reply) -> Failure:
    """What a no means, by the words beside it; they may well be "success"."""
    reason = _meaning(reply.said)
    # A repeated order number says nothing of how the first attempt ended.
    return (reply.unclear if reason is Reason.DUPLICATE else reply.declined)(reason)


def _meaning(said: str) -> Reason:
    words = clean(said).casefold()
    return next((meant for saying, meant in SAYINGS if re.search(rf"\b(?:{saying})\b", words)), Reason.REFUSED)


# ---- What it says of the card ------------------------------------------------------------------------------


def _card(answer: HttpAnswer, verb: str, number: str) -> Data:
    reply = _accepted(answer, verb)
    if "result" in reply.data:  # documented for transactions only, but a no is a no
        _refuse_unless_done(reply)
    account = reply.data.get("accountId")
    if not isinstance(account, str):
        raise reply.unclear(Reason.UNREADABLE)
    if account != number:
        raise reply.unclear(Reason.MISMATCH)
    return reply.data


def _balances(data: Data, currency: str, redact: Callable[[str], str]) -> tuple[Balance, ...]:
    """The card's money in the connection's currency, its points, and money in other currencies.

    Raises Unclear for anything odd in one of them: below zero, absurd, a text, there twice. Codes that are
    neither (a merchant may have its own kinds of value) are passed over.
    """
    listed = data.get("balances")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise unreadable()
    codes = [each.get("valueCode") for each in listed]
    if not all(isinstance(code, str) for code in codes) or len(set(codes)) != len(codes):
        raise unreadable()
    found = [_balance(each["valueCode"], each.get("amount"), currency, redact) for each in listed]
    return tuple(balance for balance in found if balance)


def _balance(code: str, amount: object, currency: str, redact: Callable[[str], str]) -> Balance | None:
    if code == POINTS_CODE:
        return Balance(POINTS, Points(_minor(amount, places=0)))
    if code == currency:
        return Balance(TOTAL, Money(_minor(amount, places=minor_digits(code)), code))
    if code.strip().casefold() in {currency.casefold(), POINTS_CODE.casefold()}:
        raise Unclear(reason=Reason.UNKNOWN_WORD, provider_text=redact(code))  # a changed case is a changed interface
    try:
        places = minor_digits(code)
    except MoneyError:
        return None
    # Not left out: a card with only Canadian dollars is not empty because we ask in American ones.
    return Balance(OTHER_CURRENCY, Money(_minor(amount, places=places), code))


def _minor(amount: object, *, places: int) -> int:
    """A JSON number as whole units of 10^-places. Raises Unclear for a text, a fraction of a unit, less than
    nothing and more than any card holds."""
    if not isinstance(amount, int | Decimal) or isinstance(amount, bool):
        raise unreadable()
    try:
        units = _EXACT.scaleb(Decimal(amount), places)
        nearest = units.to_integral_value(context=_EXACT)
    except DecimalException:
        raise unreadable() from None
    if not 0 <= nearest <= HARD_CAP or abs(units - nearest) > NOISE:
        raise unreadable()
    return int(nearest)


def _status(data: Data, balances: tuple[Balance, ...]) -> CardStatus:
    """ASSUMED: no field says whether a card is active, so what is on it decides."""
    listed = data["balances"]
    assert isinstance(listed, list), "balances were read"
    understood = len(balances) == len(listed)
    holds = any((b.value.minor if isinstance(b.value, Money) else b.value.count) > 0 for b in balances)
    return CardStatus.EMPTY if understood and not holds else CardStatus.USABLE
