"""Stores get a key of their own: what stands in an address does not tell how many stores there are."""

import django.contrib.postgres.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0025_switches_of_pages"),
    ]

    operations = [
        migrations.AddField(
            model_name="store",
            name="key",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                editable=False,
                help_text="Its place in our addresses.",
                unique=True,
            ),
        ),
    ]
