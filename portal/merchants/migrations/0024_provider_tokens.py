"""Providers' access tokens, shared by all workers, sealed and kept apart by merchant."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

from portal.merchants.tenancy import protect


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0023_daily_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderToken",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("provider", models.CharField(max_length=30)),
                ("credential", models.BinaryField()),
                ("sealed_token", models.BinaryField(null=True)),
                (
                    "expires_at",
                    models.DateTimeField(help_text="A little before the provider's own end of it.", null=True),
                ),
                (
                    "fetching_until",
                    models.DateTimeField(help_text="Until then somebody fetches it and the others wait.", null=True),
                ),
                ("merchant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="provider_token_of_merchant"),
                    models.UniqueConstraint(fields=("merchant", "credential"), name="provider_token_once"),
                ],
            },
        ),
        protect("merchants_providertoken"),
    ]
