"""Tries are found by the reference that shoppers are told."""

import django.db.models.functions.comparison
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0024_provider_tokens"),
        ("shopper", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="try",
            name="ending",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.functions.text.Right(
                    django.db.models.functions.comparison.Cast("key", models.TextField()), 10
                ),
                output_field=models.CharField(max_length=10),
            ),
        ),
        migrations.AddIndex(
            model_name="try",
            index=models.Index(fields=["merchant", "ending"], name="try_by_reference"),
        ),
    ]
