from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("merchants", "0008_people_are_kept"),
    ]

    operations = [
        migrations.AddField(
            model_name="merchant",
            name="second_person_from_points",
            field=models.BigIntegerField(blank=True, help_text="The same, for points.", null=True),
        ),
    ]
