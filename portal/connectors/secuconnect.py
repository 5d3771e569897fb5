"""secuconnect: loyalty cards with money, bonus and points, loaded by a Smart Transaction that is created and started.

    POST {base_url}/oauth/token                                  client credentials; a token for 1200 seconds
    POST {base_url}/api/v2/Smart/Transactions                    the card, and in the basket goods or the load article
    POST {base_url}/api/v2/Smart/Transactions/{id}/prepare/…     authorises a payment, where it is not made at the till
    POST {base_url}/api/v2/Smart/Transactions/{id}/start         this is what books on the card
    POST …/{id}/preTransaction, then …/{id}/start/loyalty        and this has the card pay

From the provider's document: these calls and their fields, the article's EAN, that creating loads nothing, that HTTP
200 and `status: ok` together are success. From its public pages: the token, the card look-up, reading, cancelling,
cards that are made on the fly, paying with a card. ASSUMED, since no document says: what is a setting, and that
transactions can be searched by `merchantRef`, which carries our reference.

What fails before the start has moved nothing, however unclear its end: it is Unreachable, and tried again under the
same reference. A start is sent once; what becomes of it is read from the provider's own record.
"""

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
    Connector,
    CustomerDetails,
    Declined,
    Failure,
    FindRequest,
    PayRequest,
    Reading,
    Reason,
    Receipt,
    SaleRequest,
    Settles,
    Step,
    TopUpRequest,
    Unclear,
    VoidRequest,
)
from portal.connectors.failures import bad_input, never_begun
from portal.connectors.fields import Message, Sentence
from portal.connectors.http import HttpAnswer
from portal.connectors.secuconnect_answers import (
    NOT_DONE,
    NOT_STARTED,
    PREPARED,
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
    recorded,
)
from portal.connectors.secuconnect_baskets import (
    LOAD_EAN,
    OTHER_LOAD_EAN,
    Product,
    article,
    checked_reference,
    in_euros,
    load,
    payment,
    transaction,
)
from portal.connectors.secuconnect_calls import Calls
from portal.connectors.secuconnect_customers import NUMBER, private_texts
from portal.connectors.secuconnect_receipts import receipt_lines
from portal.connectors.secuconnect_settings import (
    AT_THE_TILL,
    CURRENCY,
    PRODUCTION,
    TESTING,
    Payment,
    SecuconnectSettings,
    clean_number,
)
from portal.connectors.tokens import Tokens
from portal.money import Money

