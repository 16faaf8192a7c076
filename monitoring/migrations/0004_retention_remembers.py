import django.core.validators
from django.db import migrations, models

# What retention has taken already: of all, as whole partitions, and of sensors.
FILL = """
INSERT INTO monitoring_gonespan (sensor_id, start, until)
SELECT CASE WHEN kind = 'partition' THEN 0 ELSE target::bigint END AS of,
       min(first), max(last) + interval '1 microsecond'
FROM monitoring_retentionrun
WHERE kind IN ('partition', 'sensor_rows') AND first IS NOT NULL AND last IS NOT NULL
  AND (kind = 'partition' OR target IN (SELECT id::text FROM monitoring_sensor))
GROUP BY of
"""


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0003_retention'),
    ]

    operations = [
        migrations.CreateModel(
            name='GoneSpan',
            fields=[
                ('sensor_id', models.PositiveBigIntegerField(help_text='0: all of them, as whole partitions.', primary_key=True, serialize=False, verbose_name='sensor')),
                ('start', models.DateTimeField(verbose_name='from')),
                ('until', models.DateTimeField(verbose_name='to')),
            ],
            options={
                'verbose_name': 'span whose rows have gone',
                'verbose_name_plural': 'spans whose rows have gone',
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.CreateModel(
            name='RejectedTotal',
            fields=[
                ('code', models.CharField(max_length=32, primary_key=True, serialize=False, verbose_name='code')),
                ('seen', models.PositiveBigIntegerField(verbose_name='seen')),
                ('kept', models.PositiveBigIntegerField(verbose_name='kept')),
            ],
            options={
                'verbose_name': 'rejected in all hours before',
                'verbose_name_plural': 'rejected in all hours before',
            },
        ),
        migrations.AlterField(
            model_name='ingestbatch',
            name='source',
            field=models.CharField(help_text='mqtt:<bridge>, http or import.', max_length=100, verbose_name='source'),
        ),
        migrations.AlterField(
            model_name='sensor',
            name='retention_days',
            field=models.PositiveIntegerField(blank=True, help_text="Keeps this sensor's measurements for fewer days than the rest; empty keeps them as long.", null=True, validators=[django.core.validators.MinValueValidator(2), django.core.validators.MaxValueValidator(36500)], verbose_name='retention (days)'),
        ),
    ]
