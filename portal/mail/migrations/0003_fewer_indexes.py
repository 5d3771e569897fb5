"""Indexes that another one begins with are one too many."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mail", "0002_kept_apart"),
        ("merchants", "0004_languages"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="outgoingmail",
            name="mail_newest",
        ),
        migrations.AlterField(
            model_name="mailstep",
            name="mail",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to="mail.outgoingmail"
            ),
        ),
        migrations.AlterField(
            model_name="mailstep",
            name="merchant",
            field=models.ForeignKey(
                db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.merchant"
            ),
        ),
        migrations.AlterField(
            model_name="outgoingmail",
            name="merchant",
            field=models.ForeignKey(
                db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, to="merchants.merchant"
            ),
        ),
    ]
