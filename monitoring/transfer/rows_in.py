"""Some rows of a file into the database, each once, in one transaction that the ledger knows of.

1. Those that are too old, or ahead of the clock, are refused: retention would drop the former.
2. The partitions that the others need are made.
3. In one transaction: the ledger's entry, the sensors (locked, and made where that was asked for), the
   rows by their identity (sensor, created_at), and the (sensor, minute) pairs for the rollups.

The ledger's entry has no messages: none was handed over, so the books stay balanced. It counts what
came as far as the table, stored or a duplicate; a line that was refused is no rejected message, since it
still stands in its file. A sensor that is switched off, or that has another unit by now, is no reason to
refuse: what was exported comes back as it was. One that is being removed is.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import Error, transaction

from batches.batch import time_ordered_id
from monitoring.decoders import MAX_CLOCK_AHEAD, Code
from monitoring.models import IngestBatch, Measurement, Sensor
from monitoring.models.measurement_queryset import Incoming
from monitoring.models.retention import oldest_taken
from monitoring.transfer.lines_in import Fault, Row
from monitoring.upkeep.partitions import ensure_partitions, existing

SOURCE = "import"
_ATTEMPTS = 3
# SQLSTATEs that are retried: no partition for a row, which retention has dropped meanwhile; deadlock;
# serialization failure.
_ONCE_MORE = ("23514", "40P01", "40001")


class Conflict(NamedTuple):
    """`stored`: the value and the unit that stand in the table, and stay."""

    row: Row
    unit: str
    stored: tuple[float, str]


class Outcome(NamedTuple):
    """`entry`: the ledger's row; None where no row came as far as the table."""

    entry: UUID | None
    stored: int
    duplicates: int
    conflicts: list[Conflict]
    refused: list[Fault]


def store(rows: Sequence[Row], create_sensors: bool) -> Outcome:
    """Stores the rows and commits them; idempotent, and retried after a deadlock or a serialization failure.

    Raises TooManyPartitionsError, PartitionLeavingError, and django.db.Error where the database is away.
    """
    now = datetime.now(UTC)
    oldest, newest = oldest_taken(settings.RETENTION_DAYS, now), now + MAX_CLOCK_AHEAD
    refused = [fault for row in rows if (fault := _out_of_time(row, oldest, newest))]
    if refused:
        bad = {fault.line for fault in refused}
        rows = [row for row in rows if row.line not in bad]
    if not rows:
        return Outcome(None, 0, 0, [], refused)
    for attempt in range(1, _ATTEMPTS + 1):
        _make_partitions(row.created_at for row in rows)
        try:
            outcome = _in_one_transaction(rows, create_sensors, now)
            return outcome._replace(refused=refused + outcome.refused)
        except Error as error:
            if attempt == _ATTEMPTS or getattr(error.__cause__, "pgcode", None) not in _ONCE_MORE:
                raise
    raise AssertionError("the last attempt returns or raises")


def _out_of_time(row: Row, oldest: datetime, newest: datetime) -> Fault | None:
    if row.created_at < oldest:
        return _too_old(row, oldest, f"RETENTION_DAYS={settings.RETENTION_DAYS}")
    if row.created_at > newest:
        return Fault(row.line, Code.CLOCK_AHEAD, f"created_at {row.created_at.isoformat()} is yet to come")
    if row.received_at is not None and row.received_at > newest:
        return Fault(row.line, Code.CLOCK_AHEAD, f"received_at {row.received_at.isoformat()} is yet to come")
    return None


def _too_old(row: Row, oldest: datetime, why: str) -> Fault:
    detail = f"created_at {row.created_at.isoformat()} is before {oldest.isoformat()} ({why})"
    return Fault(row.line, Code.TOO_OLD, detail)


def _make_partitions(moments: Iterable[datetime]) -> None:
    # A partition begins and ends at midnight: a look at each day's start is enough.
    days = {moment.date() for moment in moments}
    spans = existing().values()
    for date in sorted(days):
        day = datetime.combine(date, time(), UTC)
        if not any(span.start <= day < span.end for span in spans):
            ensure_partitions(day, day)
            spans = existing().values()


@transaction.atomic
def _in_one_transaction(rows: Sequence[Row], create_sensors: bool, now: datetime) -> Outcome:
    entry = IngestBatch(
        id=time_ordered_id(), source=SOURCE, messages=0, first_received_at=now, last_received_at=now
    )
    IngestBatch.objects.enter(entry)
    sensors = _sensors(rows, create_sensors)
    oldest = {
        sensor.pk: oldest_taken(sensor.retention_days, now)
        for sensor in sensors.values()
        if sensor.retention_days and sensor.retention_days < settings.RETENTION_DAYS
    }
    taken: list[Row] = []
    refused: list[Fault] = []
    for row in rows:
        if row.sensor_id not in sensors:
            refused.append(Fault(row.line, Code.UNKNOWN_SENSOR, f"there is no sensor {row.sensor_id}"))
        elif sensors[row.sensor_id].removal_requested_at:
            # What is stored now would go with it.
            refused.append(Fault(row.line, Code.INACTIVE_SENSOR, f"sensor {row.sensor_id} is being removed"))
        elif row.sensor_id in oldest and row.created_at < oldest[row.sensor_id]:
            refused.append(_too_old(row, oldest[row.sensor_id], f"retention of sensor {row.sensor_id}"))
        else:
            taken.append(row)
    readings = [
        Incoming(
            row.sensor_id,
            row.created_at,
            row.received_at or row.created_at,
            row.value,
            sensors[row.sensor_id].unit if row.unit is None else row.unit,
            True,
        )
        for row in taken
    ]
    outcome = Measurement.objects.ingest(readings)
    entry.stored, entry.duplicates = len(outcome.stored), len(outcome.duplicates)
    entry.readings = entry.stored + entry.duplicates
    stored = (readings[place] for place in outcome.stored)
    entry.touch({(one.sensor_id, int(one.created_at.timestamp()) // 60) for one in stored})
    IngestBatch.objects.complete(entry)
    conflicts = [
        Conflict(taken[place], readings[place].unit, stored) for place, stored in outcome.conflicts.items()
    ]
    return Outcome(entry.id, entry.stored, entry.duplicates, conflicts, refused)


def _sensors(rows: Sequence[Row], create: bool) -> dict[int, Sensor]:
    """Those of the rows' sensors that there are; none is deleted meanwhile."""
    Sensor.objects.hold()
    named = {row.sensor_id: row for row in reversed(rows)}
    sensors = Sensor.objects.in_bulk(named)
    unknown = named.keys() - sensors.keys()
    if unknown and create:
        Sensor.objects.register(
            [Sensor(id=number, name=f"Sensor {number}", unit=named[number].unit or "") for number in unknown]
        )
        sensors |= Sensor.objects.in_bulk(unknown)
    return sensors
