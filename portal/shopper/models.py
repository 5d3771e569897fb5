"""The public balance page: what a merchant decided about it, and every try at it.

Nothing here is a number, a PIN or an address: only keyed hashes of them, made by fingerprints.py.
"""

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast, Now, Right
from django.utils.translation import gettext_lazy as _

from portal.merchants.models import Connection, Merchant
from portal.merchants.writers import Writer, WrittenRows

page_writer = Writer("portal.shopper.deciding")
try_writer = Writer("portal.shopper.tries")


class PageRows(WrittenRows["BalancePage"]):
    """Pages."""

    writer = page_writer


class BalancePage(models.Model):
    """What a merchant decided about its public page. Where there is no row, there is no page.

    What the cards are like is told by the merchant, since no provider tells it; risk.py computes from it how many
    wrong tries a day the page bears. As long as nothing is told, the worst usual case is taken: numbers in sequence.
    """

    merchant = models.OneToOneField(Merchant, on_delete=models.CASCADE)
    is_open = models.BooleanField(default=False)
    contact = models.CharField(
        max_length=300, blank=True, help_text="How the shop is reached where the page cannot help."
    )
    colour = models.CharField(max_length=7, blank=True, help_text="#rrggbb; readable on our paper.")
    logo = models.BinaryField(null=True, help_text="A small PNG, JPEG or WebP.")
    logo_type = models.CharField(max_length=20, blank=True)
    last_digits = models.PositiveSmallIntegerField(
        default=0, help_text="4 or 5 if the end of the number will do; 0: all."
    )
    number_length = models.PositiveSmallIntegerField(default=12, help_text="Of a whole card number.")
    in_sequence = models.BooleanField(default=True, help_text="Card numbers follow one another.")
    cards_in_use = models.PositiveIntegerField(default=20_000)
    pin_length = models.PositiveSmallIntegerField(default=4)
    pin_letters = models.BooleanField(default=False, help_text="PINs are made of letters and digits.")
    finds_a_year = models.PositiveSmallIntegerField(default=1, help_text="Cards found by guessing that are bearable.")
    forgiven_at = models.DateTimeField(null=True, help_text="Wrong tries before this no longer count for the page.")

    objects = PageRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="balance_page_of_merchant"),
            models.CheckConstraint(condition=Q(last_digits__in=(0, 4, 5)), name="balance_page_asks_an_end_or_all"),
            models.CheckConstraint(
                condition=Q(number_length__range=(4, 40)) & Q(pin_length__range=(0, 64)) & Q(finds_a_year__gte=1),
                name="balance_page_counts_make_sense",
            ),
            models.CheckConstraint(condition=Q(colour__regex=r"^(#[0-9a-f]{6})?$"), name="balance_page_colour_is_one"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        page_writer.require()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        page_writer.require()
        return super().delete(*args, **kwargs)


class Outcome(models.TextChoices):
    """Where a try stands. What is ASKED counts as wrong until it is known not to be."""

    HELD = "held", _("Waits for more proof of work")
    ASKED = "asked", _("Being asked")
    FOUND = "found", _("Right: a balance was shown")
    REFUSED = "refused", _("Wrong number or PIN")
    SILENCED = "silenced", _("Not asked: too many wrong tries at this card")
    TROUBLE = "trouble", _("The card company did not answer")
    LEFT = "left", _("Given up by the shopper")


WRONG = (Outcome.ASKED, Outcome.REFUSED)


class TryRows(WrittenRows["Try"]):
    """Tries."""

    writer = try_writer


class Try(models.Model):
    """One press of the button on the public page. What was typed is in its look-up (ledger.Inquiry of the same key),
    sealed, and soon gone; what is kept here for 30 days are keyed hashes.

    `asked_at` and `step_ms` decide when the answer may be seen, see grid.py; both are the database's.
    """

    KEYED_HASHES: ClassVar = {
        "browser": "at > statement_timestamp() - interval '15 minutes'",
        "address": "at > statement_timestamp() - interval '1 day'",
        "network": "at > statement_timestamp() - interval '1 hour'",
        "card": "at > statement_timestamp() - interval '30 days'",
        "pin": "at > statement_timestamp() - interval '1 hour'",
        "known": "at > statement_timestamp() - interval '1 day'",
    }

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    key = models.UUIDField(default=uuid.uuid4, editable=False)
    # A column, since under row-level security no index is used for what a function makes of one.
    ending = models.GeneratedField(
        expression=Right(Cast("key", models.TextField()), 10),
        output_field=models.CharField(max_length=10),
        db_persist=True,
    )
    at = models.DateTimeField(db_default=Now())
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    challenge = models.UUIDField(help_text="Each proof of work is taken once.")
    browser = models.BinaryField(help_text="Keyed hash of the cookie of who asked: nobody else sees the answer.")
    address = models.BinaryField(help_text="Keyed hash of the address: an IPv4, or 64 bits of an IPv6.")
    network = models.BinaryField(help_text="Keyed hash of its network.")
    card = models.BinaryField(help_text="Keyed hash of the last characters of the number.")
    pin = models.BinaryField(help_text="Keyed hash of the PIN.")
    known = models.BinaryField(null=True, help_text="Keyed hash of a cookie that was given for this card before.")
    whole = models.BooleanField(help_text="The whole number was typed.")
    times = models.PositiveSmallIntegerField(default=1, help_text="How many times the usual work it took.")
    asked_at = models.DateTimeField(null=True, help_text="Since when its answer is on its way.")
    step_ms = models.PositiveIntegerField(help_text="Answers are seen at multiples of this.")
    took_ms = models.PositiveIntegerField(null=True, help_text="From asking to the answer.")
    forgiven = models.BooleanField(default=False, help_text="Staff let the card be tried again.")

    objects = TryRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "id"], name="try_of_merchant"),
            models.UniqueConstraint(fields=["merchant", "key"], name="try_key_once"),
            models.UniqueConstraint(fields=["merchant", "challenge"], name="try_proof_once"),
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="try_outcome_known"),
        ]
        indexes = [
            models.Index(fields=["merchant", "-at", "-id"], name="try_newest"),
            models.Index(fields=["merchant", "ending"], name="try_by_reference"),
            models.Index(fields=["merchant", "address", "-at"], name="try_of_address"),
            models.Index(fields=["merchant", "network", "-at"], name="try_of_network"),
            models.Index(fields=["merchant", "pin", "-at"], name="try_of_pin"),
            models.Index(
                fields=["merchant", "card", "-at"],
                condition=Q(outcome__in=("asked", "refused"), forgiven=False),
                name="try_wrong_of_card",
            ),
            models.Index(
                fields=["merchant", "-at"], condition=Q(outcome__in=("asked", "refused")), name="try_wrong_newest"
            ),
            models.Index(fields=["at"], condition=Q(outcome__in=("asked", "held")), name="try_under_way"),
            models.Index(fields=["at"], name="try_oldest"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        try_writer.require()
        super().save(*args, **kwargs)

    @property
    def reference(self) -> str:
        """What a shopper tells the shop, and the shop finds it by: 7F3K-20QX. The last 40 bits of the key."""
        text = "".join(_DIGITS[self.key.int >> shift & 31] for shift in range(0, 40, 5))
        return f"{text[:4]}-{text[4:]}"


# Of Crockford's base 32: nobody takes one for another, and who writes an O or an l means 0 or 1.
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MEANT = str.maketrans("OIL", "011", " -")


def ending_of(reference: str) -> str:
    """The end of the key of which somebody tells the reference; nothing where this is none."""
    text = reference.upper().translate(_MEANT)
    if len(text) != 8 or not set(text) <= set(_DIGITS):
        return ""
    return f"{sum(_DIGITS.index(digit) << 5 * place for place, digit in enumerate(text)):010x}"
