"""What a card pays of a basket: its bonus first, as a discount for each VAT rate, then the money on it.

Documented: that all of a card is applied, that bonus lowers the basket by products of a negative price, one for each
VAT rate and named as here, that money does not, that what is left is `missing_sum`. ASSUMED: the bonus is spread over
the rates as the goods are, half a cent up, the last rate takes what is left over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NUMBERS: Mapping[int, str] = {7: "111111117", 19: "1111111119"}


@dataclass(frozen=True, kw_only=True)
class Spending:
    """In cents. `bonus` is (VAT rate in percent, cents) for each rate."""

    cash: int
    bonus: Sequence[tuple[int, int]]
    missing: int

    @property
    def bonus_sum(self) -> int:
        return sum(cents for _rate, cents in self.bonus)

    @property
    def total(self) -> int:
        return self.cash + self.bonus_sum

    def products(self, lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The discounts as they stand in the basket below `lines`."""
        first = max((line["id"] for line in lines), default=0) + 1
        return [
            {
                "id": first + place,
                "articleNumber": NUMBERS.get(rate, ""),
                "ean": NUMBERS.get(rate, ""),
                "quantity": 1,
                "priceOne": -cents,
                "tax": rate,
                "desc": f"Bonus Steuer {rate}",
            }
            for place, (rate, cents) in enumerate(self.bonus)
        ]

    def as_plain(self) -> dict[str, Any]:
        return asdict(self)


def from_plain(kept: Mapping[str, Any]) -> Spending:
    return Spending(
        cash=kept["cash"], bonus=tuple((rate, cents) for rate, cents in kept["bonus"]), missing=kept["missing"]
    )


def spending(*, cash: int, bonus: int, lines: Sequence[Mapping[str, Any]], due: int) -> Spending:
    """What a card with so much on it pays of what is due."""
    given = min(bonus, due)
    paid = min(cash, due - given)
    return Spending(cash=paid, bonus=_by_rate(given, lines), missing=due - given - paid)


def _by_rate(given: int, lines: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, int], ...]:
    totals: dict[int, int] = {}
    for line in lines:
        totals[line["tax"]] = totals.get(line["tax"], 0) + line["priceOne"] * line["quantity"]
    whole = sum(totals.values())
    if not whole:
        return ((0, given),) if given else ()
    left, shares = given, []
    for place, (rate, total) in enumerate(sorted(totals.items()), start=1):
        share = left if place == len(totals) else min(left, (2 * given * total + whole) // (2 * whole))
        left -= share
        shares.append((rate, share))
    return tuple((rate, share) for rate, share in shares if share)
