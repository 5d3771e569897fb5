"""PayWizard's Factor4 Loyalty API: gift cards with money and points, reached through a gateway.

    POST {base_url}/ovstrade/openLoyaltyPay/{operation}     Content-Type: application/json, jwt-token, sign

From the provider's Quick Start document: method, headers, the paths of five operations, the common fields and
the entry types. From the vendor's public pages: how to sign, the paths of activate, top-up and pay, each
operation's fields, the envelope of answers. ASSUMED, since no document says: the length of an order number,
that cards and currencies are as checked below, that amounts have two decimals, and what is a setting below.

Never sent: nsfAllowed (nobody says whether a shortfall is then a part payment or a debt) and activating "N"
(nobody says what it does). An order number is sent with everything that moves value except an activation,
which has no field for it. The same request gives the same bytes.
"""

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

from portal.connectors.base import (
    MOVES_VALUE,
    ActivateRequest,
    BadNumber,
    BalanceRequest,
    Connector,
    CustomerDetails,
    Detail,
    Extra,
    PayRequest,
    PointsRequest,
    Reading,
    Reason,
    Receipt,
    Settings,
    SettingsError,
    Settles,
    Step,
    TipRequest,
    TopUpRequest,
    VoidRequest,
    Words,
)
from portal.connectors.failures import bad_input
from portal.connectors.fields import Refused, Sentence, address, choice, credential, secret, switch, text
from portal.connectors.http import HttpAnswer, HttpRequest
from portal.connectors.numbers import grouped
from portal.connectors.paywizard_answers import (
    CHECKOUT_ID,
    PRIVATE_MEMBERS,
    prove_accepted,
    read_activation,
    read_inquiry,
    read_transaction,
)
from portal.connectors.paywizard_customers import Unfit, customer_fields, private_texts
from portal.money import Money, MoneyError, minor_digits

PATH = "/ovstrade/openLoyaltyPay"
OPERATIONS: Mapping[str, str] = {
    "balance": "giftInquiry",
    "activate": "giftActivate",
    "top_up": "giftIssuance",
    "pay": "giftTransaction",
    "void": "giftVoid",
    "tip": "giftTip",
    "issue_points": "loyaltyIssuance",
    "redeem_points": "loyaltyRedemption",
}
SANDBOX, PRODUCTION = "https://uat.paywizard.biz", "https://portal.paywizard.biz"
FORMER_HOST = "oversea.paywizard.biz"
SHORTEST_NUMBER, LONGEST_NUMBER = 4, 40  # ASSUMED; printed cards have 15 digits and more
ORDER_NUMBER = re.compile("[0-9A-Za-z]{1,32}")  # ASSUMED; samples have 17 digits


def signature(body: bytes, *, client_id: str, client_secret: str) -> str:
    """The sign header (V3) of a body, byte for byte as it is sent: JSON written otherwise has another one."""
    signed = body + f"&clientId={client_id}&clientSecret={client_secret}".encode()
    return hmac.new(client_secret.encode(), signed, sha256).hexdigest()


# ---- Settings ----------------------------------------------------------------------------------------------


def _base_url(url: str) -> str:
    host, _, path = re.sub("^[^/]*//", "", url).partition("/")
    if host.partition(":")[0] == FORMER_HOST:
        raise Refused("This is a former address of PayWizard. Type the present one.")
    if "ovstrade" in path.split("/"):
        raise Refused("Type only what stands before /ovstrade.")
    if not re.fullmatch("(?:[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*)?", path):
        raise Refused("Type an address such as https://uat.paywizard.biz.")
    return url


def _word(value: str) -> str:
    if not re.fullmatch("[0-9A-Za-z._-]+", value):
        raise Refused("Use only letters A to Z, digits, points, hyphens and underscores.")
    return value


def _number(typed: str) -> str:
    return grouped(typed, shortest=SHORTEST_NUMBER, longest=LONGEST_NUMBER)


def _currency(code: str) -> str:
    try:
        places = minor_digits(code)
    except MoneyError as error:
        raise Refused(str(error)) from None
    if places != 2:
        # "100" and "100.00" of such a currency may differ by a factor of a hundred.
        raise Refused("PayWizard's amounts have two decimals, and this currency has not.")
    return code


