"""What happened: look-ups now, operations next. Rows are written by balances.py only."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from portal.merchants.models import Connection, Merchant, Person
from portal.merchants.writers import Writer, WrittenRows

inquiry_writer = Writer("portal.ledger.balances")


class State(models.TextChoices):
    """Where a look-up stands."""

    WANTS_PIN = "wants_pin", _("Needs the password")
    WANTS_NUMBER = "wants_number", _("Needs the whole number")
    WAITING = "waiting", _("Waiting")
    ASKING = "asking", _("Asking")
    ANSWERED = "answered", _("Answered")
    FAILED = "failed", _("Not answered")


# Our own reasons beside connectors.base.Reason: two workers died over one question; a box does not open.
WORKER_LOST = "worker_lost"
SEALED_ELSEWHERE = "sealed_elsewhere"

FINAL = (State.ANSWERED, State.FAILED)


class InquiryRows(WrittenRows["Inquiry"]):
    """Look-ups."""

    writer = inquiry_writer


class Inquiry(models.Model):
    """One question about one card: its balance and state as the provider tells them. No value moves.

    What was typed is sealed for the worker and erased in the transaction that stores the answer. The row itself is
    erased after 15 minutes (LOOK_UP_KEPT_SECONDS).
    """

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    key = models.UUIDField(editable=False, help_text="Minted when the form is drawn: pressing twice asks once.")
    asked_by = models.ForeignKey(Person, null=True, on_delete=models.SET_NULL)
    asked_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=20, choices=State.choices)

    card_index = models.BinaryField(help_text="Keyed hash of the number.")
    last_four = models.CharField(max_length=4)
    sealed_number = models.BinaryField(null=True)
    sealed_pin = models.BinaryField(null=True)
    sealed_client = models.BinaryField(null=True, help_text="Browser and address of who asks, for the provider.")

    woken_at = models.DateTimeField(null=True, help_text="Ready for a worker since.")
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, help_text="A worker silent until then is taken for dead.")
    ended_at = models.DateTimeField(null=True)

    card_status = models.CharField(max_length=30, blank=True, help_text="connectors.base.CardStatus.")
    balance_minor = models.BigIntegerField(null=True, help_text="Minor units.")
    balance_currency = models.CharField(max_length=3, blank=True)
    expires_on = models.DateField(null=True, help_text="Last valid day.")
    description = models.CharField(max_length=200, blank=True)
    sealed_usage_token = models.BinaryField(null=True)
    failure = models.CharField(max_length=20, blank=True, help_text="Which of the five ways to fail.")
    reason = models.CharField(max_length=40, blank=True, help_text="connectors.base.Reason, or ours.")
    provider_text = models.CharField(max_length=500, blank=True)
    trace = models.CharField(max_length=100, blank=True, help_text="The provider's reference for its own support.")

    objects = InquiryRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="inquiry_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="inquiry_key_once"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="inquiry_state_known"),
            models.CheckConstraint(
                condition=~Q(state__in=FINAL)
                | Q(
                    sealed_number=None,
                    sealed_pin=None,
                    sealed_client=None,
                    lease_until=None,
                    ended_at__isnull=False,
                ),
                name="inquiry_keeps_no_secret_after_the_end",
            ),
            models.CheckConstraint(
                condition=Q(state=State.ASKING, lease_until__isnull=False)
                | (~Q(state=State.ASKING) & Q(lease_until=None)),
                name="inquiry_leased_while_asking",
            ),
            models.CheckConstraint(
                condition=Q(balance_minor=None, balance_currency="")
                | (Q(balance_minor__gte=0) & ~Q(balance_currency="")),
                name="inquiry_balance_has_a_currency",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="inquiry_newest"),
            models.Index(fields=["woken_at"], condition=Q(state=State.WAITING), name="inquiry_waiting"),
            models.Index(fields=["lease_until"], condition=Q(state=State.ASKING), name="inquiry_leased"),
            models.Index(fields=["asked_at"], name="inquiry_oldest"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        inquiry_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        inquiry_writer.require()
        return super().delete(*args, **kwargs)

    @property
    def pending(self) -> bool:
        """Whether the answer is still to come without anybody doing anything."""
        return self.state in (State.WAITING, State.ASKING)


class Pulse(models.Model):
    """When the workers last did real work: one row, touched by the sweep. Process lists and pings cannot tell a deaf
    worker from a healthy one; this can."""

    name = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()
