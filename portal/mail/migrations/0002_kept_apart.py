"""Row-level security for mails (those of the site itself are shown to no merchant), and ends that stay ends."""

from django.db import migrations

from portal.merchants.tenancy import protect, tie

# Every way a mail may go. What is not here is refused.
_MOVES = """
    (OLD.state = 'queued' AND NEW.state IN ('sending', 'withheld'))
 OR (OLD.state = 'sending' AND NEW.state IN ('sent', 'will_retry', 'failed'))
 OR (OLD.state = 'will_retry' AND NEW.state IN ('sending', 'withheld'))
 OR (OLD.state = 'failed' AND NEW.state = 'queued')
 OR (OLD.state = 'withheld' AND NEW.state = 'queued')
"""

_GUARD = f"""
CREATE FUNCTION mail_outgoingmail_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.ended_at IS NULL THEN
            RAISE EXCEPTION 'A mail on its way is not deleted.' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('queued', 'failed') THEN
            RAISE EXCEPTION 'A mail begins as queued.' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state = 'sent' OR (OLD.state = 'withheld' AND OLD.reason = 'withdrawn') THEN
        RAISE EXCEPTION 'This mail is over: it never changes again.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- A withheld mail may be withdrawn, too.
    IF NEW.state <> OLD.state AND NOT ({_MOVES}) THEN
        RAISE EXCEPTION 'A mail does not go from % to %.', OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.merchant_id, NEW.key, NEW.message_id, NEW.recipient, NEW.recipient_key, NEW.subject, NEW.created_at)
       IS DISTINCT FROM
       (OLD.merchant_id, OLD.key, OLD.message_id, OLD.recipient, OLD.recipient_key, OLD.subject, OLD.created_at)
       OR (NEW.sealed_message IS NOT NULL AND NEW.sealed_message IS DISTINCT FROM OLD.sealed_message)
    THEN
        RAISE EXCEPTION 'What was written never changes.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON mail_outgoingmail
    FOR EACH ROW EXECUTE FUNCTION mail_outgoingmail_guard();
"""

_STORY = """
CREATE FUNCTION mail_mailstep_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A step is never changed.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER never_changed BEFORE UPDATE ON mail_mailstep
    FOR EACH ROW EXECUTE FUNCTION mail_mailstep_is_final();
"""


class Migration(migrations.Migration):
    dependencies = [("mail", "0001_initial")]

    operations = [
        protect("mail_outgoingmail"),
        protect("mail_mailstep"),
        tie("mail_mailstep", "mail_id", "mail_outgoingmail"),
        migrations.RunSQL(_GUARD, "DROP TRIGGER guard ON mail_outgoingmail; DROP FUNCTION mail_outgoingmail_guard"),
        migrations.RunSQL(_STORY, "DROP TRIGGER never_changed ON mail_mailstep; DROP FUNCTION mail_mailstep_is_final"),
    ]
