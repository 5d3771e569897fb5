"""Whom we write to: customers, what they agreed to, and their numbers at providers. Written by book.py only."""

import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from portal.merchants.models import Connection, Merchant, Person
from portal.merchants.writers import Writer, WrittenRows

customer_writer = Writer("portal.customers.book")


class Salutation(models.TextChoices):
    """How somebody is greeted; nothing is guessed from a name."""

    MS = "ms", _("Ms")
    MR = "mr", _("Mr")
    NEUTRAL = "neutral", _("Neutral")


class Purpose(models.TextChoices):
    """What somebody may agree to."""

    MAILS = "mails", _("Offers by e-mail")
    LETTERS = "letters", _("Offers by post")
    CALLS = "calls", _("Offers by phone")


class Source(models.TextChoices):
    """Where a word on consent came from."""

    AT_THE_TILL = "at_the_till", _("Said at the till")
    ON_PAPER = "on_paper", _("Signed on paper")
    BY_PHONE = "by_phone", _("Said by phone")
    BY_MAIL = "by_mail", _("Written in an e-mail")


# What belongs to the person, and goes when they are erased.
PERSONAL = (
    "salutation",
    "title",
    "first_name",
    "last_name",
    "email",
    "phone",
    "language",
    "street",
    "postal_code",
    "city",
    "country",
)
LIVE = Q(merged_into=None, erased_at=None)


class CustomerRows(WrittenRows["Customer"]):
    """Customers."""

    writer = customer_writer


class Customer(models.Model):
    """Somebody who holds cards, as far as the merchant knows them.

    One that was merged keeps its data and points to the one it is now; one that was erased is an empty row, so that
    its key is never used again. What is searched stands plain, see docs/decisions/0012.
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    key = models.UUIDField(default=uuid.uuid4, editable=False, help_text="Minted when the form is drawn.")
    salutation = models.CharField(max_length=10, blank=True, choices=Salutation.choices)
    title = models.CharField(max_length=40, blank=True)
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    email = models.CharField(
        max_length=254, blank=True, db_collation="C", help_text="Lower case, its domain as DNS writes it."
    )
    phone = models.CharField(max_length=20, blank=True, db_collation="C", help_text="E.164: +493012345.")
    language = models.CharField(max_length=10, blank=True, help_text="ISO 639; empty is the merchant's own.")
    street = models.CharField(max_length=200, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    city = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166.")

    by_last = models.CharField(max_length=600, blank=True, db_collation="C", help_text="Folded; last name first.")
    by_first = models.CharField(max_length=600, blank=True, db_collation="C", help_text="Folded; first name first.")
    has_consent = models.BooleanField(default=False, help_text="Agrees to something now, by the last word on it.")

    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+")
    version = models.PositiveIntegerField(default=1, help_text="Raised with every change: two people never overwrite.")
    merged_into = models.ForeignKey("self", null=True, on_delete=models.DO_NOTHING, related_name="merged")
    erased_at = models.DateTimeField(null=True)

    objects = CustomerRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="customer_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="customer_key_once"),
            models.CheckConstraint(
                condition=Q(erased_at=None)
                | Q(**dict.fromkeys((*PERSONAL, "by_last", "by_first"), ""), has_consent=False),
                name="customer_erased_is_empty",
            ),
            models.CheckConstraint(
                condition=Q(erased_at__isnull=False)
                | ~Q(last_name="")
                | ~Q(first_name="")
                | ~Q(email="")
                | ~Q(phone=""),
                name="customer_can_be_named",
            ),
            models.CheckConstraint(
                condition=Q(salutation__in=["", *Salutation.values]), name="customer_salutation_known"
            ),
            models.CheckConstraint(condition=~Q(merged_into=models.F("id")), name="customer_not_merged_into_itself"),
        ]
        indexes = [
            models.Index(fields=["merchant", "by_last", "id"], condition=LIVE, name="customer_by_last"),
            models.Index(fields=["merchant", "by_first"], condition=LIVE, name="customer_by_first"),
            models.Index(fields=["merchant", "email"], condition=LIVE, name="customer_by_email"),
            models.Index(fields=["merchant", "phone"], condition=LIVE, name="customer_by_phone"),
            models.Index(
                fields=["merchant", "by_last", "id"], condition=LIVE & Q(has_consent=True), name="customer_consenting"
            ),
            models.Index(
                fields=["merchant", "merged_into"], condition=Q(merged_into__isnull=False), name="customer_merged"
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        customer_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A customer is never deleted, but erased.")

    @property
    def is_live(self) -> bool:
        """Neither merged into another nor erased."""
        return self.merged_into_id is None and self.erased_at is None


class ConsentRows(WrittenRows["Consent"]):
    """Words on consent."""

    writer = customer_writer


class Consent(models.Model):
    """One word on one purpose: given, or taken back. Never changed; the last one counts."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    customer = models.ForeignKey(Customer, on_delete=models.DO_NOTHING)
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    given = models.BooleanField(help_text="No: taken back.")
    source = models.CharField(max_length=20, choices=Source.choices)
    at = models.DateTimeField()
    recorded_by = models.ForeignKey(Person, null=True, on_delete=models.DO_NOTHING, related_name="+")

    objects = ConsentRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="consent_of_merchant"),
            models.CheckConstraint(condition=Q(purpose__in=Purpose.values), name="consent_purpose_known"),
            models.CheckConstraint(condition=Q(source__in=Source.values), name="consent_source_known"),
        ]
        indexes = [models.Index(fields=["merchant", "customer", "id"], name="consent_of_customer")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        customer_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        customer_writer.require()
        return super().delete(*args, **kwargs)


class NumberRows(WrittenRows["ProviderNumber"]):
    """Customers' numbers at providers."""

    writer = customer_writer


class ProviderNumber(models.Model):
    """Under which number a provider keeps the customer: no secret, and nothing without the connection's own keys."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    customer = models.ForeignKey(Customer, on_delete=models.DO_NOTHING)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    number = models.CharField(max_length=100)

    objects = NumberRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="provider_number_of_merchant"),
            models.UniqueConstraint(fields=["customer", "connection"], name="provider_number_once"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        customer_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        customer_writer.require()
        return super().delete(*args, **kwargs)
