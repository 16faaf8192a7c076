"""The story of a batch: from the store, through the decoders, into the database, once.

1. Claim it, which counts the attempt.
2. Decode every message; make the partitions that the readings need.
3. In one transaction: enter it in the ledger (there already: done before), lock its sensors, hold each
   reading against its sensor, store the measurements, keep what was rejected, complete the entry.
4. Forget it in the store.

Where something is wrong with the surroundings (the database away, a lock, a full disk) the batch is
postponed. Where something is wrong with a message, it alone is rejected: message by message, under
savepoints. Where a worker died three times, the next one notes each position before it touches it.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple
from uuid import UUID

import msgspec
from billiard.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import Error, InterfaceError, connection, transaction
from redis.exceptions import RedisError

from bridge.batch import Batch, Message, to_datetime
from bridge.failpoints import failpoint
from bridge.store import BatchStore, Claim
from monitoring.decoders import MAX_CLOCK_AHEAD, Code, Reading, Refusal, check, decode
from monitoring.decoders.reading import storable
from monitoring.models import IngestBatch, Measurement, RejectedMessage, Sensor
from monitoring.models.measurement_queryset import Incoming
from monitoring.models.sensor import Expectation
from monitoring.partitions import (
    PartitionLeavingError,
    Span,
    TooManyPartitionsError,
    ensure_partitions,
    existing,
)

logger = logging.getLogger(__name__)

# Nothing is wrong with the batch: connection, rollback (deadlock), resources (disk, memory), object
# not in the right state (locks), operator (shutdown, time-out).
_PASSING_SQLSTATES = ("08", "40", "53", "55", "57")
_CHECK_VIOLATION = "23514"
_MICROSECOND = timedelta(microseconds=1)


class End(Enum):
    """How an attempt at a batch ended."""

    STORED = "stored"
    DONE_BEFORE = "done before"
    GONE = "gone"
    POSTPONED = "postponed"


class Attempt(NamedTuple):
    """`entry`: the ledger's row, where this attempt wrote it."""

    end: End
    entry: IngestBatch | None = None


class _BusyError(Exception):
    """Another worker is at this batch, carefully."""


_PASSING_ERRORS = (
    InterfaceError,
    RedisError,
    TooManyPartitionsError,
    PartitionLeavingError,
    SoftTimeLimitExceeded,
    _BusyError,
)


@dataclass
class _Progress:
    """What has come of a batch so far."""

    batch: Batch
    oldest: datetime
    readings: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: list[RejectedMessage] = field(default_factory=list)
    touched: set[tuple[int, int]] = field(default_factory=set)

    def oldest_of(self, sensor: Expectation | None) -> datetime:
        """A sensor that is kept for less time than the rest refuses earlier, for the same reason."""
        days = None if sensor is None else sensor.retention_days
        if days is None or days >= settings.RETENTION_DAYS:
            return self.oldest
        return _oldest_kept(days)

    def reject(self, position: int, refusal: Refusal) -> None:
        message = self.batch.messages[position]
        self.rejected.append(
            RejectedMessage(
                received_at=to_datetime(message.received_us),
                topic=message.topic,
                payload=refusal.payload,
                length=len(refusal.payload) if message.length is None else message.length,
                retained=message.retained,
                code=refusal.code.value,
                detail=refusal.detail,
                batch=self.batch.id,
                position=position,
                index=refusal.index,
            )
        )


# A message's place in its batch, and what it was decoded to.
_Decoded = tuple[int, list[Reading | Refusal]]


def ingest(store: BatchStore, batch_id: UUID) -> Attempt:
    """One attempt at a batch: every outcome but a death of the process is handled here."""
    claim = store.claim(batch_id)
    if claim is None:
        return Attempt(End.GONE)
    failpoint("ingest.claimed")
    try:
        entry = _ingest_claimed(store, claim)
    except Exception as error:
        # What is left is passing, or unknown: neither may cost a message. It will be tried again.
        if _is_passing(error):
            logger.warning("batch %s postponed: %s", batch_id, str(error).strip().partition("\n")[0])
        else:
            logger.exception("batch %s postponed, for a reason that is not known", batch_id)
        connection.close()
        _known_partitions.clear()
        store.postpone(batch_id)
        return Attempt(End.POSTPONED)
    failpoint("ingest.committed")
    store.done(batch_id)
    failpoint("ingest.done")
    return Attempt(End.DONE_BEFORE if entry is None else End.STORED, entry)


