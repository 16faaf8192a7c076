"""A decoded reading, held against its sensor and against the clock."""

import unicodedata
from datetime import datetime, timedelta
from typing import Protocol

from monitoring.decoders.codes import Code
from monitoring.decoders.reading import Reading, storable

MAX_CLOCK_AHEAD = timedelta(minutes=5)


class Sensor(Protocol):
    """What a check needs to know of a sensor; "" means that it is not set."""

    @property
    def kind(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def is_active(self) -> bool: ...


def check(
    reading: Reading, sensor: Sensor | None, received_at: datetime, retained: bool, oldest: datetime
) -> tuple[Code, str] | None:
    """Why `reading` cannot be stored, as (code, detail); None where it can.

    `sensor` is the reading's sensor, or None where there is none; `oldest` the earliest time that is still
    kept. What no replay can mend comes first: `retained`, `clock_ahead`, `too_old`. So what waits as
    `unknown_sensor` is what registering the sensor will store, unless its kind or unit disagree. Then
    `unknown_sensor`, `inactive_sensor`, `type_mismatch`, `unit_mismatch`.
    """
    # One expression for what is nearly always so: this runs for every reading.
    if (
        sensor is not None
        and sensor.is_active
        and (reading.unit is None or reading.unit == sensor.unit or not sensor.unit)
        and (reading.kind is None or reading.kind == sensor.kind or not sensor.kind)
        and (
            oldest <= received_at and not retained
            if (ts := reading.ts) is None
            else oldest <= ts and (ts <= received_at or ts - received_at <= MAX_CLOCK_AHEAD)
        )
    ):
        return None
    return _fault(reading, sensor, received_at, retained, oldest)


def _fault(
    reading: Reading, sensor: Sensor | None, received_at: datetime, retained: bool, oldest: datetime
) -> tuple[Code, str] | None:
    ts = reading.ts
    if retained and ts is None:
        return Code.RETAINED, 'the broker sent its retained copy on subscribing, and it has no "ts"'
    if ts is not None and ts - received_at > MAX_CLOCK_AHEAD:
        return Code.CLOCK_AHEAD, f'"ts" is {ts.isoformat()}, {ts - received_at} after it was received'
    created_at = received_at if ts is None else ts
    if created_at < oldest:
        which = "it was received at" if ts is None else '"ts" is'
        return (
            Code.TOO_OLD,
            f"{which} {created_at.isoformat()}, and nothing before {oldest.isoformat()} is taken",
        )
    if sensor is None:
        return Code.UNKNOWN_SENSOR, f"there is no sensor {reading.sensor_id}"
    if not sensor.is_active:
        return Code.INACTIVE_SENSOR, f"sensor {reading.sensor_id} is switched off"
    if reading.kind is not None and sensor.kind and reading.kind != sensor.kind:
        return Code.TYPE_MISMATCH, _mismatch("type", reading.kind, reading.sensor_id, sensor.kind)
    if reading.unit is not None and sensor.unit and not _same_unit(reading.unit, sensor.unit):
        return Code.UNIT_MISMATCH, _mismatch("unit", reading.unit, reading.sensor_id, sensor.unit)
    return None


def _same_unit(one: str, other: str) -> bool:
    """Spellings of one unit: µ (micro) and μ (mu), ℃ and °C, Ω (ohm) and Ω (omega)."""
    return one == other or unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other)


def _mismatch(field: str, found: str, sensor_id: int, expected: str) -> str:
    detail = f'"{field}" is "{found}", sensor {sensor_id} has "{expected}"'
    if unicodedata.normalize("NFKC", found) == unicodedata.normalize("NFKC", expected):
        detail += f" (they look alike, but are {found!a} and {expected!a})"
    return storable(detail)
