"""What a person types for a look-up. The templates draw these fields themselves and never put a number or a password
back into a page: it is typed again."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.connectors import PROVIDERS
from portal.connectors.base import BadNumber
from portal.merchants.models import Connection


class NumberForm(forms.Form):
    """A card number for one connection. Subclasses say where the connection comes from."""

    number = forms.CharField(
        label=_("Card number"),
        max_length=200,
        error_messages={
            "required": _("Scan or type a card number."),
            "max_length": _("That is too long for a card number."),
        },
    )

    def clean_number_for(self, connection: Connection) -> None:
        """Replace the number by the provider's form of it, or say next to the field what is wrong."""
        typed = self.cleaned_data.get("number")
        if typed is None:
            return
        try:
            self.cleaned_data["number"] = PROVIDERS[connection.provider].clean_number(typed, connection.options)
        except BadNumber as wrong:
            self.add_error("number", gettext(wrong.message) % wrong.values)


class ScanForm(NumberForm):
    """The scan box on every staff page."""

    key = forms.UUIDField(
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(("invalid", "required"), _("This form is out of date. Reload the page.")),
    )
    # Told by the page's script from the rhythm and shape of the number: B a barcode, M a magnetic stripe, K typed.
    entry_type = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput)
    connection = forms.ChoiceField(
        label=_("Connection"), error_messages={"invalid_choice": _("Choose one of the connections listed.")}
    )

    def __init__(self, *args: Any, connections: list[Connection], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = {str(connection.key): connection for connection in connections}
        offered = cast(forms.ChoiceField, self.fields["connection"])
        if len(connections) == 1:
            offered.widget = forms.HiddenInput()
        offered.choices = [
            (key, f"{connection.name} · {connection.get_environment_display()}")
            for key, connection in self.connections.items()
        ]

    def entered(self) -> dict[str, str]:
        """How the number came to us, where the connection's provider has an input for it and knows that way."""
        connection, how = self.cleaned_data["connection"], self.cleaned_data.get("entry_type", "")
        extra = PROVIDERS[connection.provider].extras.get("balance")
        asked = extra.declared().get("entry_type") if extra else None
        return {"entry_type": how} if asked and how in dict(asked.choices) else {}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        connection = self.connections.get(cleaned.get("connection", ""))
        if connection is not None:
            cleaned["connection"] = connection
            self.clean_number_for(connection)
        return cleaned


class WholeNumberForm(NumberForm):
    """The whole number, where the provider asked for it."""

    def __init__(self, *args: Any, connection: Connection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection = connection

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self.clean_number_for(self.connection)
        return cleaned


class PinForm(forms.Form):
    """The card's password."""

    pin = forms.CharField(
        label=_("Password of the card"),
        max_length=64,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        error_messages={
            "required": _("Type the password printed on the card."),
            "max_length": _("That is too long for a card's password."),
        },
    )
