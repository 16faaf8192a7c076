"""What a span's readings come to: how many, between what, on average, and when the extremes were.

As a series of a single bucket (monitoring.rollups.series): days and hours that lie in the span whole, minutes
at its ends, rows where the rollups have not taken them yet; and, as nothing here is cut to minutes, the rows
of the two minutes that the span begins and ends within. An extreme is then looked for where it must be: in
the earliest part that has it, of that the earliest minute, of that the row; where the row has gone, the
minute is what is known.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from monitoring.models import Sensor
from monitoring.rollups.buckets import DAY, EPOCH, MINUTE, Buckets, floor
from monitoring.rollups.levels import OF_BUCKETS, OF_ROWS
from monitoring.rollups.series import PARTS, parameters, parts_for
from monitoring.span import Span


@dataclass(frozen=True)
class Statistics:
    """Without a reading `count` is 0 and all else None. `avg`: None too where the values are beyond what can
    be added up. The times are those of rows; of rows that have gone, their minute, hour or day."""

    count: int = 0
    avg: float | None = None
    min: float | None = None
    min_at: datetime | None = None
    max: float | None = None
    max_at: datetime | None = None
    first: float | None = None
    first_at: datetime | None = None
    last: float | None = None
    last_at: datetime | None = None


def read(sensor: Sensor, span: Span) -> Statistics:
    """Of the readings from `span.start` on and before `span.end`, to the microsecond. Two statements."""
    inner = Span(EPOCH - (EPOCH - span.start) // MINUTE * MINUTE, floor(span.end, MINUTE))
    if inner.start > inner.end:  # within one minute
        inner = Span(span.end, span.end)
    buckets = Buckets(DAY, [inner.start], inner.end)
    parts = "\n    UNION ALL\n".join([*parts_for(DAY), *_EDGES])
    given: dict[str, Any] = {**parameters(sensor, span, buckets), "inner_end": inner.end}
    if inner.start == inner.end:
        given |= {"cut_hours": "{}", "cut_days": "{}"}
    with connection.cursor() as cursor:
        cursor.execute(_WHOLE.format(parts=PARTS.format(parts=parts), of_buckets=OF_BUCKETS), given)
        count, total, low, high, first, last, lowest, highest, earliest, latest = cursor.fetchone()
        if not count:
            return Statistics()
        found = {"min": low, "max": high, "lowest": lowest, "highest": highest}
        ends = {"earliest": earliest, "latest": latest}
        cursor.execute(_MOMENTS, {"sensor": sensor.pk, "to": span.end, **found, **ends})
        low_at, high_at, first_at, last_at = cursor.fetchone()
    average = total / count
    return Statistics(
        count=count,
        avg=average if math.isfinite(average) else None,
        min=low,
        min_at=low_at,
        max=high,
        max_at=high_at,
        first=first,
        first_at=first_at,
        last=last,
        last_at=last_at,
    )


# Two parts more, each of less than a minute: what the span has of the minutes it begins and ends within.
_EDGES = [
    f"""
    SELECT %({start})s::timestamptz, rows.* FROM (
        SELECT {OF_ROWS} FROM monitoring_measurement
        WHERE sensor_id = %(sensor)s AND created_at >= %({start})s AND created_at < %({end})s
    ) AS rows WHERE rows.count > 0"""
    for start, end in (("from", "first"), ("inner_end", "to"))
]

_WHOLE = """
{parts}
SELECT {of_buckets},
       (array_agg(start ORDER BY min, start))[1], (array_agg(start ORDER BY max DESC, start))[1],
       min(start), max(start)
FROM part
"""

# When an extreme was, given the earliest part that has it. A part is a day at most, and the first minute from
# its start on that has the extreme lies in it: later parts begin behind it. Its own first minute comes
# first, as of that the rows may know more than the rollups.
#
# A statement of its own, where the part is a constant: PostgreSQL plans for its partition alone. Within the
# one above it would plan for every partition in the span, six times: 60 ms for a year, to run for two.
_MOMENT = """coalesce(
    (SELECT created_at FROM monitoring_measurement
     WHERE sensor_id = %(sensor)s AND value = %({extreme})s AND created_at < %(to)s
       AND created_at >= %({part})s AND created_at < %({part})s + interval '1 minute'
     ORDER BY created_at LIMIT 1),
    (SELECT coalesce(
        (SELECT created_at FROM monitoring_measurement
         WHERE sensor_id = %(sensor)s AND created_at >= minute.start
           AND created_at < minute.start + interval '1 minute' AND value = %({extreme})s
           AND created_at >= %({part})s AND created_at < %({part})s + interval '1 day'
         ORDER BY created_at LIMIT 1), minute.start)
     FROM monitoring_rollup_minute AS minute
     WHERE sensor_id = %(sensor)s AND start >= %({part})s AND start < %({part})s + interval '1 day'
       AND minute.{extreme} = %({extreme})s ORDER BY start LIMIT 1),
    (SELECT start FROM monitoring_rollup_hour AS hour
     WHERE sensor_id = %(sensor)s AND start >= %({part})s AND start < %({part})s + interval '1 day'
       AND hour.{extreme} = %({extreme})s ORDER BY start LIMIT 1),
    %({part})s)"""

# Of the earliest part the earliest row, of the latest the latest.
_END = """coalesce(
    (SELECT created_at FROM monitoring_measurement
     WHERE sensor_id = %(sensor)s AND created_at >= %({part})s AND created_at < %({part})s + interval '1 day'
       AND created_at < %(to)s ORDER BY created_at {order} LIMIT 1),
    %({part})s)"""

_MOMENTS = "SELECT " + ", ".join(
    (
        _MOMENT.format(extreme="min", part="lowest"),
        _MOMENT.format(extreme="max", part="highest"),
        _END.format(part="earliest", order="ASC"),
        _END.format(part="latest", order="DESC"),
    )
)
