"""Row-level security for look-ups, whose connection must be of the same merchant."""

from django.db import migrations

from portal.merchants.tenancy import protect, tie


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("merchants", "0002_kept_apart")]

    operations = [
        protect("ledger_inquiry"),
        tie("ledger_inquiry", "connection_id", "merchants_connection"),
    ]
