"""The fast way for what is nearly all of a batch: plain readings, as columns rather than objects.

A message is plain where it is one JSON object that the typed decoder takes as it is. Its reading is a tuple,
its times are whole microseconds, whether its sensor takes it is one look into a dictionary, and its row is
packed as COPY's binary format has it, straight into the table: no temporary table, no object a reading.

1. `read` decodes what is plain, before the transaction.
2. `store`, within it, holds each reading against its sensor and the clock, and copies the rows.

Whatever is not plain, or is refused, or stands under a key that is taken, goes the sure way (`settle`),
which alone says why. Where one key is taken, all of the batch does: PostgreSQL refuses a COPY as a whole.
Which sensors send what is there already is remembered for a while, so that they do not cost that twice.

A property test holds both ways to the same outcome. What it saves: docs/decisions/0025.
"""

import struct
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import modf
from typing import NamedTuple

from django.db import transaction

from batches.batch import Batch, Message
from monitoring.decoders import MAX_CLOCK_AHEAD, Reading, Refusal, check
from monitoring.decoders.json import fast
from monitoring.decoders.timestamp import moment
from monitoring.ingest import after_commit, boards
from monitoring.ingest.after_commit import Newest
from monitoring.ingest.progress import Progress
from monitoring.ingest.sensors import Accepted, Key, Sensors
from monitoring.ingest.settle import Decoded
from monitoring.models import binary_copy
from process.failpoints import failpoint, is_armed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_AHEAD_US = MAX_CLOCK_AHEAD // _MICROSECOND
_MINUTE_US = 60_000_000
# Of a number as `ts`; what lies beyond is for `moment` to judge.
_LAST_SECOND = 253_402_300_799

# For how long a sensor that sent what was there already goes the sure way, and how many are remembered.
REMEMBER_SECONDS = 60.0
REMEMBER_SENSORS = 10_000


class Plain(NamedTuple):
    """A plain reading; sorted, they come in the order of the table's key. Times: microseconds since 1970."""

    sensor_id: int
    created_us: int
    position: int
    received_us: int
    value: float
    key: Key


_END = Plain(-1, 0, 0, 0, 0.0, (-1, None, None))


def read(batch: Batch) -> tuple[list[Plain], list[int]]:
    """The plain readings among the messages, in their order, and the positions of all the others."""
    plain: list[tuple[int, int, int, int, float, Key]] = []
    others: list[int] = []
    take, leave = plain.append, others.append
    short, decode_short, decode = fast.SHORT, fast.decode_one, fast.one
    statuses = boards.status_keys(batch)
    for position, row in enumerate(batch.rows()):
        received_us, payload = row[0], row[2]
        if is_armed:
            failpoint("ingest.message", payload)
        if statuses and row[1] in statuses:
            leave(position)
            continue
        if len(row) > 3 and (row[3] or row[4] is not None):  # retained, or cut
            leave(position)
            continue
        try:
            # Here and below, calls that are left out for nearly all are a tenth of the whole each.
            wire = decode_short(payload) if len(payload) <= short and payload.isascii() else decode(payload)
            sensor_id, ts = wire.sensor_id, wire.ts
            if ts is None:
                created_us = received_us
            elif type(ts) is float and 0 <= ts <= _LAST_SECOND:
                fraction, seconds = modf(ts)
                created_us = int(seconds) * 1_000_000 + round(fraction * 1e6)
            else:
                created_us = microseconds(ts)
        except Exception:  # whatever it stumbles on is for the sure way to judge
            leave(position)
            continue
        take((sensor_id, created_us, position, received_us, wire.value, (sensor_id, wire.type, wire.unit)))
    return plain, others  # type: ignore[return-value]  # a NamedTuple each would cost as much as the decoding


