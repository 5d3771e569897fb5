"""secuconnect: loyalty cards with money, bonus and points, loaded by a Smart Transaction that is created and started.

    POST {base_url}/oauth/token                                  client credentials; a token for 1200 seconds
    POST {base_url}/api/v2/Smart/Transactions                    the card, and in the basket goods or the load article
    POST {base_url}/api/v2/Smart/Transactions/{id}/prepare/…     authorises a payment, where it is not made at the till
    POST {base_url}/api/v2/Smart/Transactions/{id}/start         this is what books on the card
    POST …/{id}/preTransaction, then …/{id}/start/loyalty        and this has the card pay

From the provider's document: these calls and their fields, the article's EAN, that creating loads nothing, that HTTP
200 and `status: ok` together are success. From its public pages: the token, the card look-up, reading, cancelling,
cards that are made on the fly, paying with a card. ASSUMED, since no document says: what is a setting below, and that
transactions can be searched by `merchantRef`, which carries our reference.

What fails before the start has moved nothing, however unclear its end: it is Unreachable, and tried again under the
same reference. A start is sent once; what becomes of it is read from the provider's own record.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from portal.connectors.base import (
    ActivateRequest,
    BadNumber,
    BalanceRequest,
    BasketLine,
    Connector,
    CustomerDetails,
    Declined,
    Extra,
    Failure,
    FindRequest,
    Misconfigured,
    PayRequest,
    Reading,
    Reason,
    Receipt,
    SaleRequest,
    Settings,
    Settles,
    Step,
    TopUpRequest,
    Unclear,
    Unreachable,
    VoidRequest,
)
from portal.connectors.fields import Message, Refused, Sentence, address, choice, secret, switch, text
from portal.connectors.http import HttpAnswer, HttpRequest
from portal.connectors.secuconnect_answers import (
    NOT_DONE,
    NOT_STARTED,
    PREPARED,
    PRIVATE_MEMBERS,
    TRANSACTION_ID,
    Data,
    Wanted,
    accepted,
    balances_of,
    card_of,
    created_id,
    found_ids,
    is_done,
    missing_sum,
    read_card,
    read_token,
    receipt_lines,
    recorded,
    wants_another_token,
)
from portal.connectors.secuconnect_customers import NUMBER, Unfit, is_reached, private_texts
from portal.connectors.secuconnect_customers import customer as told_customer
from portal.connectors.tokens import Tokens
from portal.money import Money

TESTING, PRODUCTION = "https://connect-testing.secuconnect.com", "https://connect.secucard.com"
API = "/api/v2"
TRANSACTIONS, CARDS = f"{API}/Smart/Transactions", f"{API}/Loyalty/MerchantCards"
LOAD_EAN, OTHER_LOAD_EAN = "4260447149502", "4260447149519"  # the second from the sample program; nobody says what for
CURRENCY = "EUR"  # the only one in any of the documents
SHORTEST_NUMBER, LONGEST_NUMBER = 8, 40  # ASSUMED; the provider's own cards have 16 digits
REFERENCE = re.compile("[0-9A-Za-z-]{1,64}")  # ASSUMED
DONE: Mapping[str, str] = {"activate": "ok", "top_up": "ok", "sale": "ok", "pay": "ok", "void": "cancelled"}
UNDONE: Mapping[str, frozenset[str]] = {
    "activate": NOT_STARTED | NOT_DONE,
    "top_up": NOT_STARTED | NOT_DONE,
    "sale": NOT_STARTED | NOT_DONE,
    "pay": NOT_STARTED | NOT_DONE,
    "void": frozenset({"ok"}),
}

STEPS: tuple[tuple[str, str, Message], ...] = (
    ("POST", "/oauth/token$", Message("Asked %(connection)s to let us in")),
    ("POST", f"{TRANSACTIONS}$", Message("Told %(connection)s what is to be done, which moves nothing yet")),
    ("POST", f"{TRANSACTIONS}/[^/]+/prepare/[a-z_]+$", Message("Asked %(connection)s to authorise the payment")),
    ("POST", f"{TRANSACTIONS}/[^/]+/preTransaction$", Message("Asked %(connection)s what the card pays of it")),
    ("POST", f"{TRANSACTIONS}/[^/]+/start(?:/[a-z_]+)?$", Message("Told %(connection)s to do it")),
    ("POST", f"{TRANSACTIONS}/[^/]+/cancel$", Message("Told %(connection)s to cancel it")),
    ("GET", f"{TRANSACTIONS}(?:/[^/]+)?$", Message("Read what %(connection)s has on record of it")),
)
"""What each call is for, by method and the end of its path."""


# ---- Settings ----------------------------------------------------------------------------------------------


def _base_url(url: str) -> str:
    path = re.sub("^[^/]*//[^/]*", "", url)
    if "/api/" in f"{path}/":
        raise Refused("Type only what stands before /api/v2.")
    if not re.fullmatch("(?:/[A-Za-z0-9_-]+)*", path):
        raise Refused("Type an address such as https://connect-testing.secuconnect.com.")
    return url


def _credential(value: str) -> str:
    if not re.fullmatch("[!-~]+", value):
        raise Refused("It must not contain spaces, line breaks or letters with accents.")
    return value


def _id(prefix: str) -> Any:
    def check(value: str) -> str:
        if not re.fullmatch(f"{prefix}_[0-9A-Z]{{1,60}}", value):
            raise Refused(Sentence("Type an ID that begins with %(prefix)s.", prefix=f"{prefix}_"))
        return value

    return check


def _number(typed: str) -> str:
    try:
        return Secuconnect.clean_number(typed, {})
    except BadNumber as error:
        raise Refused(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class SecuconnectSettings(Settings):
    """One connection to secuconnect: one merchant's contract and device, in the test environment or for real."""

    # Without a default on purpose: production is chosen, never fallen into.
    base_url: str = address(
        label="Address of the API",
        help=f"{TESTING} for tests, {PRODUCTION} for real cards.",
        check=_base_url,
    )
    client_id: str = text(label="Client ID", maximum=128, check=_credential)
    client_secret: str = secret(label="Client secret", maximum=512, check=_credential)
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
        check=_number,
        default="9276" + "0" * 12,
    )


