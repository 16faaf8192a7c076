"""Each sensor gets a row that says how it is doing, and how often a reading of it is expected.

The row comes and goes with its sensor in the database itself, whoever writes sensors: a trigger makes it, a foreign
key takes it away. What is changed of a sensor that its status depends on makes the row due at once.
"""

import datetime
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# The foreign key is ours rather than Django's, which has no ON DELETE CASCADE in the database.
COMES_AND_GOES = """
ALTER TABLE monitoring_sensorstatus ADD CONSTRAINT sensor_status_of_sensor
FOREIGN KEY (sensor_id) REFERENCES monitoring_sensor (id) ON DELETE CASCADE;

CREATE FUNCTION monitoring_sensors_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO monitoring_sensorstatus (sensor_id, status)
    SELECT id, CASE WHEN is_active THEN 'never' ELSE 'off' END FROM added ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION monitoring_sensors_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE monitoring_sensorstatus AS row SET
        due_at = 'epoch',
        learn_at = 'epoch',
        status = CASE WHEN after.is_active THEN row.status ELSE 'off' END,
        changed_at = CASE WHEN after.is_active OR row.status = 'off' THEN row.changed_at ELSE now() END
    FROM before JOIN after USING (id)
    WHERE row.sensor_id = after.id
      AND (before.is_active, before.expected_interval_s) IS DISTINCT FROM
          (after.is_active, after.expected_interval_s);
    RETURN NULL;
END $$;

CREATE TRIGGER sensors_added AFTER INSERT ON monitoring_sensor
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION monitoring_sensors_added();
CREATE TRIGGER sensors_changed AFTER UPDATE ON monitoring_sensor
REFERENCING OLD TABLE AS before NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION monitoring_sensors_changed();

INSERT INTO monitoring_sensorstatus (sensor_id, status)
SELECT id, CASE WHEN is_active THEN 'never' ELSE 'off' END FROM monitoring_sensor;
"""
GONE = """
DROP TRIGGER sensors_changed ON monitoring_sensor;
DROP TRIGGER sensors_added ON monitoring_sensor;
DROP FUNCTION monitoring_sensors_changed();
DROP FUNCTION monitoring_sensors_added();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0011_replay'),
    ]

    operations = [
        migrations.AddField(
            model_name='sensor',
            name='expected_interval_s',
            field=models.PositiveIntegerField(blank=True, help_text='How often a reading is expected: past 3 of these it is late, past 10 silent. Empty: learned from its readings.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(31536000)], verbose_name='expected interval (s)'),
        ),
        migrations.CreateModel(
            name='SensorStatus',
            fields=[
                ('sensor', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='standing', serialize=False, to='monitoring.sensor', verbose_name='sensor')),
                ('status', models.CharField(choices=[('ok', 'OK'), ('late', 'late'), ('silent', 'silent'), ('never', 'never seen'), ('off', 'off')], default='never', max_length=8, verbose_name='status')),
                ('rank', models.GeneratedField(db_persist=True, expression=models.Case(models.When(status='silent', then=models.Value(0)), models.When(status='late', then=models.Value(1)), models.When(status='never', then=models.Value(2)), models.When(status='ok', then=models.Value(3)), default=models.Value(4)), output_field=models.SmallIntegerField())),
                ('newest_at', models.DateTimeField(help_text='When it was measured, as of the last look.', null=True, verbose_name='newest reading')),
                ('interval_s', models.FloatField(help_text='Set on the sensor, or learned from its last readings; empty while it is not known.', null=True, verbose_name='expected interval (s)')),
                ('learn_at', models.DateTimeField(db_default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))),
                ('due_at', models.DateTimeField(db_default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), null=True, verbose_name='due')),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='since')),
            ],
            options={
                'verbose_name': "sensor's status",
                'verbose_name_plural': "sensors' statuses",
                'indexes': [models.Index(fields=['due_at'], name='sensor_status_due')],
            },
        ),
        migrations.RunSQL(COMES_AND_GOES, GONE),
    ]
