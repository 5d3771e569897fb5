"""What a merchant decides about the balance page, as people type it."""

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.connectors import PROVIDERS
from portal.connectors.fields import Refused
from portal.languages import said
from portal.merchants.audit import Value
from portal.merchants.models import Connection
from portal.shopper import colours, deciding
from portal.shopper.models import BalancePage


class PageForm(forms.Form):
    """Open or not, how it looks, what it asks, and what the cards are like."""

    is_open = forms.BooleanField(label=_("The page is open"), required=False)
    contact = forms.CharField(
        label=_("How shoppers reach you where the page cannot help"),
        help_text=_("A telephone number, an email address or opening hours. It is shown as you type it."),
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    colour = forms.CharField(
        label=_("Your colour"),
        help_text=_("Six characters after a #, such as #0b5d5b; empty for ours. White text has to be readable on it."),
        max_length=7,
        required=False,
    )
    logo = forms.FileField(label=_("Your logo"), help_text=_("A PNG, JPEG or WebP of 40 kB at most."), required=False)
    without_logo = forms.BooleanField(label=_("Take the logo away"), required=False)
    last_digits = forms.TypedChoiceField(
        label=_("What the page asks for"),
        coerce=int,
        choices=[(0, _("The whole number")), (5, _("The last five characters")), (4, _("The last four characters"))],
        widget=forms.RadioSelect,
    )
    number_length = forms.IntegerField(label=_("Characters of a whole card number"), min_value=4, max_value=40)
    in_sequence = forms.BooleanField(
        label=_("Card numbers follow one another, or may do"),
        help_text=_("Switch it off only if your provider told you that numbers are random."),
        required=False,
    )
    cards_in_use = forms.IntegerField(label=_("Cards in use, roughly"), min_value=1, max_value=100_000_000)
    pin_length = forms.IntegerField(label=_("Characters of a PIN or password"), min_value=0, max_value=64)
    pin_letters = forms.BooleanField(label=_("PINs are made of letters and digits"), required=False)
    finds_a_year = forms.IntegerField(
        label=_("Cards found by guessing in a year that are bearable"),
        help_text=_("The fewer, the sooner the page closes when somebody guesses."),
        min_value=1,
        max_value=1000,
    )

    def __init__(self, *args: Any, page: BalancePage, connections: list[Connection], **kwargs: Any) -> None:
        kwargs["initial"] = {name: getattr(page, name) for name in deciding.DECIDED}
        super().__init__(*args, **kwargs)
        self.page, self.connections = page, connections
        if not page.logo:
            del self.fields["without_logo"]

    def clean_colour(self) -> str:
        colour = str(self.cleaned_data["colour"]).strip().lower()
        if colour and not colour.startswith("#"):
            colour = f"#{colour}"
        if not colour:
            return ""
        if len(colour) != 7 or not all(each in "0123456789abcdef" for each in colour[1:]):
            raise forms.ValidationError(gettext("Type a colour such as #0b5d5b."))
        if not colours.is_readable(colour):
            raise forms.ValidationError(gettext("White text cannot be read on this colour. Choose a darker one."))
        return colour

    def clean_last_digits(self) -> int:
        asked = int(self.cleaned_data["last_digits"])
        longest = max((_shortest(each) for each in self.connections), default=0)
        if asked and asked < longest:
            raise forms.ValidationError(
                gettext("One of your connections wants at least %(count)s characters.") % {"count": longest}
            )
        return asked

    def decided(self) -> Mapping[str, Value]:
        """What was decided, by the page's own names."""
        return {name: cast(Value, self.cleaned_data[name]) for name in deciding.DECIDED}


def _shortest(connection: Connection) -> int:
    """The fewest characters of a number that the connection takes."""
    shortest = connection.options.get("minimum_length", 0)
    return shortest if isinstance(shortest, int) else 0


class BrowserKeyForm(forms.Form):
    """The key with which browsers ask a provider directly. It goes into a snippet and is kept nowhere."""

    connection = forms.ChoiceField(label=_("Connection"), required=False)
    key = forms.CharField(
        label=_("Browser key"),
        help_text=_("Everybody who opens your web shop can read it. It contains the words VisibleKey."),
        max_length=512,
        error_messages={"required": _("Paste the browser key from your provider.")},
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),  # never put back: it may be the wrong key
    )

    def __init__(self, *args: Any, connections: list[Connection], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = {str(each.key): each for each in connections}
        offered = cast(forms.ChoiceField, self.fields["connection"])
        offered.choices = [(key, each.name) for key, each in self.connections.items()]
        if len(connections) == 1:
            del self.fields["connection"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        chosen = self.connections.get(cleaned.get("connection", "")) or next(iter(self.connections.values()))
        if "key" not in self.errors:
            try:
                cleaned["snippet"] = PROVIDERS[chosen.provider].browser_snippet(chosen.options, cleaned["key"])
            except Refused as refused:
                self.add_error("key", said(refused.sentence))
        return cleaned
