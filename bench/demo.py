"""A system with something to see: some days of plausible measurements, an outage, sensors that fell silent.

Used by bench.screenshots and bench.pages; everything is real but the past, which is written straight into the
tables.
"""

from datetime import UTC, datetime, timedelta

from tests.journey.system import System

# In the order in which the simulator's boards have them, sensor 3 first.
KINDS = (("Lumière", "light", "V"), ("Temp", "temperature", "°C"), ("Humidité", "humidity", "%"))
PLACES = ("Salon", "Atelier", "Serre 1", "Serre 2", "Cave", "Toit")
# Those that have measured at all, and every so many minutes.
MEASURED, DAYS = 60, 8


def fill(system: System, sensors: int, days: int = DAYS) -> None:
    """Sensors 1 to `sensors`, the first MEASURED of which have measured each minute for so many days."""
    system.manage("shell", "-v0", "-c", _PARTITIONS.format(days=days + 32))
    first = datetime.now(UTC) - timedelta(days=days)
    system.query(_SENSORS, *(list(column) for column in zip(*KINDS, strict=True)), list(PLACES), sensors)
    system.query("SELECT setval('monitoring_sensor_id_seq', %s)", sensors)
    system.query(_MEASUREMENTS, min(sensors, MEASURED), first)
    for level, finer, length in (
        ("minute", "monitoring_measurement", "minute"),
        ("hour", "monitoring_rollup_minute", "hour"),
        ("day", "monitoring_rollup_hour", "day"),
    ):
        time, values = ("created_at", _OF_ROWS) if level == "minute" else ("start", _OF_BUCKETS)
        system.query(
            f"INSERT INTO monitoring_rollup_{level} (sensor_id, start, count, sum, min, max, first, last)"
            f" SELECT sensor_id, date_trunc('{length}', {time}, 'UTC') AS at, {values} FROM {finer}"
            " GROUP BY 1, 2 ON CONFLICT DO NOTHING RETURNING 1"
        )
    # As the job would find them, once each has its turn.
    system.query(
        "UPDATE monitoring_sensorstatus SET due_at = '1970-01-01', learn_at = '1970-01-01' RETURNING 1"
    )


def alert(system: System) -> None:
    """A rule for sensor 4 with what it would have found, one silence and one channel."""
    system.manage("shell", "-v0", "-c", _ALERTS)


_ALERTS = """
from datetime import UTC, datetime, timedelta
from monitoring.alerts import backtest, rules
from monitoring.models import AlertChannel, AlertRule, Incident, Mute, Sensor
from monitoring.span import Span
now, sensor = datetime.now(UTC), Sensor.objects.get(pk=4)
phone = AlertChannel.objects.create(name="Duty phone", kind="ntfy", settings={"topic": "greenhouse-7Qd2"})
rule = AlertRule(name="Too warm", kind="above", high=22.5, clear_high=22, for_s=600, severity="critical")
rule.sensor = sensor
rules.save(rule, [phone], None)
its = {"rule": rule, "title": rule.name, "kind": rule.kind, "severity": rule.severity, "sensor": sensor}
for span in backtest.run(rule, sensor, Span(now - timedelta(days=8), now)).spans:
    us = (span.since, span.fired_at, span.resolved_at)
    at = [one and datetime.fromtimestamp(one / 1e6, UTC) for one in us]
    state = {"state": "resolved", "end": "clear"} if at[2] else {"state": "firing"}
    times = {"since": at[0], "fired_at": at[1], "seen_at": at[1], "resolved_at": at[2]}
    Incident.objects.create(subject="sensor:4", value=span.value, peak=span.peak, **its, **state, **times)
Mute.objects.create(location="Atelier", starts_at=now, ends_at=now + timedelta(hours=4), comment="Painters")
"""

_PARTITIONS = """
from datetime import UTC, datetime, timedelta
from monitoring.rollups.levels import LEVELS
from monitoring.upkeep.partitions import MEASUREMENTS, ensure_partitions
now = datetime.now(UTC)
for table in (MEASUREMENTS, *(level.table for level in LEVELS)):
    ensure_partitions(now - timedelta(days={days}), now + timedelta(days=1), table)
"""

_SENSORS = """
INSERT INTO monitoring_sensor (id, name, kind, unit, is_active, location, added_at)
SELECT i, (%s::text[])[1 + mod(i, 3)] || ' ' || i, (%s::text[])[1 + mod(i, 3)], (%s::text[])[1 + mod(i, 3)],
       mod(i, 37) <> 0, (%s::text[])[1 + mod(i, 6)], now()
FROM generate_series(1, %s) AS i ON CONFLICT DO NOTHING RETURNING 1
"""

# Each in its own phase; some were away for two hours, and some have been silent since.
_MEASUREMENTS = """
INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)
SELECT i, at, at,
       round((
           (ARRAY[1.6, 20, 52])[1 + mod(i, 3)]
           + (ARRAY[0.9, 3, 7])[1 + mod(i, 3)] * sin(extract(epoch FROM at) / 13750 + mod(i, 5) * 0.3)
           + (ARRAY[0.02, 0.2, 0.6])[1 + mod(i, 3)] * random()
       )::numeric, 2),
       (SELECT unit FROM monitoring_sensor WHERE id = i)
FROM generate_series(1, %s) AS i,
     generate_series(date_trunc('minute', %s::timestamptz), now(), interval '1 minute') AS at
WHERE NOT (mod(i, 4) = 0 AND at BETWEEN now() - interval '9 hours' AND now() - interval '7 hours')
  AND NOT (mod(i, 13) = 7 AND at > now() - interval '3 hours')
ON CONFLICT DO NOTHING RETURNING 1
"""

_OF_ROWS = (
    "count(*), sum(value), min(value), max(value), (array_agg(value ORDER BY created_at))[1],"
    " (array_agg(value ORDER BY created_at DESC))[1]"
)
_OF_BUCKETS = (
    "sum(count), sum(sum), min(min), max(max), (array_agg(first ORDER BY start))[1],"
    " (array_agg(last ORDER BY start DESC))[1]"
)
