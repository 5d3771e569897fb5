"""Mails to the owners of a merchant, each in their own words: about what others did to what is theirs."""

from collections.abc import Callable

from django.core.mail import send_mail
from django.utils import timezone, translation

from portal import formats
from portal.merchants.models import Member, Merchant, Person
from portal.merchants.roles import Role


def tell(merchant: Merchant, write: Callable[[Person], tuple[str, str]]) -> None:
    """Queue a mail to every owner, in the transaction of its cause. `write` says its subject and text, while the
    owner's language, the merchant's zone and its country's way with dates are in force."""
    owners = Member.objects.filter(merchant=merchant, role=Role.OWNER, person__is_active=True)
    for owner in owners.select_related("person").order_by("person__email"):
        with (
            translation.override(owner.person.language or merchant.language),
            timezone.override(merchant.time_zone),
            formats.at_home_in(merchant.country),
        ):
            subject, text = write(owner.person)
            send_mail(subject, text, None, [owner.person.email])