API = "/api/v2"
TRANSACTIONS, CARDS = f"{API}/Smart/Transactions", f"{API}/Loyalty/MerchantCards"
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
    tells_paid_in = True
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
        """The number without spaces and hyphens between groups. Raises BadNumber."""
        return clean_number(typed)

    def check(self) -> Iterator[Step]:
        """Fetches a token, and looks up a card that need not exist."""
        calls = self._calls(self.settings.check_number)
        token, seconds = calls.token()
        self.tokens.keep(token, seconds=seconds)
        yield Step.ACCEPTED
        _look_up(calls)
        yield Step.READS

    def balance(self, request: BalanceRequest) -> Reading:
        """Looks up one card. Raises any Failure but Unsupported; BAD_INPUT before anything is sent."""
        self._refuse_foreign("balance", request.extra)
        return _look_up(self._calls(_checked(request.number)))

    def activate(self, request: ActivateRequest) -> Receipt:
        """Makes a card, with nothing on it: its number is in the Receipt. A card that is there needs no activation, so
        `number` must be ""."""
        self._refuse_foreign("activate", request.extra)
        if request.number:
            raise bad_input()
        begun = self._create("", [], Money(0, CURRENCY), request.reference, request.customer)
        return self._start("activate", begun, self._capture)

    def top_up(self, request: TopUpRequest) -> Receipt:
        """Puts money on a card, or on one that is made for it: `number` "" and `activate`."""
        self._refuse_foreign("top_up", request.extra)
        if bool(request.number) == request.activate:
            raise bad_input()
        products = [load(self.settings, 1, request.amount)]
        number = _checked(request.number) if request.number else ""
        begun = self._create(number, products, request.amount, request.reference, request.customer)
        return self._start("top_up", begun, self._capture)

    def sale(self, request: SaleRequest) -> Receipt:
        """Sells goods with a card, and loads it where the request says so: one transaction with all of it."""
        asked = request.extra or Payment()
        if not isinstance(asked, Payment) or self.reserved_eans & {line.ean for line in request.lines}:
            raise bad_input()
        products = [article(at, line) for at, line in enumerate(request.lines, start=1)]
        if request.load is not None:
            products.append(load(self.settings, len(products) + 1, request.load))
        prepared = asked.paid not in AT_THE_TILL
        begun = self._create(
            _checked(request.number),
            products,
            request.amount,
            request.reference,
            request.customer,
            captures=prepared and self.settings.auto_capture,
        )
        return self._prepare(begun, asked.paid) if prepared else self._start("sale", begun, AT_THE_TILL[asked.paid])

    def pay(self, request: PayRequest) -> Receipt:
        """Takes money from a card, its bonus first. Where it has not enough, NOT_ENOUGH is said before anything is
        started."""
        self._refuse_foreign("pay", request.extra)
        products = [payment(self.settings, request.amount)]
        begun = self._create(_checked(request.number), products, request.amount, request.reference)
        begun = replace(begun, wanted=replace(begun.wanted, pays=True))
        if self._missing(begun):
            raise Declined(reason=Reason.NOT_ENOUGH)
        return self._start("pay", begun, "/loyalty")

    def void(self, request: VoidRequest) -> Receipt:
        """Cancels a whole Smart Transaction, with every booking that it made."""
        self._refuse_foreign("void", request.extra)
        if not TRANSACTION_ID.fullmatch(request.original):
            raise bad_input()
        number = _checked(request.number) if request.number else ""
        money = in_euros(request.amount)
        wanted = Wanted(id=request.original, reference="", number=number, amount=money, pays=True)
        return self._commit("void", "/cancel", _Begun(wanted=wanted, calls=self._calls(number)))

    def find(self, request: FindRequest) -> Receipt:
        """Reads the transaction by its id where one is known, else by our reference.

        Under one reference there may be several that were created and never started; more than one that is done is
        Unclear (DUPLICATE), and for a person.
        """
        if request.verb not in DONE:
            raise bad_input()
        known = request.original if request.verb == "void" else request.provider_reference
        number = _checked(request.number) if request.number else ""
        calls = self._calls(number)
        wanted = Wanted(
            reference="" if request.verb == "void" else request.reference,
            number=number,
            amount=request.amount or (Money(0, CURRENCY) if request.verb == "activate" else None),
            pays=request.verb in {"pay", "void"},  # what is undone may have been a payment
        )
        ids = (known,) if known else _search(calls, checked_reference(request.reference))
        found = (self._found(request.verb, _Begun(wanted=replace(wanted, id=id), calls=calls)) for id in ids)
        done = [receipt for receipt in found if receipt]
        if len(done) > 1:
            raise Unclear(reason=Reason.DUPLICATE)
        if not done:
            raise Declined(reason=Reason.REFUSED if ids else Reason.ORIGINAL_UNKNOWN)
        return done[0]

    # ---- Smart Transactions ------------------------------------------------------------------------------

    def _calls(self, number: str, private: Mapping[str, str] | None = None) -> Calls:
        return Calls(self, self.settings, self.tokens, ends=self._ends(), number=number, private=private)

    @property
    def _capture(self) -> str:
        return "/cash" if self.settings.capture == "cash" else ""

    def _create(
        self,
        number: str,
        products: list[Product],
        amount: Money,
        reference: str,
        customer: CustomerDetails | None = None,
        *,
        captures: bool = False,
    ) -> "_Begun":
        """A transaction that is created and moves nothing yet. Raises any Failure; what is lost here never began."""
        body = transaction(
            self.settings,
            environment=self.environment,
            number=number,
            products=products,
            amount=amount,
            reference=reference,
            customer=customer,
        )
        if captures:
            body["payment_context"] = {"auto_capture": True}
        calls = self._calls(number, private_texts(customer))
        wanted = Wanted(reference=reference, number=number, amount=amount)
        try:
            # A card that is made is not there yet: until then the ident's value is the group's.
            id = created_id(calls.post(TRANSACTIONS, body), wanted)
        except Unclear as unclear:
            if unclear.reason is Reason.UNKNOWN_WORD:  # it has gone further than what we asked for
                raise
            raise never_begun(unclear) from None
        return _Begun(wanted=replace(wanted, id=id), calls=calls)

    def _missing(self, begun: "_Begun") -> int:
        """How many cents the card has too few, once it is to pay; nothing has moved."""
        try:
            return missing_sum(begun.calls.post(f"{begun.path}/preTransaction"))
        except Unclear as unclear:
            raise never_begun(unclear) from None

    def _prepare(self, begun: "_Begun", method: str) -> Receipt:
        """Authorises the payment, and starts what is authorised. With auto_capture that is one step, and
        it moves value."""
        if self.settings.auto_capture:
            return self._commit("sale", f"/prepare/{method}", begun)
        try:
            answer = begun.calls.post(f"{begun.path}/prepare/{method}")
            accepted(answer, "sale")
            word, _ = recorded(answer, begun.wanted)
        except Unclear as unclear:
            # Nothing is captured by an authorisation, and it goes with its transaction, which nobody starts.
            raise never_begun(unclear) from None
        if word not in PREPARED:
            raise Declined(reason=Reason.REFUSED, provider_text=answer.redact(word), trace=begun.wanted.id)
        return self._start("sale", begun, "")

    def _start(self, verb: str, begun: "_Begun", method: str) -> Receipt:
        return self._commit(verb, f"/start{method}", begun)

    def _commit(self, verb: str, step: str, begun: "_Begun") -> Receipt:
        """Sends what moves value, once, and reads how it ended; what is pending is looked at until the time is up."""
        try:
            answer = begun.calls.post(f"{begun.path}{step}")
            if answer.status != 200:
                self._refuse(answer, verb, begun)
            while (data := is_done(answer, begun.wanted, verb, done=DONE[verb])) is None:
                answer = self._look_again(begun)
        except Unclear as unclear:
            unclear.provider_reference = unclear.provider_reference or begun.wanted.id
            raise
        return _receipt(answer, data, begun)

    def _refuse(self, answer: HttpAnswer, verb: str, begun: "_Begun") -> None:
        """Raises what the answer means. A refusal is believed where the provider's own record does not speak against
        it: no document says what is answered to a start that has been done before."""
        try:
            accepted(answer, verb)
        except Declined as no:
            if no.reason is not Reason.ORIGINAL_UNKNOWN and _recorded_word(begun) not in self._undone(verb):
                raise Unclear(
                    reason=no.reason, provider_text=no.provider_text, trace=no.trace, retry_after=no.retry_after
                ) from None
            raise

    def _look_again(self, begun: "_Begun") -> HttpAnswer:
        """The next answer about what is pending. Raises Unclear (PENDING) where none comes: it may be done by then."""
        if time.monotonic() + self.POLL_SECONDS >= begun.calls.ends:
            raise Unclear(reason=Reason.PENDING)
        time.sleep(self.POLL_SECONDS)
        try:
            answer = begun.calls.get(begun.path)
            accepted(answer, "find")
        except Failure:
            raise Unclear(reason=Reason.PENDING) from None
        return answer

    def _undone(self, verb: str) -> frozenset[str]:
        """The words that say that nothing was done. What is captured by itself once it is authorised may still be."""
        captures = verb == "sale" and self.settings.auto_capture
        return UNDONE[verb] - {"approved", "processing"} if captures else UNDONE[verb]

    def _found(self, verb: str, begun: "_Begun") -> Receipt | None:
        """The receipt of a transaction that is done, None of one that is not. Raises any Failure."""
        answer = begun.calls.get(begun.path)
        word, data = recorded(answer, begun.wanted)
        if word == DONE[verb]:
            return _receipt(answer, data, begun)
        if word in self._undone(verb):
            return None
        reason = Reason.PENDING if word == "pending" else Reason.UNKNOWN_WORD
        raise Unclear(reason=reason, provider_text=answer.redact(word), provider_reference=begun.wanted.id)


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A transaction at the provider, what it must look like, and the calls about it."""

    wanted: Wanted
    calls: Calls

    @property
    def path(self) -> str:
        return f"{TRANSACTIONS}/{self.wanted.id}"


def _look_up(calls: Calls) -> Reading:
    """The one card of that number."""
    query = urlencode({"q": f'card.cardnumber:"{calls.number}"'}, quote_via=quote)
    answer = calls.get(f"{CARDS}?{query}")
    return read_card(answer, number=calls.number, currency=CURRENCY, now=datetime.now(UTC))


def _search(calls: Calls, reference: str) -> tuple[str, ...]:
    """The ids of the transactions under our reference."""
    query = urlencode({"q": f'merchantRef:"{reference}"', "count": 100}, quote_via=quote)
    return found_ids(calls.get(f"{TRANSACTIONS}?{query}"), reference)


def _recorded_word(begun: _Begun) -> str:
    """What the provider has on record, "" where it does not say."""
    try:
        word, _ = recorded(begun.calls.get(begun.path), begun.wanted)
    except Failure:
        return ""
    return word


def _receipt(answer: HttpAnswer, data: Data, begun: _Begun) -> Receipt:
    number = begun.wanted.number or card_of(data)
    return Receipt(
        provider_reference=begun.wanted.id,
        # Not held against what was expected: that is for a case (ledger/cases.py), and does not undo a success.
        balances=balances_of(data, CURRENCY),
        lines=receipt_lines(data, number, begun.calls.private.values()),
        raw=answer.kept,
        number="" if begun.wanted.number else number,
    )


def _checked(number: str) -> str:
    try:
        return clean_number(number)
    except BadNumber:
        raise bad_input() from None
