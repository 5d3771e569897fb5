"""Calls counted by hour, for the health of connections."""

import django.db.models.deletion
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0014_saved_views"),
        ("merchants", "0019_switches"),
    ]

    operations = [
        migrations.CreateModel(
            name="Folded",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("up_to", models.BigIntegerField()),
            ],
        ),
        migrations.AddField(
            model_name="exchange",
            name="cause",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="What was wrong with the provider or our access to it.",
                max_length=40,
            ),
        ),
        migrations.AddField(
            model_name="inquiry",
            name="took_ms",
            field=models.PositiveIntegerField(help_text="All calls made for it together.", null=True),
        ),
        migrations.CreateModel(
            name="CallCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField(help_text="Its beginning, a full hour of UTC.")),
                ("cause", models.CharField(blank=True, help_text="connectors.base.Reason, or ours.", max_length=40)),
                ("bucket", models.PositiveSmallIntegerField()),
                ("calls", models.PositiveIntegerField()),
                ("last_at", models.DateTimeField()),
                ("example", models.BigIntegerField(help_text="An operation of which one was such a call.", null=True)),
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
                    models.Index(fields=["merchant", "hour"], name="call_count_newest"),
                    models.Index(fields=["hour"], name="call_count_oldest"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="call_count_of_merchant"),
                    models.UniqueConstraint(fields=("connection", "hour", "cause", "bucket"), name="call_count_once"),
                ],
            },
        ),
        protect("ledger_callcount"),
        tie("ledger_callcount", "connection_id", "merchants_connection"),
    ]
