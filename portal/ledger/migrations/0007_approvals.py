"""Limits and approvals. What approvals.py promises is promised once more by the database."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie

_GUARD = """
CREATE FUNCTION ledger_approval_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'An approval is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'An approval begins as pending.' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> 'pending' THEN
        RAISE EXCEPTION 'This approval is over: it never changes again.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state IN ('approved', 'refused') AND OLD.expires_at <= statement_timestamp() THEN
        RAISE EXCEPTION 'The time for this approval has run out.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.merchant_id, NEW.connection_id, NEW.card_id, NEW.original_id, NEW.key, NEW.verb, NEW.amount_minor,
        NEW.currency, NEW.points, NEW.also_activate, NEW.extra, NEW.fingerprint, NEW.asked_by_id, NEW.till_id,
        NEW.asked_at, NEW.expires_at)
       IS DISTINCT FROM
       (OLD.merchant_id, OLD.connection_id, OLD.card_id, OLD.original_id, OLD.key, OLD.verb, OLD.amount_minor,
        OLD.currency, OLD.points, OLD.also_activate, OLD.extra, OLD.fingerprint, OLD.asked_by_id, OLD.till_id,
        OLD.asked_at, OLD.expires_at)
    THEN
        RAISE EXCEPTION 'What was asked never changes.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON ledger_approval
    FOR EACH ROW EXECUTE FUNCTION ledger_approval_guard();
"""

# After the insert, so that a key pressed twice, which inserts nothing, is left alone.
_APPROVED = """
CREATE FUNCTION ledger_operation_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'Who approved an operation never changes.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.approval_id IS DISTINCT FROM (
        SELECT a.id FROM ledger_approval a WHERE a.merchant_id = NEW.merchant_id AND a.key = NEW.key
    ) OR NEW.approval_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM ledger_approval a WHERE a.id = NEW.approval_id AND a.merchant_id = NEW.merchant_id
        AND a.state = 'approved' AND a.fingerprint = NEW.fingerprint
    ) THEN
        RAISE EXCEPTION 'This takes an approval of the same wish.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approved AFTER INSERT ON ledger_operation
    FOR EACH ROW EXECUTE FUNCTION ledger_operation_approved();
CREATE TRIGGER approval_stays AFTER UPDATE OF approval_id ON ledger_operation
    FOR EACH ROW WHEN (NEW.approval_id IS DISTINCT FROM OLD.approval_id)
    EXECUTE FUNCTION ledger_operation_approved();
"""
_NOT_APPROVED = """
DROP TRIGGER approved ON ledger_operation;
DROP TRIGGER approval_stays ON ledger_operation;
DROP FUNCTION ledger_operation_approved();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0006_shifts"),
        ("merchants", "0009_approvals"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(editable=False)),
                ("verb", models.CharField(help_text="connectors.base.VERBS.", max_length=20)),
                ("amount_minor", models.BigIntegerField(null=True)),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("points", models.BigIntegerField(null=True)),
                ("also_activate", models.BooleanField(default=False)),
                ("extra", models.JSONField(default=dict)),
                ("sealed_input", models.BinaryField(null=True)),
                ("fingerprint", models.BinaryField(help_text="Keyed hash of all that was asked, as the operation's.")),
                ("asked_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(help_text="Not approved by then, it never is.")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Needs a second person"),
                            ("approved", "Approved"),
                            ("refused", "Refused"),
                            ("withdrawn", "Taken back"),
                            ("expired", "Expired"),
                        ],
                        default="pending",
                        max_length=20,
                    ),
                ),
                (
                    "reason",
                    models.CharField(blank=True, help_text="What the second person said, if anything.", max_length=500),
                ),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.DO_NOTHING, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("card", models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, to="ledger.card")),
                (
                    "connection",
                    models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.connection"),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.merchant"),
                ),
                (
                    "original",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="ledger.operation",
                    ),
                ),
                (
                    "till",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="merchants.till",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="operation",
            name="approval",
            field=models.ForeignKey(
                db_index=False,
                help_text="Where it took a second person.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                to="ledger.approval",
            ),
        ),
        migrations.CreateModel(
            name="Limit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.CharField(help_text="merchants.roles.Role.", max_length=20)),
                ("verb", models.CharField(help_text="connectors.base.VERBS.", max_length=20)),
                ("most", models.BigIntegerField(help_text="Minor units of the merchant's currency, or points.")),
                ("merchant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant")),
            ],
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("state", "pending")), fields=["merchant", "id"], name="approval_pending"
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("state", "pending")), fields=["expires_at"], name="approval_expiring"
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(condition=models.Q(("state", "pending")), fields=["card"], name="approval_of_card"),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(fields=("merchant", "id"), name="approval_of_merchant"),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(fields=("merchant", "key"), name="approval_key_once"),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["pending", "approved", "refused", "withdrawn", "expired"])),
                name="approval_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_by__isnull", False), ("state__in", ("approved", "refused"))),
                    models.Q(models.Q(("state__in", ("approved", "refused")), _negated=True), ("decided_by", None)),
                    _connector="OR",
                ),
                name="approval_decided_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None), models.Q(("decided_by", models.F("asked_by")), _negated=True), _connector="OR"
                ),
                name="approval_never_by_the_asker",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at", None), ("state", "pending")),
                    models.Q(
                        models.Q(("state", "pending"), _negated=True),
                        ("ended_at__isnull", False),
                        ("sealed_input", None),
                    ),
                    _connector="OR",
                ),
                name="approval_keeps_no_secret_after_the_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="limit",
            constraint=models.UniqueConstraint(fields=("merchant", "id"), name="limit_of_merchant"),
        ),
        migrations.AddConstraint(
            model_name="limit",
            constraint=models.UniqueConstraint(fields=("merchant", "role", "verb"), name="limit_once"),
        ),
        migrations.AddConstraint(
            model_name="limit",
            constraint=models.CheckConstraint(
                condition=models.Q(("most__gte", 0), ("most__lte", 1000000000)), name="limit_in_range"
            ),
        ),
        protect("ledger_limit"),
        protect("ledger_approval"),
        tie("ledger_approval", "connection_id", "merchants_connection"),
        tie("ledger_approval", "card_id", "ledger_card"),
        tie("ledger_approval", "original_id", "ledger_operation"),
        tie("ledger_approval", "till_id", "merchants_till"),
        tie("ledger_operation", "approval_id", "ledger_approval"),
        migrations.RunSQL(_GUARD, "DROP TRIGGER guard ON ledger_approval; DROP FUNCTION ledger_approval_guard"),
        migrations.RunSQL(_APPROVED, _NOT_APPROVED),
    ]
