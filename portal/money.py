"""Amounts of money and numbers of points: two types that cannot be mixed. It knows no locale and no database.

Money is an integer of minor units (cents) with its ISO 4217 currency, points are an integer without one. A
float never gets in: 0.1 + 0.2 is not 0.3, and a till would notice.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, total_ordering

import iso4217

HARD_CAP = 10**9
"""The largest amount read from a text or a provider, in minor units, either sign: ten million euros. No gift
card holds that much, so anything above is a mistake or an attack, and every sum of such amounts still fits a
64-bit column with nine digits to spare."""

_WRITTEN = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?")
_LONGEST = 48  # what _WRITTEN can match at most; checked first so that a megabyte of digits costs nothing
_SPREAD = 60  # no honest amount needs a larger power of ten; keeps 1E+1000000 from ever being multiplied out


class MoneyError(ValueError):
    """An amount or a currency that cannot be taken; the message is one sentence without the input."""


class CurrencyMismatch(MoneyError):
    """Two amounts of different currencies met. There is no conversion, ever."""


@lru_cache(maxsize=None, typed=True)
def minor_digits(currency: str) -> int:
    """How many decimals `currency` has by ISO 4217: JPY 0, EUR 2, KWD 3.

    Raises MoneyError for anything that is not the code of a currency money is held in: unknown or lower-case
    codes, and those without minor units such as XXX (none), XTS (testing) and XAU (gold).
    """
    try:
        digits = iso4217.Currency(currency).exponent if isinstance(currency, str) else None
    except ValueError:
        digits = None
    if digits is None:
        raise MoneyError("This is not an ISO 4217 currency code such as EUR.")
    return int(digits)


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """`minor` minor units of `currency`, e.g. Money(2550, "EUR") for €25.50.

    Adding, subtracting and ordering need the same currency (else CurrencyMismatch) and the same type (else
    TypeError); `==` across currencies or types is simply false. Raises TypeError for a `minor` that is no
    int, MoneyError for a `currency` that is none. A sum may exceed HARD_CAP; only what is read from outside
    is held to it.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        _whole(self.minor)
        minor_digits(self.currency)

    @classmethod
    def from_decimal(cls, amount: str | Decimal, currency: str) -> "Money":
        """The exact amount of a decimal such as "25.50" or Decimal("25.5"), or MoneyError; never rounded.

        Refused: NaN, infinities, digits outside ASCII, any separator but one point, -0, more than HARD_CAP,
        powers of ten no amount needs, and a fraction of a minor unit. In a text even surplus zeros are
        refused, because "1.000" is a thousand to half of Europe; a Decimal is a number already, so its zeros
        say nothing. A float, an int or anything else raises TypeError.
        """
        places = minor_digits(currency)
        if isinstance(amount, str):
            number = _read(amount, places)
        elif isinstance(amount, Decimal):
            number = amount
        else:
            raise TypeError("An amount is read from a text or a Decimal.")
        if not number.is_finite():
            raise MoneyError("An amount is a finite number.")
        return cls(_minor_units(number, places), currency)

    def decimal_text(self) -> str:
        """The amount with a point and exactly the currency's decimals: "25.50", JPY "100", KWD "1.005"."""
        places = minor_digits(self.currency)
        digits = str(abs(self.minor)).rjust(places + 1, "0")
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"

    def __add__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor + self._same_currency(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        return Money(self.minor - self._same_currency(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.minor < self._same_currency(other)

    def _same_currency(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be put together.")
        return other.minor


@total_ordering
@dataclass(frozen=True, slots=True)
class Points:
    """`count` loyalty points. They are no money: meeting a Money raises TypeError, `==` with one is false."""

    count: int

    def __post_init__(self) -> None:
        _whole(self.count)

    def __add__(self, other: "Points") -> "Points":
        return Points(self.count + other.count) if isinstance(other, Points) else NotImplemented

    def __sub__(self, other: "Points") -> "Points":
        return Points(self.count - other.count) if isinstance(other, Points) else NotImplemented

    def __neg__(self) -> "Points":
        return Points(-self.count)

    def __lt__(self, other: "Points") -> bool:
        return self.count < other.count if isinstance(other, Points) else NotImplemented


def _whole(number: object) -> None:
    # A bool is an int to Python; True points are a bug, not one point.
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError("Money and points are counted in whole numbers.")


def _read(text: str, places: int) -> Decimal:
    if len(text) > _LONGEST or not _WRITTEN.fullmatch(text):
        raise MoneyError("This is not an amount such as 25.50.")
    fraction = re.split("[eE]", text)[0].partition(".")[2]
    if len(fraction) > places:
        raise MoneyError("This has more decimals than the currency.")
    return Decimal(text)


def _minor_units(number: Decimal, places: int) -> int:
    # By integers, not by Decimal arithmetic: that rounds to the precision of whatever context is active.
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "finite numbers only"
    if len(digits) > _SPREAD or abs(exponent) > _SPREAD:
        raise MoneyError("This amount is too large or too finely divided.")
    shift = exponent + places
    coefficient = int("".join(map(str, digits)))
    minor, rest = divmod(coefficient * int(10 ** max(shift, 0)), int(10 ** max(-shift, 0)))
    if rest:
        raise MoneyError("This has more decimals than the currency.")
    if minor > HARD_CAP:
        raise MoneyError("This amount is too large.")
    if sign and not minor:
        raise MoneyError("Minus zero is no amount.")
    return -minor if sign else minor
