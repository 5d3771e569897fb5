"""The providers that are asked in a run: their cards, what is wanted of them, and how they are connected."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import ProxyHandler, build_opener

from portal.connectors import PROVIDERS, connect
from portal.connectors.base import BalanceRequest
from portal.connectors.fields import secret_names
from portal.connectors.http import Wire
from portal.connectors.results import POINTS, TOTAL
from portal.money import Money, Points


@dataclass(frozen=True, kw_only=True)
class Provider:
    """`first` is the first of its cards for load runs, which differ in their last three digits; on each is `start`:
    minor units, and points. `verbs` are what people want there, and how often. `movers` are the beginnings of paths
    that move value or lead there, `lookers` of those that look."""

    slug: str
    currency: str
    first: int
    start: tuple[int, int]
    verbs: Mapping[str, int]
    movers: Sequence[str]
    lookers: Sequence[str]

    def number(self, place: int | str) -> str:
        """A card, by its place or the last four digits of its number."""
        return str(self.first + int(place))

    def has(self, number: str) -> bool:
        """Whether it is one of its cards."""
        return self.number(number[-3:]) == number

    def settings(self, sandbox: str) -> dict[str, str]:
        """All settings of a connection to the imitated one, secrets included."""
        with build_opener(ProxyHandler({})).open(f"{sandbox}/_sandbox/credentials", timeout=30) as answer:
            keys = json.load(answer)[self.slug]
        known = {name: value for name, value in keys.items() if name in PROVIDERS[self.slug].Settings.declared()}
        return {**known, "base_url": f"{sandbox}/{self.slug}", "currency": self.currency}

    def options(self, sandbox: str) -> tuple[dict[str, object], dict[str, str]]:
        """The same, what is not secret and what is."""
        declared, settings = PROVIDERS[self.slug].Settings, self.settings(sandbox)
        secrets = {name: settings[name] for name in secret_names(declared)}
        return declared.options(settings), secrets

    def balances(self, sandbox: str, numbers: Sequence[str]) -> dict[str, tuple[int, int]]:
        """What stands on these cards now: minor units and points, as the provider itself tells."""
        wire = Wire(allow=[sandbox])
        desk = connect(self.slug, self.settings(sandbox), wire=wire, environment="sandbox")
        found = {}
        for number in numbers:
            told: dict[str, Any] = {
                each.kind: each.value for each in desk.balance(BalanceRequest(number=number)).balances
            }
            money, points = told.get(TOTAL, Money(0, self.currency)), told.get(POINTS, Points(0))
            found[number] = (money.minor, points.count)
        wire.close()
        return found


PAYWIZARD = Provider(
    slug="paywizard",
    currency="USD",
    first=914639_000000000,
    start=(10_000_00, 10_000),
    verbs={"pay": 35, "top_up": 20, "issue_points": 20, "redeem_points": 15, "void": 10},
    movers=[f"/ovstrade/openLoyaltyPay/{each}" for each in ("giftTransaction", "giftIssuance", "giftVoid", "loyalty")],
    lookers=["/ovstrade/openLoyaltyPay/giftInquiry"],
)
SECUCONNECT = Provider(
    slug="secuconnect",
    currency="EUR",
    first=9276_1000_0000_0000,
    start=(1_000_00, 0),
    # A cancellation has no reference of its own in the journal, so the checker could not tell whose it is.
    verbs={"top_up": 55, "pay": 45},
    movers=["/api/v2/Smart/Transactions/"],
    lookers=["/api/v2/Smart/Transactions", "/api/v2/Loyalty/MerchantCards"],
)
# In no load run: each of its payments needs a look-up of its own first.
CARDINQUIRY = Provider(
    slug="cardinquiry",
    currency="EUR",
    first=628039000001_2345,
    start=(42_00, 0),
    verbs={"pay": 1},
    movers=["/SaleCreate"],
    lookers=["/CardInquiry"],
)
STORMED = {each.slug: each for each in (PAYWIZARD, SECUCONNECT)}  # those of the load runs
ALL = {**STORMED, CARDINQUIRY.slug: CARDINQUIRY}


def of(number: str) -> Provider:
    """Whose card this is."""
    [found] = [each for each in STORMED.values() if each.has(number)]
    return found
