"""Years of measurements put straight into PostgreSQL, with the rollups that a refresh would have made.

Rows lie on disk as live ingest would have laid them: in the order of time, all sensors at each step, with
the indexes growing along. Each value is a multiple of 1/8, so sums are exact in whatever order.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg2

from bench.ground import progress

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
# Sensor n measures so long after sensor n - 1, so that this many do within a minute.
APART, MOST_SENSORS = timedelta(milliseconds=50), 1000
LEVELS = ("minute", "hour", "day")
# About so many rows a statement.
CHUNK = 100_000


class History(NamedTuple):
    """`rows` measurements of each sensor, one every `step` (whole minutes), up to `end`."""

    sensors: int
    rows: int
    end: datetime
    step: timedelta = MINUTE

    @property
    def start(self) -> datetime:
        return self.end - self.rows * self.step


def fill(url: str, history: History, name: str) -> None:
    """Fills a migrated database that holds none of these sensors, on which Django is too.

    The rollups follow the rows, day by day, on a second connection. Ends with VACUUM ANALYZE.
    """
    _prepare(history)
    bar, of = progress("rows and their buckets"), 2 * history.rows * history.sensors
    done = 0
    with ThreadPoolExecutor(1) as follower, closing(_connect(url)) as rows, closing(_connect(url)) as buckets:
        following = []
        for start, end, first, last in _chunks(history):
            stored = _store(rows, history, first, last)
            following.append((follower.submit(_roll_up, buckets, start, end), stored))
            done += stored
            rolled_up = sum(count for future, count in following if future.done())
            bar.show(done + rolled_up, (done + rolled_up) / of, name)
        rolled_up = 0
        for future, count in following:
            future.result()
            rolled_up += count
            bar.show(done + rolled_up, (done + rolled_up) / of, name)
        bar.line(f"{name}: {done:,} rows are in; VACUUM ANALYZE")
        with rows.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def compare(
    cursor: Any, level: str, sensor: int | None = None, day: datetime | None = None
) -> tuple[int, int]:
    """How many buckets SQL over the raw rows has; how many of the rollups differ, are missing or too many.

    Of all there is, or of one sensor's day that begins at `day`.
    """
    which = "true"
    if sensor is not None:
        which = "sensor_id = %(sensor)s AND {time} >= %(day)s AND {time} < %(day)s + interval '1 day'"
    sql = _COMPARE.format(
        level=level, rows=which.format(time="created_at"), buckets=which.format(time="start")
    )
    cursor.execute(sql, {"sensor": sensor, "day": day})
    expected, differing = cursor.fetchone()
    return expected, differing


# --- the steps -----------------------------------------------------------------------------------


def _prepare(history: History) -> None:
    from monitoring.models import Sensor
    from monitoring.rollups.levels import LEVELS as ROLLUPS
    from monitoring.upkeep.partitions import MEASUREMENTS, ensure_partitions

    if history.sensors > MOST_SENSORS:
        raise SystemExit(f"{history.sensors} sensors, but {MOST_SENSORS} is the most")
    numbers = range(1, history.sensors + 1)
    Sensor.objects.register([Sensor(id=number, name=f"Sensor {number}", unit="V") for number in numbers])
    for table in (MEASUREMENTS, *(level.table for level in ROLLUPS)):
        ensure_partitions(history.start, history.end + 35 * DAY, table)


def _connect(url: str) -> Any:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '128MB'")
        cursor.execute("SET maintenance_work_mem = '256MB'")
    return connection


def _chunks(history: History) -> Iterator[tuple[datetime, datetime, int, int]]:
    """Spans of whole days; which of a sensor's rows, from 0, lie in each: the first, one past the last."""
    days = max(1, CHUNK * history.step // (DAY * history.sensors))
    start = history.start.replace(hour=0, minute=0)
    while start < history.end:
        end = start + days * DAY
        first, last = (-((history.start - moment) // history.step) for moment in (start, end))
        yield start, end, max(first, 0), min(last, history.rows)
        start = end


def _store(connection: Any, history: History, first: int, last: int) -> int:
    params = history._asdict() | {"start": history.start, "apart": APART}
    params |= {"first": first * history.sensors, "last": last * history.sensors - 1}
    with connection.cursor() as cursor:
        cursor.execute(_STORE, params)
        return int(cursor.rowcount)


def _roll_up(connection: Any, start: datetime, end: datetime) -> None:
    with connection.cursor() as cursor:
        for statement in _ROLL_UP:
            cursor.execute(statement, {"start": start, "end": end})


_STORE = """
INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)
SELECT sensor, at, at, 20 + (step * 7 + sensor * 13) %% 101 / 8.0, 'V'
FROM (
    SELECT 1 + i %% %(sensors)s AS sensor, i / %(sensors)s AS step,
           %(start)s + i / %(sensors)s * %(step)s + i %% %(sensors)s * %(apart)s AS at
    FROM generate_series(%(first)s, %(last)s) AS i
) AS reading
"""

_ROLL_UP_ROWS = """
INSERT INTO monitoring_rollup_minute (sensor_id, start, count, sum, min, max, first, last)
SELECT sensor_id, date_trunc('minute', created_at, 'UTC') AS minute, count(*), sum(value), min(value),
       max(value), (array_agg(value ORDER BY created_at))[1], (array_agg(value ORDER BY created_at DESC))[1]
FROM monitoring_measurement WHERE created_at >= %(start)s AND created_at < %(end)s
GROUP BY minute, sensor_id ORDER BY minute, sensor_id
"""
_ROLL_UP_BUCKETS = """
INSERT INTO monitoring_rollup_{level} (sensor_id, start, count, sum, min, max, first, last)
SELECT sensor_id, date_trunc('{level}', start, 'UTC') AS bucket, sum(count), sum(sum), min(min), max(max),
       (array_agg(first ORDER BY start))[1], (array_agg(last ORDER BY start DESC))[1]
FROM monitoring_rollup_{below} WHERE start >= %(start)s AND start < %(end)s
GROUP BY bucket, sensor_id ORDER BY bucket, sensor_id
"""
_ROLL_UP = (
    _ROLL_UP_ROWS,
    _ROLL_UP_BUCKETS.format(level="hour", below="minute"),
    _ROLL_UP_BUCKETS.format(level="day", below="hour"),
)

_COMPARE = """
WITH expected AS MATERIALIZED (
    SELECT sensor_id, date_trunc('{level}', created_at, 'UTC') AS bucket, count(*), sum(value), min(value),
           max(value), (array_agg(value ORDER BY created_at))[1] AS first,
           (array_agg(value ORDER BY created_at DESC))[1] AS last
    FROM monitoring_measurement WHERE {rows} GROUP BY sensor_id, bucket
), stored AS MATERIALIZED (
    SELECT sensor_id, start, count, sum, min, max, first, last
    FROM monitoring_rollup_{level} WHERE {buckets}
)
SELECT (SELECT count(*) FROM expected), (
    SELECT count(*) FROM (
        SELECT sensor_id, bucket FROM (TABLE expected EXCEPT TABLE stored) AS other_or_missing
        UNION
        SELECT sensor_id, start FROM (TABLE stored EXCEPT TABLE expected) AS other_or_too_many
    ) AS differing
)
"""
