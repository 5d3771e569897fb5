"""What is sold in one sale: lines of goods, and what is loaded onto the card beside them. Pure: knows no row.

A basket is kept as JSON, a list of lines; the load stands beside it in a column of its own, so that sums of what went
onto cards need not look into baskets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stdnum import ean

from portal.connectors.base import BasketLine
from portal.connectors.redaction import printable
from portal.connectors.requests import HIGHEST_VAT, LONGEST_BASKET, MOST_PIECES
from portal.money import HARD_CAP, Money, MoneyError

LONGEST_TEXT, LONGEST_ARTICLE = 100, 40
KEPT_AT_MOST = 60_000
"""Characters of the longest basket as it is kept; the database holds to it, too."""

_MEMBERS = frozenset({"text", "article", "ean", "quantity", "price", "vat"})


class WrongBasket(ValueError):
    """What is kept, or came back from a page, is no basket. `why` is one of operations.CannotAsk's words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Basket:
    """What is sold, and what is loaded with it. All in one currency."""

    lines: tuple[BasketLine, ...]
    load: Money | None = None

    @property
    def total(self) -> Money:
        """What is to be paid."""
        return total(self.lines, self.load)

    def kept(self) -> list[dict[str, Any]]:
        """Its lines as JSON."""
        return [
            {
                "text": line.text,
                "article": line.article,
                "ean": line.ean,
                "quantity": line.quantity,
                "price": line.price.minor,
                "vat": line.vat,
            }
            for line in self.lines
        ]


def total(lines: tuple[BasketLine, ...], load: Money | None) -> Money:
    """The sum of lines and load, of at least one of which there is one."""
    parts = [line.total for line in lines] + ([load] if load else [])
    return sum(parts[1:], parts[0])


def is_gtin(number: str) -> bool:
    """Whether it is a GTIN of 8, 12, 13 or 14 digits with a right check digit."""
    return number.isascii() and number.isdigit() and ean.is_valid(number)


def read(kept: object, *, load: int | None, currency: str) -> Basket:
    """The basket of what `Basket.kept` made, or of what a page says it was. Raises WrongBasket."""
    if not isinstance(kept, list) or not kept or len(kept) > LONGEST_BASKET:
        raise WrongBasket("basket_wanted")
    lines = tuple(_line(each, currency) for each in kept)
    if load is not None and not 0 < load <= HARD_CAP:
        raise WrongBasket("amount_out_of_range")
    basket = Basket(lines=lines, load=None if load is None else Money(load, currency))
    if basket.total.minor > HARD_CAP:
        raise WrongBasket("amount_out_of_range")
    return basket


def _line(kept: object, currency: str) -> BasketLine:
    if not isinstance(kept, Mapping) or kept.keys() != _MEMBERS:
        raise WrongBasket("basket_wanted")
    texts = {name: kept[name] for name in ("text", "article", "ean")}
    numbers = {name: kept[name] for name in ("quantity", "price", "vat")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise WrongBasket("basket_wanted")
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers.values()):
        raise WrongBasket("basket_wanted")
    if not 0 < numbers["price"] <= HARD_CAP or not 0 < numbers["quantity"] <= MOST_PIECES:
        raise WrongBasket("amount_out_of_range")
    fits = (
        0 < len(texts["text"]) <= LONGEST_TEXT
        and len(texts["article"]) <= LONGEST_ARTICLE
        and not any(unfit(text) for text in texts.values())
        and 0 <= numbers["vat"] <= HIGHEST_VAT
    )
    if not fits or (texts["ean"] and not is_gtin(texts["ean"])):
        raise WrongBasket("wrong_line")
    try:
        return BasketLine(
            **texts, quantity=numbers["quantity"], price=Money(numbers["price"], currency), vat=numbers["vat"]
        )
    except MoneyError:
        raise WrongBasket("wrong_line") from None


def unfit(text: str) -> bool:
    """Whether something in it cannot be seen, or does not stay on its line."""
    return printable(text) != text or re.search(r"[\t\r\n]", text) is not None