@dataclass(frozen=True, kw_only=True)
class PayWizardSettings(Settings):
    """One connection to PayWizard: one merchant in the sandbox or in production."""

    # Without a default on purpose: production is chosen, never fallen into.
    base_url: str = address(
        label="Address of the API",
        help=f"{SANDBOX} for the sandbox, {PRODUCTION} for real cards.",
        check=_base_url,
    )
    client_id: str = text(label="Client ID", help="Your developer ID, a long number.", maximum=64, check=_word)
    client_secret: str = secret(label="Client secret", help="Signs every request.", maximum=512, check=credential)
    # ASSUMED: of the two kinds handed out, the one named "eCommerce". Opaque: never read, never made here.
    token: str = secret(
        label="Transaction token",
        help="The jwt-token PayWizard gave you for this merchant; for cards the eCommerce one.",
        maximum=4096,
        check=credential,
    )
    loyalty_channel: str = text(label="Prepaid channel", maximum=32, check=_word, default="FACTOR4")
    currency: str = text(
        label="Currency", help="The three letters of the cards' currency.", maximum=3, check=_currency, default="USD"
    )
    # ASSUMED: has the shape of a card's number, and no card has it.
    check_number: str = text(
        label="Card number for tests",
        help="Asked for when the connection is tested. It need not exist.",
        maximum=LONGEST_NUMBER,
        check=_number,
        default="0" * 15,
    )
    # ASSUMED: the document names it for voids, the public page does not.
    amount_on_void: bool = switch(label="Send the amount with a void", default=True)
    # ASSUMED: as a payment requires it; neither page names it for top-ups.
    currency_on_top_up: bool = switch(label="Send the currency with a top-up", default=True)
    # ASSUMED: the document lists it as generally required, the public page of tips leaves it out.
    channel_on_tip: bool = switch(label="Send the prepaid channel with a tip", default=True)


@dataclass(frozen=True, kw_only=True)
class Entry(Extra):
    """How the card's number came to us."""

    entry_type: str = choice(
        label="How the number was read",
        choices=(
            ("B", "Barcode scanned"),
            ("K", "Typed"),
            ("M", "Magnetic stripe"),
            ("P", "Tapped"),
        ),
        default="K",
    )


# ---- The connector -----------------------------------------------------------------------------------------


