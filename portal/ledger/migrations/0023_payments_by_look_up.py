"""A payment may take what one look-up gave, of that look-up and no other, and be settled by sending the same again."""

from django.db import migrations, models
from django.db.models import Q

_STAYS = """
CREATE TRIGGER look_up_stays BEFORE UPDATE OF looked_up ON ledger_operation FOR EACH ROW
    WHEN (NEW.looked_up IS DISTINCT FROM OLD.looked_up) EXECUTE FUNCTION ledger_basket_stays();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0022_predictions")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="looked_up",
            field=models.UUIDField(
                editable=False,
                help_text="Key of the look-up whose usage token is used: of that and no other, and once.",
                null=True,
            ),
        ),
        migrations.RunSQL(_STAYS, "DROP TRIGGER look_up_stays ON ledger_operation"),
        migrations.AlterField(
            model_name="operation",
            name="settled_by",
            field=models.CharField(
                blank=True, help_text="answer, balance, record, resending or person.", max_length=20
            ),
        ),
        migrations.AlterField(
            model_name="exchange",
            name="purpose",
            field=models.CharField(help_text="before, call, check, find, resend or after.", max_length=10),
        ),
        migrations.RemoveIndex(model_name="operation", name="operation_settled_later"),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=Q(settled_by__in=("balance", "record", "resending", "person")),
                fields=["merchant", "-asked_at", "-id"],
                name="operation_settled_later",
            ),
        ),
    ]
