"""How many were rejected by code in each minute of the last days, for the picture of the pipeline."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0012_sensor_status'),
    ]

    operations = [
        migrations.CreateModel(
            name='RejectedMinute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('start', models.DateTimeField(verbose_name='start')),
                ('code', models.CharField(max_length=32, verbose_name='code')),
                ('seen', models.PositiveBigIntegerField(verbose_name='seen')),
            ],
            options={
                'verbose_name': 'rejected by minute',
                'verbose_name_plural': 'rejected by minute',
                'constraints': [models.UniqueConstraint(fields=('start', 'code'), name='rejected_minute_of_code')],
            },
        ),
    ]
