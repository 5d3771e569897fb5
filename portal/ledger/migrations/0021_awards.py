"""Points for a purchase: what the provider said they would be stands beside the card's readings, as evidence."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0020_card_parts")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="predicted_points",
            field=models.BigIntegerField(
                help_text="What the provider said before sending that a purchase gives: evidence, not a promise.",
                null=True,
            ),
        ),
    ]
