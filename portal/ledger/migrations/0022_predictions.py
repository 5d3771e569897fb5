"""Look-ups of what a purchase would give, beside those of cards."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0021_awards")]

    operations = [
        migrations.AddField(
            model_name="inquiry",
            name="purchase_minor",
            field=models.BigIntegerField(
                help_text="Minor units; where it is asked what a purchase would give, and not about a card.", null=True
            ),
        ),
        migrations.AddConstraint(
            model_name="inquiry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("purchase_minor", None),
                    models.Q(("card", None), ("purchase_minor__gt", 0), ("sealed_number", None)),
                    _connector="OR",
                ),
                name="inquiry_about_a_card_or_a_purchase",
            ),
        ),
    ]
