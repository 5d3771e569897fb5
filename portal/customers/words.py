"""A customer in words: what pages say of somebody, wholly or masked."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import formats
from portal.customers import contact
from portal.customers.models import Customer, Purpose

# Languages a merchant's customers may want to be written to in; ISO 639.
LANGUAGES = ("de", "en", "fr", "it", "es", "pt", "nl", "da", "sv", "nb", "fi", "pl", "cs", "hu", "ro", "el", "tr", "mi")

LABELS = {
    "salutation": _("Salutation"),
    "title": _("Title"),
    "first_name": _("First name"),
    "last_name": _("Last name"),
    "email": _("E-mail"),
    "phone": _("Phone"),
    "language": _("Language"),
    "street": _("Street and number"),
    "postal_code": _("Postal code"),
    "city": _("Town"),
    "country": _("Country"),
    "numbers": _("Numbers at providers"),
}


def languages() -> list[tuple[str, str]]:
    """Code and name, by name."""
    names = formats.spoken().languages
    return sorted(((code, str(names.get(code, code))) for code in LANGUAGES), key=lambda pair: contact.fold(pair[1]))


def countries() -> list[tuple[str, str]]:
    """Code and name, by name."""
    names = formats.spoken().territories
    found = [(code, str(name)) for code, name in names.items() if len(code) == 2 and code.isalpha() and code != "ZZ"]
    return sorted(found, key=lambda pair: contact.fold(pair[1]))


def name(customer: Customer) -> str:
    """Dr. Mara Vogel; for nobody's name the address, or the telephone number."""
    if customer.erased_at is not None:
        return gettext("Erased customer")
    words = " ".join(filter(None, [customer.title, customer.first_name, customer.last_name]))
    return words or contact.show_email(customer.email) or contact.show_phone(customer.phone)


def greeting(customer: Customer, *, whole: bool) -> list[str]:
    """The name, and where they are reached; not `whole`, as much as greets somebody and too little to write to them."""
    if whole:
        reach = [contact.show_email(customer.email), contact.show_phone(customer.phone)]
        called = name(customer)
    else:
        first = customer.first_name[:1] and f"{customer.first_name[:1]}."
        reach = [masked_email(customer.email), masked_phone(customer.phone)]
        called = " ".join(filter(None, [first, customer.last_name]))
    return [text for text in dict.fromkeys([called, *reach]) if text]


def masked_email(email: str) -> str:
    """m•••@e•••.com."""
    local, at, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain[:1]}•••{domain[domain.rfind('.') :]}" if at else ""


def masked_phone(phone: str) -> str:
    """••• 345."""
    return phone and f"••• {phone[-3:]}"


def value(customer: Customer, field: str) -> str:
    """What stands in one field, for people."""
    raw: str = getattr(customer, field)
    if not raw:
        return ""
    match field:
        case "email":
            return contact.show_email(raw)
        case "phone":
            return contact.show_phone(raw)
        case "salutation":
            return customer.get_salutation_display()
        case "language":
            return str(formats.spoken().languages.get(raw, raw))
        case "country":
            return str(formats.spoken().territories.get(raw, raw))
    return raw


def purpose(text: str) -> str:
    """Offers by e-mail."""
    return str(Purpose(text).label)
