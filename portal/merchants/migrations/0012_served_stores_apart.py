"""Which stores a connection serves is kept apart by merchant; what CardInquiry alone called public use, all have now."""

from django.db import migrations

from portal.merchants.tenancy import protect, tie

_PUBLIC_USE = """
SELECT set_config('tillside.every', 'on', true);
UPDATE merchants_connection
    SET public_use = coalesce((options->>'public_use')::boolean, false), options = options - 'public_use'
    WHERE options ? 'public_use';
SELECT set_config('tillside.every', '', true);
"""


class Migration(migrations.Migration):
    dependencies = [("merchants", "0011_connections_kept")]

    operations = [
        protect("merchants_servedstore"),
        tie("merchants_servedstore", "connection_id", "merchants_connection"),
        tie("merchants_servedstore", "store_id", "merchants_store"),
        migrations.RunSQL(_PUBLIC_USE, migrations.RunSQL.noop),
    ]
