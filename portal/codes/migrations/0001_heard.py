"""What is kept of messages that providers sent by themselves."""

import django.db.models.deletion
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("merchants", "0024_provider_tokens"),
    ]

    operations = [
        migrations.CreateModel(
            name="Heard",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("nonce", models.CharField(max_length=100)),
                ("at", models.DateTimeField()),
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
                "indexes": [models.Index(fields=["at"], name="heard_oldest")],
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="heard_of_merchant"),
                    models.UniqueConstraint(fields=("connection", "nonce"), name="heard_once"),
                ],
            },
        ),
        protect("codes_heard"),
        tie("codes_heard", "connection_id", "merchants_connection"),
    ]
