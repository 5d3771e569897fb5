"""Saved views: a person's own ways of narrowing a list, kept apart like everything of a merchant."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from portal.merchants.tenancy import protect


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0013_a_queue_of_each_connection"),
        ("merchants", "0014_pauses"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("page", models.CharField(help_text="The list: the name of its address.", max_length=20)),
                ("name", models.CharField(max_length=60)),
                ("query", models.CharField(blank=True, max_length=1000)),
                (
                    "is_start",
                    models.BooleanField(default=False, help_text="Shown where the list is opened without saying how."),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="view_of_merchant"),
                    models.UniqueConstraint(fields=("merchant", "key"), name="view_key_once"),
                    models.UniqueConstraint(fields=("merchant", "person", "page", "name"), name="view_name_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("is_start", True)),
                        fields=("merchant", "person", "page"),
                        name="view_starts_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("page__in", ("operations", "cards"))), name="view_of_a_list"
                    ),
                ],
            },
        ),
        protect("ledger_savedview"),
    ]
