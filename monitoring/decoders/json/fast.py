"""The payload, from bytes to readings: a fast way for what is well formed, the careful one for all else.

Forty thousand messages a second share one core with everything else, so what a well behaved device sends is
decoded in one typed pass (about a microsecond). Whatever that pass does not accept goes to the reference
decoder, which alone judges what is wrong; a property test holds both to the same outcome.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from monitoring.decoders.codes import Code
from monitoring.decoders.json.careful import decode_carefully
from monitoring.decoders.json.syntax import nesting
from monitoring.decoders.limits import (
    MAX_NESTING,
    MAX_PAYLOAD_BYTES,
    MAX_SENSOR_ID,
    MAX_TYPE_CHARS,
    MAX_UNIT_CHARS,
)
from monitoring.decoders.reading import Reading, Refusal
from monitoring.decoders.timestamp import moment


class Wire(msgspec.Struct, gc=False):
    """A reading as it was sent: typed, not yet judged."""

    sensor_id: Annotated[int, Meta(ge=1, le=MAX_SENSOR_ID)]
    value: float
    type: Annotated[str, Meta(max_length=MAX_TYPE_CHARS)] | None = None
    unit: Annotated[str, Meta(max_length=MAX_UNIT_CHARS)] | None = None
    ts: int | float | str | None = None


# JSON that nests too deep has two brackets a level, so that short payloads need no counting.
SHORT = 2 * MAX_NESTING
decode_one = msgspec.json.Decoder(Wire).decode
_decode_many = msgspec.json.Decoder(list[Wire]).decode


def decode(payload: bytes, length: int | None = None) -> list[Reading | Refusal]:
    """The readings in `payload`, in its order, each a Reading or a Refusal.

    `length` is how long the message was, where `payload` is only its beginning. Never raises, never empty.
    """
    if (size := max(len(payload), length or 0)) > MAX_PAYLOAD_BYTES:
        detail = f"the payload has {size} bytes, at most {MAX_PAYLOAD_BYTES} are taken"
        return [Refusal(Code.TOO_LARGE, detail, payload[:MAX_PAYLOAD_BYTES], None)]
    # Whatever the fast way stumbles on is for the careful one to judge.
    try:
        _require_plain_text(payload)
        if payload.startswith(b"["):
            return [
                _reading(wire, index) for index, wire in enumerate(_decode_many(payload))
            ] or decode_carefully(payload)
        return [_reading(decode_one(payload), None)]
    except Exception:
        return decode_carefully(payload)


def one(payload: bytes) -> Wire:
    """The reading of a payload that is a single object, of at most MAX_PAYLOAD_BYTES.

    Raises whatever msgspec does, or ValueError, where `decode` has to look. A field's text may still hold
    what is not printable, and `ts` be no time.
    """
    if len(payload) > SHORT or not payload.isascii():
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError
        _require_plain_text(payload)
    return decode_one(payload)


def _require_plain_text(payload: bytes) -> None:
    """Raises ValueError where it is not UTF-8, which msgspec does not look at in fields that it ignores, or
    where it nests too deep."""
    text = None if payload.isascii() else payload.decode()
    if len(payload) > SHORT and nesting(text or payload.decode()) > MAX_NESTING:
        raise ValueError


def _reading(wire: Wire, index: int | None) -> Reading:
    """Raises ValueError where the careful way has to look."""
    kind, unit = wire.type, wire.unit
    if not (kind is None or kind.isprintable()) or not (unit is None or unit.isprintable()):
        raise ValueError
    ts = None if wire.ts is None else moment(wire.ts)
    return Reading(wire.sensor_id, wire.value, kind, unit, ts, index)
