"""The one vocabulary for all providers: what is asked, what comes back, how it fails. Knows no provider."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from portal.connectors import fields
from portal.connectors.failures import (
    Declined,
    Detail,
    Failure,
    Misconfigured,
    Reason,
    Unclear,
    Unreachable,
    Unsupported,
    bad_input,
)
from portal.connectors.fields import Extra, Field, Message, Settings, SettingsError, secret_names
from portal.connectors.findings import Step, Words
from portal.connectors.numbers import BadNumber
from portal.connectors.requests import (
    ActivateRequest,
    AwardRequest,
    BalanceRequest,
    BasketLine,
    ClientContext,
    CodeRequest,
    CustomerDetails,
    FindRequest,
    PayRequest,
    PointsRequest,
    SaleRequest,
    TipRequest,
    TopUpRequest,
    VoidRequest,
)
from portal.connectors.results import Balance, CardStatus, News, Reading, Receipt, ReceiptLine, Unproved
from portal.connectors.tokens import TokenStore, own
from portal.money import Money, Points

if TYPE_CHECKING:
    from portal.connectors.http import Exchange, Wire

__all__ = [
    "MOVES_VALUE",
    "VERBS",
    "ActivateRequest",
    "AwardRequest",
    "BadNumber",
    "Balance",
    "BalanceRequest",
    "BasketLine",
    "CardStatus",
    "ClientContext",
    "CodeRequest",
    "Connector",
    "CustomerDetails",
    "Declined",
    "Detail",
    "Extra",
    "Failure",
    "Field",
    "FindRequest",
    "Misconfigured",
    "News",
    "PayRequest",
    "PointsRequest",
    "Reading",
    "Reason",
    "Receipt",
    "ReceiptLine",
    "SaleRequest",
    "Settings",
    "SettingsError",
    "Settles",
    "Step",
    "TipRequest",
    "TopUpRequest",
    "Unclear",
    "Unproved",
    "Unreachable",
    "Unsupported",
    "VoidRequest",
    "Words",
    "secret_names",
]


class Settles(StrEnum):
    """How the end of a call is learnt when no answer told it (Unclear)."""

    NOTHING_TO_SETTLE = "nothing_to_settle"  # no verb moves value: just ask again
    BY_REFERENCE = "by_reference"  # the provider can be asked about the one operation
    BY_RESENDING = "by_resending"  # identical bytes sent again give the first answer again
    BY_BALANCE = "by_balance"  # only the card's balances before and after tell, and only if nobody else moves it
    BY_PERSON = "by_person"  # nothing can be asked


class Connector:
    """One provider. Subclasses set `slug`, `name`, `Settings` and `settles`, and override the verbs the
    provider has.

    A verb takes one request and returns its result or raises a Failure. Every exchange with the provider,
    failed ones too, goes to `on_exchange`, redacted. `connect_seconds` and `total_seconds` shorten the limits
    for fault runs. `environment` is "sandbox" or "live", "" where nobody said; `tokens` is where access tokens are
    kept. `extras` are {verb: the inputs only this provider has for it}.
    """

    slug: ClassVar[str]
    name: ClassVar[str]
    Settings: ClassVar[type[fields.Settings]]
    settles: ClassVar[Settles] = Settles.BY_PERSON
    # {environment ("sandbox", "live"): {address setting: base URL}}, as the provider's documents print them. A merchant
    # may choose these freely; any other host has to be approved, see merchants/hosts.py. Empty: it has none of its own.
    hosts: ClassVar[Mapping[str, Mapping[str, str]]] = MappingProxyType({})
    # What a merchant must have at hand to connect it, and who has it: message ids.
    have_ready: ClassVar[tuple[str, ...]] = ()
    # ISO 3166 codes of the countries where merchants mostly use this provider: proposed there, never required.
    countries: ClassVar[frozenset[str]] = frozenset()
    # The language of the texts it sends (a BCP 47 tag), for who reads them aloud; "" where nobody knows.
    speaks: ClassVar[str] = ""
    # Whether what clean_number returns is always the whole number, so that a card can be remembered by it.
    whole_numbers: ClassVar[bool] = False
    # The verbs that take what a look-up just gave (Reading.usage_token) in place of the card's number and PIN.
    by_usage_token: ClassVar[frozenset[str]] = frozenset()
    # Whether its numbers are members', where others' are cards'.
    names_members: ClassVar[bool] = False
    # Whether `activate` makes a card, asked with no number, where others make one usable that is there.
    makes_cards: ClassVar[bool] = False
    # Whether `top_up` can activate a card that is there, too (TopUpRequest.activate).
    top_up_activates: ClassVar[bool] = False
    # Whether a balance says what of it was paid in (CASH), apart from what was given: then a load that is done can be
    # held against it.
    tells_paid_in: ClassVar[bool] = False
    extras: ClassVar[Mapping[str, type[Extra]]] = MappingProxyType({})
    # GTINs that stand for no goods at this provider but for an order to it, such as a load: no line of a basket may
    # have one.
    reserved_eans: ClassVar[frozenset[str]] = frozenset()
    CONNECT_SECONDS: ClassVar[float] = 3.0
    TOTAL_SECONDS: ClassVar[float] = 10.0

    # What the doctor must know of a provider, see doctor.examine.
    # Members of its JSON answers: one that has none of them is somebody else's.
    marks: ClassVar[frozenset[str]]
    # Seconds by which our clock may be off before it is said, and before a signature with our time in it is refused;
    # None where we sign no time.
    clock_limit: ClassVar[int] = 30
    clock_tolerance: ClassVar[int | None] = None
    # Where this provider needs other words for a failure than findings.WORDS.
    words: ClassVar[Mapping[Reason | Detail, Words]] = MappingProxyType({})

    def __init__(
        self,
        settings: fields.Settings,
        wire: "Wire",
        on_exchange: Callable[["Exchange"], None],
        *,
        connect_seconds: float | None = None,
        total_seconds: float | None = None,
        environment: str = "",
        tokens: TokenStore = own,
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.token_store = tokens
        self.wire = wire
        self.on_exchange = on_exchange
        self.connect_seconds = self.CONNECT_SECONDS if connect_seconds is None else connect_seconds
        self.total_seconds = self.TOTAL_SECONDS if total_seconds is None else total_seconds

    def _ends(self) -> float:
        """When, by the monotonic clock, all calls of a verb that begins now must be over."""
        return time.monotonic() + self.total_seconds

    def _refuse_foreign(self, verb: str, extra: Extra | None) -> None:
        """Raises Declined (BAD_INPUT) for inputs that are not those of this provider for `verb`."""
        if extra is not None and type(extra) is not self.extras.get(verb):
            raise bad_input()

    @classmethod
    def supports(cls) -> frozenset[str]:
        """The verbs this provider has: those it overrides."""
        return frozenset(verb for verb in VERBS if getattr(cls, verb) is not getattr(Connector, verb))

    def check(self) -> Iterator[Step]:
        """Asks something harmless, and yields ACCEPTED when an answer proves that our credentials are good, READS
        when it could be read as well; REACHABLE before, where the first of several calls proves no more. Moves nothing.
        Raises any Failure, in `detail` what lies behind it."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def balance(self, request: BalanceRequest) -> Reading:
        """Looks up one card; moves nothing. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    @classmethod
    def predicts(cls) -> bool:
        """Whether this provider can say beforehand what a purchase gives: it overrides `predict`."""
        return cls.predict is not Connector.predict

    def predict(self, amount: Money) -> Points:
        """The points that a purchase of `amount` gives by the provider's rule, as far as it can say beforehand; moves
        nothing. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def find(self, request: FindRequest) -> Receipt:
        """Asks how one operation of ours ended; moves nothing. For `Settles.BY_REFERENCE`.

        A Receipt means done, as if it had come at once. Declined means not done by now: what was on its way may still
        arrive, so it is believed only after a quiet period. Any other Failure means that nobody knows yet.
        """
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def letter(self, request: PayRequest) -> str:
        """All that `pay` will send for this request, and where to: kept sealed and given back in PayRequest.letter, so
        that the same bytes are sent again whatever the settings are by then. For `Settles.BY_RESENDING`. Calls nobody.
        Raises Declined."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    # Everything below moves value: a Receipt means done, Unclear perhaps done, any other Failure not done.

    def activate(self, request: ActivateRequest) -> Receipt:
        """Makes a card usable. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def top_up(self, request: TopUpRequest) -> Receipt:
        """Puts money on a card. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def sale(self, request: SaleRequest) -> Receipt:
        """Sells a basket with a card, which may earn by it and be loaded with it. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def pay(self, request: PayRequest) -> Receipt:
        """Takes money from a card. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def void(self, request: VoidRequest) -> Receipt:
        """Undoes a payment, a top-up or a sale. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def tip(self, request: TipRequest) -> Receipt:
        """Takes a tip beside a payment. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def award(self, request: AwardRequest) -> Receipt:
        """Gives the points for a purchase. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def issue_code(self, request: CodeRequest) -> Receipt:
        """Makes a code that gives the points for a purchase to whoever scans it. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def issue_points(self, request: PointsRequest) -> Receipt:
        """Gives points to a card. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    def redeem_points(self, request: PointsRequest) -> Receipt:
        """Takes points from a card. Raises any Failure."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    # What a page needs before anything is asked. Class methods of the settings without the secrets
    # (`Settings.options`), because the process that draws pages cannot open secrets.

    @classmethod
    def unable(cls, options: Mapping[str, object]) -> Mapping[str, Message]:
        """The verbs that a connection with these `options` cannot use, and why, about `%(provider)s`.
        Need not name what no connection can (`supports`)."""
        return {}

    @classmethod
    def step(cls, method: str, url: str) -> Message | None:
        """What one call was for, about `%(connection)s`, where a verb takes several; None where it takes one."""
        return None

    @classmethod
    def writes(cls, options: Mapping[str, object]) -> bool:
        """Whether the provider itself sends an e-mail about money that is put on a card, to the customer who is named
        with it: then nobody else does."""
        return False

    # Whether the provider tells by itself what happened, at an address of ours that the merchant enters there.
    tells: ClassVar[bool] = False

    @classmethod
    def is_heard(cls, options: Mapping[str, object]) -> bool:
        """Whether a connection with these `options` can tell what the provider says from what anybody says."""
        return False

    @classmethod
    def hear(cls, options: Mapping[str, object], headers: Mapping[str, str], body: bytes, now: datetime) -> News:
        """What a message says that came in for a connection with these `options`, at `now`. Calls nobody. Raises
        Unproved for all that is not surely the provider's own, and said just now."""
        raise Unproved

    @classmethod
    def knows_as(cls, number: str) -> bool:
        """Whether `number` names a customer to it in an operation, in place of their name and address."""
        return False

    @classmethod
    def wants_pin(cls, options: Mapping[str, object]) -> bool:
        """Whether a look-up over a connection with these `options` needs the card's PIN."""
        return False

    # Whether the provider has keys for browsers, with which a merchant's own site asks it without us.
    has_browser_key: ClassVar[bool] = False

    @classmethod
    def browser_snippet(cls, options: Mapping[str, object], key: str) -> str:
        """HTML for the merchant's own site, with which a shopper's browser asks the provider itself. Raises
        fields.Refused for a key that is not for browsers."""
        raise Unsupported(reason=Reason.UNSUPPORTED)

    @classmethod
    def warning(cls, verb: str, extra: Mapping[str, object]) -> Message | None:
        """What speaks against `verb` with these inputs, so that it is thought over before it is confirmed; about
        `%(provider)s`. None where nothing does."""
        return None

    @classmethod
    def clean_number(cls, typed: str, options: Mapping[str, object]) -> str:
        """The card number to ask for, from what a person typed or scanned. Calls nobody. Raises BadNumber."""
        raise Unsupported(reason=Reason.UNSUPPORTED)


VERBS = (
    *("balance", "activate", "top_up", "sale", "pay", "void", "tip"),
    *("award", "issue_code", "issue_points", "redeem_points"),
)
"""Every verb any provider may have; each is a method of Connector that raises Unsupported."""

MOVES_VALUE = frozenset(VERBS) - {"balance"}
"""The verbs after which a card is not what it was: never simply repeated."""
