"""Drafts of connections are kept apart by merchant."""

from django.db import migrations

from portal.merchants.tenancy import protect, tie


class Migration(migrations.Migration):
    dependencies = [("merchants", "0015_drafts")]

    operations = [
        protect("merchants_connectiondraft"),
        tie("merchants_connectiondraft", "connection_id", "merchants_connection"),
    ]
