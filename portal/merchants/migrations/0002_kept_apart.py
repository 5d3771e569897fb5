"""Row-level security for everything of a merchant, and a trail that nobody rewrites."""

from django.db import migrations

from portal.merchants.tenancy import PERSON, protect


class Migration(migrations.Migration):
    dependencies = [("merchants", "0001_initial")]

    operations = [
        protect("merchants_member", shown_to_member=f"person_id = {PERSON}"),
        protect(
            "merchants_merchant",
            column="id",
            shown_to_member=f"id IN (SELECT merchant_id FROM merchants_member WHERE person_id = {PERSON})",
        ),
        protect("merchants_store"),
        protect("merchants_connection"),
        protect("merchants_auditentry"),
        migrations.RunSQL(
            [
                "CREATE FUNCTION merchants_auditentry_is_final() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'A line of the trail is never changed or deleted.'; END $$",
                "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON merchants_auditentry"
                " FOR EACH ROW EXECUTE FUNCTION merchants_auditentry_is_final()",
            ],
            [
                "DROP TRIGGER append_only ON merchants_auditentry",
                "DROP FUNCTION merchants_auditentry_is_final",
            ],
        ),
    ]
