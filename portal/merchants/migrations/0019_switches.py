"""What administrators switch off. Merchants see what concerns everybody, and their own."""

import django.db.models.deletion
import django.db.models.functions.datetime
import uuid
from django.conf import settings
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0018_first_steps"),
    ]

    operations = [
        migrations.CreateModel(
            name="Switch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("provider", "A provider"),
                            ("connection", "One connection"),
                            ("verb", "One kind of operation"),
                            ("public_page", "The public balance page"),
                        ],
                        max_length=20,
                    ),
                ),
                ("provider", models.CharField(blank=True, max_length=30)),
                ("verb", models.CharField(blank=True, help_text="connectors.base.VERBS.", max_length=20)),
                ("reason", models.CharField(help_text="For the other administrators.", max_length=300)),
                ("banner", models.CharField(help_text="For whoever stands at a till.", max_length=200)),
                ("thrown_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField(help_text="It is switched on again by itself then.", null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "connection",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, to="merchants.connection"
                    ),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant"
                    ),
                ),
                (
                    "thrown_by",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("ended_at", None)), fields=["id"], name="switch_in_force")
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="switch_of_merchant"),
                    models.UniqueConstraint(
                        condition=models.Q(("connection", None), ("ended_at", None)),
                        fields=("scope", "provider", "verb"),
                        name="switch_thrown_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("connection__isnull", False), ("ended_at", None)),
                        fields=("connection",),
                        name="switch_of_connection_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("connection", None),
                                ("scope", "provider"),
                                ("verb", ""),
                                models.Q(("provider", ""), _negated=True),
                            ),
                            models.Q(
                                ("connection__isnull", False), ("provider", ""), ("scope", "connection"), ("verb", "")
                            ),
                            models.Q(("connection", None), ("scope", "verb"), models.Q(("verb", ""), _negated=True)),
                            models.Q(("connection", None), ("provider", ""), ("scope", "public_page"), ("verb", "")),
                            _connector="OR",
                        ),
                        name="switch_says_what",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("connection", None), ("merchant", None)),
                            models.Q(("connection__isnull", False), ("merchant__isnull", False)),
                            _connector="OR",
                        ),
                        name="switch_of_a_merchant_is_of_a_connection",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("ended_by", None)),
                            models.Q(
                                ("ended_at__gte", models.F("thrown_at")),
                                models.Q(("ended_by__isnull", False), ("expires_at__isnull", False), _connector="OR"),
                            ),
                            _connector="OR",
                        ),
                        name="switch_ends_by_a_person_or_as_said",
                    ),
                ],
            },
        ),
        protect("merchants_switch", shown_to_member="merchant_id IS NULL"),
        tie("merchants_switch", "connection_id", "merchants_connection"),
    ]
