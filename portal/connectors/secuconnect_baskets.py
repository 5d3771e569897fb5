"""What is told of a Smart Transaction of secuconnect before anything moves: the card, the customer, and in the basket
goods, a load, or an amount alone.

From the provider's document: all the names, the load article's EAN, and that an article without an EAN has no such
member. From its public pages: a card that is made on the fly. ASSUMED: a reference's longest text, and what is marked.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from portal.connectors.failures import Misconfigured, Reason, bad_input
from portal.connectors.requests import BasketLine, CustomerDetails
from portal.connectors.secuconnect_customers import Unfit, is_reached
from portal.connectors.secuconnect_customers import customer as told_customer
from portal.connectors.secuconnect_settings import CURRENCY, SecuconnectSettings
from portal.money import Money

LOAD_EAN, OTHER_LOAD_EAN = "4260447149502", "4260447149519"  # the second from the sample program; nobody says what for
REFERENCE = re.compile("[0-9A-Za-z-]{1,64}")  # ASSUMED

Product = Mapping[str, Any]


def transaction(
    settings: SecuconnectSettings,
    *,
    environment: str,
    number: str,
    products: Sequence[Product],
    amount: Money,
    reference: str,
    customer: CustomerDetails | None = None,
) -> dict[str, Any]:
    """The body that creates one. Without a `number` it makes the card. Raises Declined (BAD_INPUT) and Misconfigured
    (SETTINGS)."""
    if environment not in {"sandbox", "live"}:
        raise Misconfigured(reason=Reason.SETTINGS)  # real or not is never guessed
    if not number and not settings.card_group:
        raise bad_input()
    kind, value = ("card", number) if number else ("create_card", settings.card_group)
    try:
        told = told_customer(customer)
    except Unfit:
        raise bad_input() from None
    body: dict[str, Any] = {
        "is_demo": environment == "sandbox",
        "contract": {"id": settings.contract_id},
        "device_source": {"id": settings.device_id},
        **({"customer": told} if told else {}),
        "intent": "sale",
        "merchantRef": checked_reference(reference),
        "idents": [{"type": kind, "value": value}],
        "basket": {"products": list(products)},
        "basket_info": {"sum": in_euros(amount).minor, "currency": CURRENCY},
    }
    # It is about a load: of anything else the provider writes nothing.
    loads = any(each.get("ean") == LOAD_EAN for each in products)
    if settings.template and loads and is_reached(told):
        body["communications"] = {"action_type": "charge", "template_id": settings.template}
    return body


def article(id: int, line: BasketLine) -> Product:
    """A line as the document prints it: without the member `ean` where there is none, the article's number as a number.
    ASSUMED: that one which is none goes as the text it is, since answers have texts."""
    number = int(line.article) if re.fullmatch("0|[1-9][0-9]{0,14}", line.article) else line.article or None
    return {
        "id": id,
        **({"ean": line.ean} if line.ean else {}),
        "articleNumber": number,
        "desc": line.text,
        "quantity": line.quantity,
        "priceOne": line.price.minor,
        "tax": line.vat,
    }


def load(settings: SecuconnectSettings, id: int, amount: Money) -> Product:
    """The line that loads the card; always one piece, of the whole amount."""
    return {**_amount_alone(id, settings.load_text, amount, tax=0), "ean": LOAD_EAN}


def payment(settings: SecuconnectSettings, amount: Money) -> Product:
    """The one line of what a card pays for."""
    return _amount_alone(1, settings.payment_text, amount, tax=int(settings.payment_tax))


def _amount_alone(id: int, name: str, amount: Money, *, tax: int) -> Product:
    """A line with the amount in its text."""
    euros, cents = divmod(amount.minor, 100)
    shown = f"{euros},{cents:02}" if cents else f"{euros}"
    return {
        "id": id,
        "articleNumber": None,
        "desc": f"{name} {shown} EUR",
        "quantity": 1,
        "priceOne": amount.minor,
        "tax": tax,
    }


def checked_reference(reference: str) -> str:
    """Our reference, where it can be sent as `merchantRef`. Raises Declined (BAD_INPUT)."""
    if not REFERENCE.fullmatch(reference):
        raise bad_input()
    return reference


def in_euros(amount: Money) -> Money:
    """The amount, where it is in the one currency there is. Raises Declined (BAD_INPUT)."""
    if amount.currency != CURRENCY:
        raise bad_input()
    return amount
