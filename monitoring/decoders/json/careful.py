"""The reference decoder: takes any bytes, and says of each reading what is wrong with it.

It is the judge: the fast way (fast.py) is only ever a shorter way to the same answer. Of duplicate
keys the last one counts. Of several faults in a reading one is named: a missing field first, then the first
fault in the order of `sensor_id`, `value`, `type`, `unit`, `ts`.
"""

import json
import unicodedata
from datetime import datetime
from typing import Any, TypeGuard

from monitoring.decoders.codes import Code
from monitoring.decoders.json import makers
from monitoring.decoders.json.syntax import Element, NotFinite, NotJson, parse
from monitoring.decoders.limits import MAX_SENSOR_ID, MAX_TYPE_CHARS, MAX_UNIT_CHARS
from monitoring.decoders.reading import MAX_DETAIL_CHARS, Reading, Refusal, storable
from monitoring.decoders.timestamp import moment

_FIELDS = ("sensor_id", "value", "type", "unit", "ts")
_BOM = "\ufeff"
_encode = json.JSONEncoder(ensure_ascii=False, default=lambda number: number.text).encode


class _Refused(Exception):
    """An answer on its way up; it never leaves this module."""

    def __init__(self, code: Code, detail: str) -> None:
        self.code = code
        self.detail = detail


def decode_carefully(payload: bytes) -> list[Reading | Refusal]:
    """The readings in `payload`, in its order, each a Reading or a Refusal. Never empty, never raises."""
    try:
        text = _text(payload)
        is_array, elements = parse(text)
        if not elements:
            raise _Refused(Code.EMPTY, "the array holds no reading")
    except _Refused as refused:
        detail = _detail(refused.detail, makers.hint_of_bytes(payload))
        return [Refusal(refused.code, detail, payload, None)]
    except NotJson as error:
        detail = _detail(str(error), makers.hint_of_bytes(payload))
        return [Refusal(Code.NOT_JSON, detail, payload, None)]
    if not is_array:
        return [_judge(elements[0], payload, None)]
    # Eight thousand elements that are alike, to the byte, are judged once.
    judged: dict[bytes, Reading | Refusal] = {}
    is_ascii = text.isascii()  # then a character is a byte
    items = []
    for index, e in enumerate(elements):
        own = payload[e.start : e.end] if is_ascii else text[e.start : e.end].encode()
        before = judged.get(own)
        if before is None:
            item = judged[own] = _judge(e, own, index)
        elif isinstance(before, Refusal):
            item = Refusal(before.code, before.detail, before.payload, index, before.sensor_id)
        else:
            item = Reading(before.sensor_id, before.value, before.kind, before.unit, before.ts, index)
        items.append(item)
    return items


def _text(payload: bytes) -> str:
    if not payload.strip(b" \t\r\n"):
        raise _Refused(
            Code.EMPTY, "the payload is only whitespace" if payload else "the payload has no bytes"
        )
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{payload[error.start]:02x} at position {error.start}"
        raise _Refused(Code.NOT_UTF8, f"{found} is not UTF-8 ({error.reason})") from None
    if text.startswith(_BOM):
        raise _Refused(Code.NOT_JSON, "it begins with a byte order mark (BOM), which JSON does not allow")
    return text


def _judge(element: Element, payload: bytes, index: int | None) -> Reading | Refusal:
    try:
        return _reading(element, index)
    except _Refused as refused:
        detail = _detail(refused.detail, makers.hint(element.found))
        return Refusal(refused.code, detail, payload, index, _named(element.found))


def _reading(element: Element, index: int | None) -> Reading:
    found = element.found
    fields = found if isinstance(found, dict) else {}
    if element.constants:
        claimed = sum(
            isinstance(fields.get(name), NotFinite) and not fields[name].is_json for name in _FIELDS
        )
        if element.constants > claimed:
            raise _Refused(Code.NOT_JSON, "NaN and Infinity are not JSON")
    if not isinstance(found, dict):
        raise _Refused(Code.NOT_AN_OBJECT, f"a reading must be an object, found {_shown(found)}")
    for name in ("sensor_id", "value"):
        if name not in fields:
            raise _Refused(Code.MISSING_FIELD, f'"{name}" is missing, found {_shown(found)}')
    return Reading(
        sensor_id=_sensor_id(fields["sensor_id"]),
        value=_value(fields["value"]),
        kind=_label(fields, "type", MAX_TYPE_CHARS),
        unit=_label(fields, "unit", MAX_UNIT_CHARS),
        ts=_ts(fields.get("ts")),
        index=index,
    )


def _detail(fault: str, hint: str) -> str:
    # A hint is storable by itself: looking at it again for each of thousands is what would cost.
    detail = storable(fault) + hint
    return detail if len(detail) <= MAX_DETAIL_CHARS else storable(detail)


def _named(found: Any) -> int | None:
    """The sensor that a refused element names, by the rule that holds for a reading's."""
    sensor_id = found.get("sensor_id") if isinstance(found, dict) else None
    return sensor_id if _is_id(sensor_id) else None


def _is_id(found: Any) -> TypeGuard[int]:
    # type() and not isinstance(): a bool is an int to Python, and not to a sensor.
    return type(found) is int and 1 <= found <= MAX_SENSOR_ID


def _sensor_id(found: Any) -> int:
    if _is_id(found):
        return found
    what = (
        "an integer from 1 to 2^63-1" if type(found) is int or isinstance(found, NotFinite) else "an integer"
    )
    raise _Refused(Code.BAD_TYPE, f'"sensor_id" must be {what}, found {_shown(found)}')


def _value(found: Any) -> float:
    if isinstance(found, NotFinite):
        raise _Refused(Code.NOT_FINITE, f'"value" must be a finite number, found {_shown(found)}')
    if type(found) not in (int, float):
        raise _Refused(Code.BAD_TYPE, f'"value" must be a number, found {_shown(found)}')
    try:
        return float(found)
    except OverflowError:
        raise _Refused(Code.NOT_FINITE, f'"value" is beyond any float, found {_shown(found)}') from None


def _label(fields: dict[str, Any], name: str, longest: int) -> str | None:
    found = fields.get(name)
    if found is None:
        return None
    if not isinstance(found, str):
        raise _Refused(Code.BAD_TYPE, f'"{name}" must be a string or left out, found {_shown(found)}')
    if len(found) > longest:
        raise _Refused(
            Code.BAD_TYPE,
            f'"{name}" must have at most {longest} characters, found {len(found)}: {_shown(found)}',
        )
    for character in found:
        if unicodedata.category(character) in ("Cc", "Cs"):
            fault = f"must hold no control character and no lone surrogate, found U+{ord(character):04X}"
            raise _Refused(Code.BAD_TYPE, f'"{name}" {fault}')
    return found


def _ts(found: Any) -> datetime | None:
    if found is None:
        return None
    if isinstance(found, NotFinite):
        raise _Refused(Code.BAD_TS, f'"ts" must be a finite number of seconds, found {_shown(found)}')
    if type(found) not in (int, float, str):
        raise _Refused(Code.BAD_TS, f'"ts" must be Unix seconds or an RFC 3339 string, found {_shown(found)}')
    try:
        return moment(found)
    except ValueError as fault:
        raise _Refused(Code.BAD_TS, f'"ts" {_shown(found)} {fault}') from None


def _shown(found: Any) -> str:
    """`found` as JSON, at most 60 characters of it."""
    if isinstance(found, NotFinite):
        text = found.text if found.is_json else "NaN or an infinity"
    elif type(found) is int:
        text = str(found)
    else:
        text = _encode(found)
    return text if len(text) <= 60 else text[:59] + "…"
