"""What secuconnect is asked: the body of a Smart Transaction, read as strictly as anybody could.

Documented: the fields, which of them go together, that a basket's sum is what is stated, that `articleNumber` may come
as a number, a text or null. What the server keeps itself (`status`, `created` …) may be sent with an update, and is not
looked at.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from portal.sandboxes.secuconnect_books import CURRENCY, Refused

CONTRACT = "GCR_9OIH9JOL8KIV5PFJBEOS2NN8TCM1DF"
DEVICE = "SDV_WPX6NU09Q2NDF0KJD3H584EXJR3XA2"
TEMPLATE = "ETP_6RYLPEWO8O2UPZV83C095P7IQ4GAL1"
CUSTOMERS: Mapping[str, Mapping[str, Any]] = {
    "PCU_H8ZQSFS9G2X07TF5JF89V55H645UA2": {
        "forename": "Demond",
        "surname": "Mustermann",
        "email": "demond@example.com",
    },
    "PCU_3ZSETWCS62X06V7FT64RS8W3KU9EAZ": {"forename": "Max", "surname": "Mustermann", "email": "max@example.com"},
}
MOST_CENTS = 999_999_999
KEPT_BY_THE_SERVER = frozenset(
    {"object", "id", "merchant", "created", "updated", "status", "transactions", "receipt", "store", "trans_id"}
)

Reader = Callable[[object], Any]


class Wrong(ValueError):
    """Which field, and what it must be."""


def document(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Refused."""
    try:
        found = json.loads(body.decode(), object_pairs_hook=_unique)
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate has no bytes to be kept as
    except (ValueError, RecursionError):
        raise Refused("format", "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refused("format", "the body must be a JSON object")
    return found


def transaction(body: bytes, *, on_a_device: bool) -> dict[str, Any]:
    """What is kept of a request to create or change a Smart Transaction. A till's own session needs to name neither
    contract nor device. Raises Refused."""
    try:
        asked = _fields(document(body), FIELDS, ignored=KEPT_BY_THE_SERVER)
        return _checked(asked, on_a_device=on_a_device)
    except Wrong as why:
        raise Refused("format", str(why)) from None


def _checked(asked: dict[str, Any], *, on_a_device: bool) -> dict[str, Any]:
    products = asked.get("basket", {}).get("products", [])
    info = asked.get("basket_info")
    if info is None or "sum" not in info:
        raise Wrong("basket_info.sum is missing")
    if products and sum(line["priceOne"] * line["quantity"] for line in products) != info["sum"]:
        raise Refused("sum", "basket_info.sum")
    idents = asked.get("idents", [])
    if len(idents) > 1:
        raise Wrong("idents must name one card")
    if not on_a_device and "contract" not in asked:
        raise Wrong("contract is missing")
    if not on_a_device and idents and "device_source" not in asked:
        raise Wrong("device_source is missing")
    for name, known in (("contract", CONTRACT), ("device_source", DEVICE)):
        if name in asked and asked[name]["id"] != known:
            raise Refused("not found", name)
    customer = asked.get("customer")
    if customer and ("id" in customer) == ("contact" in customer):
        raise Wrong("customer must have an id or a contact")
    if customer and "id" in customer and customer["id"] not in CUSTOMERS:
        raise Refused("not found", "customer.id")
    communications = asked.get("communications")
    contact = customer and (customer.get("contact") or CUSTOMERS[customer["id"]])
    if communications and not (contact and contact.get("email")):
        raise Wrong("customer.contact.email is missing")
    return {
        "is_demo": asked.get("is_demo", False),
        "contract": asked.get("contract", {}).get("id"),
        "device": asked.get("device_source", {}).get("id"),
        "customer": customer,
        "intent": asked.get("intent", "sale"),
        "idents": idents,
        "products": products,
        "sum": info["sum"],
        "currency": info.get("currency", CURRENCY),
        "transactionRef": asked.get("transactionRef"),
        "merchantRef": asked.get("merchantRef"),
        "communications": communications,
        "auto_capture": asked.get("payment_context", {}).get("auto_capture", False),
    }


# ---- Fields ----------------------------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("a field is there twice")
    return members


def _fields(
    given: Mapping[str, object], readers: Mapping[str, Reader], *, ignored: frozenset[str] = frozenset()
) -> dict[str, Any]:
    read = {}
    for name, value in given.items():
        if name in ignored:
            continue
        if name not in readers:
            raise Wrong(f"{name} is not a field of this request")
        if value is None:
            continue
        try:
            read[name] = readers[name](value)
        except Wrong as why:
            raise Wrong(f"{name}.{why}") from None
        except ValueError as why:
            raise Wrong(f"{name} {why}") from None
    return read


def _text(pattern: str, what: str) -> Reader:
    wanted = re.compile(pattern)

    def read(value: object) -> str:
        if not (isinstance(value, str) and wanted.fullmatch(value)):
            raise ValueError(f"must be {what}")
        return value

    return read


def _whole(least: int, most: int) -> Reader:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return value

    return read


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _object(readers: Mapping[str, Reader], *required: str) -> Reader:
    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        found = _fields(value, readers)
        if missing := [name for name in required if name not in found]:
            raise Wrong(f"{missing[0]} is missing")
        return found

    return read


def _list(reader: Reader) -> Reader:
    def read(value: object) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("must be a list")
        return [reader(each) for each in value]

    return read


def _article_number(value: object) -> str:
    """A number becomes a text, as the document's answers have it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    number: str = _text(r"(?s).{0,50}", "a number or a text")(value)
    return number


def _one_ident(value: object) -> dict[str, Any]:
    managed = frozenset({"object", "id", "prefix", "name", "valid", "merchantcard"})
    if not isinstance(value, dict):
        raise ValueError("must be objects")
    found = _fields(value, {"type": _text("card|create_card", "card or create_card"), "value": _ANY}, ignored=managed)
    if found.keys() != {"type", "value"}:
        raise Wrong("type or value is missing")
    return found


def _product(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be objects")
    managed = frozenset({"parent", "group", "sum", "serialNumber", "contract_id", "sub_basket", "plan_id", "start_at"})
    found = _fields(value, PRODUCT, ignored=managed)
    if missing := [name for name in ("id", "desc", "quantity", "priceOne", "tax") if name not in found]:
        raise Wrong(f"{missing[0]} is missing")
    return {"articleNumber": "", "ean": "", "item_type": "article", "reference_id": None, **found}


_ANY = _text(r"(?s).{0,200}", "a text of at most 200 characters")
_URL = _text(r"https?://[!-~]{1,500}", "an address")
PRODUCT: Mapping[str, Reader] = {
    "id": _whole(0, 1_000_000),
    "item_type": _text("article|coupon|shipping", "article, coupon or shipping"),
    "desc": _ANY,
    "articleNumber": _article_number,
    "ean": _text("[0-9]{0,14}", "digits"),
    "quantity": _whole(1, 10_000),
    "priceOne": _whole(0, MOST_CENTS),
    "tax": _whole(0, 10_000),
    "reference_id": _ANY,
}
CONTACT: Mapping[str, Reader] = {
    **dict.fromkeys(
        ("salutation", "title", "forename", "surname", "companyname", "email", "phone", "mobile", "dob"), _ANY
    ),
    "address": _object(
        dict.fromkeys(("street", "street_number", "additional_address_data", "postal_code", "city", "country"), _ANY)
    ),
}
FIELDS: Mapping[str, Reader] = {
    "is_demo": _switch,
    "contract": _object({"id": _ANY, "object": _ANY}, "id"),
    "device_source": _object({"id": _ANY, "object": _ANY}, "id"),
    "customer": _object({"id": _ANY, "object": _ANY, "contact": _object(CONTACT)}),
    "intent": _text("sale|order", "sale or order"),
    "idents": _list(_one_ident),
    "basket": _object({"products": _list(_product), "type": _ANY, "texts": _list(_ANY)}),
    "basket_info": _object(
        {"sum": _whole(0, MOST_CENTS), "currency": _text(CURRENCY, CURRENCY), "gratuity": _whole(0, 0)}
    ),
    "transactionRef": _ANY,
    "merchantRef": _ANY,
    "communications": _object(
        {"action_type": _text("charge", "charge"), "template_id": _text(TEMPLATE, "one that was handed out")},
        "action_type",
        "template_id",
    ),
    "payment_context": _object({"auto_capture": _switch}),
    "application_context": _object(
        {"return_urls": _object(dict.fromkeys(("url_push", "url_success", "url_error", "url_abort"), _URL))}
    ),
}
