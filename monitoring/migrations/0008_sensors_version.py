"""A version of all sensors, so that a worker may remember them: whatever changes one changes it, SQL by hand
too. It is random rather than counted: after a dump is restored, no number may stand for two states.

Who deletes sensors waits for every batch that is being stored, and the other way round: see
monitoring/models/sensor.py (SensorQuerySet.hold).
"""

from django.db import migrations

# monitoring.locks.SENSORS
SENSORS = 0x696F7408

VERSION = f"""
CREATE TABLE monitoring_sensorsversion (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version uuid NOT NULL
);
INSERT INTO monitoring_sensorsversion (version) VALUES (gen_random_uuid());

CREATE FUNCTION monitoring_sensors_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        PERFORM pg_advisory_xact_lock({SENSORS});
    END IF;
    INSERT INTO monitoring_sensorsversion AS known (version) VALUES (gen_random_uuid())
    ON CONFLICT (one) DO UPDATE SET version = excluded.version;
    RETURN NULL;
END $$;

CREATE TRIGGER sensors_change BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON monitoring_sensor
FOR EACH STATEMENT EXECUTE FUNCTION monitoring_sensors_change();
"""
NO_VERSION = """
DROP TRIGGER sensors_change ON monitoring_sensor;
DROP FUNCTION monitoring_sensors_change();
DROP TABLE monitoring_sensorsversion;
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0007_rejected_bounds")]

    operations = [migrations.RunSQL(VERSION, NO_VERSION)]
