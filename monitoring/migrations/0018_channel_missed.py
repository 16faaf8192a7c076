"""When a channel was off, until it has been told of what it missed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0017_incident_indexes")]

    operations = [
        migrations.AddField("alertchannel", "missed_since", models.DateTimeField(null=True, editable=False)),
        migrations.AddField("alertchannel", "missed_until", models.DateTimeField(null=True, editable=False)),
    ]
