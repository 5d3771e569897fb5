"""A basket as people read it: on the sentence to confirm, on the operation's page, on its papers."""

from dataclasses import dataclass

from django.utils.translation import gettext, ngettext

from portal import formats
from portal.connectors.base import BasketLine
from portal.ledger import baskets
from portal.ledger.baskets import Basket
from portal.ledger.models import Approval, Operation
from portal.money import Money


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: what it is, its numbers, how many at which price and rate, and what they come to."""

    text: str
    numbers: str
    pieces: str
    amount: str


@dataclass(frozen=True, kw_only=True)
class View:
    """A whole basket. `load` is what goes onto the card, "" where nothing does."""

    lines: list[Line]
    load: str
    total: str


def view(basket: Basket) -> View:
    """The basket in words."""
    return View(
        lines=[_line(each) for each in basket.lines],
        load=formats.money(basket.load) if basket.load else "",
        total=formats.money(basket.total),
    )


def of(row: Operation | Approval) -> View | None:
    """What a sale sells, None for anything else."""
    if row.verb != "sale":
        return None
    return view(baskets.read(row.basket, load=row.load_minor, currency=row.currency))


def goods(basket: Basket) -> str:
    """Dining service, 2 × Cup and 3 more articles: what is sold, in one breath."""
    named = [f"{line.quantity} × {line.text}" if line.quantity > 1 else line.text for line in basket.lines[:2]]
    rest = len(basket.lines) - len(named)
    if rest:
        named.append(ngettext("%(count)d more article", "%(count)d more articles", rest) % {"count": rest})
    return formats.listed(named)


def goods_price(basket: Basket) -> str:
    """What the goods cost, without the load."""
    return formats.money(baskets.total(basket.lines, None))


def _line(line: BasketLine) -> Line:
    article = gettext("Article %(number)s") % {"number": line.article} if line.article else ""
    numbers = [article, gettext("EAN %(number)s") % {"number": line.ean} if line.ean else ""]
    pieces = gettext("%(count)s × %(price)s, %(vat)s %% VAT") % {
        "count": formats.number(line.quantity),
        "price": formats.money(Money(line.price.minor, line.price.currency)),
        "vat": line.vat,
    }
    return Line(
        text=line.text,
        numbers=" · ".join(filter(None, numbers)),
        pieces=pieces,
        amount=formats.money(line.total),
    )
