"""What is published, and what must have come of it.

A stream numbers its messages from 0, and each can be made again from its number: so what was acknowledged
is a list of numbers, and what the tables hold is judged by making it again. Each has sensors of its own.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MICROSECONDS = 1_000_000
# Of two readings of a sensor: whole milliseconds, which a JSON number in seconds holds exactly.
STEP = 10_000
ELEMENTS = 4


class Row(NamedTuple):
    """A measurement. `created_us`: microseconds since 1970; None where the device sent no time."""

    sensor: int
    created_us: int | None
    value: float


class Refused(NamedTuple):
    """A rejected message."""

    code: str
    payload: bytes


Expected = Row | Refused


class Stream:
    """`sensors` are those of this stream alone; `start_us` is the `ts` of its first reading."""

    name = ""
    #: How many of its sensors there are.
    width = 1
    #: Whether a sensor of this number is registered.
    registered = True
    #: Whether a redelivery that the broker does not mark can be told from a new message.
    has_identity = True
    #: Whether somebody switches its sensors off now and then.
    dozes = False

    def __init__(self, number: int, first_sensor: int, start_us: int) -> None:
        self.number = number
        self.sensors = range(first_sensor, first_sensor + self.width)
        self.start_us = start_us

    def payloads(self, number: int) -> Sequence[bytes]:
        """What is published for this number: one message, or it twice where the device repeats itself."""
        raise NotImplementedError

    def expected(self, number: int) -> Iterator[Expected]:
        """What must be in the tables once all of its payloads were acknowledged, each just once."""
        raise NotImplementedError

    def _time(self, number: int) -> int:
        return self.start_us + number * STEP


def _reading(sensor: int, value: float, created_us: int | None = None) -> bytes:
    ts = "" if created_us is None else f', "ts": {created_us // MICROSECONDS}.{created_us % MICROSECONDS:06d}'
    return f'{{"sensor_id": {sensor}, "value": {value:g}{ts}}}'.encode()


class Timed(Stream):
    """One reading with the device's time."""

    name = "with ts"

    def payloads(self, number: int) -> Sequence[bytes]:
        return [_reading(self.sensors[0], number % 1000 / 8, self._time(number))]

    def expected(self, number: int) -> Iterator[Expected]:
        yield Row(self.sensors[0], self._time(number), number % 1000 / 8)


class Untimed(Stream):
    """One reading without a time: its value tells which it is."""

    name = "without ts"
    has_identity = False

    def payloads(self, number: int) -> Sequence[bytes]:
        return [f'{{"sensor_id": {self.sensors[0]}, "value": {number}}}'.encode()]

    def expected(self, number: int) -> Iterator[Expected]:
        yield Row(self.sensors[0], None, number)


class Array(Stream):
    """Readings of two sensors in one message, half of them with a time."""

    name = "arrays"
    width = 2
    has_identity = False

    def payloads(self, number: int) -> Sequence[bytes]:
        elements = []
        for row in self.expected(number):
            assert isinstance(row, Row)
            if row.created_us is None:
                elements.append(f'{{"sensor_id": {row.sensor}, "value": {row.value:.0f}}}'.encode())
            else:
                elements.append(_reading(row.sensor, row.value, row.created_us))
        return [b"[" + b", ".join(elements) + b"]"]

    def expected(self, number: int) -> Iterator[Expected]:
        for element in range(number * ELEMENTS, (number + 1) * ELEMENTS):
            if element % 2:
                yield Row(self.sensors[1], None, element)
            else:
                yield Row(self.sensors[0], self._time(element), element % 1000 / 8)


class Same(Stream):
    """The same bytes again and again, as of a value that stands still: each is a reading of its own."""

    name = "same bytes"
    has_identity = False

    def payloads(self, number: int) -> Sequence[bytes]:
        return [f'{{"sensor_id": {self.sensors[0]}, "value": 7}}'.encode()]

    def expected(self, number: int) -> Iterator[Expected]:
        yield Row(self.sensors[0], None, 7)


class Repeated(Timed):
    """A reading that the device sends twice, as one does that missed the PUBACK: stored once."""

    name = "device's doubles"

    def payloads(self, number: int) -> Sequence[bytes]:
        return [*super().payloads(number), *super().payloads(number)]


class Garbage(Stream):
    """What cannot be stored, each in its own words: kept once, with its payload and the right code."""

    name = "garbage"
    registered = False
    has_identity = False

    def payloads(self, number: int) -> Sequence[bytes]:
        return [self._refused(number).payload]

    def expected(self, number: int) -> Iterator[Expected]:
        yield self._refused(number)

    def _refused(self, number: int) -> Refused:
        mark, sensor = f"{self.number}-{number}", self.sensors[0]
        ways = (
            ("not_json", f"garbage {mark}".encode()),
            ("not_utf8", b"\xff\xfe " + mark.encode()),
            ("bad_type", json.dumps({"sensor_id": sensor, "value": mark}).encode()),
            ("unknown_sensor", f'{{"sensor_id": {sensor}, "value": 1, "mark": "{mark}"}}'.encode()),
            ("not_finite", f'{{"sensor_id": {sensor}, "value": NaN, "mark": "{mark}"}}'.encode()),
            ("missing_field", f'{{"sensor_id": {sensor}, "mark": "{mark}"}}'.encode()),
        )
        return Refused(*ways[number % len(ways)])


class Dozing(Timed):
    """Of a sensor that is switched off now and then: what is rejected meanwhile is replayed."""

    name = "replayed, with ts"
    dozes = True


class DozingUntimed(Untimed):
    """The same without a time."""

    name = "replayed, without ts"
    dozes = True


# How many of twenty messages are of each kind; and of those that come with --replay.
SHARES: dict[type[Stream], int] = {Timed: 6, Untimed: 5, Array: 2, Same: 3, Repeated: 2, Garbage: 2}
REPLAYED: dict[type[Stream], int] = {Dozing: 2, DozingUntimed: 2}
FIRST_SENSOR = 1000


def make(publishers: int, start_us: int, identity_alone: bool, replay: bool = False) -> list[list[Stream]]:
    """The streams of each publisher. `identity_alone`: those alone whose doubles can always be told."""
    kinds = [*SHARES, *REPLAYED] if replay else [*SHARES]
    made: list[list[Stream]] = []
    sensor = FIRST_SENSOR
    for place in range(publishers):
        streams: list[Stream] = []
        for number, kind in enumerate(kinds):
            if kind.has_identity or not identity_alone:
                streams.append(kind(place * len(kinds) + number, sensor, start_us))
            sensor += kind.width
        made.append(streams)
    return made


def all_expected(streams: Sequence[Stream], acknowledged: dict[int, list[int]]) -> Counter[Expected]:
    """What the tables must hold of the streams whose numbers were acknowledged, and how often."""
    counted: Counter[Expected] = Counter()
    for stream in streams:
        for number in acknowledged.get(stream.number, ()):
            counted.update(stream.expected(number))
    return counted
