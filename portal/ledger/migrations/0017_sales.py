"""Sales: what is sold, and what is loaded with it, stay with the operation and never change."""

from django.db import migrations, models
from django.db.models.functions import Cast, Length
from django.db.models.lookups import LessThanOrEqual

_STAYS = """
CREATE FUNCTION ledger_basket_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What was asked never changes.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER basket_stays BEFORE UPDATE OF basket, load_minor ON ledger_operation FOR EACH ROW
    WHEN ((NEW.basket, NEW.load_minor) IS DISTINCT FROM (OLD.basket, OLD.load_minor))
    EXECUTE FUNCTION ledger_basket_stays();
CREATE TRIGGER basket_stays BEFORE UPDATE OF basket, load_minor ON ledger_approval FOR EACH ROW
    WHEN ((NEW.basket, NEW.load_minor) IS DISTINCT FROM (OLD.basket, OLD.load_minor))
    EXECUTE FUNCTION ledger_basket_stays();
"""
_GOES = """
DROP TRIGGER basket_stays ON ledger_operation;
DROP TRIGGER basket_stays ON ledger_approval;
DROP FUNCTION ledger_basket_stays();
"""


def _of_a_sale(name: str) -> models.CheckConstraint:
    load = models.Q(load_minor=None) | models.Q(load_minor__gt=0, load_minor__lt=models.F("amount_minor"))
    return models.CheckConstraint(
        condition=(models.Q(verb="sale", basket__isnull=False) & load)
        | (~models.Q(verb="sale") & models.Q(basket__isnull=True, load_minor=None)),
        name=f"{name}_basket_of_a_sale",
    )


def _is_short(name: str) -> models.CheckConstraint:
    written = Length(Cast("basket", models.TextField()))
    return models.CheckConstraint(
        condition=models.Q(basket__isnull=True) | models.Q(LessThanOrEqual(written, 60000)),
        name=f"{name}_basket_is_short",
    )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0016_receipt_lines")]

    operations = [
        migrations.AddField(model_name="approval", name="basket", field=models.JSONField(null=True)),
        migrations.AddField(model_name="approval", name="load_minor", field=models.BigIntegerField(null=True)),
        migrations.AddField(
            model_name="operation",
            name="basket",
            field=models.JSONField(
                help_text="What a sale sells, see baskets.py. Its sum and load are the amount.", null=True
            ),
        ),
        migrations.AddField(
            model_name="operation",
            name="load_minor",
            field=models.BigIntegerField(help_text="What of a sale's amount is loaded onto the card.", null=True),
        ),
        migrations.AddConstraint(model_name="approval", constraint=_of_a_sale("approval")),
        migrations.AddConstraint(model_name="approval", constraint=_is_short("approval")),
        migrations.AddConstraint(model_name="operation", constraint=_of_a_sale("operation")),
        migrations.AddConstraint(model_name="operation", constraint=_is_short("operation")),
        migrations.RunSQL(_STAYS, _GOES),
    ]
