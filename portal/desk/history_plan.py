"""What customers of Bäckerei Jung wanted in the last month: the lines of the demo's history, before they are made."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count

from portal.connectors.base import BasketLine
from portal.ledger.baskets import Basket
from portal.ledger.models import Operation
from portal.merchants.roles import Role
from portal.money import Money

DAYS = 30
CURRENCIES = {"paywizard": "USD", "secuconnect": "EUR"}

# Cards of the sandbox that nobody tries by hand: forty for every day, and one for each that needs a person.
CARDS = [f"914639000000{end}" for end in range(900, 940)]
UNCLEAR_CARDS = [f"914639000000{end}" for end in range(940, 943)]
# Asked for and refused: more than there is on it, not active yet, nothing on it.
REFUSED = [("914639258868503", 12_50), ("914639258868501", 5_00), ("914639258868502", 8_40)]
# The answer is lost, and it did happen: the balance, or the provider's record, proves it.
LOST = ["cut", "error_after", "garbage"]

# The house's own cards are at secuconnect: with 10 % bonus and without, and one that is locked.
OWN_CARDS = [*(f"9276200000000{end}" for end in range(900, 908)), *(f"9276100000000{end}" for end in range(920, 924))]
LOCKED = "9276004424644002"
GOODS = [
    BasketLine(text="Bauernbrot 1 kg", article="101", quantity=1, price=Money(4_90, "EUR"), vat=7),
    BasketLine(text="Laugenbrezel", article="120", quantity=4, price=Money(95, "EUR"), vat=7),
    BasketLine(text="Butterkuchen", article="204", quantity=2, price=Money(2_60, "EUR"), vat=7),
    BasketLine(text="Filterkaffee 250 g", article="310", quantity=1, price=Money(6_49, "EUR"), vat=7),
    BasketLine(text="Brotkasten", article="402", quantity=1, price=Money(24_90, "EUR"), vat=19),
]


@dataclass(kw_only=True)
class Wanted:
    """One line, before it is asked for. `card` is "" where one is made; `lost` is how its answer gets lost, `unread`
    that the card cannot be read afterwards either; `made` is what became of it."""

    at: datetime
    role: Role
    verb: str
    card: str
    amount: int
    provider: str = "paywizard"
    basket: Basket | None = None
    original: "Wanted | None" = None
    lost: str = ""
    unread: bool = False
    made: Operation | None = field(default=None, repr=False)


def plan(now: datetime, *, days: int = DAYS) -> list[Wanted]:
    """The same wishes in every run, oldest first; only the days move along."""
    return sorted([*_at_paywizard(now, days), *_at_secuconnect(now, days)], key=lambda line: line.at)


# ---- Gift cards -----------------------------------------------------------------------------------------------
def _at_paywizard(now: datetime, days: int) -> list[Wanted]:
    chance = random.Random("Bäckerei Jung")
    visitors = count()
    wanted: list[Wanted] = []
    for ago in range(days, 0, -1):
        wanted += _day(chance, visitors, now.date() - timedelta(days=ago), now)
    ask, boss = Role.CASHIER, Role.MANAGER
    one, two, three = UNCLEAR_CARDS
    return [
        *wanted,
        Wanted(at=now - timedelta(hours=5), role=ask, verb="pay", card=one, amount=12_50, lost="timeout_before"),
        Wanted(at=now - timedelta(hours=3), role=ask, verb="top_up", card=two, amount=150_00, lost="redirect"),
        Wanted(at=now - timedelta(minutes=40), role=boss, verb="pay", card=three, amount=8_40, lost="cut", unread=True),
    ]


def _day(chance: random.Random, visitors: Iterator[int], day: date, now: datetime) -> list[Wanted]:
    """One day's customers; on Sundays few come."""
    opening = datetime.combine(day, datetime.min.time(), tzinfo=now.tzinfo) + timedelta(hours=7)
    visits = chance.randint(2, 4) if day.toordinal() % 7 == 0 else chance.randint(6, 9)
    lines: list[Wanted] = []
    for _ in range(visits):
        lines += _visit(chance, next(visitors), opening + timedelta(seconds=chance.randint(0, 10 * 3600)))
    return sorted(lines, key=lambda line: line.at)


