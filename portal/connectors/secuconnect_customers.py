"""Our CustomerDetails in secuconnect's words: the customer of a Smart Transaction, by the provider's own number or by a
contact, never by both.

From the provider's document: the names, and the shape of a number. ASSUMED: the longest text, and that what has no
field there (a middle name, a state, an anniversary, whether somebody wants to be written to) is of no use to it and
stays here; that a street's number may stand in the street, as people write it.
"""

import re
from collections.abc import Mapping
from typing import Any

from portal.connectors.base import CustomerDetails

LONGEST_TEXT = 100
NUMBER = re.compile("PCU_[0-9A-Z]{1,60}")


class Unfit(ValueError):
    """A detail that cannot be sent; nothing of it is in the message."""


SALUTATIONS: Mapping[str, str] = {"mr": "Mr.", "ms": "Ms."}  # the document has the first alone
_CONTACT: Mapping[str, str] = {
    "title": "title",
    "first_name": "forename",
    "last_name": "surname",
    "email": "email",
    "birthday": "dob",
}
_ADDRESS: Mapping[str, str] = {
    "address1": "street",
    "address2": "additional_address_data",
    "postal": "postal_code",
    "city": "city",
    "country": "country",
}


def customer(details: CustomerDetails | None) -> dict[str, Any]:
    """The customer of a request, {} where there is nobody to name. Raises Unfit."""
    if details is not None and details.number:
        if not NUMBER.fullmatch(details.number):
            raise Unfit("number")
        return {"id": details.number}
    told = contact(details)
    return {"contact": told} if told else {}


def is_reached(told: Mapping[str, Any]) -> bool:
    """Whether the provider can have an address to write to: one that we tell, or its own of somebody it knows."""
    return "id" in told or bool(told.get("contact", {}).get("email"))


def contact(details: CustomerDetails | None) -> dict[str, Any]:
    """The contact of a request, {} where there is nothing to say. Raises Unfit."""
    if details is None:
        return {}
    told: dict[str, Any] = _named(details, _CONTACT)
    if details.salutation:
        if details.salutation not in SALUTATIONS:
            raise Unfit("salutation")
        told["salutation"] = SALUTATIONS[details.salutation]
    if details.phone:
        told |= _named(details, {"phone": "mobile" if details.phone_is_mobile == "yes" else "phone"})
    if address := _named(details, _ADDRESS):
        told["address"] = address
    return told


def private_texts(details: CustomerDetails | None) -> dict[str, str]:
    """{label: value} of what must not be kept of a call, wherever the provider repeats it; codes are left out."""
    if details is None:
        return {}
    told = (
        *("number", "first_name", "last_name", "email", "birthday"),
        *("phone", "address1", "address2", "postal", "city"),
    )
    return {name: value for name in told if (value := getattr(details, name))}


def _named(details: CustomerDetails, names: Mapping[str, str]) -> dict[str, Any]:
    found = {wire: getattr(details, ours) for ours, wire in names.items()}
    for wire, value in found.items():
        if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
            raise Unfit(wire)
    return {wire: value for wire, value in found.items() if value}
