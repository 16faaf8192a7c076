"""Rejected messages can be replayed: which sensors they name, what became of them, and jobs for many."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

# Those that a message names are in the details of these codes: "there is no sensor 12", "sensor 3 has ...".
SENSORS = """
UPDATE monitoring_rejectedmessage
SET sensors = ARRAY[substring(detail FROM 'sensor ([0-9]{1,18})')::bigint]
WHERE indexes = '' AND detail ~ 'sensor [0-9]{1,18}'
  AND code IN ('unknown_sensor', 'inactive_sensor', 'type_mismatch', 'unit_mismatch', 'conflict')
"""
# All that is there waits.
WAITING = """
UPDATE monitoring_rejectedtally AS tally SET waiting = held.waiting FROM (
    SELECT code, date_trunc('hour', received_at, 'UTC') AS hour, sum(elements) AS waiting
    FROM monitoring_rejectedmessage WHERE state = 'waiting' GROUP BY code, hour
) AS held WHERE tally.code = held.code AND tally.hour = held.hour
"""
# What is blocked is a part of what sensors expect: see migration 0008.
VERSION = """
CREATE TRIGGER blocked_sensors_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE
ON monitoring_blockedsensor FOR EACH STATEMENT EXECUTE FUNCTION monitoring_sensors_change()
"""
NO_VERSION = "DROP TRIGGER blocked_sensors_change ON monitoring_blockedsensor"


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0010_token'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BlockedSensor',
            fields=[
                ('sensor_id', models.PositiveBigIntegerField(primary_key=True, serialize=False, verbose_name='sensor')),
                ('blocked_by', models.CharField(max_length=150, verbose_name='blocked by')),
                ('blocked_at', models.DateTimeField(auto_now_add=True, verbose_name='blocked at')),
            ],
            options={
                'verbose_name': 'blocked sensor',
                'verbose_name_plural': 'blocked sensors',
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('replay', 'replay'), ('dismiss', 'dismiss')], max_length=16, verbose_name='what')),
                ('selection', models.JSONField(default=dict, verbose_name='which')),
                ('change', models.JSONField(null=True, verbose_name='change')),
                ('reason', models.CharField(blank=True, max_length=200, verbose_name='reason')),
                ('requested_by', models.CharField(max_length=150, verbose_name='requested by')),
                ('requested_at', models.DateTimeField(auto_now_add=True, verbose_name='requested at')),
                ('last_id', models.BigIntegerField(null=True, verbose_name='last message')),
                ('position', models.BigIntegerField(default=0, verbose_name='place')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('total', models.PositiveBigIntegerField(default=0, verbose_name='messages')),
                ('dealt_with', models.PositiveBigIntegerField(default=0, verbose_name='dealt with')),
                ('stored', models.PositiveBigIntegerField(default=0, verbose_name='stored')),
                ('duplicates', models.PositiveBigIntegerField(default=0, verbose_name='duplicates')),
                ('rejected', models.PositiveBigIntegerField(default=0, verbose_name='rejected again')),
                ('dismissed', models.PositiveBigIntegerField(default=0, verbose_name='dismissed')),
                ('codes', models.JSONField(default=dict, verbose_name='rejected again, by code')),
                ('error', models.CharField(blank=True, max_length=500, verbose_name='error')),
                ('stop_requested', models.BooleanField(default=False, verbose_name='to be stopped')),
                ('finished_at', models.DateTimeField(null=True, verbose_name='finished at')),
            ],
            options={
                'verbose_name': 'job',
                'verbose_name_plural': 'jobs',
            },
        ),
        migrations.AddField(
            model_name='rejectedmessage',
            name='became_at',
            field=models.DateTimeField(null=True, verbose_name='measured at'),
        ),
        migrations.AddField(
            model_name='rejectedmessage',
            name='became_sensor',
            field=models.PositiveBigIntegerField(help_text='Whose measurement it became, or stood there already.', null=True, verbose_name='sensor'),
        ),
        migrations.AddField(
            model_name='rejectedmessage',
            name='changed_payload',
            field=models.BinaryField(help_text='What was stored instead of the payload as it came.', null=True, verbose_name='changed payload'),
        ),
        migrations.AddField(
            model_name='rejectedmessage',
            name='sensors',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), blank=True, db_default=[], default=list, help_text='Those that it names, as far as they could be read.', size=None, verbose_name='sensors'),
        ),
        migrations.AddField(
            model_name='rejectedtally',
            name='dismissed',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='dismissed'),
        ),
        migrations.AddField(
            model_name='rejectedtally',
            name='replayed',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='replayed'),
        ),
        migrations.AddField(
            model_name='rejectedtally',
            name='waiting',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='waiting'),
        ),
        migrations.AddField(
            model_name='rejectedtotal',
            name='dismissed',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='dismissed'),
        ),
        migrations.AddField(
            model_name='rejectedtotal',
            name='replayed',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='replayed'),
        ),
        migrations.AddField(
            model_name='rejectedtotal',
            name='waiting',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='waiting'),
        ),
        migrations.AlterField(
            model_name='rejectedmessage',
            name='outcome',
            field=models.CharField(blank=True, db_default='', default='', help_text='What the last replay came to; of a dismissed one the reason.', max_length=500, verbose_name='outcome'),
        ),
        migrations.AlterField(
            model_name='rejectedmessage',
            name='replayed_at',
            field=models.DateTimeField(null=True, verbose_name='at'),
        ),
        migrations.AlterField(
            model_name='rejectedmessage',
            name='replayed_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL, verbose_name='by'),
        ),
        migrations.AlterField(
            model_name='rejectedmessage',
            name='state',
            field=models.CharField(choices=[('waiting', 'waiting'), ('replayed', 'replayed'), ('dismissed', 'dismissed')], default='waiting', max_length=16, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='rejectedtally',
            name='kept',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='kept'),
        ),
        migrations.AlterField(
            model_name='rejectedtally',
            name='kept_bytes',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='bytes kept'),
        ),
        migrations.AlterField(
            model_name='rejectedtally',
            name='seen',
            field=models.PositiveBigIntegerField(db_default=0, default=0, verbose_name='seen'),
        ),
        migrations.AddIndex(
            model_name='rejectedmessage',
            index=django.contrib.postgres.indexes.GinIndex(fields=['sensors'], name='rejected_by_sensor'),
        ),
        migrations.AddField(
            model_name='job',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='by'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('finished_at__isnull', True)), fields=['requested_at', 'id'], name='jobs_open'),
        ),
        migrations.AlterField(
            model_name='ingestbatch',
            name='source',
            field=models.CharField(help_text='mqtt:<bridge>, http, import or replay.', max_length=100, verbose_name='source'),
        ),
        migrations.AddField(
            model_name='ingestbatch',
            name='claimed_at',
            field=models.DateTimeField(default=None, help_text='When a worker took it up.', null=True, verbose_name='claimed at'),
        ),
        migrations.AlterField(
            model_name='ingestbatch',
            name='claimed_at',
            field=models.DateTimeField(default=django.utils.timezone.now, help_text='When a worker took it up.', null=True, verbose_name='claimed at'),
        ),
        migrations.RunSQL(SENSORS, migrations.RunSQL.noop),
        migrations.RunSQL(WAITING, migrations.RunSQL.noop),
        migrations.RunSQL(VERSION, NO_VERSION),
    ]
