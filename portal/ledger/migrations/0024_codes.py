"""Codes that a customer scans: what is shown of one, until it is over. A wish about a code is about no card."""

import django.db.models.deletion
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie

_GUARD = """
CREATE FUNCTION ledger_code_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'A code is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.merchant_id, NEW.operation_id, NEW.made_at) IS DISTINCT FROM (OLD.merchant_id, OLD.operation_id, OLD.made_at)
       OR NEW.address NOT IN (OLD.address, '')
       OR OLD.claimed_at IS NOT NULL
          AND (NEW.claimed_at, NEW.claimed_points) IS DISTINCT FROM (OLD.claimed_at, OLD.claimed_points)
    THEN
        RAISE EXCEPTION 'A code is erased and claimed once, and nothing else of it changes.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON ledger_code FOR EACH ROW EXECUTE FUNCTION ledger_code_guard();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0023_payments_by_look_up"),
        ("merchants", "0024_provider_tokens"),
    ]

    operations = [
        migrations.AlterField(
            model_name="approval",
            name="card",
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.DO_NOTHING, to="ledger.card"),
        ),
        migrations.CreateModel(
            name="Code",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "address",
                    models.CharField(
                        blank=True, help_text="What is scanned; erased when that is over.", max_length=500
                    ),
                ),
                ("made_at", models.DateTimeField()),
                (
                    "claimed_at",
                    models.DateTimeField(help_text="When the provider told that somebody has claimed it.", null=True),
                ),
                ("claimed_points", models.BigIntegerField(help_text="What that gave, where it told.", null=True)),
                (
                    "merchant",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.merchant"
                    ),
                ),
                (
                    "operation",
                    models.OneToOneField(
                        help_text="That made it.", on_delete=django.db.models.deletion.DO_NOTHING, to="ledger.operation"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("address", ""), _negated=True), fields=["made_at"], name="code_shown"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="code_of_merchant"),
                    models.CheckConstraint(
                        condition=models.Q(("claimed_at", None), ("address", ""), _connector="OR"),
                        name="code_is_not_shown_once_it_is_claimed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("claimed_points", None),
                            models.Q(("claimed_at__isnull", False), ("claimed_points__gte", 0)),
                            _connector="OR",
                        ),
                        name="code_gives_points_when_claimed",
                    ),
                ],
            },
        ),
        protect("ledger_code"),
        tie("ledger_code", "operation_id", "ledger_operation"),
        migrations.RunSQL(_GUARD, "DROP TRIGGER guard ON ledger_code; DROP FUNCTION ledger_code_guard"),
    ]
