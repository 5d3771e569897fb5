"""The public page of one merchant may be switched off."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0024_provider_tokens"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="switch",
            name="switch_thrown_once",
        ),
        migrations.RemoveConstraint(
            model_name="switch",
            name="switch_of_a_merchant_is_of_a_connection",
        ),
        migrations.AddConstraint(
            model_name="switch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("connection", None), ("ended_at", None), ("merchant", None)),
                fields=("scope", "provider", "verb"),
                name="switch_thrown_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="switch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None), ("merchant__isnull", False), ("scope", "public_page")),
                fields=("merchant",),
                name="switch_of_page_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="switch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("connection", None), ("merchant", None)),
                    models.Q(("connection__isnull", False), ("merchant__isnull", False)),
                    models.Q(("merchant__isnull", False), ("scope", "public_page")),
                    _connector="OR",
                ),
                name="switch_of_a_merchant_is_of_a_connection_or_page",
            ),
        ),
    ]
