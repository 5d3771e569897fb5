"""Whom something at the till is for: what is told to a provider of the customer who holds the card, and who gets an
e-mail about it."""

from collections.abc import Mapping

from django.utils.translation import gettext

from portal.connectors import PROVIDERS
from portal.customers import words as customer_words
from portal.customers.models import Customer, ProviderNumber
from portal.ledger.models import Card
from portal.merchants.models import Connection

LONGEST = 100  # what connectors take of one detail
_TOLD: Mapping[str, str] = {
    "salutation": "salutation",
    "title": "title",
    "first_name": "first_name",
    "last_name": "last_name",
    "email": "email",
    "phone": "phone",
    "street": "address1",
    "postal_code": "postal",
    "city": "city",
    "country": "country",
}


def details_of(customer: Customer, connection: Connection) -> dict[str, str]:
    """What the provider is told, under the names of CustomerDetails: its own number of somebody it knows, and then
    nothing else; otherwise what is on record, without what is longer than it takes."""
    known = ProviderNumber.objects.filter(
        merchant=customer.merchant_id, customer=customer, connection=connection
    ).values_list("number", flat=True)
    for number in known:
        if PROVIDERS[connection.provider].knows_as(number):
            return {"number": number}
    found = {theirs: str(getattr(customer, ours)) for ours, theirs in _TOLD.items()}
    return {name: text for name, text in found.items() if 0 < len(text) <= LONGEST and text != "neutral"}


def mail(card: Card, details: Mapping[str, object], *, loads: bool) -> str:
    """Who will get an e-mail from the provider, in a sentence. "" where there is nothing to say."""
    connection = card.connection
    writes = loads and PROVIDERS[connection.provider].writes(connection.options)
    values = {"connection": connection.name, "email": customer_words.masked_email(str(details.get("email", "")))}
    if not details:
        return gettext("Nobody gets an e-mail from %(connection)s: no customer is named.") % values if writes else ""
    if not writes:
        return gettext("We tell %(connection)s whose card it is. Nobody gets an e-mail.") % values
    if details.get("number"):
        return gettext("An e-mail from %(connection)s goes to the address on record there.") % values
    if details.get("email"):
        return gettext("An e-mail from %(connection)s goes to %(email)s.") % values
    return gettext("Nobody gets an e-mail from %(connection)s: there is no address.") % values
