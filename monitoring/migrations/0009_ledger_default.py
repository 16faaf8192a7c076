import django.contrib.postgres.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0008_sensors_version")]

    operations = [
        migrations.AlterField(
            model_name="ingestbatch",
            name="ingested_at",
            field=models.DateTimeField(
                db_default=django.contrib.postgres.functions.TransactionNow(),
                editable=False,
                verbose_name="ingested at",
            ),
        )
    ]
