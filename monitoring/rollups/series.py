"""The story of a series: one sensor's values over a span of time, in at most so many points.

1. Pick the resolution: the rows themselves where they are few enough, else the narrowest buckets that
   are: minutes, hours or days or multiples of them, counted from midnight of the time zone asked for.
2. In one statement, put each bucket together from the widest rollups that fit into it: days and hours
   that lie in one bucket whole, minutes where a bucket begins or ends within an hour (a zone half an
   hour off, the ends of the span), and rows where the rollups have not taken them yet.

The parts of a bucket do not overlap in time, so its first value is that of the earliest part, and its last
that of the latest.

What a series costs grows with its points, hardly with its span, and not with the tables.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import connection

from monitoring.models import Measurement, Sensor
from monitoring.rollups import gaps
from monitoring.rollups.buckets import DAY, EPOCH, HOUR, MINUTE, Buckets, floor, lay, whole_minutes
from monitoring.rollups.levels import OF_BUCKETS, OF_ROWS
from monitoring.span import Span

# How many ledger entries a series looks through for what the rollups have not taken yet: more than a
# heavy load leaves between two refreshes. Where the refresh is further behind, the newest are shown.
UNTAKEN = 2000
# Of fewer readings no pace is learned: it is what the sensor's status says, or what so many readings before
# the span's end say.
FEW = 20
READINGS = 51


@dataclass(frozen=True)
class Point:
    """`avg`: None where the values are beyond what can be added up. `first` and `last` of its values in the
    order of time."""

    start: datetime
    count: int
    avg: float | None
    min: float
    max: float
    first: float
    last: float


@dataclass(frozen=True)
class Series:
    """`resolution`: raw, or a number and m, h or d. `coverage`: the share of buckets that have a point,
    or of minutes that have a row where it is raw. Points come in the order of time.

    `step_s`: seconds that a bucket lasts (a day: 86,400, on whatever day), None where it is raw. `interval_s`
    and `gaps`: see monitoring.rollups.gaps. `covered`: the share of the span that has no gap in it.
    """

    sensor: int
    resolution: str
    unit: str
    points: list[Point]
    coverage: float
    step_s: float | None
    interval_s: float | None
    gaps: list[Span]
    covered: float


def read(sensor: Sensor, span: Span, points: int, zone: tzinfo = UTC, unit: str | None = None) -> Series:
    """The series of a span in at most `points` points; buckets with nothing in them are left out.

    `unit`: what whoever asks knows already; None: the sensor's, or that of its last measurement.

    Raw rows are those of the span to the microsecond; buckets those of its whole minutes, so the first
    and the last may be cut. A day on which the clocks of `zone` change has 23 or 25 hours.
    """
    minutes = whole_minutes(span)
    buckets = lay(minutes, points, zone, _narrowest(minutes.start))
    rows = _query(sensor, span, buckets, points)
    is_raw = bool(rows) and rows[0][0] is not None
    found = [
        Point(buckets.starts[place - 1] if at is None else at, count, _finite(avg), *rest)
        for at, place, count, avg, *rest in rows
    ]
    filled = len({floor(point.start, MINUTE) for point in found}) if is_raw else len(found)
    possible = (minutes.end - minutes.start) // MINUTE if is_raw else len(buckets.starts)
    if unit is None:
        last = None if sensor.unit else sensor.latest()
        unit = last.unit if last else sensor.unit
    ends = dict(pairwise([*buckets.starts, buckets.end]))
    stretches = [
        gaps.Stretch(point.start, point.start if is_raw else ends[point.start], point.count)
        for point in found
    ]
    is_few = 0 < sum(point.count for point in found) < FEW
    known = interval_of(sensor) if is_few else None
    pace = gaps.find(stretches, known, _before(sensor, span.end) if is_few and known is None else ())
    return Series(
        sensor=sensor.pk,
        resolution="raw" if is_raw else buckets.resolution,
        unit=unit,
        points=found,
        coverage=round(filled / possible, 4),
        step_s=None if is_raw else buckets.step.total_seconds(),
        interval_s=pace.interval_s,
        gaps=pace.gaps,
        covered=round(gaps.covered(span, stretches, pace, datetime.now(UTC)), 4),
    )


def interval_of(sensor: Sensor) -> float | None:
    """Seconds from one reading to the next, as its status has it: set, or learned; None: not known. A query,
    unless the status came with the sensor."""
    standing = getattr(sensor, "standing", None)  # it may have none
    return standing.interval_s if standing else None


def _before(sensor: Sensor, end: datetime) -> list[datetime]:
    """The moments of the last readings before `end`, in the order of time."""
    rows = Measurement.objects.filter(sensor_id=sensor.pk, created_at__lt=end).order_by("-created_at")
    return list(rows.values_list("created_at", flat=True)[:READINGS])[::-1]


def _narrowest(start: datetime) -> timedelta:
    """A minute, an hour or a day: the resolution whose rollups are kept from `start` on."""
    age = datetime.now(UTC) - start
    if age <= settings.ROLLUP_MINUTE_RETENTION_DAYS * DAY:
        return MINUTE
    return HOUR if age <= settings.ROLLUP_HOUR_RETENTION_DAYS * DAY else DAY


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# --- the statement -------------------------------------------------------------------------------


def _query(sensor: Sensor, span: Span, buckets: Buckets, points: int) -> list[tuple[Any, ...]]:
    """Of each bucket (None, place from 1, count, avg, min, max, first, last); of a row (created_at, ...)."""
    parts = PARTS.format(parts="\n    UNION ALL\n".join(parts_for(buckets.step)))
    sql = _BUCKETS.format(parts=parts, of_buckets=OF_BUCKETS)
    if buckets.step == MINUTE:
        sql = _ROWS_OR_BUCKETS.format(buckets=sql)
    with connection.cursor() as cursor:
        cursor.execute(sql, {**parameters(sensor, span, buckets), "rows": points})
        return list(cursor.fetchall())


def parts_for(step: timedelta) -> list[str]:
    """The statements that PARTS is made of: what buckets of this length are put together from."""
    if step < HOUR:
        return [_UNTAKEN_ROWS, _MINUTES]
    parts = [_UNTAKEN_ROWS, _MINUTES_OF_CUT_HOURS, _HOURS_WITHOUT_MINUTES]
    return parts + ([_HOURS] if step < DAY else [_DAYS, _HOURS_OF_CUT_DAYS, _DAYS_WITHOUT_HOURS])


def parameters(sensor: Sensor, span: Span, buckets: Buckets) -> dict[str, Any]:
    first = buckets.starts[0]
    return {
        "sensor": sensor.pk,
        "from": span.start,
        "to": span.end,
        "first": first,
        "end": buckets.end,
        "first_minute": (first - EPOCH) // MINUTE,
        "end_minute": (buckets.end - EPOCH) // MINUTE,
        "starts": _array(buckets.starts),
        "cut_hours": _array(buckets.cut(HOUR)),
        "cut_days": _array(buckets.cut(DAY)),
        "untaken": UNTAKEN,
    }


def _array(moments: list[datetime]) -> str:
    # As one literal: two thousand of them, each with its cast, cost more than the query.
    return "{" + ",".join(moment.isoformat() for moment in moments) + "}"


_UNTAKEN_ROWS = f"""
    SELECT untaken.start, rows.* FROM untaken CROSS JOIN LATERAL (
        SELECT {OF_ROWS}
        FROM monitoring_measurement
        WHERE sensor_id = %(sensor)s
          AND created_at >= untaken.start AND created_at < untaken.start + interval '1 minute'
          AND created_at >= %(first)s AND created_at < %(end)s  -- so that planning leaves out the rest
    ) AS rows WHERE rows.count > 0"""

_MINUTES = """
    SELECT start, count, sum, min, max, first, last FROM monitoring_rollup_minute
    WHERE sensor_id = %(sensor)s AND start >= %(first)s AND start < %(end)s
      AND start NOT IN (SELECT start FROM untaken)"""

_HOURS = """
    SELECT start, count, sum, min, max, first, last FROM monitoring_rollup_hour
    WHERE sensor_id = %(sensor)s AND start >= %(first)s AND start < %(end)s
      AND start NOT IN (SELECT start FROM cut_hour)"""

_DAYS = """
    SELECT start, count, sum, min, max, first, last FROM monitoring_rollup_day
    WHERE sensor_id = %(sensor)s AND start >= %(first)s AND start < %(end)s
      AND start NOT IN (SELECT start FROM cut_day)"""

# OFFSET 0: a look-up for each cut hour. Without it PostgreSQL makes a join of it, which reads all the
# minutes that the sensor ever had: of two years, for two seconds.
_MINUTES_OF_CUT_HOURS = """
    SELECT part.* FROM cut_hour CROSS JOIN LATERAL (
        SELECT start, count, sum, min, max, first, last FROM monitoring_rollup_minute
        WHERE sensor_id = %(sensor)s AND start >= %(first)s AND start < %(end)s
          AND start >= cut_hour.start AND start < cut_hour.start + interval '1 hour'
          AND start NOT IN (SELECT start FROM untaken)
        OFFSET 0
    ) AS part"""

_HOURS_OF_CUT_DAYS = """
    SELECT part.* FROM cut_day CROSS JOIN LATERAL (
        SELECT start, count, sum, min, max, first, last FROM monitoring_rollup_hour
        WHERE sensor_id = %(sensor)s AND start >= %(first)s AND start < %(end)s
          AND start >= cut_day.start AND start < cut_day.start + interval '1 day'
          AND start NOT IN (SELECT start FROM cut_hour)
        OFFSET 0
    ) AS part"""

# Older than the finer rollups that are kept, a bucket is counted whole where it begins, or the span does.
_HOURS_WITHOUT_MINUTES = """
    SELECT part.* FROM unnest(%(cut_hours)s::timestamptz[]) AS cut (start) CROSS JOIN LATERAL (
        SELECT start, count, sum, min, max, first, last FROM monitoring_rollup_hour
        WHERE sensor_id = %(sensor)s AND start = cut.start AND NOT EXISTS (
            SELECT FROM monitoring_rollup_minute WHERE sensor_id = %(sensor)s
               AND start >= cut.start AND start < cut.start + interval '1 hour')
        OFFSET 0
    ) AS part"""

_DAYS_WITHOUT_HOURS = """
    SELECT part.* FROM unnest(%(cut_days)s::timestamptz[]) AS cut (start) CROSS JOIN LATERAL (
        SELECT start, count, sum, min, max, first, last FROM monitoring_rollup_day
        WHERE sensor_id = %(sensor)s AND start = cut.start AND NOT EXISTS (
            SELECT FROM monitoring_rollup_hour WHERE sensor_id = %(sensor)s
               AND start >= cut.start AND start < cut.start + interval '1 day')
        OFFSET 0
    ) AS part"""

# untaken: the sensor's minutes that a refresh has yet to compute. cut_hour, cut_day: those that cannot be
# read whole, for an untaken minute in them or a bucket that begins or ends in them. OFFSET 0: a look-up of
# two rows at most, and no join.
PARTS = """
WITH untaken AS MATERIALIZED (
    SELECT DISTINCT to_timestamp(minute * 60.0::float8) AS start
    FROM (
        SELECT touched_sensors, touched_minutes FROM monitoring_ingestbatch
        WHERE touched_sensors IS NOT NULL ORDER BY ingested_at DESC LIMIT %(untaken)s
    ) AS newest, unnest(touched_sensors, touched_minutes) AS pair (sensor_id, minute)
    WHERE touched_sensors @> ARRAY[%(sensor)s::bigint]
      AND sensor_id = %(sensor)s AND minute >= %(first_minute)s AND minute < %(end_minute)s
      AND NOT EXISTS (
        SELECT FROM monitoring_gonespan AS gone WHERE gone.sensor_id IN (0, %(sensor)s)
           AND to_timestamp(minute * 60.0::float8) < gone.until
           AND to_timestamp((minute + 1) * 60.0::float8) > gone.start OFFSET 0)
), cut_hour AS MATERIALIZED (
    SELECT unnest(%(cut_hours)s::timestamptz[]) AS start
    UNION SELECT date_trunc('hour', start, 'UTC') FROM untaken
), cut_day AS MATERIALIZED (
    SELECT unnest(%(cut_days)s::timestamptz[]) AS start
    UNION SELECT date_trunc('day', start, 'UTC') FROM untaken
), part (start, count, sum, min, max, first, last) AS ({parts}
)"""

_BUCKETS = """
{parts}
SELECT NULL::timestamptz AS created_at, place, count, sum / count::float8 AS avg, min, max, first, last
FROM (
    SELECT GREATEST(1, width_bucket(start, %(starts)s::timestamptz[])) AS place, {of_buckets}
    FROM part GROUP BY place
) AS bucket ORDER BY place
"""

_ROWS_OR_BUCKETS = """
WITH few_rows AS MATERIALIZED (
    SELECT created_at, value FROM monitoring_measurement
    WHERE sensor_id = %(sensor)s AND created_at >= %(from)s AND created_at < %(to)s
    ORDER BY created_at LIMIT %(rows)s + 1
), few AS MATERIALIZED (
    SELECT count(*) <= %(rows)s AND NOT EXISTS (
        SELECT FROM monitoring_gonespan
        WHERE sensor_id IN (0, %(sensor)s) AND start < %(to)s AND until > %(from)s) AS are
    FROM few_rows
)
SELECT created_at, 0 AS place, 1::bigint AS count, value AS avg, value AS min, value AS max,
       value AS first, value AS last
FROM few_rows WHERE (SELECT are FROM few)
UNION ALL
SELECT * FROM ({buckets}) AS bucket WHERE NOT (SELECT are FROM few)
ORDER BY created_at, place
"""