# ---- Inputs ------------------------------------------------------------------------------------------------

AT_THE_TILL: Mapping[str, str] = {"till": "", "cash": "/cash"}
"""How a sale is started where the money is in the till: as the document does, or saying that it was cash."""


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


# ---- The connector -----------------------------------------------------------------------------------------


class Secuconnect(Connector):
    """secuconnect, for looking cards up, loading and making them, selling and paying with them, and cancelling."""

    slug = "secuconnect"
    name = "secuconnect"
    hosts = MappingProxyType({"sandbox": {"base_url": TESTING}, "live": {"base_url": PRODUCTION}})
    have_ready = (
        Sentence(
            "Your client ID and client secret, from secuconnect’s project contact: one pair for tests, one for real"
            " cards."
        ),
        Sentence("The IDs of your contract (GCR_) and of the device (SDV_) that books your cards."),
    )
    countries = frozenset({"DE"})
    speaks = "de"
    Settings = SecuconnectSettings
    settings: SecuconnectSettings
    settles = Settles.BY_REFERENCE
    whole_numbers = True
    makes_cards = True
    extras = MappingProxyType({"sale": Payment})
    reserved_eans = frozenset({LOAD_EAN, OTHER_LOAD_EAN})
    CONNECT_SECONDS = 5.0
    TOTAL_SECONDS = 30.0
    POLL_SECONDS: ClassVar[float] = 1.0  # between two looks at what is pending
    # Of a card list, a Smart Transaction, an error and a token.
    marks = frozenset({"data", "object", "supportId", "access_token", "error_description"})

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        known = self.settings
        self.tokens: Tokens = self.token_store((known.base_url, known.client_id, known.client_secret))

    @classmethod
    def unable(cls, options: Mapping[str, object]) -> Mapping[str, Message]:
        """Without a card group nothing can be made."""
        if options.get("card_group"):
            return {}
        return {"activate": Message("Cards of %(provider)s are made in a card group, and this connection names none.")}

    @classmethod
    def step(cls, method: str, url: str) -> Message | None:
        """By the end of its path."""
        path = url.partition("?")[0]
        return next((words for asked, ending, words in STEPS if asked == method and re.search(ending, path)), None)

    @classmethod
    def writes(cls, options: Mapping[str, object]) -> bool:
        """With a template of its own."""
        return bool(options.get("template"))

    @classmethod
    def knows_as(cls, number: str) -> bool:
        """One of its customers' numbers."""
        return NUMBER.fullmatch(number) is not None

    @classmethod
    def clean_number(cls, typed: str, options: Mapping[str, object]) -> str:
        """The number without spaces and hyphens between groups. Its beginning is not looked at: other cards than the
        provider's own are possible. Raises BadNumber."""
        if len(typed) > 4 * LONGEST_NUMBER:
            raise BadNumber("A card number has at most %(count)d characters.", count=LONGEST_NUMBER)
        bare = re.sub("[ -]", "", typed.strip(" \t\r\n"))
        if not re.fullmatch("[0-9A-Za-z]*", bare):  # not isalnum(): that takes every script
            raise BadNumber("A card number has only letters A to Z and digits.")
        if len(bare) < SHORTEST_NUMBER:
            raise BadNumber("Type at least %(count)d characters of the card number.", count=SHORTEST_NUMBER)
        if len(bare) > LONGEST_NUMBER:
            raise BadNumber("A card number has at most %(count)d characters.", count=LONGEST_NUMBER)
        return bare

    def check(self) -> Iterator[Step]:
        """Fetches a token, and looks up a card that need not exist."""
        ends = self._ends()
        token, seconds = self._token(ends)
        self.tokens.keep(token, seconds=seconds)
        yield Step.ACCEPTED
        self._look_up(self.settings.check_number, ends)
        yield Step.READS

    def balance(self, request: BalanceRequest) -> Reading:
        """Looks up one card. Raises any Failure but Unsupported; BAD_INPUT before anything is sent."""
        if request.extra is not None:
            raise _bad_input()
        return self._look_up(self._number(request.number), self._ends())

    def activate(self, request: ActivateRequest) -> Receipt:
        """Makes a card, with nothing on it: its number is in the Receipt. A card that is there needs no activation, so
        `number` must be ""."""
        if request.number or request.extra is not None:
            raise _bad_input()
        return self._sell("activate", "", None, request.reference, request.customer)

    def top_up(self, request: TopUpRequest) -> Receipt:
        """Puts money on a card, or on one that is made for it: `number` "" and `activate`."""
        if request.extra is not None or bool(request.number) == request.activate:
            raise _bad_input()
        number = self._number(request.number) if request.number else ""
        return self._sell("top_up", number, request.amount, request.reference, request.customer)

    def sale(self, request: SaleRequest) -> Receipt:
        """Sells goods with a card, and loads it where the request says so: one transaction with all of it."""
        payment = request.extra or Payment()
        if not isinstance(payment, Payment) or self.reserved_eans & {line.ean for line in request.lines}:
            raise _bad_input()
        products = [_article(at, line) for at, line in enumerate(request.lines, start=1)]
        if request.load is not None:
            products.append(self._load_article(request.load, len(products) + 1))
        number = self._number(request.number)
        body = self._body(number, products, request.amount, request.reference, request.customer)
        prepared = "" if payment.paid in AT_THE_TILL else payment.paid
        if prepared and self.settings.auto_capture:
            body["payment_context"] = {"auto_capture": True}
        begun = self._create(body, number, request.amount, request.reference, request.customer)
        if not prepared:
            return self._start("sale", begun, AT_THE_TILL[payment.paid])
        return self._prepare(begun, prepared)

    def pay(self, request: PayRequest) -> Receipt:
        """Takes money from a card, its bonus first. Where it has not enough, NOT_ENOUGH is said before anything is
        started."""
        if request.extra is not None:
            raise _bad_input()
        number = self._number(request.number)
        product = _amount_line(1, self.settings.payment_text, request.amount, tax=int(self.settings.payment_tax))
        body = self._body(number, [product], request.amount, request.reference, None)
        begun = self._create(body, number, request.amount, request.reference, None)
        begun = replace(begun, wanted=replace(begun.wanted, pays=True))
        if self._missing(begun):
            raise Declined(reason=Reason.NOT_ENOUGH)
        return self._start("pay", begun, "/loyalty")

    def void(self, request: VoidRequest) -> Receipt:
        """Cancels a whole Smart Transaction, with every booking that it made."""
        if request.extra is not None or not TRANSACTION_ID.fullmatch(request.original):
            raise _bad_input()
        number = self._number(request.number) if request.number else ""
        money = self._amount(request.amount)
        wanted = Wanted(id=request.original, reference="", number=number, amount=money, pays=True)
        return self._commit("void", f"{TRANSACTIONS}/{wanted.id}/cancel", wanted, {}, self._ends())

    def find(self, request: FindRequest) -> Receipt:
        """Reads the transaction by its id where one is known, else by our reference.

        Under one reference there may be several that were created and never started; more than one that is done is
        Unclear (DUPLICATE), and for a person.
        """
        if request.verb not in DONE:
            raise _bad_input()
        ends = self._ends()
        known = request.original if request.verb == "void" else request.provider_reference
        reference = "" if request.verb == "void" else request.reference
        amount = request.amount or (Money(0, CURRENCY) if request.verb == "activate" else None)
        pays = request.verb in {"pay", "void"}  # what is undone may have been a payment
        number = self._number(request.number) if request.number else ""
        wanted = Wanted(reference=reference, number=number, amount=amount, pays=pays)
        if known:
            ids: tuple[str, ...] = (known,)
        else:
            query = urlencode({"q": f'merchantRef:"{_reference(request.reference)}"', "count": 100}, quote_via=quote)
            answer = self._call("GET", f"{TRANSACTIONS}?{query}", wanted.number, ends)
            ids = found_ids(answer, request.reference)
        done = [receipt for id in ids if (receipt := self._found(request.verb, replace(wanted, id=id), ends))]
        if len(done) > 1:
            raise Unclear(reason=Reason.DUPLICATE)
        if not done:
            raise Declined(reason=Reason.REFUSED if ids else Reason.ORIGINAL_UNKNOWN)
        return done[0]

    # ---- Smart Transactions ------------------------------------------------------------------------------

    def _sell(
        self, verb: str, number: str, amount: Money | None, reference: str, customer: CustomerDetails | None
    ) -> Receipt:
        """Creates a transaction with a load, or with nothing, and starts it."""
        products = [self._load_article(amount, 1)] if amount else []
        money = amount or Money(0, CURRENCY)
        begun = self._create(
            self._body(number, products, money, reference, customer), number, money, reference, customer
        )
        return self._start(verb, begun, "/cash" if self.settings.capture == "cash" else "")

    def _create(
        self, body: Mapping[str, Any], number: str, money: Money, reference: str, customer: CustomerDetails | None
    ) -> "_Begun":
        """A transaction that is created and moves nothing yet. Raises any Failure; what is lost here never began."""
        ends = self._ends()
        wanted = Wanted(reference=reference, number=number, amount=money)
        private = private_texts(customer)
        try:
            answer = self._call("POST", TRANSACTIONS, number, ends, body=body, private=private, moves=True)
            # A card that is made is not there yet: until then the ident's value is the group's.
            id = created_id(answer, wanted)
        except Unclear as unclear:
            if unclear.reason is Reason.UNKNOWN_WORD:  # it has gone further than what we asked for
                raise
            raise _never_begun(unclear) from None
        return _Begun(wanted=replace(wanted, id=id), private=private, ends=ends)

    def _start(self, verb: str, begun: "_Begun", method: str) -> Receipt:
        path = f"{TRANSACTIONS}/{begun.wanted.id}/start{method}"
        return self._commit(verb, path, begun.wanted, begun.private, begun.ends)

    def _missing(self, begun: "_Begun") -> int:
        """How many cents the card has too few, once it is to pay; nothing has moved."""
        wanted = begun.wanted
        path = f"{TRANSACTIONS}/{wanted.id}/preTransaction"
        try:
            return missing_sum(self._call("POST", path, wanted.number, begun.ends, moves=True))
        except Unclear as unclear:
            raise _never_begun(unclear) from None

    def _prepare(self, begun: "_Begun", method: str) -> Receipt:
        """Authorises the payment, and starts what is authorised. With auto_capture that is one step, and
        it moves value."""
        wanted, ends = begun.wanted, begun.ends
        path = f"{TRANSACTIONS}/{wanted.id}/prepare/{method}"
        if self.settings.auto_capture:
            return self._commit("sale", path, wanted, begun.private, ends)
        try:
            answer = self._call("POST", path, wanted.number, ends, private=begun.private, moves=True)
            accepted(answer, "sale")
            word, _ = recorded(answer, wanted)
        except Unclear as unclear:
            # Nothing is captured by an authorisation, and it goes with its transaction, which nobody starts.
            raise _never_begun(unclear) from None
        if word not in PREPARED:
            raise Declined(reason=Reason.REFUSED, provider_text=answer.redact(word), trace=wanted.id)
        return self._start("sale", begun, "")

    def _commit(self, verb: str, path: str, wanted: Wanted, private: Mapping[str, str], ends: float) -> Receipt:
        """Sends what moves value, once, and reads how it ended; what is pending is looked at until the time is up."""
        try:
            answer = self._call("POST", path, wanted.number, ends, private=private, moves=True)
            if answer.status != 200:
                self._refuse(answer, verb, wanted, ends)
            while (data := is_done(answer, wanted, verb, done=DONE[verb])) is None:
                answer = self._look_again(wanted, private, ends)
        except Unclear as unclear:
            unclear.provider_reference = unclear.provider_reference or wanted.id
            raise
        return _receipt(answer, data, wanted, private)

    def _refuse(self, answer: HttpAnswer, verb: str, wanted: Wanted, ends: float) -> None:
        """Raises what the answer means. A refusal is believed where the provider's own record does not speak against
        it: no document says what is answered to a start that has been done before."""
        try:
            accepted(answer, verb)
        except Declined as no:
            if no.reason is not Reason.ORIGINAL_UNKNOWN:
                word = self._recorded_word(wanted, ends)
                if word not in self._undone(verb):
                    raise Unclear(
                        reason=no.reason, provider_text=no.provider_text, trace=no.trace, retry_after=no.retry_after
                    ) from None
            raise

    def _recorded_word(self, wanted: Wanted, ends: float) -> str:
        try:
            word, _ = recorded(self._call("GET", f"{TRANSACTIONS}/{wanted.id}", wanted.number, ends), wanted)
        except Failure:
            return ""
        return word

    def _look_again(self, wanted: Wanted, private: Mapping[str, str], ends: float) -> HttpAnswer:
        """The next answer about what is pending. Raises Unclear (PENDING) where none comes: it may be done by then."""
        if time.monotonic() + self.POLL_SECONDS >= ends:
            raise Unclear(reason=Reason.PENDING)
        time.sleep(self.POLL_SECONDS)
        try:
            answer = self._call("GET", f"{TRANSACTIONS}/{wanted.id}", wanted.number, ends, private=private)
            accepted(answer, "find")
        except Failure:
            raise Unclear(reason=Reason.PENDING) from None
        return answer

    def _undone(self, verb: str) -> frozenset[str]:
        """The words that say that nothing was done. What is captured by itself once it is authorised may still be."""
        captures = verb == "sale" and self.settings.auto_capture
        return UNDONE[verb] - {"approved", "processing"} if captures else UNDONE[verb]

    def _found(self, verb: str, wanted: Wanted, ends: float) -> Receipt | None:
        """The receipt of a transaction that is done, None of one that is not. Raises any Failure."""
        answer = self._call("GET", f"{TRANSACTIONS}/{wanted.id}", wanted.number, ends)
        word, data = recorded(answer, wanted)
        if word == DONE[verb]:
            return _receipt(answer, data, wanted, {})
        if word in self._undone(verb):
            return None
        reason = Reason.PENDING if word == "pending" else Reason.UNKNOWN_WORD
        raise Unclear(reason=reason, provider_text=answer.redact(word), provider_reference=wanted.id)

    def _body(
        self,
        number: str,
        products: list[dict[str, Any]],
        money: Money,
        reference: str,
        customer: CustomerDetails | None,
    ) -> dict[str, Any]:
        """The body of a transaction. Raises Declined (BAD_INPUT) and Misconfigured (SETTINGS)."""
        if self.environment not in {"sandbox", "live"}:
            raise Misconfigured(reason=Reason.SETTINGS)  # real or not is never guessed
        if not number and not self.settings.card_group:
            raise _bad_input()
        kind, value = ("card", number) if number else ("create_card", self.settings.card_group)
        try:
            told = told_customer(customer)
        except Unfit:
            raise _bad_input() from None
        body: dict[str, Any] = {
            "is_demo": self.environment == "sandbox",
            "contract": {"id": self.settings.contract_id},
            "device_source": {"id": self.settings.device_id},
            **({"customer": told} if told else {}),
            "intent": "sale",
            "merchantRef": _reference(reference),
            "idents": [{"type": kind, "value": value}],
            "basket": {"products": products},
            "basket_info": {"sum": self._amount(money).minor, "currency": CURRENCY},
        }
        # It is about a load: of anything else the provider writes nothing.
        loads = any(each.get("ean") == LOAD_EAN for each in products)
        if self.settings.template and loads and is_reached(told):
            body["communications"] = {"action_type": "charge", "template_id": self.settings.template}
        return body

    def _load_article(self, amount: Money, id: int) -> dict[str, Any]:
        """The line of the basket that loads the card; always one piece, of the whole amount."""
        return _amount_line(id, self.settings.load_text, amount, tax=0) | {"ean": LOAD_EAN}

    # ---- Calls -------------------------------------------------------------------------------------------

    def _look_up(self, number: str, ends: float) -> Reading:
        query = urlencode({"q": f'card.cardnumber:"{number}"'}, quote_via=quote)
        answer = self._call("GET", f"{CARDS}?{query}", number, ends)
        return read_card(answer, number=number, currency=CURRENCY, now=datetime.now(UTC))

    def _call(
        self,
        method: str,
        path: str,
        number: str,
        ends: float,
        *,
        body: Mapping[str, Any] | None = None,
        private: Mapping[str, str] | None = None,
        moves: bool = False,
    ) -> HttpAnswer:
        """One call of the API; once more with a new token where it was refused for the token alone, which is before
        anything is done. Raises any Failure."""
        for renewed in (False, True):
            token = self._known_token(ends, moves=moves)
            answer = self._exchange(method, path, token, number, ends, body, private or {}, moves)
            if renewed or not wants_another_token(answer):
                break
            self.tokens.drop(token)
        return answer

    def _known_token(self, ends: float, *, moves: bool) -> str:
        try:
            return self.tokens.get(lambda: self._token(ends), ends=ends)
        except (Unclear, Declined) as failure:
            raise _never_begun(failure) if moves else failure from None

    def _token(self, ends: float) -> tuple[str, int]:
        """A token and for how many seconds it is good. Raises any Failure."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret,
        }
        answer = self._send("POST", "/oauth/token", {}, asked, {"secret": self.settings.client_secret}, ends, False)
        return read_token(answer)

    def _exchange(
        self,
        method: str,
        path: str,
        token: str,
        number: str,
        ends: float,
        body: Mapping[str, Any] | None,
        private: Mapping[str, str],
        moves: bool,
    ) -> HttpAnswer:
        headers = {self.settings.auth_header: f"Bearer {token}"}
        secrets = {"token": token, "secret": self.settings.client_secret, "number": number, **private}
        return self._send(method, path, headers, body, secrets, ends, moves)

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        secrets: Mapping[str, str],
        ends: float,
        moves: bool,
    ) -> HttpAnswer:
        typed = {"Content-Type": "application/json"} if body is not None else {}
        # Only a card that is made has its number in the answer alone; the receipt's lines are "value", too.
        unknown_number = () if secrets.get("number") else ("value",)
        return self.wire.exchange(
            HttpRequest(
                method=method,
                url=f"{self.settings.base_url}{path}",
                headers={**headers, **typed, "Accept": "application/json"},
                body=b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
            ),
            secrets=secrets,
            deadline=max(ends - time.monotonic(), 0.0),
            connect_timeout=self.connect_seconds,
            moves_value=moves,
            on_exchange=self.on_exchange,
            hidden=(*PRIVATE_MEMBERS, *unknown_number),
        )

    def _ends(self) -> float:
        """When, by the monotonic clock, all calls of a verb must be over."""
        return time.monotonic() + self.total_seconds

    def _number(self, number: str) -> str:
        try:
            return self.clean_number(number, {})
        except BadNumber:
            raise _bad_input() from None

    def _amount(self, money: Money) -> Money:
        if money.currency != CURRENCY:
            raise _bad_input()
        return money


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A transaction that is created and not started."""

    wanted: Wanted
    private: Mapping[str, str]
    ends: float


def _article(id: int, line: BasketLine) -> dict[str, Any]:
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


def _amount_line(id: int, name: str, amount: Money, *, tax: int) -> dict[str, Any]:
    """A line for an amount alone, with the amount in its text."""
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


def _receipt(answer: HttpAnswer, data: Data, wanted: Wanted, private: Mapping[str, str]) -> Receipt:
    number = wanted.number or card_of(data)
    return Receipt(
        provider_reference=wanted.id,
        # Not held against what was expected: that is for a case, and does not undo a success.
        balances=balances_of(data, CURRENCY),
        lines=receipt_lines(data, number, private.values()),
        raw=answer.kept,
        number="" if wanted.number else number,
    )


def _never_begun(failure: Failure) -> Unreachable:
    """What failed was on the way to the call that moves value, which was not sent."""
    return Unreachable(
        reason=failure.reason,
        provider_text=failure.provider_text,
        retry_after=failure.retry_after,
        trace=failure.trace,
        detail=failure.detail,
    )


def _reference(reference: str) -> str:
    if not REFERENCE.fullmatch(reference):
        raise _bad_input()
    return reference


def _bad_input() -> Declined:
    return Declined(reason=Reason.BAD_INPUT)
