"""How an event is written: text/event-stream, in bytes.

An event's `id` stands in a line before it, so that one text serves those who get an id with it and those who
do not yet (monitoring/live/hub.py).
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from monitoring.live.channel import Newest

PULSE = b":\n\n"


class Piece(NamedTuple):
    """One sensor's part of a frame, written once for all who watch it."""

    sensor: bytes
    t: bytes
    v: bytes
    n: bytes


def piece(sensor_id: int, newest: Newest) -> Piece:
    # What is stored is finite, and repr() then writes what JSON wants.
    return Piece(b"%d" % sensor_id, b"%d" % newest.t, repr(newest.v).encode(), b"%d" % newest.n)


def values(pieces: list[Piece]) -> bytes:
    """The event `m`; of no piece, nothing."""
    if not pieces:
        return b""
    columns = tuple(map(b",".join, zip(*pieces, strict=True)))
    return b'event: m\ndata: {"s":[%b],"t":[%b],"v":[%b],"n":[%b]}\n\n' % columns


def event(name: str, data: Any) -> bytes:
    text = json.dumps(data, separators=(",", ":"), default=str)
    return f"event: {name}\ndata: {text}\n\n".encode()


def rejected(codes: Mapping[str, int]) -> bytes:
    return event("rejected", {"new": sum(codes.values()), "codes": codes})


def stored(rows: int, sensors: Collection[int]) -> bytes:
    """Of all sensors; the ids of some, for whoever waits for a first value."""
    return event("stored", {"rows": rows, "sensors": len(sensors), "some": sorted(sensors)[:20]})


def identity(at: int) -> bytes:
    return b"id: %d\n" % at
