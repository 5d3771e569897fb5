"""Pauses of connections, as rows."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from portal.merchants.tenancy import protect, tie

# What is paused already was paused by the machine: nobody else could.
_PAUSED_ALREADY = """
SELECT set_config('tillside.every', 'on', true);
INSERT INTO merchants_pause (merchant_id, connection_id, key, reason, address, begun_at)
SELECT merchant_id, id, gen_random_uuid(), coalesce(nullif(pause_reason, ''), 'key_refused'),
       coalesce(options ->> 'base_url', ''), paused_at
FROM merchants_connection WHERE paused_at IS NOT NULL;
SELECT set_config('tillside.every', '', true);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0013_host_approvals"),
    ]

    operations = [
        migrations.AlterField(
            model_name="connection",
            name="pause_reason",
            field=models.CharField(blank=True, help_text="Our word for why, or what a person said.", max_length=200),
        ),
        migrations.CreateModel(
            name="Pause",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("reason", models.CharField(help_text="Our word for why, or what a person said.", max_length=200)),
                ("address", models.CharField(blank=True, help_text="Where our key was refused.", max_length=500)),
                ("begun_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(help_text="It ends by itself then.", null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "first_held",
                    models.BigIntegerField(help_text="The first operation that waited when it ended.", null=True),
                ),
                ("last_held", models.BigIntegerField(help_text="The last one.", null=True)),
                (
                    "begun_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "connection",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="merchants.connection"
                    ),
                ),
                (
                    "ended_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "merchant",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["connection", "-begun_at"], name="pause_newest"),
                    models.Index(condition=models.Q(("ended_at", None)), fields=["expires_at"], name="pause_expiring"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("merchant", "id"), name="pause_of_merchant"),
                    models.UniqueConstraint(fields=("merchant", "key"), name="pause_key_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("connection",), name="pause_under_way_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("begun_by__isnull", False), ("expires_at", None), _connector="OR"),
                        name="pause_by_the_machine_does_not_expire",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("ended_by", None)),
                            models.Q(
                                ("ended_at__gte", models.F("begun_at")),
                                models.Q(("ended_by__isnull", False), ("expires_at__isnull", False), _connector="OR"),
                            ),
                            _connector="OR",
                        ),
                        name="pause_ends_by_a_person_or_as_said",
                    ),
                ],
            },
        ),
        protect("merchants_pause"),
        tie("merchants_pause", "connection_id", "merchants_connection"),
        migrations.RunSQL(_PAUSED_ALREADY, migrations.RunSQL.noop),
    ]