class PayWizard(Connector):
    """PayWizard, for looking cards up and moving their money and points."""

    slug = "paywizard"
    name = "PayWizard"
    hosts = MappingProxyType({"sandbox": {"base_url": SANDBOX}, "live": {"base_url": PRODUCTION}})
    have_ready = (
        Sentence("Your client ID and client secret, from PayWizard’s developer page. The secret signs each request."),
        Sentence(
            "The transaction token PayWizard handed out for this merchant: one for the test environment, another for"
            " real cards. Of the two kinds the one named eCommerce."
        ),
        Sentence("The currency your cards are in, and the prepaid channel if it is not FACTOR4."),
    )
    countries = frozenset({"US"})
    Settings = PayWizardSettings
    settings: PayWizardSettings
    # There is no way to ask for a transaction, and a lost answer leaves no checkoutId to void it by.
    settles = Settles.BY_BALANCE
    whole_numbers = True
    top_up_activates = True
    # A void names no card, so it does not say how one was read.
    extras = MappingProxyType({verb: Entry for verb in OPERATIONS if verb != "void"})
    CONNECT_SECONDS = 5.0
    TOTAL_SECONDS = 30.0
    marks = frozenset({"msg"})
    words = MappingProxyType(
        {
            Reason.ACCESS_REFUSED: Words(
                "%(provider)s knows our credentials and does not let them look cards up.",
                "Copy client ID and token of this merchant again, and if they are right, ask %(provider)s for access.",
            ),
            Detail.SIGNATURE: Words(
                "%(provider)s finds our signature wrong.",
                "Copy client ID and client secret of the test environment again: both are part of the signature.",
                "Copy client ID and client secret for real cards again: both are part of the signature.",
            ),
            Detail.FOREIGN: Words(
                "Something answers at this address, and it is not %(provider)s.",
                f"Check the address: it is {SANDBOX}, and {PRODUCTION} for real cards.",
            ),
        }
    )

    @classmethod
    def clean_number(cls, typed: str, options: Mapping[str, object]) -> str:
        """The number without surrounding space and without spaces and hyphens between groups. It is a text:
        no zero is dropped, no check digit asked for. Raises BadNumber."""
        return _number(typed)

    def check(self) -> Iterator[Step]:
        """Looks up a card that need not exist: to be told that it does not proves the credentials as well."""
        number = self.settings.check_number
        answer = self._ask("balance", self._channel() | self._card("balance", number, None))
        prove_accepted(answer)
        yield Step.ACCEPTED
        read_inquiry(answer, number=number, currency=self.settings.currency)
        yield Step.READS

    def balance(self, request: BalanceRequest) -> Reading:
        """Looks up one card, once. Raises any Failure but Unsupported; BAD_INPUT before anything is sent."""
        card = self._card("balance", request.number, request.extra)
        answer = self._ask("balance", self._channel() | card)
        return read_inquiry(answer, number=card["accountId"], currency=self.settings.currency)

    def activate(self, request: ActivateRequest) -> Receipt:
        """Makes a card usable; doing it again changes nothing. The Receipt has balances and no reference."""
        card = self._card("activate", request.number, request.extra)
        fields = self._channel() | card | {"activating": "Y"} | _customer(request.customer)
        answer = self._ask("activate", fields, customer=request.customer)
        balances = read_activation(answer, number=card["accountId"], currency=self.settings.currency)
        return Receipt(provider_reference="", balances=balances, raw=answer.kept)

    def top_up(self, request: TopUpRequest) -> Receipt:
        """Puts money on a card, and activates it only where asked to."""
        fields = _order(request.reference) | self._channel() | self._amount(request.amount)
        if self.settings.currency_on_top_up:
            fields |= self._currency()
        fields |= self._card("top_up", request.number, request.extra)
        if request.activate:
            fields |= {"activating": "Y"}
        answer = self._ask("top_up", fields | _customer(request.customer), customer=request.customer)
        return _receipt(answer, "top_up")

    def pay(self, request: PayRequest) -> Receipt:
        """Takes money from a card."""
        fields = _order(request.reference) | self._channel() | self._amount(request.amount) | self._currency()
        answer = self._ask("pay", fields | self._card("pay", request.number, request.extra))
        return _receipt(answer, "pay")

    def void(self, request: VoidRequest) -> Receipt:
        """Undoes a whole payment or top-up that is not settled yet."""
        self._refuse_foreign("void", request.extra)
        fields = _order(request.reference) | _original(request.original, request.reference)
        amount = self._amount(request.amount)
        if self.settings.amount_on_void:
            fields |= amount
        answer = self._ask("void", fields, unsent_number=request.number)
        return _receipt(answer, "void", original=request.original)

    def tip(self, request: TipRequest) -> Receipt:
        """Takes a tip beside a completed payment, from the same card."""
        fields = _order(request.reference) | _original(request.original, request.reference)
        if self.settings.channel_on_tip:
            fields |= self._channel()
        fields |= self._amount(request.amount) | self._currency()
        answer = self._ask("tip", fields | self._card("tip", request.number, request.extra))
        return _receipt(answer, "tip", original=request.original)

    def issue_points(self, request: PointsRequest) -> Receipt:
        """Gives points to a card."""
        return self._move_points("issue_points", request)

    def redeem_points(self, request: PointsRequest) -> Receipt:
        """Takes points from a card. Undone by giving them again, not by a void."""
        return self._move_points("redeem_points", request)

    def _move_points(self, verb: str, request: PointsRequest) -> Receipt:
        # The field of money again, but a plain number, and no currency beside it.
        points = {"amount": str(request.points.count)}
        card = self._card(verb, request.number, request.extra)
        return _receipt(self._ask(verb, _order(request.reference) | self._channel() | points | card), verb)

    # What goes into a request; BAD_INPUT for what cannot.

    def _card(self, verb: str, number: str, extra: Extra | None) -> dict[str, str]:
        self._refuse_foreign(verb, extra)
        try:
            entry = Entry.parse(vars(extra) if extra else {})
            return {"accountId": self.clean_number(number, vars(self.settings)), "entryType": entry.entry_type}
        except (BadNumber, SettingsError):
            raise bad_input() from None

    def _channel(self) -> dict[str, str]:
        return {"loyaltyChannel": self.settings.loyalty_channel}

    def _currency(self) -> dict[str, str]:
        return {"tranCurrency": self.settings.currency}

    def _amount(self, money: Money) -> dict[str, str]:
        if money.currency != self.settings.currency:
            raise bad_input()
        return {"amount": money.decimal_text()}

    def _ask(
        self,
        verb: str,
        fields: Mapping[str, object],
        *,
        customer: CustomerDetails | None = None,
        unsent_number: str = "",
    ) -> HttpAnswer:
        # Written once: what is signed is what is sent.
        body = json.dumps(
            {"clientId": self.settings.client_id, **fields}, ensure_ascii=False, separators=(",", ":")
        ).encode()
        sign = signature(body, client_id=self.settings.client_id, client_secret=self.settings.client_secret)
        headers = {"Content-Type": "application/json", "jwt-token": self.settings.token, "sign": sign}
        return self.wire.exchange(
            HttpRequest(
                method="POST", url=f"{self.settings.base_url}{PATH}/{OPERATIONS[verb]}", headers=headers, body=body
            ),
            secrets={
                "secret": self.settings.client_secret,
                "token": self.settings.token,
                "sign": sign,
                "number": str(fields.get("accountId", unsent_number)),
                **private_texts(customer),
            },
            deadline=self.total_seconds,
            connect_timeout=self.connect_seconds,
            moves_value=verb in MOVES_VALUE,
            on_exchange=self.on_exchange,
            hidden=PRIVATE_MEMBERS,
        )


def _receipt(answer: HttpAnswer, verb: str, *, original: str = "") -> Receipt:
    # The answer's amount is not looked at: the vendor's own sample says "10000" after "10.50".
    return Receipt(provider_reference=read_transaction(answer, verb, original=original), raw=answer.kept)


def _order(reference: str) -> dict[str, object]:
    if not ORDER_NUMBER.fullmatch(reference):
        raise bad_input()
    return {"tranOrderNo": reference}


def _original(original: str, reference: str) -> dict[str, object]:
    # Theirs, the checkoutId; our own order number there could hit somebody else's payment.
    if not CHECKOUT_ID.fullmatch(original) or original == reference:
        raise bad_input()
    return {"oriOrderNo": original}


def _customer(details: CustomerDetails | None) -> dict[str, object]:
    try:
        return customer_fields(details)
    except Unfit:
        raise bad_input() from None