def _ingest_claimed(store: BatchStore, claim: Claim) -> IngestBatch | None:
    batch = Batch.unpack(claim.batch_id, claim.body)
    if claim.needs_care:
        logger.warning("batch %s: %d workers have died at it; going carefully", batch.id, claim.deaths)
        return _carefully(store, batch)
    try:
        return _at_once(batch)
    except Exception as error:
        if _is_passing(error):
            raise
        logger.warning("batch %s: %s; going message by message", batch.id, error)
        return _one_by_one(batch)


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, _PASSING_ERRORS):
        return True
    if isinstance(error, Error):
        state = getattr(error.__cause__, "pgcode", None)
        return state is None or state.startswith(_PASSING_SQLSTATES)
    return isinstance(error, MemoryError | ConnectionError)


# --- three ways through a batch ------------------------------------------------------------------


def _at_once(batch: Batch) -> IngestBatch | None:
    progress = _begin(batch)
    decoded = [(position, _decode(message)) for position, message in enumerate(batch.messages)]
    _make_partitions(progress, decoded)
    try:
        return _in_one_transaction(progress, decoded)
    except Error as error:
        if getattr(error.__cause__, "pgcode", None) != _CHECK_VIOLATION:
            raise
        # "No partition found for row": retention has dropped one that we knew.
        _known_partitions.clear()
        progress = _begin(batch)
        _make_partitions(progress, decoded)
        return _in_one_transaction(progress, decoded)


def _in_one_transaction(progress: _Progress, decoded: list[_Decoded]) -> IngestBatch | None:
    with transaction.atomic():
        if not IngestBatch.objects.enter(_entry(progress)):
            return None
        failpoint("ingest.entered")
        _settle(progress, decoded)
        failpoint("ingest.stored")
        entry = _complete(progress)
        failpoint("ingest.before_commit")
    return entry


def _one_by_one(
    batch: Batch, before: Callable[[int], None] | None = None, crashed: Iterable[int] = ()
) -> IngestBatch | None:
    """`before(position)` is called before a message is touched; `crashed` are not touched at all."""
    progress = _begin(batch)
    with transaction.atomic():
        if not IngestBatch.objects.enter(_entry(progress)):
            return None
        decoded: list[_Decoded] = []
        for position, message in enumerate(batch.messages):
            if position in crashed:
                detail = "the worker died each time that it touched this message"
                decoded.append((position, [Refusal(Code.CRASHED_WORKER, detail, message.payload, None)]))
                continue
            if before:
                before(position)
            try:
                decoded.append((position, _decode(message)))
            except Exception as error:
                decoded.append((position, [_failure(message, error)]))
        _make_partitions(progress, decoded)
        for position, items in decoded:
            if before and position not in crashed:
                before(position)
            try:
                with transaction.atomic():
                    _settle(progress, [(position, items)])
            except Exception as error:
                if _is_passing(error):
                    raise
                _settle(progress, [(position, [_failure(batch.messages[position], error)])])
        return _complete(progress)


def _carefully(store: BatchStore, batch: Batch) -> IngestBatch | None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [batch.id.int & 0x7FFF_FFFF_FFFF_FFFF])
            if not cursor.fetchone()[0]:
                raise _BusyError("another worker is at it")
        touching, crashed = store.noted(batch.id)
        if touching is not None:
            crashed |= {touching}
            store.note_crashed(batch.id, crashed)
        return _one_by_one(batch, lambda position: store.note_touching(batch.id, position), crashed)


# --- the steps -----------------------------------------------------------------------------------


def _begin(batch: Batch) -> _Progress:
    return _Progress(batch, _oldest_kept(settings.RETENTION_DAYS))


def _oldest_kept(days: int) -> datetime:
    """A day before retention would drop it: it would hardly have come before it went."""
    return datetime.now(UTC) - timedelta(days=days - 1)


def _decode(message: Message) -> list[Reading | Refusal]:
    failpoint("ingest.message", message.payload)
    return decode(message.payload, message.length)


def _failure(message: Message, error: Exception) -> Refusal:
    detail = storable(f"{type(error).__name__}: {error}".strip())
    return Refusal(Code.FAILED, detail, message.payload, None)


def _entry(progress: _Progress) -> IngestBatch:
    messages = progress.batch.messages
    return IngestBatch(
        id=progress.batch.id,
        source=progress.batch.source,
        messages=len(messages),
        first_received_at=to_datetime(messages[0].received_us),
        last_received_at=to_datetime(messages[-1].received_us),
    )


