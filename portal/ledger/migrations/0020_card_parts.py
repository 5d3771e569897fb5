from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0019_settled_by_record")]

    operations = [
        migrations.AddField(
            model_name="card",
            name="cash_minor",
            field=models.BigIntegerField(help_text="What of it was paid in, where the provider tells.", null=True),
        ),
        migrations.AddField(
            model_name="card",
            name="bonus_minor",
            field=models.BigIntegerField(help_text="What of it was given.", null=True),
        ),
    ]
