"""Look-ups of shoppers, from the public page."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0017_sales"),
        ("merchants", "0022_what_ends"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="inquiry",
            name="inquiry_state_known",
        ),
        migrations.AddField(
            model_name="inquiry",
            name="bonus_minor",
            field=models.BigIntegerField(help_text="What of it was given.", null=True),
        ),
        migrations.AddField(
            model_name="inquiry",
            name="cash_minor",
            field=models.BigIntegerField(help_text="What of it was paid in, where the provider tells.", null=True),
        ),
        migrations.AddField(
            model_name="inquiry",
            name="typed_by_shopper",
            field=models.CharField(
                blank=True,
                choices=[("short", "The end of the number"), ("whole", "The whole number")],
                db_default="",
                max_length=5,
            ),
        ),
        migrations.AlterField(
            model_name="inquiry",
            name="state",
            field=models.CharField(
                choices=[
                    ("held", "Waits for more proof"),
                    ("wants_pin", "Needs the password"),
                    ("wants_number", "Needs the whole number"),
                    ("waiting", "Waiting"),
                    ("asking", "Asking"),
                    ("answered", "Answered"),
                    ("failed", "Not answered"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="inquiry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["held", "wants_pin", "wants_number", "waiting", "asking", "answered", "failed"])
                ),
                name="inquiry_state_known",
            ),
        ),
    ]
