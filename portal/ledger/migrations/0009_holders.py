"""A card is held by a customer of the same merchant, who is still there."""

from django.db import migrations

from portal.merchants.tenancy import tie

# The lock makes this wait for somebody who is merging or erasing the customer, and then see what became of it.
_HOLDER = """
CREATE FUNCTION ledger_card_holder_is_there() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM customers_customer
        WHERE id = NEW.customer_id AND merged_into_id IS NULL AND erased_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'A card is not given to a customer who was merged or erased.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER holder_is_there BEFORE INSERT OR UPDATE OF customer_id ON ledger_card
    FOR EACH ROW WHEN (NEW.customer_id IS NOT NULL) EXECUTE FUNCTION ledger_card_holder_is_there();
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0008_card_customer"), ("customers", "0002_kept_apart")]

    operations = [
        tie("ledger_card", "customer_id", "customers_customer"),
        migrations.RunSQL(
            _HOLDER, "DROP TRIGGER holder_is_there ON ledger_card; DROP FUNCTION ledger_card_holder_is_there"
        ),
    ]
