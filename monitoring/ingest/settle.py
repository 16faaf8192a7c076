"""Readings held against their sensors and stored, and what was refused on the way."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from django.conf import settings

from batches.batch import Message, to_datetime
from batches.topics import board_of
from monitoring.decoders import Code, Reading, Refusal, check
from monitoring.decoders.reading import storable
from monitoring.ingest import after_commit
from monitoring.ingest.progress import Fate, Progress
from monitoring.ingest.sensors import Named, Sensors
from monitoring.models import Measurement
from monitoring.models.measurement_queryset import Incoming

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NO_MORE = ", and none is made: AUTO_REGISTER_MAX_SENSORS=%d are there"

# A message's place in its batch, and what it was decoded to.
Decoded = tuple[int, list[Reading | Refusal]]


def named_by(decoded: Iterable[Decoded]) -> dict[int, Named]:
    """The sensors that decoded messages name, and what the last of each one's readings says of it."""
    return {
        item.sensor_id: (item.kind, item.unit)
        for _, items in decoded
        for item in items
        if isinstance(item, Reading)
    }


def settle(progress: Progress, decoded: list[Decoded], sensors: Sensors) -> None:
    """Stores what can be stored of some of a batch's messages, and says what came of each reading."""
    batch = progress.batch
    sensors.learn(named_by(decoded))
    incoming: list[Incoming] = []
    origins: list[tuple[int, Reading]] = []
    refused: dict[int, list[Refusal]] = {}
    for position, items in decoded:
        message = batch.messages[position]
        received_at = to_datetime(message.received_us)
        untimed: dict[int, int] = {}
        refusals: list[Refusal] = []
        for item in items:
            if isinstance(item, Refusal):
                refusals.append(item)
                continue
            sensor = sensors.expected.get(item.sensor_id)
            oldest = progress.oldest_of(None if sensor is None else sensor.retention_days)
            fault = check(item, sensor, received_at, message.retained, oldest)
            if fault is not None or sensor is None:
                code, detail = fault or (Code.UNKNOWN_SENSOR, "")
                if code is Code.UNKNOWN_SENSOR and sensors.is_blocked(item.sensor_id):
                    progress.blocked.add(item.sensor_id)
                if code is Code.UNKNOWN_SENSOR and settings.AUTO_REGISTER_SENSORS:
                    detail += _NO_MORE % settings.AUTO_REGISTER_MAX_SENSORS
                payload = _payload(message, item)
                refusals.append(Refusal(code, detail, payload, item.index, item.sensor_id))
                continue
            created_at = item.ts
            if created_at is None:
                # Several readings of one sensor in one message, none with a time: side by side.
                before = untimed.get(item.sensor_id, 0)
                created_at = received_at + before * _MICROSECOND
                untimed[item.sensor_id] = before + 1
            incoming.append(
                Incoming(
                    item.sensor_id,
                    created_at,
                    received_at,
                    item.value,
                    sensor.unit or item.unit or "",  # one spelling, where the sensor has one
                    item.ts is not None,
                )
            )
            origins.append((position, item))
        if refusals:
            refused[position] = refusals
    outcome = Measurement.objects.ingest(incoming)
    conflicts: defaultdict[int, list[Refusal]] = defaultdict(list)
    for place, (value, unit) in outcome.conflicts.items():
        position, reading = origins[place]
        detail = storable(
            f"sensor {reading.sensor_id} has {value:g} {unit}".rstrip()
            + f" at {incoming[place].created_at.isoformat()} already"
        )
        payload = _payload(batch.messages[position], reading)
        conflicts[position].append(Refusal(Code.CONFLICT, detail, payload, reading.index, reading.sensor_id))
    for of_messages in (refused, conflicts):
        for position, refusals in of_messages.items():
            progress.reject(position, refusals)
    progress.readings += sum(len(items) for _, items in decoded)
    for place in (*outcome.duplicates, *outcome.conflicts, *outcome.moved):
        progress.repeated.add(incoming[place].sensor_id)
    progress.stored += len(outcome.stored)
    progress.duplicates += len(outcome.duplicates)
    if progress.fates is not None:
        for places, is_duplicate in ((outcome.stored, False), (outcome.duplicates, True)):
            progress.fates += (
                _fate(origins[place], incoming[place], outcome.moved.get(place), is_duplicate)
                for place in places
            )
    for place in outcome.stored:
        created_at = outcome.moved.get(place, incoming[place].created_at)
        progress.touched.add((incoming[place].sensor_id, int(created_at.timestamp()) // 60))
        if after_commit.is_wanted():
            sensor_id, _, _, value, unit, _ = incoming[place]
            newest = after_commit.one((created_at - _EPOCH) // _MICROSECOND, value, unit)
            after_commit.add(progress.newest, sensor_id, newest)
            if board := board_of(batch.messages[origins[place][0]].topic):
                progress.boards[sensor_id] = board


def _fate(
    origin: tuple[int, Reading], incoming: Incoming, moved: datetime | None, is_duplicate: bool
) -> Fate:
    position, reading = origin
    sensor_id, created_at, _, value, unit, timed = incoming
    return Fate(position, reading.index, sensor_id, moved or created_at, value, unit, timed, is_duplicate)


def _payload(message: Message, reading: Reading) -> bytes:
    """What is kept of a reading that was refused: all of its message, or of an array just this reading."""
    if reading.index is None:
        return message.payload
    fields: dict[str, object] = {"sensor_id": reading.sensor_id, "value": reading.value}
    if reading.kind is not None:
        fields["type"] = reading.kind
    if reading.unit is not None:
        fields["unit"] = reading.unit
    if reading.ts is not None:
        fields["ts"] = reading.ts
    return msgspec.json.encode(fields)
