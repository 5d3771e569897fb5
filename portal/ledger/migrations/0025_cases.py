"""Cases: beside an operation that is done, a balance that does not fit it; and what was paid in before it was sent."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie

_GUARD = """
CREATE FUNCTION ledger_case_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'A case is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.closed_at IS NOT NULL
           OR NOT EXISTS (SELECT FROM ledger_operation WHERE id = NEW.operation_id AND state = 'done')
        THEN
            RAISE EXCEPTION 'A case is opened about an operation that is done.'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.closed_at IS NOT NULL
       OR (NEW.merchant_id, NEW.operation_id, NEW.answered_minor, NEW.read_minor, NEW.read_at, NEW.opened_at)
          IS DISTINCT FROM
          (OLD.merchant_id, OLD.operation_id, OLD.answered_minor, OLD.read_minor, OLD.read_at, OLD.opened_at)
    THEN
        RAISE EXCEPTION 'A case is closed once, and nothing else of it changes.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON ledger_case
    FOR EACH ROW EXECUTE FUNCTION ledger_case_guard();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0024_codes"),
        ("merchants", "0026_keys_of_stores"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="before_cash_minor",
            field=models.BigIntegerField(
                help_text="What of it was paid in, where the provider tells: the rest was given.", null=True
            ),
        ),
        migrations.CreateModel(
            name="Case",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "answered_minor",
                    models.BigIntegerField(
                        help_text="What is paid in by the answer that said Done, in minor units, where it told.",
                        null=True,
                    ),
                ),
                (
                    "read_minor",
                    models.BigIntegerField(
                        help_text="What is paid in by the card's balance, read afterwards.", null=True
                    ),
                ),
                ("read_at", models.DateTimeField(null=True)),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("reason", models.CharField(blank=True, help_text="How it was seen to.", max_length=500)),
                (
                    "closed_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.merchant"
                    ),
                ),
                (
                    "operation",
                    models.OneToOneField(on_delete=django.db.models.deletion.DO_NOTHING, to="ledger.operation"),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("closed_at", None)), fields=["merchant", "id"], name="case_open")
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="case_of_merchant"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("read_at", None), ("read_minor", None)),
                            models.Q(("read_at__isnull", False), ("read_minor__isnull", False)),
                            _connector="OR",
                        ),
                        name="case_read_at_a_moment",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_at", None), ("closed_by", None), ("reason", "")),
                            models.Q(
                                ("closed_at__isnull", False),
                                ("closed_by__isnull", False),
                                models.Q(("reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="case_closed_by_somebody_with_a_reason",
                    ),
                ],
            },
        ),
        protect("ledger_case"),
        tie("ledger_case", "operation_id", "ledger_operation"),
        migrations.RunSQL(_GUARD, "DROP TRIGGER guard ON ledger_case; DROP FUNCTION ledger_case_guard"),
    ]
