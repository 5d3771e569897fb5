"""Tills and PINs, each kept to its merchant."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0004_languages"),
    ]

    operations = [
        migrations.AddField(
            model_name="merchant",
            name="lock_after_seconds",
            field=models.PositiveSmallIntegerField(
                default=120, help_text="A till that nobody touches for so long locks itself."
            ),
        ),
        migrations.CreateModel(
            name="Pin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False)),
                (
                    "hash",
                    models.CharField(
                        help_text="Slow hash of a keyed hash; the key stands outside the database.", max_length=200
                    ),
                ),
                ("set_at", models.DateTimeField()),
                (
                    "failures",
                    models.PositiveSmallIntegerField(default=0, help_text="Wrong tries since the last right one."),
                ),
                ("blocked_until", models.DateTimeField(null=True)),
                (
                    "dead_at",
                    models.DateTimeField(help_text="Too many wrong tries: dead until the person signs in.", null=True),
                ),
                ("member", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to="merchants.member")),
                ("merchant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="pin_of_merchant"),
                    models.UniqueConstraint(fields=("merchant", "key"), name="pin_key_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Till",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("name", models.CharField(max_length=60)),
                ("token_verifier", models.BinaryField()),
                ("opened_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("unlock_verifier", models.BinaryField(null=True)),
                ("unlocked_at", models.DateTimeField(null=True)),
                ("active_at", models.DateTimeField(help_text="When somebody last did something here.")),
                (
                    "failures",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="Wrong PINs, whoever's, since the last right one."
                    ),
                ),
                ("blocked_until", models.DateTimeField(null=True)),
                (
                    "cashier",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "last_cashier",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("merchant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant")),
                (
                    "opened_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("store", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="merchants.store")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="till_of_merchant"),
                    models.UniqueConstraint(fields=("merchant", "key"), name="till_key_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("merchant", "name"), name="till_name_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at", None), models.Q(("cashier", None), ("unlock_verifier", None)), _connector="OR"
                        ),
                        name="till_locked_when_ended",
                    ),
                ],
            },
        ),
        protect("merchants_till"),
        tie("merchants_till", "store_id", "merchants_store"),
        protect("merchants_pin"),
        tie("merchants_pin", "member_id", "merchants_member"),
    ]
