from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0010_lists")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="unsent",
            # False is what is true of an attempt begun by a worker that does not know this column yet.
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="No byte of this attempt can have left: said by its claim, taken back before the first one does.",
            ),
        ),
        migrations.AddConstraint(
            model_name="operation",
            constraint=models.CheckConstraint(
                condition=models.Q(("unsent", False), ("state", "running"), _connector="OR"),
                name="operation_unsent_while_running",
            ),
        ),
    ]
