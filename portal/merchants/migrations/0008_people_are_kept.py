"""A merchant keeps an owner and an invitation that is over stays over, whoever writes."""

from django.db import migrations

from portal.merchants.tenancy import protect

# At the end of the transaction, so that two owners may change places in one. Of two who demote each other at the same
# moment, each alone sees the other still in place; the lock makes the second look only when the first is done. The
# function opens every merchant's rows for itself: at commit the context of the change may be gone.
_OWNER = """
CREATE FUNCTION merchants_member_keeps_an_owner() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before text := coalesce(current_setting('tillside.every', true), '');
    is_kept boolean;
BEGIN
    PERFORM set_config('tillside.every', 'on', true);
    PERFORM FROM merchants_merchant WHERE id = OLD.merchant_id FOR NO KEY UPDATE;
    is_kept := NOT FOUND OR EXISTS (
        SELECT FROM merchants_member m JOIN merchants_person p ON p.id = m.person_id
        WHERE m.merchant_id = OLD.merchant_id AND m.role = 'owner' AND p.is_active
    );
    PERFORM set_config('tillside.every', before, true);
    IF NOT is_kept THEN
        RAISE EXCEPTION 'A merchant keeps at least one owner.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER keeps_an_owner AFTER UPDATE OF role, merchant_id, person_id OR DELETE ON merchants_member
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner')
    EXECUTE FUNCTION merchants_member_keeps_an_owner();
"""

_FINAL = """
CREATE FUNCTION merchants_invitation_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'pending' THEN
        RAISE EXCEPTION 'This invitation is over: it never changes again.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.merchant_id, NEW.key, NEW.email, NEW.role, NEW.token_hash, NEW.invited_by_id, NEW.invited_at,
        NEW.expires_at)
       IS DISTINCT FROM
       (OLD.merchant_id, OLD.key, OLD.email, OLD.role, OLD.token_hash, OLD.invited_by_id, OLD.invited_at,
        OLD.expires_at)
    THEN
        RAISE EXCEPTION 'An invitation that was sent never changes.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON merchants_invitation
    FOR EACH ROW EXECUTE FUNCTION merchants_invitation_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("merchants", "0007_people")]

    operations = [
        protect("merchants_invitation"),
        migrations.RunSQL(
            _OWNER,
            "DROP TRIGGER keeps_an_owner ON merchants_member; DROP FUNCTION merchants_member_keeps_an_owner",
        ),
        migrations.RunSQL(
            _FINAL,
            "DROP TRIGGER guard ON merchants_invitation; DROP FUNCTION merchants_invitation_guard",
        ),
    ]