def _visit(chance: random.Random, visitor: int, at: datetime) -> Iterator[Wanted]:
    """One customer. Who is refused and whose answer gets lost is counted, not diced: there are some in every run,
    whatever the day."""
    role = chance.choices([Role.CASHIER, Role.MANAGER, Role.OWNER], [8, 2, 1])[0]
    card, what = chance.choice(CARDS), chance.random()
    lost = chance.choice(LOST) if visitor % 25 == 7 else ""
    if visitor % 20 == 3:
        card, amount = chance.choice(REFUSED)
        yield Wanted(at=at, role=role, verb="pay", card=card, amount=amount)
    elif what < 0.21 and not lost:
        amount = chance.choice([10_00, 20_00, 25_00, 50_00])
        yield Wanted(at=at, role=role, verb="top_up", card=card, amount=amount)
    elif what < 0.29 and not lost:
        yield Wanted(at=at, role=role, verb="redeem_points", card=card, amount=chance.choice([50, 100, 200]))
    else:
        amount = chance.randint(32, 480) * 10
        payment = Wanted(at=at, role=role, verb="pay", card=card, amount=amount, lost=lost)
        yield payment
        yield from _afterwards(chance, payment)


def _afterwards(chance: random.Random, payment: Wanted) -> Iterator[Wanted]:
    """What follows some payments; not one whose answer was lost, which keeps its card busy for a while."""
    role, card, what = payment.role, payment.card, chance.random()
    soon, later = payment.at + timedelta(seconds=50), payment.at + timedelta(minutes=6)
    if payment.lost:
        return
    if what < 0.35:
        yield Wanted(at=soon, role=role, verb="issue_points", card=card, amount=max(payment.amount // 100, 1))
    elif what < 0.45:
        amount = chance.choice([50, 1_00, 2_00])
        yield Wanted(at=soon, role=role, verb="tip", card=card, amount=amount, original=payment)
    elif what < 0.52:
        yield Wanted(at=later, role=role, verb="void", card=card, amount=payment.amount, original=payment)


# ---- The house's own cards ------------------------------------------------------------------------------------
def _at_secuconnect(now: datetime, days: int) -> Iterator[Wanted]:
    """Two or three a day. Who is refused, what is taken back and whose answer gets lost is counted, not diced."""
    chance = random.Random("Die Karte der Bäckerei Jung")
    visitors = count()
    for ago in range(days, 0, -1):
        day = datetime.combine(now.date() - timedelta(days=ago), datetime.min.time(), tzinfo=now.tzinfo)
        times = sorted(chance.randint(7 * 3600, 17 * 3600) for _ in range(chance.randint(2, 3)))
        for seconds in times:
            yield from _own_visit(chance, next(visitors), day + timedelta(seconds=seconds))


def _own_visit(chance: random.Random, visitor: int, at: datetime) -> Iterator[Wanted]:
    role, card, what = chance.choices([Role.CASHIER, Role.MANAGER], [5, 1])[0], chance.choice(OWN_CARDS), visitor % 11
    load = chance.choice([10_00, 20_00, 30_00])
    if what == 9:
        yield _own(at, Role.MANAGER, "activate", "", 0)
    elif what == 6:
        yield _own(at, role, "pay", LOCKED, 7_50)
    elif what in (1, 7):
        yield _own(at, role, "top_up", card, load, lost=LOST[visitor % 3] if what == 7 else "")
    elif what in (3, 4, 8):
        yield _own(at, role, "pay", card, chance.randint(25, 180) * 10)
    else:
        basket = Basket(
            lines=tuple(chance.sample(GOODS, chance.randint(1, 3))), load=Money(load, "EUR") if what == 5 else None
        )
        sale = _own(at, role, "sale", card, basket.total.minor, basket=basket)
        yield sale
        if what == 10:
            yield _own(at + timedelta(minutes=4), Role.MANAGER, "void", card, sale.amount, original=sale)


def _own(
    at: datetime,
    role: Role,
    verb: str,
    card: str,
    amount: int,
    *,
    basket: Basket | None = None,
    original: Wanted | None = None,
    lost: str = "",
) -> Wanted:
    return Wanted(
        at=at,
        role=role,
        verb=verb,
        card=card,
        amount=amount,
        provider="secuconnect",
        basket=basket,
        original=original,
        lost=lost,
    )
