from django.db import migrations, models

# What retention has taken already: of all, as whole partitions, and of sensors.
FILL = """
INSERT INTO monitoring_gonespan (sensor_id, start, until)
SELECT CASE WHEN kind = 'partition' THEN 0 ELSE target::bigint END AS of, min(first), max(last)
FROM monitoring_retentionrun
WHERE kind IN ('partition', 'sensor_rows') AND first IS NOT NULL AND last IS NOT NULL
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
    ]
