from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0015_call_counts")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="receipt_lines",
            # Empty is what is true of an operation taken in by a process that does not know this column yet.
            field=models.JSONField(
                db_default=models.Value([], models.JSONField()),
                default=list,
                help_text="The provider's own receipt: connectors.results.ReceiptLine.as_plain.",
            ),
        ),
    ]
