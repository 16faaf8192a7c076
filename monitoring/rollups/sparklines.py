"""The last day of many sensors, an hour a point: what a list shows beside each of them. One query for all."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from monitoring.models.arrays import as_literal
from monitoring.rollups.buckets import EPOCH, HOUR, floor

HOURS = 24


class Hour(NamedTuple):
    """`place`: 0 for the hour 24 hours ago, 24 for the one that runs. `avg` is None where the values are too
    large to be added up."""

    place: int
    avg: float | None
    min: float
    max: float


def of(sensor_ids: Sequence[int], now: datetime) -> dict[int, list[Hour]]:
    """By sensor, in the order of time; an hour without measurements is left out, and so is a sensor."""
    first = first_hour(now)
    found: dict[int, list[Hour]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, [(first - EPOCH) // HOUR, as_literal(sensor_ids), first, now])
        for sensor_id, *hour in cursor.fetchall():
            found.setdefault(sensor_id, []).append(Hour(*hour))
    return found


def first_hour(now: datetime) -> datetime:
    """When the hour begins whose place is 0."""
    return floor(now, HOUR) - HOURS * HOUR


_HOURS = """
SELECT sensor_id, extract(epoch FROM start)::bigint / 3600 - %s,
       CASE WHEN abs(sum) < 1e308 THEN sum / count END, min, max
FROM monitoring_rollup_hour
WHERE sensor_id = ANY(%s::bigint[]) AND start >= %s AND start <= %s
ORDER BY sensor_id, start
"""
