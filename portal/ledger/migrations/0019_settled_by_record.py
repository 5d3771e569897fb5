"""What became of an operation may be told by the provider's own record of it, and a card may come of one.

The guard of 0004 lets a check end in a refusal now, and lets the card be named once, after the end, of an operation that
asked for a new one.
"""

from django.db import migrations, models
from django.db.models import Q

_MOVES = """
    (OLD.state = 'waiting' AND NEW.state IN ('running', 'failed'))
 OR (OLD.state = 'running' AND NEW.state IN ('done', 'refused', 'failed', 'waiting', 'checking'))
 OR (OLD.state = 'checking' AND NEW.state IN ('done', 'needs_person'{record}))
 OR (OLD.state = 'needs_person' AND NEW.state IN ('done', 'refused'))
"""

_GUARD = """
CREATE OR REPLACE FUNCTION ledger_operation_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'An operation is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'waiting' THEN
            RAISE EXCEPTION 'An operation begins as waiting.' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state IN ('done', 'refused', 'failed') THEN
        RAISE EXCEPTION 'This operation is over: it never changes again.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT ({moves}) THEN
        RAISE EXCEPTION 'An operation does not go from % to %.', OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.merchant_id, NEW.connection_id, {card}, NEW.original_id, NEW.key, NEW.verb, NEW.amount_minor,
        NEW.currency, NEW.points, NEW.also_activate, NEW.extra, NEW.fingerprint, NEW.in_flight_key, NEW.asked_by_id,
        NEW.asked_at)
       IS DISTINCT FROM
       (OLD.merchant_id, OLD.connection_id, OLD.card_id, OLD.original_id, OLD.key, OLD.verb, OLD.amount_minor,
        OLD.currency, OLD.points, OLD.also_activate, OLD.extra, OLD.fingerprint, OLD.in_flight_key, OLD.asked_by_id,
        OLD.asked_at)
    THEN
        RAISE EXCEPTION 'What was asked never changes.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
_BEFORE = _GUARD.format(moves=_MOVES.format(record=""), card="NEW.card_id")
_MADE = "CASE WHEN OLD.card_id IS NULL AND NEW.state = 'done' THEN NULL ELSE NEW.card_id END"
_NOW = _GUARD.format(moves=_MOVES.format(record=", 'refused'"), card=_MADE)
_NEWEST = ["merchant", "-asked_at", "-id"]


class Migration(migrations.Migration):
    dependencies = [("ledger", "0018_shoppers")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="missing_since",
            field=models.DateTimeField(
                help_text="When the provider's own record first said, while we were checking, that it is not done.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="settled_by",
            field=models.CharField(blank=True, help_text="answer, balance, record or person.", max_length=20),
        ),
        migrations.AlterField(
            model_name="exchange",
            name="purpose",
            field=models.CharField(help_text="before, call, check, find or after.", max_length=10),
        ),
        migrations.RemoveIndex(model_name="operation", name="operation_settled_later"),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=Q(settled_by__in=("balance", "record", "person")),
                fields=_NEWEST,
                name="operation_settled_later",
            ),
        ),
        migrations.RunSQL(_NOW, _BEFORE),
    ]