class _KnownPartitions:
    """The spans that are known to be there, so that a batch costs no look at the catalogue."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def clear(self) -> None:
        self._spans = []

    def cover(self, moment: datetime) -> bool:
        return any(span.start <= moment < span.end for span in self._spans)

    def ensure(self, moments: Collection[datetime]) -> None:
        if not moments:
            return
        first, last = min(moments), max(moments)
        if any(span.start <= first and last < span.end for span in self._spans):
            return  # nearly always: all of a batch in one month
        for moment in moments:
            if self.cover(moment):
                continue
            self._spans = sorted(existing().values(), reverse=True)
            if not self.cover(moment):
                ensure_partitions(moment, moment)
                self._spans = sorted(existing().values(), reverse=True)


_known_partitions = _KnownPartitions()


def _make_partitions(progress: _Progress, decoded: list[_Decoded]) -> None:
    """For all readings that may be stored; a hostile `ts` makes no partition."""
    messages = progress.batch.messages
    received = to_datetime(messages[0].received_us), to_datetime(messages[-1].received_us)
    latest = received[1] + MAX_CLOCK_AHEAD
    moments = {
        item.ts
        for _, items in decoded
        for item in items
        if isinstance(item, Reading) and item.ts is not None and progress.oldest <= item.ts <= latest
    }
    moments.update(moment for moment in received if moment >= progress.oldest)
    _known_partitions.ensure(moments)


def _settle(progress: _Progress, decoded: list[_Decoded]) -> None:
    """Stores what can be stored of some of a batch's messages, and says what came of each reading."""
    batch = progress.batch
    readings = [
        (position, item) for position, items in decoded for item in items if isinstance(item, Reading)
    ]
    sensors = _sensors(readings)
    incoming: list[Incoming] = []
    origins: list[tuple[int, Reading]] = []
    refused: list[tuple[int, Refusal]] = []
    for position, items in decoded:
        message = batch.messages[position]
        received_at = to_datetime(message.received_us)
        untimed: dict[int, int] = {}
        for item in items:
            if isinstance(item, Refusal):
                refused.append((position, item))
                continue
            sensor = sensors.get(item.sensor_id)
            oldest = progress.oldest_of(sensor)
            fault = check(item, sensor, received_at, message.retained, oldest)
            if fault is not None or sensor is None:
                code, detail = fault or (Code.UNKNOWN_SENSOR, "")
                refused.append((position, Refusal(code, detail, _payload(message, item), item.index)))
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
                    sensor.unit if item.unit is None else item.unit,
                    item.ts is not None,
                )
            )
            origins.append((position, item))
    outcome = Measurement.objects.ingest(incoming)
    for place, (value, unit) in outcome.conflicts.items():
        position, reading = origins[place]
        detail = storable(
            f"sensor {reading.sensor_id} has {value:g} {unit}".rstrip()
            + f" at {incoming[place].created_at.isoformat()} already"
        )
        payload = _payload(batch.messages[position], reading)
        refused.append((position, Refusal(Code.CONFLICT, detail, payload, reading.index)))
    for position, refusal in refused:
        progress.reject(position, refusal)
    progress.readings += sum(len(items) for _, items in decoded)
    progress.stored += len(outcome.stored)
    progress.duplicates += len(outcome.duplicates)
    for place in outcome.stored:
        created_at = outcome.moved.get(place, incoming[place].created_at)
        progress.touched.add((incoming[place].sensor_id, int(created_at.timestamp()) // 60))


def _sensors(readings: list[tuple[int, Reading]]) -> dict[int, Expectation]:
    named = {reading.sensor_id: reading for _, reading in readings}
    sensors = Sensor.objects.lock_for_ingest(named)
    unknown = named.keys() - sensors.keys()
    if unknown and settings.AUTO_REGISTER_SENSORS:
        Sensor.objects.register(
            [
                Sensor(
                    id=number,
                    name=f"Sensor {number}",
                    kind=named[number].kind or "",
                    unit=named[number].unit or "",
                )
                for number in unknown
            ]
        )
        sensors |= Sensor.objects.lock_for_ingest(unknown)
    return sensors


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


def _complete(progress: _Progress) -> IngestBatch:
    RejectedMessage.objects.keep(progress.rejected, settings.REJECTED_MAX_BYTES_PER_HOUR)
    entry = _entry(progress)
    entry.readings = progress.readings
    entry.stored = progress.stored
    entry.duplicates = progress.duplicates
    entry.rejected = len(progress.rejected)
    if progress.touched:
        pairs = sorted(progress.touched)
        entry.touched_sensors = [sensor for sensor, _ in pairs]
        entry.touched_minutes = [minute for _, minute in pairs]
    IngestBatch.objects.complete(entry)
    return entry
