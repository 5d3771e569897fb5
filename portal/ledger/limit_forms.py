"""The grid of limits as people type it: amounts of the merchant's currency, points, or nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.ledger import limits, operations
from portal.ledger.amounts import read_amount
from portal.merchants.models import Merchant
from portal.merchants.roles import Role, may
from portal.money import HARD_CAP, Money, minor_digits

KINDS: dict[str, Promise] = {
    "pay": _("Taking payments"),
    "top_up": _("Adding money"),
    "sale": _("Selling with a card"),
    "void": _("Voiding"),
    "tip": _("Taking tips"),
    "award": _("Points for purchases of"),
    "issue_points": _("Giving points"),
    "redeem_points": _("Redeeming points"),
}
ROLES = tuple(role for role in Role if any(may(role, operations.PERMISSIONS[verb]) for verb in limits.VERBS))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of operation, a field for each role; None where the role may not do it at all."""

    kind: str
    counts_points: bool
    cells: list[forms.BoundField | None]


class LimitsForm(forms.Form):
    """What each role moves alone, and from where on a decision takes two. An empty field means no limit."""

    seen = forms.CharField(widget=forms.HiddenInput, max_length=16)

    def __init__(self, *args: Any, merchant: Merchant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.merchant = merchant
        stands = limits.table(merchant)
        for verb in limits.VERBS:
            for role in ROLES:
                if may(role, operations.PERMISSIONS[verb]):
                    label = gettext("%(kind)s: %(role)s") % {"kind": KINDS[verb], "role": role.label}
                    self._add(_name(verb, role), label, verb in limits.POINTS, stands.get((role, verb)))
        self._add("two", gettext("Amounts from"), False, merchant.second_person_from)
        self._add("two_points", gettext("Points from"), True, merchant.second_person_from_points)
        self.initial.setdefault("seen", limits.mark(merchant))

    def _add(self, name: str, label: str, counts_points: bool, stands: int | None) -> None:
        field = _PointsField if counts_points else _AmountField
        self.fields[name] = field(label=label, currency=self.merchant.currency)
        if stands is not None:
            self.initial[name] = str(stands) if counts_points else _typed(stands, self.merchant.currency)

    @property
    def roles(self) -> list[Promise]:
        """The columns of the grid."""
        return [role.label for role in ROLES]

    @property
    def rows(self) -> Iterator[Row]:
        """The grid, to be drawn."""
        for verb, kind in KINDS.items():
            names = [_name(verb, role) for role in ROLES]
            cells = [self[name] if name in self.fields else None for name in names]
            yield Row(kind=str(kind), counts_points=verb in limits.POINTS, cells=cells)

    def wanted(self) -> dict[tuple[str, str], int | None]:
        """The limits of a valid form, by role and verb."""
        return {pair: self.cleaned_data[name] for pair, name in self.names().items()}

    def names(self) -> dict[tuple[str, str], str]:
        """The fields of the grid, by role and verb."""
        names = {(str(role), verb): _name(verb, role) for verb in limits.VERBS for role in ROLES}
        return {pair: name for pair, name in names.items() if name in self.fields}


def _name(verb: str, role: Role) -> str:
    return f"{verb}-{role}"


def _typed(minor: int, currency: str) -> str:
    return formats.typed(Money(minor, currency))


class _NumberField(forms.CharField):
    def __init__(self, *, currency: str, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=40, **kwargs)
        self.currency = currency
        self.widget.attrs |= {"inputmode": self.keyboard, "autocomplete": "off"}

    keyboard = "decimal"

    def clean(self, value: Any) -> int | None:
        typed = super().clean(value)
        return self.read(typed) if typed else None

    def read(self, typed: str) -> int:
        raise NotImplementedError


class _AmountField(_NumberField):
    """Minor units. Unlike at the till, digits alone are whole units: here nobody counts cents."""

    def read(self, typed: str) -> int:
        if not re.fullmatch("[0-9]{1,12}", typed):
            return 0 if re.fullmatch("0+[.,]0*", typed) else read_amount(typed, self.currency).minor
        minor: int = int(typed) * 10 ** minor_digits(self.currency)
        if minor > HARD_CAP:
            raise ValidationError(gettext("This amount is too large."))
        return minor


class _PointsField(_NumberField):
    keyboard = "numeric"

    def read(self, typed: str) -> int:
        if not re.fullmatch("[0-9]{1,12}", typed):
            raise ValidationError(gettext("Type points as a whole number, such as 25."))
        if int(typed) > HARD_CAP:
            raise ValidationError(gettext("These are too many points."))
        return int(typed)