def microseconds(ts: float | str) -> int:
    """The time that `ts` names, to the microsecond as `moment` has it, in microseconds since 1970.

    Raises ValueError where `moment` does, or has to look.
    """
    if isinstance(ts, str):
        return _us(moment(ts))
    if not 0 <= ts <= _LAST_SECOND:
        return _us(moment(ts))
    fraction, seconds = modf(ts)
    return int(seconds) * 1_000_000 + round(fraction * 1e6)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


class Packed(NamedTuple):
    """All in the order of their keys, the rows to copy, the (sensor, minute) pairs that they touch, and the
    positions that are left."""

    ordered: Sequence[Plain]
    rows: list[bytes]
    sensors: list[int]
    minutes: list[int]
    left: list[int]


def store(progress: Progress, plain: Sequence[Plain], sensors: Sensors) -> list[int]:
    """Stores the plain readings that their sensors take; returns the positions that must go the sure way.

    Call it in a transaction that holds the sensors, with the partitions there.
    """
    packed = pack(progress, plain, sensors)
    if packed is None or not packed.rows or not copied(packed.rows):
        return [row[2] for row in plain]
    note(progress, packed, sensors)
    return packed.left


def pack(progress: Progress, plain: Sequence[Plain], sensors: Sensors) -> Packed | None:
    """The first step of `store`: changes nothing.

    None where two have one key: which is stored depends on their order, which the sure way knows.
    """
    _judge([row[5] for row in plain], sensors)
    return _rows(sorted(plain), progress, _doubles.without(sensors.accepted, plain))


def note(progress: Progress, packed: Packed, sensors: Sensors) -> None:
    """The last step of `store`, once the rows are copied."""
    progress.readings += len(packed.rows)
    progress.stored += len(packed.rows)
    progress.touched_sensors, progress.touched_minutes = packed.sensors, packed.minutes
    if after_commit.is_wanted():
        refused = set(packed.left)
        taken = [row for row in packed.ordered if row[2] not in refused] if refused else packed.ordered
        progress.newest.update(_newest(taken, sensors.accepted))
        if keys := boards.board_keys(progress.batch):
            rows = progress.batch.rows()
            progress.boards |= {row[0]: keys[key] for row in taken if (key := rows[row[2]][1]) in keys}


def _newest(taken: Iterable[Plain], accepted: Mapping[Key, Accepted]) -> dict[int, Newest]:
    """What those readings, in the order of their keys, are to whoever wants to know: an object a sensor."""
    found: dict[int, Newest] = {}
    # What a NamedTuple's own constructor takes is half of all this where each sensor sends one reading.
    make = tuple.__new__
    newest: Plain | None = None
    sensor_id, rows, oldest_us = _END.sensor_id, 0, 0
    lowest = highest = 0.0
    for row in chain(taken, (_END,)):
        value = row[4]
        if row[0] == sensor_id:
            rows += 1
            if value < lowest:
                lowest = value
            elif value > highest:
                highest = value
            newest = row
            continue
        if newest is not None:
            said = accepted[newest[5]].said
            found[sensor_id] = make(Newest, (rows, newest[1], newest[4], said, oldest_us, lowest, highest))
        sensor_id, oldest_us, rows, lowest, highest, newest = row[0], row[1], 1, value, value, row
    return found


def _judge(keys: Sequence[Key], sensors: Sensors) -> None:
    """Accepts those of the keys whose readings are taken, but for the clock."""
    accepted = sensors.accepted
    new = [key for key in keys if key not in accepted]
    if not new:
        return
    sensors.learn({sensor_id: (kind, unit) for sensor_id, kind, unit in new})
    for key in set(new):
        sensor_id, kind, unit = key
        sensor = sensors.expected.get(sensor_id)
        if sensor is None or not ((kind or "").isprintable() and (unit or "").isprintable()):
            continue
        if check(Reading(sensor_id, 0.0, kind, unit, None, None), sensor, _EPOCH, False, _EPOCH) is None:
            # One spelling, where the sensor has one.
            accepted[key] = Accepted(sensor.unit or unit or "", sensor.retention_days)


