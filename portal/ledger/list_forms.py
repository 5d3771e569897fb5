"""Which operations, and which cards, are wanted: as the address of the list says it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import dates, formats
from portal.connectors.base import CardStatus
from portal.dates import Period
from portal.ledger import words
from portal.ledger.amounts import read_amount
from portal.ledger.listing import Wanted
from portal.ledger.models import Card, Operation, OperationState
from portal.ledger.operation_words import TITLES
from portal.merchants import audit
from portal.merchants.models import Connection, Environment, Merchant, Person, Store, Till
from portal.money import minor_digits

M = TypeVar("M", bound=Model)

MACHINE = "tillside"
MORE = "more"  # in the address: show all fields
NOT_DONE = (OperationState.REFUSED, OperationState.FAILED)
SORTS: dict[str, Promise] = {"": _("Newest first"), "oldest": _("Oldest first")}
SETTLED: dict[str, Promise] = {
    "answer": _("The provider's answer"),
    "balance": _("The card's balance"),
    "record": _("The provider's own record"),
    "resending": _("The same sent again"),
    "person": _("A person"),
}


@dataclass(frozen=True, kw_only=True)
class Around:
    """What a merchant has that a list can be narrowed to. Tills and people are asked for when somebody wants them."""

    merchant: Merchant
    connections: Sequence[Connection]

    @cached_property
    def tills(self) -> list[Till]:
        mine = Till.objects.select_related("store").filter(merchant=self.merchant)
        return list(mine.order_by("store__name", "name", "id"))

    @cached_property
    def people(self) -> list[Person]:
        return audit.people(self.merchant)

    @property
    def stores(self) -> list[Store]:
        return list({till.store_id: till.store for till in self.tills}.values())

    @property
    def currencies(self) -> set[str]:
        """What amounts here may be in."""
        used = {str(each.options.get("currency", "")) for each in self.connections}
        return {currency for currency in used | {self.merchant.currency} if currency}


class ListForm(forms.Form):
    """What both lists have: days, a connection, live or sandbox, amounts from and up to, and the order. All may be
    left open. The fields `folded` away are made when one of them is used, or wanted: each costs a page something."""

    folded: Sequence[str] = ()

    def __init__(self, given: Any, *, around: Around) -> None:
        super().__init__(dates.spelled_out(given))
        self.around = around
        self.fields |= dates.fields()
        self.period = Period()
        self.wants_more = MORE in given
        self.shows_more = self.wants_more or any(given.get(name) for name in self.folded)

    def choice(self, name: str, label: Any, any_of: Any, choices: Iterable[tuple[str, Any]]) -> None:
        """Add a field with these choices, and one that leaves it open."""
        self.fields[name] = forms.ChoiceField(
            label=label,
            required=False,
            choices=[("", any_of), *choices],
            error_messages={"invalid_choice": _("Choose one of those listed.")},
        )

    def add_common(self) -> None:
        """Add what both lists have, in this place."""
        self.choice("sort", _("Order"), SORTS[""], [("oldest", SORTS["oldest"])])
        if not self.shows_more:
            self.fields["sort"].widget = forms.HiddenInput()
            return
        connections = [(str(each.key), each.name) for each in self.around.connections]
        self.choice("connection", _("Connection"), _("All"), connections)
        self.choice("environment", _("Environment"), _("Both"), Environment.choices)
        for name, label in (("least", self.amount_labels[0]), ("most", self.amount_labels[1])):
            self.fields[name] = forms.CharField(
                label=label, required=False, max_length=40, widget=forms.TextInput(attrs={"inputmode": "decimal"})
            )

    amount_labels: tuple[Any, Any] = (_("Amount from"), _("Amount up to"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.period = dates.read(self, cleaned)
        for name in ("least", "most"):
            if typed := cleaned.get(name):
                try:
                    cleaned[name] = _decimal(typed, self.around.merchant.currency)
                except ValidationError as wrong:
                    self.add_error(name, wrong)
        least, most = cleaned.get("least"), cleaned.get("most")
        if isinstance(least, Decimal) and isinstance(most, Decimal) and most < least:
            self.add_error("most", gettext("This is less than the other amount."))
        return cleaned

    def narrowed(self) -> dict[str, str]:
        """What was asked for, as the address says it, without what was left open."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}

    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return self.active() > 0

    def active(self) -> int:
        """By how many things it narrows the list; days are one."""
        return len({"when" if name in dates.NAMES else name for name in self.narrowed()} - {"sort"})

    def in_words(self) -> list[tuple[str, str]]:
        """What a valid form asks for, as the labels of its fields and what was chosen or typed; days as they are meant
        today. The order is not among them."""
        said = {name: self._in_words(name) for name in self.narrowed() if name not in ("since", "until", "sort")}
        return [(str(self.fields[name].label), text) for name, text in said.items() if text]

    def _in_words(self, name: str) -> str:
        if name == "when":
            return dates.in_words(self.period)
        if isinstance(self.fields[name], forms.ChoiceField):
            return " ".join(str(each.data["label"]) for each in self[name].subwidgets if each.data["selected"])
        return str(self.data[name])

    # ---- As conditions ----------------------------------------------------------------------------------------------
    def connected(self) -> Q:
        """Of the connection and the environment asked for."""
        key, environment = self._given("connection"), self._given("environment")
        if not key and not environment:
            return Q()
        wanted = [
            each.pk
            for each in self.around.connections
            if key in ("", str(each.key)) and environment in ("", each.environment)
        ]
        return Q(connection__in=wanted)

    def amounts(self, minor: str, currency: str) -> Q:
        """Between the amounts asked for, in each currency there is."""
        least, most = self.cleaned_data.get("least"), self.cleaned_data.get("most")
        if not least and not most:
            return Q()
        either = Q()
        for each in sorted(self.around.currencies):
            scale = Decimal(10) ** minor_digits(each)
            one = Q(**{currency: each})
            if least:
                one &= Q(**{f"{minor}__gte": -int(-least * scale // 1)})
            if most:
                one &= Q(**{f"{minor}__lte": int(most * scale // 1)})
            either |= one
        return either

    def _given(self, name: str) -> str:
        return str(self.cleaned_data.get(name, ""))

    def _list(self, rows: QuerySet[M], rest: Q, at: str, ids: list[int] | None) -> Wanted[M]:
        oldest_first = self.cleaned_data["sort"] == "oldest"
        if ids is None:
            return Wanted(rows=rows, at=at, rest=rest, oldest_first=oldest_first)
        return Wanted(rows=rows.filter(rest, pk__in=ids), at=at, rest=Q(), oldest_first=oldest_first, few=True)


class OperationsForm(ListForm):
    """Which operations."""

    folded = ("who", "place", "settled", "connection", "environment", "least", "most")

    def __init__(self, given: Any, *, around: Around) -> None:
        super().__init__(given, around=around)
        self.choice("state", _("Outcome"), _("All"), OperationState.choices)
        self.choice("verb", _("What"), _("Everything"), TITLES.items())
        if self.shows_more:
            self._add_more(around)
        self.add_common()

    def _add_more(self, around: Around) -> None:
        people = [(str(each.pk), each.name) for each in around.people]
        self.choice("who", _("Asked by"), _("Everybody"), [*people, (MACHINE, gettext("Tillside"))])
        stores = [(f"store-{each.pk}", each.name) for each in around.stores]
        tills = [(str(each.key), f"{each.store.name}: {each.name}") for each in around.tills]
        self.choice("place", _("Where"), _("Everywhere"), [*stores, *tills])
        self.choice("settled", _("Known by"), _("All"), SETTLED.items())

    def wanted(self, ids: list[int] | None = None) -> Wanted[Operation]:
        """What a valid form asks for, among `ids` if there are any."""
        rows = Operation.objects.filter(**_within(self.around.merchant, self.period, "asked_at"))
        rest = self.connected() & self.amounts("amount_minor", "currency")
        state, settled = self._given("state"), self._given("settled")
        if state == OperationState.DONE:
            rest &= Q(state=state)
        elif state in NOT_DONE:
            rows = rows.filter(state=state, ended_at__isnull=False)
        elif state:
            rows = rows.filter(state=state, ended_at=None)
        if settled == "answer":
            rest &= Q(settled_by=settled)
        elif settled:
            rows = rows.filter(settled_by=settled)
        if verb := self._given("verb"):
            rest &= _of(verb)
        if who := self._given("who"):
            rest &= Q(asked_by=None) if who == MACHINE else Q(asked_by=int(who))
        if where := self._given("place"):
            rest &= Q(till__in=[each.pk for each in self.around.tills if where in _names(each)])
        return self._list(rows, rest, "asked_at", ids)


class CardsForm(ListForm):
    """Which cards. The days are those on which Tillside first saw them."""

    folded = ("connection", "environment", "least", "most")
    amount_labels = (_("Balance from"), _("Balance up to"))

    def __init__(self, given: Any, *, around: Around) -> None:
        super().__init__(given, around=around)
        self.fields["when"].label = _("First seen")
        kinds = (CardStatus.USABLE, CardStatus.EMPTY, CardStatus.EXPIRED, CardStatus.NOT_FOUND)
        self.choice("status", _("Status"), _("All"), [(str(each), words.STATUS_WORDS[each][1]) for each in kinds])
        self.add_common()

    def wanted(self, ids: list[int] | None = None) -> Wanted[Card]:
        """What a valid form asks for, among `ids` if there are any."""
        rows = Card.objects.filter(**_within(self.around.merchant, self.period, "first_seen_at"))
        rest = self.connected() & self.amounts("balance_minor", "balance_currency")
        if status := self.cleaned_data["status"]:
            rest &= Q(card_status=status)
        return self._list(rows, rest, "first_seen_at", ids)


def _of(verb: str) -> Q:
    """As operations are called: a card that was made is no activation of one that was there."""
    if verb in ("make", "activate"):
        return Q(verb="activate", in_flight_key__isnull=verb == "make")
    return Q(verb=verb)


def _within(merchant: Merchant, period: Period, at: str) -> dict[str, Any]:
    bounds = {f"{at}__gte": period.since, f"{at}__lt": period.until}
    return {"merchant": merchant} | {name: bound for name, bound in bounds.items() if bound is not None}


def _names(till: Till) -> tuple[str, str]:
    return str(till.key), f"store-{till.store_id}"


def _decimal(typed: str, currency: str) -> Decimal:
    """The amount as a person writes it. Digits alone are whole ones here, not cents: nobody looks for 20 cents."""
    text = typed.strip()
    amount = read_amount(f"{text}{formats.decimal_sign()}" if text.isdigit() and text.isascii() else text, currency)
    return Decimal(amount.decimal_text())
