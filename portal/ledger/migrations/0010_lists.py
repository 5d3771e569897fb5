"""Lists of operations and cards: the newest first, and found by what stands on papers.

One index more for every operation (`operation_newest`) and one less: that of `original` holds only those that have
one, and that of the provider's reference only those that are over. The other new ones hold few rows.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0002_kept_apart"),
        ("ledger", "0009_holders"),
        ("merchants", "0010_audit_in_order"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="operation",
            name="operation_by_reference",
        ),
        migrations.AlterField(
            model_name="card",
            name="connection",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, to="merchants.connection"
            ),
        ),
        migrations.AlterField(
            model_name="card",
            name="merchant",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, to="merchants.merchant"
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="original",
            field=models.ForeignKey(
                db_index=False,
                help_text="What a void or tip is for.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                to="ledger.operation",
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="provider_reference",
            field=models.CharField(blank=True, db_collation="C", max_length=100),
        ),
        migrations.AlterField(
            model_name="operation",
            name="trace",
            field=models.CharField(blank=True, db_collation="C", max_length=100),
        ),
        migrations.AddIndex(
            model_name="card",
            index=models.Index(fields=["merchant", "-first_seen_at", "-id"], name="card_newest"),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["merchant", "-asked_at", "-id"], name="operation_newest"),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("state__in", ("refused", "failed"))),
                fields=["merchant", "-asked_at", "-id"],
                name="operation_not_done",
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("settled_by__in", ("balance", "person"))),
                fields=["merchant", "-asked_at", "-id"],
                name="operation_settled_later",
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("original__isnull", False)), fields=["original"], name="operation_of_original"
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("provider_reference__gt", "")),
                fields=["merchant", "provider_reference"],
                name="operation_by_reference",
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("trace__gt", "")), fields=["merchant", "trace"], name="operation_by_trace"
            ),
        ),
    ]
