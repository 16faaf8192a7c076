import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


# Partitioned by time, which Django's schema editor does not know. Two B-trees a row and no more.
# No default partition: rows in it would block making the right one. Partitions themselves are made
# by monitoring.upkeep.partitions. A sequence rather than an identity column, which PostgreSQL knows on
# partitioned tables from 17 on only.
MEASUREMENT = """
CREATE SEQUENCE monitoring_measurement_id_seq;
CREATE TABLE monitoring_measurement (
    id bigint NOT NULL DEFAULT nextval('monitoring_measurement_id_seq'),
    sensor_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    value double precision NOT NULL,
    unit varchar(32) NOT NULL,
    PRIMARY KEY (created_at, id),
    CONSTRAINT monitoring_measurement_identity UNIQUE (sensor_id, created_at)
) PARTITION BY RANGE (created_at);
ALTER SEQUENCE monitoring_measurement_id_seq OWNED BY monitoring_measurement.id;
"""
DROP_MEASUREMENT = "DROP TABLE monitoring_measurement"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Sensor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('kind', models.CharField(blank=True, help_text="What a message's `type` must equal, such as temperature; empty accepts any.", max_length=64, verbose_name='kind')),
                ('unit', models.CharField(blank=True, help_text="What a message's `unit` must equal, such as °C; empty accepts any.", max_length=32, verbose_name='unit')),
                ('is_active', models.BooleanField(default=True, help_text='Measurements of a sensor that is not active are rejected.', verbose_name='active')),
                ('location', models.CharField(blank=True, max_length=200, verbose_name='location')),
                ('retention_days', models.PositiveIntegerField(blank=True, help_text="Keeps this sensor's measurements for fewer days than the rest; empty keeps them as long.", null=True, validators=[django.core.validators.MinValueValidator(2)], verbose_name='retention (days)')),
                ('added_at', models.DateTimeField(auto_now_add=True, verbose_name='added')),
            ],
            options={
                'verbose_name': 'sensor',
                'verbose_name_plural': 'sensors',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='IngestBatch',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False, verbose_name='batch')),
                ('source', models.CharField(help_text='mqtt:<bridge> or http.', max_length=100, verbose_name='source')),
                ('messages', models.PositiveIntegerField(default=0, verbose_name='messages')),
                ('readings', models.PositiveIntegerField(default=0, verbose_name='readings')),
                ('stored', models.PositiveIntegerField(default=0, verbose_name='stored')),
                ('duplicates', models.PositiveIntegerField(default=0, verbose_name='duplicates')),
                ('rejected', models.PositiveIntegerField(default=0, verbose_name='rejected')),
                ('first_received_at', models.DateTimeField(verbose_name='first message')),
                ('last_received_at', models.DateTimeField(verbose_name='last message')),
                ('ingested_at', models.DateTimeField(auto_now_add=True, verbose_name='ingested at')),
                ('touched_sensors', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), null=True, size=None)),
                ('touched_minutes', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), null=True, size=None)),
            ],
            options={
                'verbose_name': 'ledger entry',
                'verbose_name_plural': 'ledger',
                'indexes': [models.Index(fields=['ingested_at', 'id'], name='ledger_by_time'), models.Index(condition=models.Q(('touched_sensors__isnull', False)), fields=['ingested_at'], name='ledger_untaken')],
            },
        ),
        migrations.CreateModel(
            name='RejectedTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=32, verbose_name='code')),
                ('hour', models.DateTimeField(verbose_name='hour')),
                ('seen', models.PositiveBigIntegerField(default=0, verbose_name='seen')),
                ('kept', models.PositiveBigIntegerField(default=0, verbose_name='kept')),
                ('kept_bytes', models.PositiveBigIntegerField(default=0, verbose_name='bytes kept')),
            ],
            options={
                'verbose_name': 'rejected by hour',
                'verbose_name_plural': 'rejected by hour',
                'constraints': [models.UniqueConstraint(fields=('code', 'hour'), name='rejected_tally_of_hour')],
            },
        ),
        migrations.CreateModel(
            name='RejectedMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('received_at', models.DateTimeField(verbose_name='received at')),
                ('topic', models.TextField(verbose_name='topic')),
                ('payload', models.BinaryField(help_text='As it came; of one over 16 KiB, the first 16 KiB.', verbose_name='payload')),
                ('length', models.PositiveBigIntegerField(help_text='Bytes of the payload as it came.', verbose_name='length')),
                ('retained', models.BooleanField(default=False, verbose_name='retained')),
                ('code', models.CharField(max_length=32, verbose_name='code')),
                ('detail', models.CharField(blank=True, max_length=500, verbose_name='detail')),
                ('batch', models.UUIDField(help_text="The ledger's row that counts it.", verbose_name='batch')),
                ('position', models.PositiveIntegerField(help_text='Which message of the batch, from 0.', verbose_name='position')),
                ('index', models.PositiveIntegerField(help_text='Which element of the message, from 0, if it is an array.', null=True, verbose_name='index')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('replayed', 'replayed')], default='waiting', max_length=16, verbose_name='state')),
                ('replayed_at', models.DateTimeField(null=True, verbose_name='replayed at')),
                ('outcome', models.CharField(blank=True, help_text='What the replay came to.', max_length=500, verbose_name='outcome')),
                ('replayed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL, verbose_name='replayed by')),
            ],
            options={
                'verbose_name': 'rejected message',
                'verbose_name_plural': 'rejected messages',
                'indexes': [models.Index(fields=['received_at', 'id'], name='rejected_by_time'), models.Index(fields=['code', 'received_at', 'id'], name='rejected_by_code')],
            },
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name='Measurement',
                    fields=[
                        ('id', models.BigAutoField(primary_key=True, serialize=False)),
                        ('created_at', models.DateTimeField(help_text="The device's time, else received_at.", verbose_name='measured at')),
                        ('received_at', models.DateTimeField(help_text='When the bridge or the API took it.', verbose_name='received at')),
                        ('value', models.FloatField(verbose_name='value')),
                        ('unit', models.CharField(blank=True, max_length=32, verbose_name='unit')),
                        ('sensor', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='measurements', to='monitoring.sensor', verbose_name='sensor')),
                    ],
                    options={
                        'verbose_name': 'measurement',
                        'verbose_name_plural': 'measurements',
                        'constraints': [models.UniqueConstraint(fields=('sensor', 'created_at'), name='monitoring_measurement_identity')],
                    },
                ),
            ],
            database_operations=[migrations.RunSQL(MEASUREMENT, DROP_MEASUREMENT)],
        ),
    ]
