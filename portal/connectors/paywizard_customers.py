"""PayWizard's customerInfo: our CustomerDetails in its words and back.

From the vendor's public pages: the nineteen fields, each optional and a text, "" for unknown, and the codes.
ASSUMED: the form of a day (the one sample is 20000101) and the longest text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime

from portal.connectors.base import CustomerDetails
from portal.connectors.redaction import clean

LONGEST_TEXT = 100  # ASSUMED: room for any address line, and nothing that would swell a row


class Unfit(ValueError):
    """A detail that cannot be sent; nothing of it is in the message."""


WIRE_NAMES: Mapping[str, str] = {
    "holder": "customerType",
    "first_name": "firstName",
    "middle_name": "middleName",
    "last_name": "lastName",
    "address1": "address1",
    "address2": "address2",
    "city": "city",
    "state": "state",
    "postal": "postal",
    "country": "country",
    "wants_letters": "mailPref",
    "phone": "phone",
    "phone_is_mobile": "isMobile",
    "wants_calls": "phonePref",
    "email": "email",
    "wants_mails": "emailPref",
    "birthday": "birthday",
    "anniversary": "anniversary",
    "gender": "gender",
}
_IN_OR_OUT = {"yes": "I", "no": "O"}
_CODES: Mapping[str, Mapping[str, str]] = {
    "holder": {"primary": "1", "alternate": "2", "giver": "3"},
    "phone_is_mobile": {"yes": "Y", "no": "N"},
    "wants_letters": _IN_OR_OUT,
    "wants_calls": _IN_OR_OUT,
    "wants_mails": _IN_OR_OUT,
}
_DAYS = ("birthday", "anniversary")
_PLAIN = frozenset(WIRE_NAMES) - _CODES.keys() - {"country", "state", "gender"}


def customer_fields(details: CustomerDetails | None) -> dict[str, object]:
    """{"customerInfo": …} for a request, or {} where there is nothing to say. Raises Unfit.

    What is "" is left out: sent, it might wipe out what the provider knows.
    """
    given = {name: value for name, value in vars(details).items() if value} if details else {}
    info = {WIRE_NAMES[name]: _to_wire(name, given[name]) for name in WIRE_NAMES if name in given}
    return {"customerInfo": info} if info else {}


def private_texts(details: CustomerDetails | None) -> dict[str, str]:
    """{label: value} of what must not be kept of a call, wherever the provider repeats it. Codes such as "US"
    are left out: they are hidden by the names of their members, and struck out of any text they would spoil it.
    """
    if details is None:
        return {}
    private = {name: value for name, value in vars(details).items() if name in _PLAIN and value}
    return private | {f"{name} as sent": private[name].replace("-", "") for name in _DAYS if name in private}


def read_customer(info: object, redact: Callable[[str], str]) -> CustomerDetails | None:
    """The holder in a card's answer, or None where nothing is told.

    What is not documented is left out rather than refused: nobody's balance should hang on a telephone number.
    """
    if not isinstance(info, dict):
        return None
    found = CustomerDetails(**{name: _from_wire(name, info.get(wire), redact) for name, wire in WIRE_NAMES.items()})
    return None if found == CustomerDetails() else found


def _to_wire(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise Unfit(name)
    if name in _CODES:
        if value not in _CODES[name]:
            raise Unfit(name)
        return _CODES[name][value]
    if name in _DAYS:
        return _reformatted(value, "%Y-%m-%d", "%Y%m%d") or _unfit(name)
    if name == "country" and not re.fullmatch("[A-Z]{2}", value):
        raise Unfit(name)
    return value


def _from_wire(name: str, value: object, redact: Callable[[str], str]) -> str:
    if not isinstance(value, str):
        return ""
    if name in _CODES:
        return {code: word for word, code in _CODES[name].items()}.get(value, "")
    if name in _DAYS:
        return _reformatted(value, "%Y%m%d", "%Y-%m-%d")
    return clean(redact(value), limit=LONGEST_TEXT)


def _reformatted(day: str, old: str, new: str) -> str:
    """The day in another form, "" where it is none."""
    try:
        parsed = datetime.strptime(day, old)  # noqa: DTZ007 - a day, in no zone
    except ValueError:
        return ""
    # strptime is lenient with leading zeros and scripts; only what it would write itself is taken.
    return parsed.strftime(new) if parsed.strftime(old) == day else ""


def _unfit(name: str) -> str:
    raise Unfit(name)


UNKNOWN_HERE = {"number", "salutation", "title"}
assert set(WIRE_NAMES) | UNKNOWN_HERE == {each.name for each in fields(CustomerDetails)}, "a detail without its word"
