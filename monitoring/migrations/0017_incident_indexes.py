"""What ended lately is found of a pair, and of a sensor: not of all."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0016_alerts")]

    operations = [
        migrations.AddIndex(
            "incident", models.Index(fields=["rule", "subject", "resolved_at"], name="incident_of_pair")
        ),
        migrations.AddIndex(
            "incident", models.Index(fields=["sensor", "resolved_at"], name="incident_ended_of_sensor")
        ),
        migrations.RemoveIndex("incident", "incident_of_subject"),
        migrations.RemoveIndex("incident", "incident_ended"),
    ]
