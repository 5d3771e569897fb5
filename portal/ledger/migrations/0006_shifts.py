"""Shifts, and the till an operation was asked at."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie

_TILL_STAYS = """
CREATE FUNCTION ledger_till_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What was asked never changes.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER till_stays BEFORE UPDATE ON ledger_operation
    FOR EACH ROW WHEN (OLD.till_id IS DISTINCT FROM NEW.till_id) EXECUTE FUNCTION ledger_till_stays();
"""

_ENDED = """
CREATE FUNCTION ledger_shift_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'A shift is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.ended_at IS NOT NULL OR (NEW.merchant_id, NEW.till_id, NEW.person_id, NEW.key, NEW.started_at)
       IS DISTINCT FROM (OLD.merchant_id, OLD.till_id, OLD.person_id, OLD.key, OLD.started_at)
    THEN
        RAISE EXCEPTION 'A shift only ends, once.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON ledger_shift FOR EACH ROW EXECUTE FUNCTION ledger_shift_guard();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0005_fewer_indexes"),
        ("merchants", "0005_tills"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Shift",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, help_text="For whoever comes next.", max_length=500)),
            ],
        ),
        migrations.AddField(
            model_name="operation",
            name="till",
            field=models.ForeignKey(
                db_index=False,
                help_text="Where it was asked; it has a store.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                to="merchants.till",
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("till__isnull", False)),
                fields=["merchant", "till", "asked_at"],
                name="operation_at_till",
            ),
        ),
        migrations.AddField(
            model_name="shift",
            name="merchant",
            field=models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.merchant"),
        ),
        migrations.AddField(
            model_name="shift",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="shift",
            name="till",
            field=models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.till"),
        ),
        migrations.AddIndex(
            model_name="shift",
            index=models.Index(fields=["merchant", "-id"], name="shift_newest"),
        ),
        migrations.AddIndex(
            model_name="shift",
            index=models.Index(fields=["merchant", "till", "-ended_at"], name="shift_of_till"),
        ),
        migrations.AddConstraint(
            model_name="shift",
            constraint=models.UniqueConstraint(fields=("merchant", "id"), name="shift_of_merchant"),
        ),
        migrations.AddConstraint(
            model_name="shift",
            constraint=models.UniqueConstraint(fields=("merchant", "key"), name="shift_key_once"),
        ),
        migrations.AddConstraint(
            model_name="shift",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)), fields=("till", "person"), name="shift_running_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="shift",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_at", None), ("ended_at__gte", models.F("started_at")), _connector="OR"),
                name="shift_ends_after_it_starts",
            ),
        ),
        protect("ledger_shift"),
        tie("ledger_shift", "till_id", "merchants_till"),
        tie("ledger_operation", "till_id", "merchants_till"),
        migrations.RunSQL(_TILL_STAYS, "DROP TRIGGER till_stays ON ledger_operation; DROP FUNCTION ledger_till_stays"),
        migrations.RunSQL(_ENDED, "DROP TRIGGER guard ON ledger_shift; DROP FUNCTION ledger_shift_guard"),
    ]
