"""The language of a person and of a merchant, and the merchant's country."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0003_operations"),
    ]

    operations = [
        migrations.AddField(
            model_name="person",
            name="language",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Chosen for all pages and mails; empty: whatever the browser asks for.",
                max_length=10,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="merchant",
            name="country",
            field=models.CharField(blank=True, default="", help_text="ISO 3166 alpha-2.", max_length=2),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="merchant",
            name="language",
            field=models.CharField(default="en", help_text="Of its papers, and of mails to customers.", max_length=10),
        ),
        migrations.AddConstraint(
            model_name="merchant",
            constraint=models.CheckConstraint(
                condition=models.Q(("country__regex", "^([A-Z]{2})?$")), name="merchant_country_is_a_code"
            ),
        ),
    ]
