"""What comes back from a provider: a reading of a card, or the receipt of something done. Knows no provider."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from portal.connectors.requests import CustomerDetails
from portal.money import Money, Points

TOTAL = "total"
POINTS = "points"
OTHER_CURRENCY = "other_currency"
CASH = "cash"
BONUS = "bonus"


class CardStatus(StrEnum):
    """What a provider's answer says about the card."""

    USABLE = "usable"
    EMPTY = "empty"  # good, with nothing on it
    EXPIRED = "expired"  # the details were right
    NEEDS_FULL_NUMBER = "needs_full_number"  # ask for the whole number
    NEAR_MISS = "near_miss"  # the PIN has a small slip: a hint for staff, for the public the same as not found
    NOT_FOUND = "not_found"  # no such card, or the wrong PIN: providers do not say which


@dataclass(frozen=True)
class Balance:
    """One of a card's balances.

    `kind` is TOTAL for all its money in the connection's currency, POINTS, or OTHER_CURRENCY for money this
    connection can show and never move. CASH and BONUS are the parts of a TOTAL, where a provider tells what was paid in
    from what was given.
    """

    kind: str
    value: Money | Points


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a provider says of one card now.

    `balances` is empty where the provider named none, which is not the same as a balance of zero. At most one
    of the two expiries is set. `expires` is a day: the card is good to the end of it in the merchant's time
    zone, which the caller knows and we do not. `expires_at` is an aware moment: good before it. `description`
    is the provider's text on the card, or on why there is none: cleaned, to be escaped. `usage_token` stands
    for card and PIN in a later sale and is a secret. `status_word` is the provider's own word, "" where it
    gave none. `customer` is None where the provider keeps, or tells, nothing of the holder; foreign text too.
    """

    status: CardStatus
    balances: tuple[Balance, ...] = ()
    expires: date | None = None
    expires_at: datetime | None = None
    description: str = ""
    usage_token: str = field(default="", repr=False)
    status_word: str = ""
    customer: CustomerDetails | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.expires is not None and (self.expires_at is not None or isinstance(self.expires, datetime)):
            raise ValueError("A card expires after a day or at a moment, not both.")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Proof that what was asked is done.

    `provider_reference` is the provider's handle for it, "" where it has none: keep it, a void or a tip needs
    it. `balances` are the card's afterwards, empty where the answer names none. `lines` is the provider's own
    receipt in plain text. `raw` is the answer as it may be kept: redacted and cut. `number` is that of a card
    which was made, where one was.
    """

    provider_reference: str
    balances: tuple[Balance, ...] = ()
    lines: tuple[str, ...] = ()
    raw: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
