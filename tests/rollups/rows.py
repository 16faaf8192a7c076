"""What tests of rollups and series share: storing rows, and what they come to, told in Python."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from batches.batch import time_ordered_id
from monitoring.models import DayRollup, HourRollup, IngestBatch, Measurement, MinuteRollup
from monitoring.models.measurement_queryset import Incoming

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = tuple[int, datetime, float]


def store(rows: Iterable[Row], unit: str = "V") -> IngestBatch:
    """As monitoring.ingest leaves them: what is new stored, and its minutes named in the ledger."""
    rows = list(rows)
    outcome = Measurement.objects.ingest([Incoming(s, at, at, value, unit, True) for s, at, value in rows])
    touched = sorted({(rows[i][0], int(rows[i][1].timestamp()) // 60) for i in outcome.stored})
    now = datetime.now(UTC)
    return IngestBatch.objects.create(
        id=time_ordered_id(),
        source="mqtt:test",
        messages=len(rows),
        readings=len(rows),
        stored=len(outcome.stored),
        first_received_at=now,
        last_received_at=now,
        touched_sensors=[sensor for sensor, _ in touched] or None,
        touched_minutes=[minute for _, minute in touched] or None,
    )


def untaken() -> int:
    return IngestBatch.objects.filter(touched_sensors__isnull=False).count()


def buckets() -> dict[str, dict[tuple[int, datetime], tuple[float, ...]]]:
    """All rollups: {resolution: {(sensor, start): (count, sum, min, max, first, last)}}."""
    return {
        name: {(row[0], row[1]): row[2:] for row in model.objects.values_list(*_COLUMNS)}
        for name, model in (("minute", MinuteRollup), ("hour", HourRollup), ("day", DayRollup))
    }


_COLUMNS = ("sensor_id", "start", "count", "sum", "min", "max", "first", "last")


def expected(rows: Iterable[Row] | None = None) -> dict[str, Any]:
    """The same, computed from the raw rows. Values that are multiples of a quarter add up exactly."""
    if rows is None:
        rows = Measurement.objects.values_list("sensor_id", "created_at", "value")
    rows = sorted(rows)
    found: dict[str, Any] = {}
    for name, width in (("minute", MINUTE), ("hour", HOUR), ("day", DAY)):
        groups = defaultdict(list)
        for sensor, at, value in rows:
            groups[sensor, EPOCH + (at - EPOCH) // width * width].append(value)
        found[name] = {
            key: (len(values), sum(values), min(values), max(values), values[0], values[-1])
            for key, values in groups.items()
        }
    return found
