"""What a provider is asked: one frozen request for each verb. Knows no provider.

A request that moves value cannot be made of nothing, of less than nothing or of the wrong kind of value: money
is Money and points are Points, although some providers call both "amount". Whether a connection takes the
number, the currency and the reference is for its connector to say. `reference` is our operation's key, sent
wherever the provider has a field for it. `extra` are the inputs only this provider has (`Connector.extras`);
None stands for their defaults.
"""

from dataclasses import dataclass, field
from datetime import datetime

from portal.connectors.fields import Extra
from portal.money import HARD_CAP, Money, MoneyError, Points

LONGEST_BASKET = 100
"""The longest basket: what a person types in at a till, with room."""
MOST_PIECES = 9_999
HIGHEST_VAT = 99


@dataclass(frozen=True)
class ClientContext:
    """The browser on whose behalf we ask: its address as our trusted proxy saw it, and its headers."""

    address: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class CustomerDetails:
    """What a provider keeps, or is asked to keep, of the person who holds a card. All text, "" where unknown.

    `country` is ISO 3166-1 alpha-2, days are YYYY-MM-DD, `holder` is "primary", "alternate" or "giver" (who
    bought the card for another), and the last four are "yes" or "no". `number` is the provider's own for the person,
    `salutation` "mr" or "ms".
    """

    number: str = field(default="", repr=False)
    holder: str = field(default="", repr=False)
    salutation: str = field(default="", repr=False)
    title: str = field(default="", repr=False)
    first_name: str = field(default="", repr=False)
    middle_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)
    address1: str = field(default="", repr=False)
    address2: str = field(default="", repr=False)
    city: str = field(default="", repr=False)
    state: str = field(default="", repr=False)
    postal: str = field(default="", repr=False)
    country: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    birthday: str = field(default="", repr=False)
    anniversary: str = field(default="", repr=False)
    gender: str = field(default="", repr=False)
    phone_is_mobile: str = field(default="", repr=False)
    wants_letters: str = field(default="", repr=False)
    wants_calls: str = field(default="", repr=False)
    wants_mails: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class BalanceRequest:
    """A look-up of one card. `number` is what `clean_number` returned, `pin` the card's password as typed."""

    number: str = field(repr=False)
    pin: str = field(default="", repr=False)
    client: ClientContext | None = field(default=None, repr=False)
    extra: Extra | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class ActivateRequest:
    """Make a card usable; `number` is "" for one that the provider makes, where it can. `customer` are
    details to keep with it; what is "" in them stays as it is."""

    number: str = field(repr=False)
    reference: str
    customer: CustomerDetails | None = field(default=None, repr=False)
    extra: Extra | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class TopUpRequest:
    """Put `amount` on a card. `number` is "" for a card that the provider makes, where it can. It is
    activated only where `activate` says so, never by the way."""

    number: str = field(repr=False)
    amount: Money
    reference: str
    activate: bool = False
    customer: CustomerDetails | None = field(default=None, repr=False)
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _money_to_move(self.amount)


@dataclass(frozen=True, kw_only=True)
class BasketLine:
    """So many pieces of one article. `price` is that of one, gross, and `vat` the rate in it, in percent.

    `article` is the shop's own number for it, `ean` its GTIN of 8, 12, 13 or 14 digits; each is "" where there is none.
    """

    text: str
    quantity: int
    price: Money
    vat: int
    article: str = ""
    ean: str = ""

    def __post_init__(self) -> None:
        _money_to_move(self.price)
        if not 0 < self.quantity <= MOST_PIECES or not 0 <= self.vat <= HIGHEST_VAT or not self.text:
            raise MoneyError("A line has a text, at least one piece, and a rate in percent.")

    @property
    def total(self) -> Money:
        """What all its pieces cost."""
        return Money(self.price.minor * self.quantity, self.price.currency)


@dataclass(frozen=True, kw_only=True)
class SaleRequest:
    """Sell what is in a basket to whoever holds a card: what of it earns is the provider's rule, never ours.

    `load` is put onto the card in the same sale, None for nothing; it is no line of the basket. `amount` is what is to
    be paid for all of it, and must be the sum.
    """

    number: str = field(repr=False)
    lines: tuple[BasketLine, ...]
    load: Money | None = None
    amount: Money
    reference: str
    customer: CustomerDetails | None = field(default=None, repr=False)
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _money_to_move(self.amount)
        if self.load is not None:
            _money_to_move(self.load)
        if not 0 < len(self.lines) <= LONGEST_BASKET:
            raise MoneyError("A basket has at least one line, and not more than a till can show.")
        total = sum((line.total for line in self.lines), self.load or Money(0, self.amount.currency))
        if total != self.amount:
            raise MoneyError("The sum is not that of the basket.")


@dataclass(frozen=True, kw_only=True)
class PayRequest:
    """Take `amount` from a card: all of it or nothing.

    `usage_token` is that of the look-up before, for a provider that takes it in place of the card and its PIN.
    `asked_at` is when it was asked for, in the shop's own time zone. `letter` is what Connector.letter wrote, where it
    was kept: then just that is sent.
    """

    number: str = field(repr=False)
    amount: Money
    reference: str
    usage_token: str = field(default="", repr=False)
    asked_at: datetime | None = None
    letter: str = field(default="", repr=False)
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _money_to_move(self.amount)


@dataclass(frozen=True, kw_only=True)
class VoidRequest:
    """Undo a whole payment, top-up or sale of `amount`.

    `original` is the provider's reference from its Receipt, not ours; `number` is the card it was on, "" where
    it was on none.
    """

    original: str
    number: str = field(default="", repr=False)
    amount: Money
    reference: str
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _money_to_move(self.amount)


@dataclass(frozen=True, kw_only=True)
class TipRequest:
    """Take a tip of `amount`, beside the payment `original` (the provider's reference), from the card that paid."""

    original: str
    number: str = field(repr=False)
    amount: Money
    reference: str
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _money_to_move(self.amount)


@dataclass(frozen=True, kw_only=True)
class PointsRequest:
    """Give `points` to a card, or take them from it: the verb says which."""

    number: str = field(repr=False)
    points: Points
    reference: str
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.points, Points):
            raise TypeError("Points are moved as Points.")
        _some(self.points.count)


@dataclass(frozen=True, kw_only=True)
class AwardRequest:
    """Give whoever holds a card the points for a purchase of `amount`: how many is the provider's rule, never ours."""

    number: str = field(repr=False)
    amount: Money
    reference: str
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _money_to_move(self.amount)


@dataclass(frozen=True, kw_only=True)
class CodeRequest:
    """Make a code for whoever scans it first: it gives the points for a purchase of `amount`."""

    amount: Money
    reference: str
    extra: Extra | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _money_to_move(self.amount)


@dataclass(frozen=True, kw_only=True)
class FindRequest:
    """How did the operation `reference` of ours end? `verb` says what was asked, about which card and amount.

    `provider_reference` is the provider's handle where an answer gave one; a void's `original` is that of what it
    undoes.
    """

    verb: str
    reference: str
    provider_reference: str = ""
    original: str = ""
    number: str = field(default="", repr=False)
    amount: Money | None = None


def _money_to_move(amount: object) -> None:
    if not isinstance(amount, Money):
        raise TypeError("Money is moved as Money.")
    _some(amount.minor)


def _some(count: int) -> None:
    # A payment of less than nothing is a top-up nobody paid for.
    if not 0 < count <= HARD_CAP:
        raise MoneyError("What is moved is more than nothing, and not more than a card can hold.")
