"""What operations.py promises, promised once more by the database: to our own role, too, and to SQL typed by hand."""

from django.db import migrations

from portal.merchants.tenancy import protect, tie

# Every way an operation may go. What is not here is refused.
_MOVES = """
    (OLD.state = 'waiting' AND NEW.state IN ('running', 'failed'))
 OR (OLD.state = 'running' AND NEW.state IN ('done', 'refused', 'failed', 'waiting', 'checking'))
 OR (OLD.state = 'checking' AND NEW.state IN ('done', 'needs_person'))
 OR (OLD.state = 'needs_person' AND NEW.state IN ('done', 'refused'))
"""

_GUARD = f"""
CREATE FUNCTION ledger_operation_guard() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF NEW.state <> OLD.state AND NOT ({_MOVES}) THEN
        RAISE EXCEPTION 'An operation does not go from % to %.', OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.merchant_id, NEW.connection_id, NEW.card_id, NEW.original_id, NEW.key, NEW.verb, NEW.amount_minor,
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
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON ledger_operation
    FOR EACH ROW EXECUTE FUNCTION ledger_operation_guard();
"""

_KEPT = """
CREATE FUNCTION ledger_exchange_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Evidence is never changed or deleted.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_exchange
    FOR EACH ROW EXECUTE FUNCTION ledger_exchange_is_final();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_operations")]

    operations = [
        protect("ledger_card"),
        tie("ledger_card", "connection_id", "merchants_connection"),
        tie("ledger_inquiry", "card_id", "ledger_card"),
        protect("ledger_operation"),
        tie("ledger_operation", "connection_id", "merchants_connection"),
        tie("ledger_operation", "card_id", "ledger_card"),
        tie("ledger_operation", "original_id", "ledger_operation"),
        protect("ledger_exchange"),
        tie("ledger_exchange", "operation_id", "ledger_operation"),
        migrations.RunSQL(_GUARD, "DROP TRIGGER guard ON ledger_operation; DROP FUNCTION ledger_operation_guard"),
        migrations.RunSQL(_KEPT, "DROP TRIGGER append_only ON ledger_exchange; DROP FUNCTION ledger_exchange_is_final"),
    ]
