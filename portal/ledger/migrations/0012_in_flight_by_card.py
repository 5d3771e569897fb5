"""One operation at a time for each card, known by the card's own key: the hash of its number changes with the keys.

Operations that are there get the new name, the old hash of the number goes. What an operation is asked with never
changes otherwise, so the guard rests for this one statement.
"""

from django.db import migrations, models

_RENAME = """
SELECT set_config('tillside.every', 'on', true);
ALTER TABLE ledger_operation DISABLE TRIGGER guard;
UPDATE ledger_operation o SET in_flight_key = uuid_send(c.key)
FROM ledger_card c WHERE c.id = o.card_id AND o.in_flight_key IS NOT NULL;
ALTER TABLE ledger_operation ENABLE TRIGGER guard;
SELECT set_config('tillside.every', '', true);
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0011_unsent")]

    operations = [
        migrations.AlterField(
            model_name="operation",
            name="in_flight_key",
            field=models.BinaryField(help_text="What may have one operation at a time: the card's key.", null=True),
        ),
        migrations.RunSQL(_RENAME, migrations.RunSQL.noop),
    ]
