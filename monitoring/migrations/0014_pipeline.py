"""How many were rejected by code in each minute of the last days, for the picture of the pipeline; and a sensor's
series as an SQL function, for Grafana and whoever else asks the database itself.
"""

from django.db import migrations, models

# What monitoring.rollups.series does, with days of UTC. tests/pipeline/test_iot_series.py holds them together.
SERIES = """
CREATE FUNCTION iot_series(sensor bigint, "from" timestamptz, "to" timestamptz, points integer DEFAULT 500)
RETURNS TABLE (start timestamptz, count bigint, avg double precision, min double precision, max double precision)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 500
-- Whoever may call it needs no right to the tables that it reads.
SECURITY DEFINER SET search_path FROM CURRENT
SET jit TO off SET plan_cache_mode TO force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    asked  CONSTANT bigint := sensor;
    since  CONSTANT timestamptz := GREATEST("from", '1970-01-01Z');
    until  CONSTANT timestamptz := LEAST("to", '2200-01-01Z');
    most   CONSTANT integer := LEAST(GREATEST(points, 1), 2000);
    epoch  CONSTANT timestamptz := '1970-01-01Z';
    minute CONSTANT interval := '1 minute';
    hour   CONSTANT interval := '1 hour';
    day    CONSTANT interval := '1 day';
    -- Each divides a day, so that buckets begin at midnight again.
    steps  CONSTANT interval[] := '{1 min,2 min,5 min,10 min,15 min,20 min,30 min,
                                    1 hour,2 hours,3 hours,4 hours,6 hours,8 hours,12 hours}';
    begins timestamptz := date_trunc('minute', since, 'UTC');
    ends   timestamptz := date_trunc('minute', until + interval '59.999999 seconds', 'UTC');
    narrowest interval := minute;
    edge   timestamptz;
    step   interval;
    origin timestamptz := epoch;
BEGIN
    IF since IS NULL OR until IS NULL OR asked IS NULL OR NOT since < until THEN
        RETURN;
    END IF;

    -- 1. No bucket may be narrower than what is left of the beginning: minutes go before hours, hours before days.
    edge := (SELECT start FROM monitoring_rollup_minute WHERE sensor_id = asked ORDER BY start LIMIT 1);
    IF EXISTS (SELECT FROM monitoring_rollup_hour WHERE sensor_id = asked AND start >= begins AND start < ends
               AND start < coalesce(date_trunc('hour', edge, 'UTC'), 'infinity')) THEN
        narrowest := hour;
    END IF;
    edge := (SELECT start FROM monitoring_rollup_hour WHERE sensor_id = asked ORDER BY start LIMIT 1);
    IF EXISTS (SELECT FROM monitoring_rollup_day WHERE sensor_id = asked AND start >= begins AND start < ends
               AND start < coalesce(date_trunc('day', edge, 'UTC'), 'infinity')) THEN
        narrowest := day;
    END IF;

    -- 2. The narrowest buckets of which at most so many cover the span, counted from midnight; else days, counted
    --    from the one in which it begins.
    step := (SELECT one FROM unnest(steps) AS one
             WHERE one >= narrowest AND ends - date_bin(one, begins, epoch) <= one * most
             ORDER BY one LIMIT 1);
    IF step IS NULL THEN
        origin := date_trunc('day', begins, 'UTC');
        step := day * ceil(extract(epoch FROM ends - origin) / 86400 / most)::integer;
    END IF;

    -- 3. The rows themselves, where they are few and none of them has gone.
    IF step = minute
       AND most >= (SELECT count(*) FROM (
            SELECT FROM monitoring_measurement
            WHERE sensor_id = asked AND created_at >= since AND created_at < until LIMIT most + 1) AS few)
       AND NOT EXISTS (SELECT FROM monitoring_gonespan AS gone
                       WHERE gone.sensor_id IN (0, asked) AND gone.start < until AND gone.until > since)
    THEN
        RETURN QUERY
        SELECT created_at, 1::bigint, value, value, value FROM monitoring_measurement
        WHERE sensor_id = asked AND created_at >= since AND created_at < until ORDER BY created_at;
        RETURN;
    END IF;

    -- 4. Each bucket from the widest rollups that fit into it: days, then hours, then minutes where it is cut; and
    --    from the rows themselves in minutes that no refresh has taken yet.
    RETURN QUERY
    WITH untaken AS MATERIALIZED (
        SELECT DISTINCT to_timestamp(pair.minute * 60.0::float8) AS start
        FROM (SELECT touched_sensors, touched_minutes FROM monitoring_ingestbatch
              WHERE touched_sensors IS NOT NULL ORDER BY ingested_at DESC LIMIT 2000) AS newest,
             unnest(touched_sensors, touched_minutes) AS pair (sensor_id, minute)
        WHERE touched_sensors @> ARRAY[asked] AND pair.sensor_id = asked
          AND to_timestamp(pair.minute * 60.0::float8) >= begins
          AND to_timestamp(pair.minute * 60.0::float8) < ends
          AND NOT EXISTS (
            SELECT FROM monitoring_gonespan AS gone WHERE gone.sensor_id IN (0, asked)
               AND to_timestamp(pair.minute * 60.0::float8) < gone.until
               AND to_timestamp((pair.minute + 1) * 60.0::float8) > gone.start OFFSET 0)
    ), cut (at) AS (
        SELECT begins UNION SELECT ends
    ), cut_hour AS MATERIALIZED (
        SELECT date_trunc('hour', at, 'UTC') AS start FROM cut WHERE date_trunc('hour', at, 'UTC') <> at
        UNION SELECT date_trunc('hour', start, 'UTC') FROM untaken
    ), cut_day AS MATERIALIZED (
        SELECT date_trunc('day', at, 'UTC') AS start FROM cut WHERE date_trunc('day', at, 'UTC') <> at
        UNION SELECT date_trunc('day', start, 'UTC') FROM untaken
    ), part AS (
        -- Rows of untaken minutes. Past 1e290 they count as infinite: PostgreSQL adds up no more than 1.8e308.
        SELECT untaken.start, rows.* FROM untaken CROSS JOIN LATERAL (
            SELECT count(*) AS count,
                   sum(CASE WHEN abs(value) < 1e290 THEN value ELSE value * 'Infinity'::float8 END) AS sum,
                   min(value) AS min, max(value) AS max
            FROM monitoring_measurement
            WHERE sensor_id = asked AND created_at >= untaken.start AND created_at < untaken.start + minute
              AND created_at >= begins AND created_at < ends
        ) AS rows WHERE rows.count > 0
        UNION ALL
        SELECT start, count, sum, min, max FROM monitoring_rollup_minute
        WHERE step < hour AND sensor_id = asked AND start >= begins AND start < ends
          AND start NOT IN (SELECT start FROM untaken)
        UNION ALL
        -- OFFSET 0: a look-up for each cut hour, and no join that reads all the minutes.
        SELECT found.* FROM cut_hour CROSS JOIN LATERAL (
            SELECT start, count, sum, min, max FROM monitoring_rollup_minute
            WHERE sensor_id = asked AND start >= begins AND start < ends
              AND start >= cut_hour.start AND start < cut_hour.start + hour
              AND start NOT IN (SELECT start FROM untaken)
            OFFSET 0
        ) AS found WHERE step >= hour
        UNION ALL
        SELECT start, count, sum, min, max FROM monitoring_rollup_hour
        WHERE step >= hour AND step < day AND sensor_id = asked AND start >= begins AND start < ends
          AND start NOT IN (SELECT start FROM cut_hour)
        UNION ALL
        SELECT found.* FROM cut_day CROSS JOIN LATERAL (
            SELECT start, count, sum, min, max FROM monitoring_rollup_hour
            WHERE sensor_id = asked AND start >= begins AND start < ends
              AND start >= cut_day.start AND start < cut_day.start + day
              AND start NOT IN (SELECT start FROM cut_hour)
            OFFSET 0
        ) AS found WHERE step >= day
        UNION ALL
        SELECT start, count, sum, min, max FROM monitoring_rollup_day
        WHERE step >= day AND sensor_id = asked AND start >= begins AND start < ends
          AND start NOT IN (SELECT start FROM cut_day)
        UNION ALL
        -- What is cut, and has nothing finer left, is counted whole.
        SELECT found.* FROM cut CROSS JOIN LATERAL (
            SELECT start, count, sum, min, max FROM monitoring_rollup_hour
            WHERE sensor_id = asked AND start = date_trunc('hour', cut.at, 'UTC') AND start <> cut.at
              AND NOT EXISTS (
                SELECT FROM monitoring_rollup_minute WHERE sensor_id = asked
                   AND start >= date_trunc('hour', cut.at, 'UTC')
                   AND start < date_trunc('hour', cut.at, 'UTC') + hour)
            OFFSET 0
        ) AS found WHERE step >= hour
        UNION ALL
        SELECT found.* FROM cut CROSS JOIN LATERAL (
            SELECT start, count, sum, min, max FROM monitoring_rollup_day
            WHERE sensor_id = asked AND start = date_trunc('day', cut.at, 'UTC') AND start <> cut.at
              AND NOT EXISTS (
                SELECT FROM monitoring_rollup_hour WHERE sensor_id = asked
                   AND start >= date_trunc('day', cut.at, 'UTC')
                   AND start < date_trunc('day', cut.at, 'UTC') + day)
            OFFSET 0
        ) AS found WHERE step >= day
    )
    SELECT bucket.start, bucket.count,
           -- None where the values are beyond what can be added up.
           CASE WHEN abs(bucket.sum) < 'Infinity' THEN bucket.sum / bucket.count END, bucket.min, bucket.max
    FROM (
        SELECT GREATEST(begins, date_bin(step, part.start, origin)) AS start, sum(part.count)::bigint AS count,
               sum(part.sum) AS sum, min(part.min) AS min, max(part.max) AS max
        FROM part GROUP BY 1
    ) AS bucket ORDER BY bucket.start;
END $$;

REVOKE ALL ON FUNCTION iot_series(bigint, timestamptz, timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION iot_series(bigint, timestamptz, timestamptz, integer) IS
    'A sensor''s values in at most so many points: rows, or buckets of minutes, hours or days (UTC).';
"""
NO_SERIES = "DROP FUNCTION iot_series(bigint, timestamptz, timestamptz, integer)"


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0013_boards'),
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
        migrations.RunSQL(SERIES, NO_SERIES),
    ]
