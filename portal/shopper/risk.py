"""How likely a guess is, and how many wrong tries a day a page bears. Arithmetic, no database.

Of N cards in use, a guess of d last digits and a PIN of p of 10 (or 36) characters finds one with N / 10^d / 10^p. A
whole number helps only where numbers cannot be guessed: in sequence, one of four is a card.
"""

from dataclasses import dataclass

from portal.shopper.models import BalancePage

LIVE_IN_SEQUENCE = 0.25  # of numbers that follow one another, so many are cards in use
LEAST, MOST = 20, 5_000  # wrong tries a day: below, people's slips alone close the page; above, nobody looks any more


@dataclass(frozen=True, kw_only=True)
class Risk:
    """What a page's settings mean. `chance` is that of one guess; `budget` are wrong tries in 24 hours, `wanted` those
    that the arithmetic allows; `finds_a_year` are cards found by somebody who uses the budget up every day, `days` the
    days until the first."""

    chance: float
    wanted: float
    budget: int
    finds_a_year: float
    days: float

    @property
    def is_bearable(self) -> bool:
        """Whether the page closes early enough for what the merchant finds bearable."""
        return self.wanted >= LEAST


def of(page: BalancePage, *, with_pin: bool = True) -> Risk:
    """The risk of a page as it is set. `with_pin`: whether its cards have one."""
    chance = chance_of(page, with_pin=with_pin)
    wanted = page.finds_a_year / 365 / chance
    budget = int(min(max(wanted, LEAST), MOST))
    a_year = budget * 365 * chance
    return Risk(chance=chance, wanted=wanted, budget=budget, finds_a_year=a_year, days=365 / a_year)


def chance_of(page: BalancePage, *, with_pin: bool = True) -> float:
    """That one guess shows a balance."""
    if page.last_digits:
        number = page.cards_in_use / 10**page.last_digits
    elif page.in_sequence:
        number = LIVE_IN_SEQUENCE
    else:
        number = page.cards_in_use / 10**page.number_length
    pin = (36 if page.pin_letters else 10) ** -page.pin_length if with_pin else 1.0
    return min(float(number), 1.0) * float(pin)
