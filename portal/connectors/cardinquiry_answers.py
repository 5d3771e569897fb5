"""What a CardInquiry answer says: {"data": {"Cards": [{"Status": …}]}}, or {"error": {"Code", "Message"}}.

From the provider's CardInquiry document: the envelope, Status with its five words, UsageToken, and that
"checkpassword" comes with nothing beside it. Everything else about the fields is ASSUMED and named here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from portal.connectors.base import Balance, CardStatus, Reading, Reason, Unclear
from portal.connectors.failures import unreadable
from portal.connectors.http import HttpAnswer
from portal.connectors.redaction import clean
from portal.connectors.strict_json import read_json
from portal.money import Money, MoneyError

BALANCE = "Balance"  # ASSUMED name; a number or decimal string
CURRENCY = "Currency"  # ASSUMED name; ISO 4217, else the connection's
EXPIRIES = ("Expiry", "ExpiryDt")  # ASSUMED names; ISO date or date-time
DESCRIPTIONS = ("Description", "CardType")  # ASSUMED names; the first that is a text
NUMBERS = ("Barcode", "CardNumber")  # ASSUMED names; the number of the card the record is about
PRIVATE_MEMBERS = ("UsageToken", *NUMBERS)
"""Members never kept as evidence: the token stands for card and password, the number may be longer than what
we sent."""
LONGEST_TOKEN = 4096  # ASSUMED
YEARS = range(1970, 2200)  # beyond, it is a slip or a placeholder, and no date to reckon with

_WORDS = {
    "ok": CardStatus.USABLE,
    "zero": CardStatus.EMPTY,
    "expired": CardStatus.EXPIRED,
    "needfullcode": CardStatus.NEEDS_FULL_NUMBER,
    "checkpassword": CardStatus.NEAR_MISS,
}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)

Record = Mapping[str, object]


def error_packet(document: object) -> str:
    """The message of an error packet ("error" where it has none), or "" for any other document.

    Raises Unclear (UNREADABLE) for a document that is error and data at once.
    """
    if not isinstance(document, dict) or "error" not in document:
        return ""
    if "data" in document:
        raise unreadable()
    packet = document["error"]
    message = packet.get("Message") if isinstance(packet, dict) else packet
    return clean(message) if isinstance(message, str) and clean(message) else "error"


def message(answer: HttpAnswer) -> str:
    """The message of an error packet, or "": a page of HTML is no message."""
    try:
        return answer.redact(error_packet(read_json(answer.body)))
    except Unclear:
        return ""


def error_code(document: object) -> int:
    """The code of an error packet, 0 where it has none."""
    packet = document.get("error") if isinstance(document, dict) else None
    code = packet.get("Code") if isinstance(packet, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else 0


def read_cards(document: object, number: str, currency: str, redact: Callable[[str], str]) -> Reading:
    """The reading of a data document for the card we asked for by `number`, in the connection's `currency`.

    `redact` strikes the call's secrets from what is passed on. Raises Unclear: UNKNOWN_WORD with the word,
    UNREADABLE for whatever is not documented or contradicts itself or the question.
    """
    records = _records(document)
    if not records:
        return Reading(status=CardStatus.NOT_FOUND)
    words = [_word(record, redact) for record in records]
    if "checkpassword" in words and any(len(record) > 1 or len(records) > 1 for record in records):
        raise unreadable()  # "no other information will be returned"
    if len(records) > 1:
        # ASSUMED: even if one of them is usable; showing a stranger's balance would be the worse error.
        return Reading(status=CardStatus.NEEDS_FULL_NUMBER)
    return _reading(records[0], words[0], number, currency, redact)


def is_cards(document: object) -> bool:
    """Whether it is the envelope of a look-up that was carried out, whatever stands in its records."""
    data = document.get("data") if isinstance(document, dict) else None
    return isinstance(data, dict) and (not data or "Cards" in data)


def _records(document: object) -> list[Record]:
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict) or (data and "Cards" not in data):
        raise unreadable()
    cards = data.get("Cards")
    if cards is None:  # {"data": {}} and {"data": {"Cards": null}} are both taken for "none"
        return []
    if not isinstance(cards, list) or not all(isinstance(card, dict) for card in cards):
        raise unreadable()
    return cards


def _word(record: Record, redact: Callable[[str], str]) -> str:
    word = record.get("Status")
    if not isinstance(word, str):
        raise unreadable()
    if word not in _WORDS:
        raise Unclear(reason=Reason.UNKNOWN_WORD, provider_text=redact(word))
    return word


def _reading(record: Record, word: str, number: str, currency: str, redact: Callable[[str], str]) -> Reading:
    _refuse_other_card(record, number)
    reading = Reading(status=_WORDS[word], status_word=word)
    if reading.status in {CardStatus.NEAR_MISS, CardStatus.NEEDS_FULL_NUMBER}:
        return reading  # whatever else is there is not ours to show yet
    money = _money(record, currency)
    if reading.status is CardStatus.EMPTY:
        if money and money.minor:
            raise unreadable()
        money = money or Money(0, currency)  # the word itself means a balance of zero
    last_day, moment = _expiry(record)
    return replace(
        reading,
        balances=(Balance("total", money),) if money else (),
        expires=last_day,
        expires_at=moment,
        description=_description(record, redact),
        usage_token=_token(record),
        number=_number(record),
    )


def _refuse_other_card(record: Record, number: str) -> None:
    for name in NUMBERS:
        echoed = record.get(name)
        # We may have asked with only the end of the number.
        if echoed is not None and not (isinstance(echoed, str) and _bare(echoed).endswith(_bare(number))):
            raise unreadable()


def _number(record: Record) -> str:
    """The whole number, where the record names it: what was asked for may have been its end."""
    return next((each for each in map(record.get, NUMBERS) if isinstance(each, str)), "")


def _bare(number: str) -> str:
    return re.sub("[ -]", "", number).casefold()


def _money(record: Record, currency: str) -> Money | None:
    if record.get(CURRENCY, currency) != currency:
        raise unreadable()
    if BALANCE not in record:  # a coupon has none; null, on the other hand, is no balance and no absence either
        return None
    amount = record[BALANCE]
    if isinstance(amount, int) and not isinstance(amount, bool):
        amount = Decimal(amount)
    if not isinstance(amount, str | Decimal):
        raise unreadable()
    try:
        money = Money.from_decimal(amount, currency)
    except MoneyError:
        raise unreadable() from None
    if money.minor < 0:
        raise unreadable()
    return money


def _expiry(record: Record) -> tuple[date | None, datetime | None]:
    written = [record[name] for name in EXPIRIES if record.get(name) not in (None, "")]
    if not written:
        return None, None
    expiry = written[0]
    if not isinstance(expiry, str) or any(other != expiry for other in written):
        raise unreadable()
    try:
        if int(expiry[:4]) not in YEARS:
            raise ValueError
        if _DAY.fullmatch(expiry):
            return date.fromisoformat(expiry), None
        moment = _MOMENT.fullmatch(expiry)
        if moment is None:
            raise ValueError
        parsed = datetime.fromisoformat(expiry)
    except ValueError:
        raise unreadable() from None
    if parsed.tzinfo is None:
        # ASSUMED: without an offset the clock is the merchant's, and the day is what was meant.
        return date.fromisoformat(moment[1]), None
    return None, parsed


def _description(record: Record, redact: Callable[[str], str]) -> str:
    texts = [each for each in map(record.get, DESCRIPTIONS) if isinstance(each, str)]
    return clean(redact(texts[0]), limit=200) if texts else ""


def _token(record: Record) -> str:
    token = record.get("UsageToken", "")
    if not isinstance(token, str) or not re.fullmatch(f"[ -~]{{0,{LONGEST_TOKEN}}}", token):
        raise unreadable()
    return token
