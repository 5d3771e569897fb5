"""What comes back from a provider: a reading of a card, or the receipt of something done. Knows no provider."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Self

from portal.connectors.redaction import clean
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
    gave none. `customer` is None where the provider keeps, or tells, nothing of the holder; foreign text too. `number`
    is the whole number of the card, as `clean_number` returns it, where what was asked for may be less and the answer,
    or the settings, tell it.
    """

    status: CardStatus
    balances: tuple[Balance, ...] = ()
    expires: date | None = None
    expires_at: datetime | None = None
    description: str = ""
    usage_token: str = field(default="", repr=False)
    status_word: str = ""
    number: str = field(default="", repr=False)
    customer: CustomerDetails | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.expires is not None and (self.expires_at is not None or isinstance(self.expires, datetime)):
            raise ValueError("A card expires after a day or at a moment, not both.")


class LineKind(StrEnum):
    """What a line of a receipt is. The words are stored."""

    SEPARATOR = "separator"  # begins a block; `text` is its heading, "" for a rule
    PAIR = "pair"  # `name` on the left, `text` on the right
    TEXT = "text"
    SPACE = "space"
    CUT = "cut"  # the receipt went on


class Align(StrEnum):
    """Where a line of text stands. The words are stored."""

    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


MOST_LINES = 200
LONGEST_LINE = 200


@dataclass(frozen=True, kw_only=True)
class ReceiptLine:
    """One line of a receipt: every provider's and our own papers' alike.

    Its texts are foreign and for people: one line each, cut and without invisible signs, to be escaped where they are
    shown. No amount is ever read out of them.
    """

    kind: LineKind
    name: str = ""
    text: str = ""
    important: bool = False
    align: Align = Align.LEFT

    def __post_init__(self) -> None:
        for part in ("name", "text"):
            object.__setattr__(self, part, clean(getattr(self, part), limit=LONGEST_LINE))

    @classmethod
    def separator(cls, caption: str = "") -> Self:
        return cls(kind=LineKind.SEPARATOR, text=caption)

    @classmethod
    def pair(cls, name: str, text: str, *, important: bool = False) -> Self:
        return cls(kind=LineKind.PAIR, name=name, text=text, important=important)

    @classmethod
    def of_text(cls, text: str, *, important: bool = False, align: Align = Align.LEFT) -> Self:
        return cls(kind=LineKind.TEXT, text=text, important=important, align=align)

    @classmethod
    def space(cls) -> Self:
        return cls(kind=LineKind.SPACE)

    @classmethod
    def cut(cls) -> Self:
        return cls(kind=LineKind.CUT)

    def as_plain(self) -> dict[str, str | bool]:
        """What of it is to be stored, for from_plain."""
        align = "" if self.align == Align.LEFT else self.align.value
        told: dict[str, str | bool] = {"kind": self.kind.value, "name": self.name, "text": self.text, "align": align}
        return {name: value for name, value in {**told, "important": self.important}.items() if value}

    @classmethod
    def from_plain(cls, stored: Mapping[str, object]) -> Self:
        return cls(
            kind=LineKind(str(stored["kind"])),
            name=str(stored.get("name", "")),
            text=str(stored.get("text", "")),
            important=bool(stored.get("important")),
            align=Align(str(stored.get("align", Align.LEFT))),
        )


def first_lines(lines: Iterable[ReceiptLine]) -> tuple[ReceiptLine, ...]:
    """As many lines as we keep, and whether there were more."""
    kept: list[ReceiptLine] = []
    for line in lines:
        if len(kept) == MOST_LINES:
            return (*kept, ReceiptLine.cut())
        kept.append(line)
    return tuple(kept)


@dataclass(frozen=True, kw_only=True)
class News:
    """What a provider told by itself, in a message that is proved to be its own.

    `nonce` is the message's own: one that comes again is somebody else's copy. `claimed` is the provider's handle (the
    `provider_reference` of the Receipt) of a code that somebody has claimed, "" where the message says nothing that we
    know; `amount` is what the code was made for and `points` what it gave, each None where it is not told.
    """

    nonce: str
    claimed: str = ""
    amount: Money | None = None
    points: Points | None = None


class Unproved(Exception):
    """A message that came in and may be anybody's."""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Proof that what was asked is done.

    `provider_reference` is the provider's handle for it, "" where it has none: keep it, a void or a tip needs
    it. `balances` are the card's afterwards, empty where the answer names none. `lines` is the provider's own
    receipt, at most `first_lines` of it. `raw` is the answer as it may be kept: redacted and cut. `number` is that of
    a card which was made, where one was. `code` is what a customer scans, where a code was made: whoever has it has
    what it gives.
    """

    provider_reference: str
    balances: tuple[Balance, ...] = ()
    lines: tuple[ReceiptLine, ...] = ()
    raw: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    code: str = field(default="", repr=False)
