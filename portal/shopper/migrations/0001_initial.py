"""The public balance page and the tries at it, kept apart like everything of a merchant."""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("merchants", "0022_what_ends"),
    ]

    operations = [
        migrations.CreateModel(
            name="BalancePage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("is_open", models.BooleanField(default=False)),
                (
                    "contact",
                    models.CharField(
                        blank=True, help_text="How the shop is reached where the page cannot help.", max_length=300
                    ),
                ),
                ("colour", models.CharField(blank=True, help_text="#rrggbb; readable on our paper.", max_length=7)),
                ("logo", models.BinaryField(help_text="A small PNG, JPEG or WebP.", null=True)),
                ("logo_type", models.CharField(blank=True, max_length=20)),
                (
                    "last_digits",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="4 or 5 if the end of the number will do; 0: all."
                    ),
                ),
                ("number_length", models.PositiveSmallIntegerField(default=12, help_text="Of a whole card number.")),
                ("in_sequence", models.BooleanField(default=True, help_text="Card numbers follow one another.")),
                ("cards_in_use", models.PositiveIntegerField(default=20000)),
                ("pin_length", models.PositiveSmallIntegerField(default=4)),
                ("pin_letters", models.BooleanField(default=False, help_text="PINs are made of letters and digits.")),
                (
                    "finds_a_year",
                    models.PositiveSmallIntegerField(default=1, help_text="Cards found by guessing that are bearable."),
                ),
                (
                    "forgiven_at",
                    models.DateTimeField(help_text="Wrong tries before this no longer count for the page.", null=True),
                ),
                (
                    "merchant",
                    models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant"),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="balance_page_of_merchant"),
                    models.CheckConstraint(
                        condition=models.Q(("last_digits__in", (0, 4, 5))), name="balance_page_asks_an_end_or_all"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("number_length__range", (4, 40)), ("pin_length__range", (0, 64)), ("finds_a_year__gte", 1)
                        ),
                        name="balance_page_counts_make_sense",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("colour__regex", "^(#[0-9a-f]{6})?$")), name="balance_page_colour_is_one"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Try",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("held", "Waits for more proof of work"),
                            ("asked", "Being asked"),
                            ("found", "Right: a balance was shown"),
                            ("refused", "Wrong number or PIN"),
                            ("silenced", "Not asked: too many wrong tries at this card"),
                            ("trouble", "The card company did not answer"),
                            ("left", "Given up by the shopper"),
                        ],
                        max_length=10,
                    ),
                ),
                ("challenge", models.UUIDField(help_text="Each proof of work is taken once.")),
                (
                    "browser",
                    models.BinaryField(help_text="Keyed hash of the cookie of who asked: nobody else sees the answer."),
                ),
                ("address", models.BinaryField(help_text="Keyed hash of the address: an IPv4, or 64 bits of an IPv6.")),
                ("network", models.BinaryField(help_text="Keyed hash of its network.")),
                ("card", models.BinaryField(help_text="Keyed hash of the last characters of the number.")),
                ("pin", models.BinaryField(help_text="Keyed hash of the PIN.")),
                (
                    "known",
                    models.BinaryField(
                        help_text="Keyed hash of a cookie that was given for this card before.", null=True
                    ),
                ),
                ("whole", models.BooleanField(help_text="The whole number was typed.")),
                (
                    "times",
                    models.PositiveSmallIntegerField(default=1, help_text="How many times the usual work it took."),
                ),
                ("asked_at", models.DateTimeField(help_text="Since when its answer is on its way.", null=True)),
                ("step_ms", models.PositiveIntegerField(help_text="Answers are seen at multiples of this.")),
                ("took_ms", models.PositiveIntegerField(help_text="From asking to the answer.", null=True)),
                ("forgiven", models.BooleanField(default=False, help_text="Staff let the card be tried again.")),
                (
                    "connection",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="merchants.connection"
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["merchant", "-at", "-id"], name="try_newest"),
                    models.Index(fields=["merchant", "address", "-at"], name="try_of_address"),
                    models.Index(fields=["merchant", "network", "-at"], name="try_of_network"),
                    models.Index(fields=["merchant", "pin", "-at"], name="try_of_pin"),
                    models.Index(
                        condition=models.Q(("forgiven", False), ("outcome__in", ("asked", "refused"))),
                        fields=["merchant", "card", "-at"],
                        name="try_wrong_of_card",
                    ),
                    models.Index(
                        condition=models.Q(("outcome__in", ("asked", "refused"))),
                        fields=["merchant", "-at"],
                        name="try_wrong_newest",
                    ),
                    models.Index(
                        condition=models.Q(("outcome__in", ("asked", "held"))), fields=["at"], name="try_under_way"
                    ),
                    models.Index(fields=["at"], name="try_oldest"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="try_of_merchant"),
                    models.UniqueConstraint(fields=("merchant", "key"), name="try_key_once"),
                    models.UniqueConstraint(fields=("merchant", "challenge"), name="try_proof_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["held", "asked", "found", "refused", "silenced", "trouble", "left"])
                        ),
                        name="try_outcome_known",
                    ),
                ],
            },
        ),
        protect("shopper_balancepage"),
        protect("shopper_try"),
        tie("shopper_try", "connection_id", "merchants_connection"),
    ]
