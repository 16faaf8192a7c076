import django.db.models.deletion
from django.db import migrations, models


# Partitioned by time, as measurements are (0001); one B-tree a row.
ROLLUP = """
CREATE TABLE monitoring_rollup_{name} (
    sensor_id bigint NOT NULL,
    start timestamptz NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    first double precision NOT NULL,
    last double precision NOT NULL,
    PRIMARY KEY (sensor_id, start)
) PARTITION BY RANGE (start);
"""
DROP_ROLLUP = "DROP TABLE monitoring_rollup_{name}"
NAMES = ['minute', 'hour', 'day']


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0001_initial'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='DayRollup',
                    fields=[
                        ('pk', models.CompositePrimaryKey('sensor', 'start', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('start', models.DateTimeField(verbose_name='start')),
                        ('count', models.PositiveBigIntegerField(verbose_name='count')),
                        ('sum', models.FloatField(verbose_name='sum')),
                        ('min', models.FloatField(verbose_name='minimum')),
                        ('max', models.FloatField(verbose_name='maximum')),
                        ('first', models.FloatField(verbose_name='first')),
                        ('last', models.FloatField(verbose_name='last')),
                        ('sensor', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='monitoring.sensor', verbose_name='sensor')),
                    ],
                    options={
                        'verbose_name': 'day',
                        'verbose_name_plural': 'days',
                        'db_table': 'monitoring_rollup_day',
                    },
                ),
                migrations.CreateModel(
                    name='HourRollup',
                    fields=[
                        ('pk', models.CompositePrimaryKey('sensor', 'start', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('start', models.DateTimeField(verbose_name='start')),
                        ('count', models.PositiveBigIntegerField(verbose_name='count')),
                        ('sum', models.FloatField(verbose_name='sum')),
                        ('min', models.FloatField(verbose_name='minimum')),
                        ('max', models.FloatField(verbose_name='maximum')),
                        ('first', models.FloatField(verbose_name='first')),
                        ('last', models.FloatField(verbose_name='last')),
                        ('sensor', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='monitoring.sensor', verbose_name='sensor')),
                    ],
                    options={
                        'verbose_name': 'hour',
                        'verbose_name_plural': 'hours',
                        'db_table': 'monitoring_rollup_hour',
                    },
                ),
                migrations.CreateModel(
                    name='MinuteRollup',
                    fields=[
                        ('pk', models.CompositePrimaryKey('sensor', 'start', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('start', models.DateTimeField(verbose_name='start')),
                        ('count', models.PositiveBigIntegerField(verbose_name='count')),
                        ('sum', models.FloatField(verbose_name='sum')),
                        ('min', models.FloatField(verbose_name='minimum')),
                        ('max', models.FloatField(verbose_name='maximum')),
                        ('first', models.FloatField(verbose_name='first')),
                        ('last', models.FloatField(verbose_name='last')),
                        ('sensor', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='monitoring.sensor', verbose_name='sensor')),
                    ],
                    options={
                        'verbose_name': 'minute',
                        'verbose_name_plural': 'minutes',
                        'db_table': 'monitoring_rollup_minute',
                    },
                ),
            ],
            database_operations=[
                migrations.RunSQL(ROLLUP.format(name=name), DROP_ROLLUP.format(name=name)) for name in NAMES
            ],
        ),
    ]