# How many columns, then for each its length and what is in it; the unit, which varies, is behind it.
_pack = struct.Struct(">hiqiqiqid").pack
_INTO = "monitoring_measurement (sensor_id, created_at, received_at, value, unit)"


def _rows(ordered: Sequence[Plain], progress: Progress, accepted: Mapping[Key, Accepted]) -> Packed | None:
    found = Packed(ordered, [], [], [], [])
    take, epoch = found.rows.append, binary_copy.EPOCH_US
    last_sensor = last_us = last_minute = -1
    oldest_us = _us(progress.oldest)
    for sensor_id, created_us, position, received_us, value, key in ordered:
        if sensor_id != last_sensor:
            last_minute = -1
        elif created_us == last_us:
            return None
        last_sensor, last_us = sensor_id, created_us
        taken = accepted.get(key)
        if (
            taken is None
            or not oldest_us <= created_us <= received_us + _AHEAD_US
            or (taken.days is not None and created_us < _us(progress.oldest_of(taken.days)))
        ):
            found.left.append(position)
            continue
        created = created_us - epoch
        take(_pack(5, 8, sensor_id, 8, created, 8, received_us - epoch, 8, value) + taken.unit)
        minute = created_us // _MINUTE_US
        if minute != last_minute:
            last_minute = minute
            found.sensors.append(sensor_id)
            found.minutes.append(minute)
    return found


def copied(rows: Sequence[bytes]) -> bool:
    """The second step of `store`; False where a key is taken, and nothing is copied.

    Sorted, rows come in the order of their keys, so that two transactions do not deadlock.
    """
    savepoint = transaction.savepoint()
    if binary_copy.copy(_INTO, rows):
        transaction.savepoint_commit(savepoint)
        return True
    transaction.savepoint_rollback(savepoint)
    return False


# --- who sends what is there already -------------------------------------------------------------


class _Doubles:
    """Sensors that sent duplicates within the last minute."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def remembers(self, sensor_id: int) -> bool:
        until = self._until.get(sensor_id)
        if until is None:
            return False
        if time.monotonic() < until:
            return True
        del self._until[sensor_id]
        return False

    def forget(self) -> None:
        self._until.clear()

    def without(self, accepted: Mapping[Key, Accepted], plain: Iterable[Plain]) -> Mapping[Key, Accepted]:
        """Those keys of the readings' whose sensors are not remembered."""
        if not self._until:
            return accepted
        keys = {row[5] for row in plain}
        return {key: accepted[key] for key in keys if key in accepted and not self.remembers(key[0])}

    def note(self, sensors: Iterable[int]) -> None:
        until = time.monotonic() + REMEMBER_SECONDS
        for sensor_id in sensors:
            if len(self._until) >= REMEMBER_SENSORS and sensor_id not in self._until:
                self._until.clear()
            self._until[sensor_id] = until


_doubles = _Doubles()


def note_doubles(sensors: Iterable[int]) -> None:
    """These sensors sent duplicates or conflicts: for a while they go the sure way."""
    _doubles.note(sensors)


def forget_doubles() -> None:
    _doubles.forget()


def meet(plain: Sequence[Plain], messages: Sequence[Message], decoded: Iterable[Decoded]) -> bool:
    """Whether one of the other readings asks for a key of a plain one's: then their order decides."""
    taken: set[tuple[int, int]] | None = None
    for position, items in decoded:
        untimed: Counter[int] = Counter()
        received_us = messages[position].received_us
        for item in items:
            if isinstance(item, Refusal):
                continue
            if taken is None:
                taken = {(row[0], row[1]) for row in plain}
            if item.ts is None:
                # Those of one sensor stand side by side from the message's own time on.
                wanted = received_us + untimed[item.sensor_id]
                untimed[item.sensor_id] += 1
            else:
                wanted = _us(item.ts)
            if (item.sensor_id, wanted) in taken:
                return True
    return False


def moments(plain: Iterable[Plain]) -> Iterator[int]:
    """The `created_us` of each."""
    return (row[1] for row in plain)
