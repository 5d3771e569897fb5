"""What a shopper types. Neither number nor PIN is ever put back into a page by us: the page's script keeps them."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.connectors import PROVIDERS
from portal.ledger.forms import NumberForm
from portal.merchants.models import Connection
from portal.shopper import fingerprints
from portal.shopper.models import BalancePage, Try


class BalanceForm(NumberForm):
    """Number and PIN of a card, which of the merchant's cards it is where there are several, and the proof of work."""

    connection = forms.ChoiceField(label=_("Which card do you have?"), required=False)
    pin = forms.CharField(label=_("PIN or password on the card"), max_length=64, required=False)
    token = forms.CharField(max_length=500, required=False)
    solution = forms.CharField(max_length=100, required=False)

    def __init__(self, *args: Any, page: BalancePage, connections: list[Connection], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.page = page
        self.connections = {str(connection.key): connection for connection in connections}
        offered = cast(forms.ChoiceField, self.fields["connection"])
        offered.choices = [(key, connection.name) for key, connection in self.connections.items()]
        self.fields["number"].error_messages["required"] = _("Type the number of the card.")

    @property
    def wants_pin(self) -> bool:
        """Whether any of the cards has a PIN."""
        return any(_wants_pin(each) for each in self.connections.values())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        chosen = self.connections.get(cleaned.get("connection", ""))
        if chosen is None and len(self.connections) == 1:
            chosen = next(iter(self.connections.values()))
        if chosen is None:
            if "connection" not in self.errors:
                self.add_error("connection", gettext("Choose which card you have."))
            return cleaned
        cleaned["connection"] = chosen
        self.clean_number_for(chosen)
        if _wants_pin(chosen) and not cleaned.get("pin") and "pin" not in self.errors:
            self.add_error("pin", gettext("Type the PIN or password printed on the card."))
        return cleaned

    def clean_number_for(self, connection: Connection) -> None:
        super().clean_number_for(connection)
        number = self.cleaned_data.get("number")
        if number is None or "number" in self.errors:
            return
        self.cleaned_data["whole"] = whole = is_whole(self.page, connection, number)
        if not whole and not self.page.last_digits:
            self.add_error("number", gettext("Type the whole number of the card."))


class WholeForm(NumberForm):
    """The whole number of the card whose end was typed before."""

    def __init__(self, *args: Any, page: BalancePage, found: Try, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.page, self.found = page, found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.clean_number_for(self.found.connection)
        number = cleaned.get("number")
        if number is None or "number" in self.errors:
            return cleaned
        card = fingerprints.of_card(self.page.merchant_id, number, last_digits=self.page.last_digits)
        if not is_whole(self.page, self.found.connection, number) or bytes(self.found.card) not in card.all:
            self.add_error("number", gettext("Type the whole number of the same card."))
        return cleaned


def is_whole(page: BalancePage, connection: Connection, number: str) -> bool:
    """Whether this is a whole number, by what the connector knows or the merchant told."""
    return PROVIDERS[connection.provider].whole_numbers or len(number) >= page.number_length


def _wants_pin(connection: Connection) -> bool:
    return PROVIDERS[connection.provider].wants_pin(connection.options)
