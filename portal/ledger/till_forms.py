"""What a person types at the till: an amount as people write amounts, points, what a void or a tip is for, and what
only one provider asks for. Knows no request and writes nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields as dataclass_fields
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats, languages
from portal.connectors import PROVIDERS
from portal.connectors.base import Extra, Field, SettingsError
from portal.ledger import basket_forms, baskets, naming, till_words
from portal.ledger.amounts import read_amount
from portal.ledger.baskets import Basket, WrongBasket
from portal.ledger.models import Card, Operation
from portal.ledger.operations import Wish
from portal.money import HARD_CAP, Money, Points

MONEY = ("pay", "top_up", "tip", "award", "issue_code")
POINTS = ("issue_points", "redeem_points")
WITH_ORIGINAL = ("void", "tip")
WITH_CUSTOMER = ("activate", "top_up", "sale")

CUSTOMER = ("first_name", "last_name", "email", "phone")


# ---- The form of one action -------------------------------------------------------------------------------------
class ActionForm(forms.Form):
    """Everything one action at one card needs, and the wish it comes to.

    The same form reads both beats: what was typed, and, from the sentence that is confirmed, the exact values again
    (`minor` instead of `amount`, `basket` instead of its lines). `key` was minted when the form was drawn.
    """

    # Of a basket that is being put together: the field to go on with, and what is wrong with the last scan.
    focus, wrong_scan = "scan", ""

    key = forms.UUIDField(
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(("invalid", "required"), _("This form is out of date. Reload the page.")),
    )

    def __init__(
        self,
        *args: Any,
        verb: str,
        card: Card,
        originals: Sequence[Operation] = (),
        extra: Mapping[str, object] | None = None,
        holder: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.verb, self.card = verb, card
        self.currency = str(card.connection.options.get("currency", ""))
        self.originals = {str(original.key): original for original in originals}
        self.declared = PROVIDERS[card.connection.provider].extras.get(verb)
        if verb in WITH_ORIGINAL:
            self.fields["of"] = forms.ChoiceField(
                label=_("Which one"),
                choices=[(key, key) for key in self.originals],
                error_messages=dict.fromkeys(("required", "invalid_choice"), _("Choose one of the list.")),
            )
        if verb in MONEY:
            self.fields["amount"] = forms.CharField(label=_("Amount"), max_length=40, required=False)
            self.fields["minor"] = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
        if verb in POINTS:
            self.fields["points"] = forms.CharField(label=_("Points"), max_length=40, required=False)
        self.offers_activation = verb == "top_up" and PROVIDERS[card.connection.provider].top_up_activates
        if self.offers_activation:
            self.fields["also_activate"] = forms.BooleanField(label=_("Also activate the card"), required=False)
        if verb == "sale":
            self.reserved = PROVIDERS[card.connection.provider].reserved_eans
            self.lines: list[int] = []
            self.fields["scan"] = forms.CharField(label=_("Scan or type an article"), required=False)
            self.fields["load"] = forms.CharField(label=_("Load onto the card"), required=False, max_length=40)
            self.show_lines(self.data if self.is_bound else self.initial)
        if verb in WITH_CUSTOMER:
            self._add_customer(holder)
        for name, asked in self.declared.declared().items() if self.declared else ():
            self.fields[f"extra_{name}"] = _field(asked)
            self.initial.setdefault(f"extra_{name}", self._usual(name, asked, extra or {}))

    def show_lines(self, given: Mapping[str, Any]) -> None:
        """Give each line in `given` its fields."""
        self.lines = basket_forms.numbers(given)
        for number in self.lines:
            for part in basket_forms.LABELS:
                self.fields[basket_forms.name(number, part)] = basket_forms.field(part, number)

    def go_on(self, edit: basket_forms.Edit) -> None:
        """Show what became of a line that was added or taken away, and begin at the field that comes next."""
        self.wrong_scan = edit.wrong
        self.fields[edit.focus].widget.attrs["autofocus"] = True
        self.focus = edit.focus

    def _add_customer(self, holder: str) -> None:
        if holder:
            self.fields["for_holder"] = forms.BooleanField(
                label=gettext("For %(name)s, who holds the card") % {"name": holder},
                required=False,
                widget=forms.CheckboxInput(attrs={"value": self._holder_key()}),
            )
        self.fields["first_name"] = forms.CharField(label=_("First name"), required=False, max_length=100)
        self.fields["last_name"] = forms.CharField(label=_("Last name"), required=False, max_length=100)
        self.fields["email"] = forms.EmailField(label=_("E-mail"), required=False, max_length=100)
        self.fields["phone"] = forms.CharField(label=_("Phone"), required=False, max_length=40)
        for name in CUSTOMER:
            self.fields[name].widget.attrs["autocomplete"] = "off"  # the customer's, not the cashier's

    def _holder_key(self) -> str:
        return str(self.card.customer.key) if self.card.customer is not None else ""

    def _usual(self, name: str, asked: Field, known: Mapping[str, object]) -> object:
        """What is filled in already: how the scan arrived where it says so, else the connector's own default."""
        value = known.get(name)
        if value is not None and (not asked.choices or value in dict(asked.choices)):
            return value
        if asked.required:
            return None
        return next((each.default for each in dataclass_fields(self.declared) if each.name == name), None)  # type: ignore[arg-type]

    # ---- What the template asks

    @property
    def wanted_fields(self) -> list[forms.BoundField]:
        """The inputs only this provider has that somebody has to think about: they have no default."""
        return [each for each in self._extras if isinstance(each.field.widget, forms.RadioSelect)]

    @property
    def extra_fields(self) -> list[forms.BoundField]:
        """The other inputs only this provider has, which have a sensible value already."""
        return [each for each in self._extras if not isinstance(each.field.widget, forms.RadioSelect)]

    @property
    def _extras(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("extra_")]

    @property
    def extra_shown(self) -> list[tuple[str, str]]:
        """What stands in them, in words, so that they need not be opened to be read."""
        shown = []
        for field in self.extra_fields:
            value = str(field.value() if field.value() is not None else "")
            choices = dict(getattr(field.field, "choices", ()))
            shown.append((str(field.label), str(choices.get(value, value))))
        return shown

    @property
    def has_wrong_extra(self) -> bool:
        """Whether one of them has to be put right."""
        return any(field.errors for field in self.extra_fields)

    @property
    def shown_lines(self) -> list["ShownLine"]:
        """The lines of the basket, to be drawn."""
        return [ShownLine(self, number, at) for at, number in enumerate(self.lines, start=1)]

    @property
    def sum(self) -> str:
        """What lines and load come to as they stand; "" while one of them cannot be read."""
        given = {name: str(self[name].value() or "") for name in self.fields}
        lines, load, wrong = basket_forms.read(given, self.currency, self.reserved)
        parts = any(text in ("price", "quantity") for text in (each.partition("_")[2] for each in wrong))
        if parts or "load" in wrong or not (lines or load):
            return ""
        return formats.money(baskets.total(tuple(lines), load))

    @property
    def customer_fields(self) -> list[forms.BoundField]:
        """Who holds the card, or name, e-mail and telephone of somebody else, to be drawn."""
        return [self[name] for name in ("for_holder", *CUSTOMER) if name in self.fields]

    @property
    def has_customer(self) -> bool:
        """Whether anything of the customer's is filled in, or wrong."""
        return any(field.value() or field.errors for field in self.customer_fields)

    def exact(self) -> list[tuple[str, str]]:
        """Names and values that mean what was understood, for the form that confirms."""
        typed = {"amount", "minor", "scan", "load", *self._line_fields()}
        values = {name: self.cleaned_data.get(name) for name in self.fields if name not in typed}
        if values.get("for_holder"):
            values["for_holder"] = self._holder_key()
        if self.verb == "sale":
            values |= basket_forms.exact_values(self.cleaned_data["basket"])
        if self.verb in MONEY:
            values["minor"] = self.cleaned_data["amount"].minor
        if self.verb in POINTS:
            values["points"] = self.cleaned_data["points"].count
        return [(name, "on" if value is True else str(value)) for name, value in values.items() if value]

    # ---- What was typed

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.verb in MONEY and "minor" not in self.errors:
            self._read("amount", self._amount)
        if self.verb in POINTS:
            self._read("points", self._points)
        if self.verb == "sale":
            self._read_basket()
        for name in CUSTOMER:
            if not str(cleaned.get(name, "")).isprintable():
                self.add_error(name, gettext("Leave out line breaks and invisible signs."))
        if (meant := self.data.get("for_holder")) and ("for_holder" not in self.fields or meant != self._holder_key()):
            self.add_error(None, gettext("Somebody else holds the card by now. Look again whom it is for."))
        if cleaned.get("for_holder") and any(cleaned.get(name) for name in CUSTOMER):
            self.add_error("for_holder", gettext("Name whoever holds the card, or somebody else, but not both."))
        self._read_extra()
        return cleaned

    def _read(self, name: str, read: Any) -> None:
        try:
            self.cleaned_data[name] = read()
        except ValidationError as wrong:
            self.add_error(name, wrong)

    def _line_fields(self) -> list[str]:
        return [name for name in self.fields if name.startswith("line")]

    def _read_basket(self) -> None:
        """The exact one, whose sum must be the one that was confirmed, or the one that is typed."""
        if "basket" in self.data:
            try:
                basket = basket_forms.exact(self.data["basket"], self.data.get("load_minor", ""), self.currency)
                if str(basket.total.minor) != self.data.get("minor"):
                    raise WrongBasket("basket_differs")
            except WrongBasket as other:
                self.add_error(None, till_words.cannot_ask(other.why))
                return
            self._take_basket(basket)
            return
        lines, load, wrong = basket_forms.read(self.data, self.currency, self.reserved)
        for name, sentence in wrong.items():
            self.add_error(name, sentence)
        if not lines and not wrong:
            self.add_error("scan", gettext("Add what is sold: scan it, or type what it is."))
        elif not wrong:
            self._take_basket(Basket(lines=tuple(lines), load=load))

    def _take_basket(self, basket: Basket) -> None:
        if basket.total.minor > HARD_CAP:
            self.add_error("scan", gettext("All together this amount is too large."))
            return
        self.cleaned_data |= {"basket": basket, "amount": basket.total}

    def _amount(self) -> Money:
        if minor := self.cleaned_data.get("minor"):
            if minor > HARD_CAP:
                raise ValidationError(gettext("This amount is too large."))
            return Money(minor, self.currency)
        preset = self.data.get("preset", "")
        if preset == "all" and self.card.balance_minor:
            return Money(self.card.balance_minor, self.currency)
        if preset.isascii() and preset.isdigit() and 0 < int(preset) <= HARD_CAP:
            return Money(int(preset), self.currency)
        typed = self.cleaned_data.get("amount", "")
        if not typed:
            raise ValidationError(gettext("Type the amount."))
        return read_amount(typed, self.currency)

    def _points(self) -> Points:
        preset, held = self.data.get("preset", ""), self.card.points or 0
        if preset == "all" and held:
            return Points(held)
        if preset == "half" and held > 1:
            return Points(held // 2)
        typed = self.cleaned_data.get("points", "").strip()
        if not typed:
            raise ValidationError(gettext("Type how many points."))
        if not re.fullmatch("[0-9]{1,12}", typed):
            raise ValidationError(gettext("Type points as a whole number, such as 25."))
        if int(typed) == 0:
            raise ValidationError(gettext("Type at least one point."))
        if int(typed) > HARD_CAP:
            raise ValidationError(gettext("These are too many points."))
        if self.verb == "redeem_points" and self.card.points is not None and int(typed) > held:
            raise ValidationError(gettext("There are %(count)s points on the card.") % {"count": formats.number(held)})
        return Points(int(typed))

    def _read_extra(self) -> None:
        if self.declared is None:
            return
        names = self.declared.declared()
        given = {name: self.cleaned_data.get(f"extra_{name}") for name in names}
        try:
            parsed: Extra = self.declared.parse({name: value for name, value in given.items() if value is not None})
        except SettingsError as wrong:
            for name, sentence in wrong.errors.items():
                if f"extra_{name}" not in self.errors:
                    self.add_error(f"extra_{name}", languages.said(sentence))
        else:
            self.cleaned_data["extra"] = {name: getattr(parsed, name) for name in names}

    # ---- What it comes to

    @property
    def original(self) -> Operation | None:
        """What is to be undone or tipped."""
        return self.originals.get(self.cleaned_data.get("of", ""))

    @cached_property
    def private(self) -> dict[str, str]:
        """Whom it is for, as the provider is told: whoever holds the card, or who was typed."""
        if self.cleaned_data.get("for_holder") and self.card.customer is not None:
            return naming.details_of(self.card.customer, self.card.connection)
        return {name: self.cleaned_data[name] for name in CUSTOMER if self.cleaned_data.get(name)}

    def wish(self) -> Wish:
        """What is wanted, of a valid form."""
        original = self.original
        amount = self.cleaned_data.get("amount")
        if self.verb == "void" and original is not None:
            amount = Money(original.amount_minor or 0, original.currency)
        return Wish(
            verb=self.verb,
            card=self.card,
            amount=amount if isinstance(amount, Money) else None,
            points=self.cleaned_data.get("points"),
            original=original,
            also_activate=bool(self.cleaned_data.get("also_activate")),
            basket=self.cleaned_data.get("basket"),
            extra=self.cleaned_data.get("extra"),
            private=self.private or None,
        )


class ShownLine:
    """One line of a basket as the form shows it: its fields, and what it comes to as far as that can be read."""

    def __init__(self, form: ActionForm, number: int, at: int) -> None:
        self.number, self.at = number, at
        self.fields = {part: form[basket_forms.name(number, part)] for part in basket_forms.LABELS}
        values = {field.name: str(field.value() or "") for field in self.fields.values()}
        read, _load, _wrong = basket_forms.read(values, form.currency, form.reserved)
        self.amount = formats.money(read[0].total) if read else ""
        self.text = values[basket_forms.name(number, "text")]


class _Radios(forms.RadioSelect):
    """With the first of them as what an error leads to."""

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        return super().id_for_label(id_, "0" if index is None else index)


def _field(asked: Field) -> forms.Field:
    """A connector's declared input as a form's field; its own words serve as message ids."""
    said: dict[str, Any] = {
        "label": gettext(asked.label),
        "help_text": gettext(asked.help) if asked.help else "",
        "required": False,  # whether something is missing is for the connector's own rules to say
    }
    match asked.kind:
        case "choice" if asked.required:
            # All of them at once, and none of them chosen: somebody has to.
            choices = [(value, gettext(label)) for value, label in asked.choices]
            return forms.ChoiceField(choices=choices, widget=_Radios, **said)
        case "choice":
            return forms.ChoiceField(choices=[(value, gettext(label)) for value, label in asked.choices], **said)
        case "switch":
            return forms.BooleanField(**said)
        case "number":
            return forms.IntegerField(**said)
        case _:
            return forms.CharField(max_length=asked.maximum, **said)
