"""What a connection to secuconnect is set up with, and what a sale there is asked besides.

From the provider's document: contract, device and template, by the beginning of their IDs; from its public pages: the
credentials, the card group. ASSUMED, since no document says: what is marked so below.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.connectors.fields import (
    Extra,
    Refused,
    Sentence,
    Settings,
    address,
    choice,
    credential,
    secret,
    switch,
    text,
)
from portal.connectors.numbers import grouped

TESTING, PRODUCTION = "https://connect-testing.secuconnect.com", "https://connect.secucard.com"
CURRENCY = "EUR"  # the only one in any of the documents
SHORTEST_NUMBER, LONGEST_NUMBER = 8, 40  # ASSUMED; the provider's own cards have 16 digits


def clean_number(typed: str) -> str:
    """The number of a card as it is asked for. Its beginning is not looked at: other cards than the provider's own are
    possible. Raises BadNumber."""
    return grouped(typed, shortest=SHORTEST_NUMBER, longest=LONGEST_NUMBER)


def _base_url(url: str) -> str:
    path = re.sub("^[^/]*//[^/]*", "", url)
    if "/api/" in f"{path}/":
        raise Refused("Type only what stands before /api/v2.")
    if not re.fullmatch("(?:/[A-Za-z0-9_-]+)*", path):
        raise Refused("Type an address such as https://connect-testing.secuconnect.com.")
    return url


def _id(prefix: str) -> Any:
    def check(value: str) -> str:
        if not re.fullmatch(f"{prefix}_[0-9A-Z]{{1,60}}", value):
            raise Refused(Sentence("Type an ID that begins with %(prefix)s.", prefix=f"{prefix}_"))
        return value

    return check


@dataclass(frozen=True, kw_only=True)
class SecuconnectSettings(Settings):
    """One connection to secuconnect: one merchant's contract and device, in the test environment or for real."""

    # Without a default on purpose: production is chosen, never fallen into.
    base_url: str = address(
        label="Address of the API",
        help=f"{TESTING} for tests, {PRODUCTION} for real cards.",
        check=_base_url,
    )
    client_id: str = text(label="Client ID", maximum=128, check=credential)
    client_secret: str = secret(label="Client secret", maximum=512, check=credential)
    contract_id: str = text(label="Contract", help="The ID that begins with GCR_.", maximum=64, check=_id("GCR"))
    device_id: str = text(label="Device", help="The ID that begins with SDV_.", maximum=64, check=_id("SDV"))
    currency: str = choice(label="Currency", choices=((CURRENCY, CURRENCY),), default=CURRENCY)
    card_group: str = text(
        label="Card group for new cards",
        help="The ID that begins with CRG_. Leave it empty if no cards are to be made.",
        maximum=64,
        check=_id("CRG"),
        default="",
    )
    template: str = text(
        label="Template of the e-mail about a load",
        help="The ID that begins with ETP_. Leave it empty and secuconnect writes to nobody.",
        maximum=64,
        check=_id("ETP"),
        default="",
    )
    # ASSUMED: what is written as the article, and into the provider's e-mail with the amount behind it.
    load_text: str = text(label="Name of a load", maximum=100, default="Kartenaufladung")
    # ASSUMED: so is what a card pays for, where nobody says which goods these were.
    payment_text: str = text(label="Name of a payment", maximum=100, default="Zahlung mit Karte")
    # ASSUMED: bonus that is spent lowers what is taxed, at this rate.
    payment_tax: str = choice(
        label="VAT of what a card pays for",
        choices=(("0", "0 %"), ("7", "7 %"), ("19", "19 %")),
        default="0",
    )
    # ASSUMED: the document starts without a method, the provider's sample program says that the money is in the till.
    capture: str = choice(
        label="How a load is started",
        choices=(("start", "As the document does"), ("cash", "As paid in cash")),
        default="start",
    )
    # ASSUMED: the document names auto_capture and leaves open who wants it. A payment at the till needs none.
    auto_capture: bool = switch(
        label="Capture a prepared payment at once",
        help="For sales that are paid later or elsewhere: off, we start them as soon as they are authorised.",
        default=False,
    )
    # The document prints "Authenticate"; the reference of the API and every published client send "Authorization".
    auth_header: str = choice(
        label="Header of the token",
        choices=(("Authorization", "Authorization"), ("Authenticate", "Authenticate")),
        default="Authorization",
    )
    # ASSUMED: has the shape of a card's number, and no card has it.
    check_number: str = text(
        label="Card number for tests",
        help="Asked for when the connection is tested. It need not exist.",
        maximum=LONGEST_NUMBER,
        check=clean_number,
        default="9276" + "0" * 12,
    )


# ---- Inputs for a sale -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Payment(Extra):
    """How the buyer pays. What is not paid at the till is prepared first.

    ASSUMED to be of no use at a till, and not offered: what needs the buyer's own browser (a credit card, PayPal), and
    payment in advance, which the provider's pages call pending until the money is there.
    """

    paid: str = choice(
        label="How it is paid",
        choices=(
            ("till", "At the till"),
            ("cash", "In cash"),
            ("debit", "By direct debit"),
            ("invoice", "By invoice"),
        ),
        default="till",
    )


AT_THE_TILL: Mapping[str, str] = {"till": "", "cash": "/cash"}
"""How a sale is started where the money is in the till: as the document does, or saying that it was cash."""
