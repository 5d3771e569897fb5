"""What somebody types about a customer."""

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.customers import contact, words
from portal.customers.book import Details
from portal.customers.models import PERSONAL, Customer, Purpose, Salutation, Source
from portal.merchants.models import Connection

_WRONG = {
    "not_an_address": _("This is not an e-mail address. It looks like mara@example.com."),
    "several": _("Only one address, without a name or brackets."),
    "too_long": _("That is too long for an e-mail address."),
    "bad_domain": _("What stands after the @ is not a name on the internet."),
    "not_a_number": _("This is not a telephone number."),
    "no_country": _("Begin with the country, such as +49 30 901820."),
    "extension": _("Without an extension, please: only the number itself."),
}
_OUT_OF_DATE = dict.fromkeys(("invalid", "required"), _("This form is out of date. Reload the page."))


class Line(forms.CharField):
    """One line of text. Controls and direction marks are taken out, spaces counted once."""

    def __init__(self, *, label: str | Any, max_length: int, **more: Any) -> None:
        too_long = {"max_length": _("That is too long: at most %(limit_value)d characters.")}
        super().__init__(label=label, max_length=max_length, required=False, error_messages=too_long, **more)
        self.widget.attrs["autocomplete"] = "off"  # the customer's, not the cashier's

    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        return contact.one_line(text) if len(text) <= 4 * (self.max_length or 0) else text


class CustomerForm(forms.Form):
    """A customer's data."""

    version = forms.IntegerField(widget=forms.HiddenInput, required=False)
    # The others with the same address that were shown beside a warning: saved all the same.
    anyway = forms.CharField(widget=forms.HiddenInput, required=False, max_length=200)

    salutation = forms.ChoiceField(label=words.LABELS["salutation"], required=False)
    title = Line(label=words.LABELS["title"], max_length=40)
    first_name = Line(label=words.LABELS["first_name"], max_length=100)
    last_name = Line(label=words.LABELS["last_name"], max_length=100)
    # Longer than can be taken, so that the reason is said in our words.
    email = forms.CharField(label=words.LABELS["email"], required=False, max_length=1000)
    phone = forms.CharField(label=words.LABELS["phone"], required=False, max_length=1000)
    language = forms.ChoiceField(label=words.LABELS["language"], required=False)
    street = Line(label=words.LABELS["street"], max_length=200)
    postal_code = Line(label=words.LABELS["postal_code"], max_length=20)
    city = Line(label=words.LABELS["city"], max_length=100)
    country = forms.ChoiceField(label=words.LABELS["country"], required=False)

    def __init__(self, *args: Any, region: str, connections: Iterable[Connection], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.region, self.connections = region, list(connections)
        self._choices("salutation", Salutation.choices)
        self._choices("language", words.languages())
        self._choices("country", words.countries())
        for name, kind in (("email", "email"), ("phone", "tel")):
            # Not type="email": browsers would rewrite and refuse addresses in their own words.
            self.fields[name].widget.attrs |= {"inputmode": kind, "autocomplete": "off", "spellcheck": "false"}
        for connection in self.connections:
            self.fields[f"at_{connection.key.hex}"] = Line(label=connection.name, max_length=100)

    def _choices(self, name: str, offered: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "–"), *offered]

    def clean_email(self) -> str:
        return self._read(contact.read_email, self.cleaned_data["email"])

    def clean_phone(self) -> str:
        return self._read(lambda typed: contact.read_phone(typed, self.region), self.cleaned_data["phone"])

    def _read(self, read: Callable[[str], str], typed: str) -> str:
        if not typed.strip():
            return ""
        try:
            return read(typed)
        except contact.Wrong as wrong:
            raise forms.ValidationError(_WRONG[wrong.why]) from None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        named = ("first_name", "last_name", "email", "phone")
        if not any(cleaned.get(name) for name in named) and not any(name in self.errors for name in named):
            self.add_error("last_name", _("Write a name, an e-mail address or a telephone number."))
        return cleaned

    # ---- What the views ask

    def details(self) -> Details:
        """What was understood."""
        numbers = {each.pk: self.cleaned_data[f"at_{each.key.hex}"] for each in self.connections}
        return Details(**{name: self.cleaned_data[name] for name in PERSONAL}, numbers=numbers)

    # ---- What the template asks

    @property
    def first_fields(self) -> list[forms.BoundField]:
        """Who it is and how to reach them."""
        names = ("salutation", "title", "first_name", "last_name", "email", "phone", "language")
        return [self[name] for name in names]

    @property
    def address_fields(self) -> list[forms.BoundField]:
        """Where letters go."""
        return [self[name] for name in ("street", "postal_code", "city", "country")]

    @property
    def number_fields(self) -> list[forms.BoundField]:
        """The customer's numbers at providers."""
        return [self[f"at_{each.key.hex}"] for each in self.connections]

    @property
    def has_address(self) -> bool:
        """Whether anything stands in it, or is wrong."""
        return any(field.value() or field.errors for field in self.address_fields)

    @property
    def has_numbers(self) -> bool:
        """Whether anything stands in them, or is wrong."""
        return any(field.value() or field.errors for field in self.number_fields)


class NewCustomerForm(CustomerForm):
    """A new customer, and what they agree to."""

    key = forms.UUIDField(widget=forms.HiddenInput, error_messages=_OUT_OF_DATE)
    purposes = forms.MultipleChoiceField(
        label=_("Agrees to"), required=False, choices=Purpose.choices, widget=forms.CheckboxSelectMultiple
    )
    source = forms.ChoiceField(label=_("Where this was said"), required=False, choices=[("", "–"), *Source.choices])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("purposes") and not cleaned.get("source"):
            self.add_error("source", _("Say where they agreed. It has to be proved one day."))
        return cleaned


def initial(customer: Customer, numbers: dict[int, str], connections: Iterable[Connection]) -> dict[str, object]:
    """The form as it begins for a customer who is there."""
    found: dict[str, object] = {name: getattr(customer, name) for name in PERSONAL}
    found["phone"] = contact.show_phone(customer.phone) if customer.phone else ""
    found["version"] = customer.version
    found |= {f"at_{each.key.hex}": numbers.get(each.pk, "") for each in connections}
    return found


class ConsentForm(forms.Form):
    """One word on one purpose."""

    purpose = forms.ChoiceField(choices=Purpose.choices)
    given = forms.ChoiceField(choices=[("yes", ""), ("no", "")])
    source = forms.ChoiceField(choices=Source.choices)


class SearchForm(forms.Form):
    """The one box. Whatever is typed is looked for as it stands."""

    q = forms.CharField(label=_("Search"), required=False, max_length=100_000, strip=True)
