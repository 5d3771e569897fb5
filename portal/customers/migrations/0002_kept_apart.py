"""Row-level security, links within one merchant, and what never happens to a customer again: the database says no."""

from django.db import migrations

from portal.merchants.tenancy import protect, tie

_CUSTOMER = """
CREATE FUNCTION customers_customer_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'A customer is never deleted, but erased.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.erased_at IS NOT NULL THEN
        RAISE EXCEPTION 'This customer was erased: it never changes again.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.merged_into_id IS NOT NULL AND NEW.merged_into_id IS NULL THEN
        RAISE EXCEPTION 'A merged customer does not come back.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.merchant_id, NEW.key, NEW.created_at) IS DISTINCT FROM (OLD.merchant_id, OLD.key, OLD.created_at) THEN
        RAISE EXCEPTION 'A customer keeps its key.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON customers_customer
    FOR EACH ROW EXECUTE FUNCTION customers_customer_guard();
"""

# A word moves along when two customers become one, and goes when the customer is erased; nothing else.
_CONSENT = """
CREATE FUNCTION customers_consent_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM customers_customer WHERE id = OLD.customer_id AND erased_at IS NULL) THEN
            RAISE EXCEPTION 'A word on consent is never deleted.' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (NEW.id, NEW.merchant_id, NEW.purpose, NEW.given, NEW.source, NEW.at, NEW.recorded_by_id)
       IS DISTINCT FROM
       (OLD.id, OLD.merchant_id, OLD.purpose, OLD.given, OLD.source, OLD.at, OLD.recorded_by_id)
       OR NOT EXISTS (
           SELECT FROM customers_customer WHERE id = OLD.customer_id AND merged_into_id = NEW.customer_id
       )
    THEN
        RAISE EXCEPTION 'A word on consent is never changed.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON customers_consent
    FOR EACH ROW EXECUTE FUNCTION customers_consent_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial"), ("merchants", "0002_kept_apart")]

    operations = [
        protect("customers_customer"),
        tie("customers_customer", "merged_into_id", "customers_customer"),
        protect("customers_consent"),
        tie("customers_consent", "customer_id", "customers_customer"),
        protect("customers_providernumber"),
        tie("customers_providernumber", "customer_id", "customers_customer"),
        tie("customers_providernumber", "connection_id", "merchants_connection"),
        migrations.RunSQL(
            _CUSTOMER, "DROP TRIGGER guard ON customers_customer; DROP FUNCTION customers_customer_guard"
        ),
        migrations.RunSQL(
            _CONSENT, "DROP TRIGGER append_only ON customers_consent; DROP FUNCTION customers_consent_guard"
        ),
    ]
