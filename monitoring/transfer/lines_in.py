"""A file's lines: each a row, or a fault that says what is wrong with it. Pure: no Django, no database.

A record is one line: a unit with a line break in it is none that the pipeline takes.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import BinaryIO, NamedTuple

import msgspec

from monitoring.decoders.limits import MAX_SENSOR_ID, MAX_UNIT_CHARS
from monitoring.decoders.reading import storable
from monitoring.decoders.timestamp import moment
from monitoring.transfer.formats import COLUMNS, Format, unguarded

MAX_LINE_BYTES = 16 * 1024
_NEEDED = ("sensor", "created_at", "value")
# What the API's lists have beside, and a database gives anew.
_IGNORED = "id"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SENSOR = re.compile(r"[0-9]{1,19}")
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Row(NamedTuple):
    """`received_at` None: the file does not say; `unit` None: the sensor's."""

    line: int
    sensor_id: int
    created_at: datetime
    received_at: datetime | None
    value: float
    unit: str | None


class Fault(NamedTuple):
    """`reason`: one of the decoders' codes, or `not_csv` or `cut_off`, which files alone know."""

    line: int
    reason: str
    detail: str


class FileError(Exception):
    """Nothing of the file can be read; the message says why."""


class _BadLineError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Line(NamedTuple):
    """`content` without its line end, None where it is over MAX_LINE_BYTES; `end`: the offset behind it."""

    number: int
    end: int
    content: bytes | None
    whole: bool


def lines(file: BinaryIO, number: int = 0) -> Iterator[Line]:
    """From where the file stands; `number` lines lie before. Of a line of any length 16 KiB are held."""
    end = file.tell()
    while piece := file.readline(MAX_LINE_BYTES + 2):
        end += len(piece)
        number += 1
        whole = piece.endswith(b"\n")
        content: bytes | None = piece.rstrip(b"\r\n")
        if len(content or b"") > MAX_LINE_BYTES:
            content = None
        while not whole and (piece := file.readline(MAX_LINE_BYTES)):
            content = None
            end += len(piece)
            whole = piece.endswith(b"\n")
        yield Line(number, end, content, whole)


# Given a line's text and its number.
Parse = Callable[[str, int], Row]


class Reader:
    """What a file's lines are read with: made from its name and its first line.

    `has_header`: the first line is no row. Raises FileError.
    """

    def __init__(self, name: str, first: bytes, form: Format | None) -> None:
        if first.startswith(_UTF16_BOMS):
            raise FileError("it is UTF-16: convert it to UTF-8, as `iconv -f UTF-16 -t UTF-8` does")
        first = first.removeprefix(_UTF8_BOM)
        self.form = form or _guess(name, first)
        self.has_header = self.form is Format.CSV
        self._parse = _csv_parser(first) if self.form is Format.CSV else _ndjson_line

    def read(self, line: Line) -> Row | Fault | None:
        """None for an empty line."""
        number, _, content, whole = line
        if content is None:
            return Fault(number, "too_large", f"the line is over {MAX_LINE_BYTES:,} bytes")
        if number == 1:
            content = content.removeprefix(_UTF8_BOM)
        if not content.strip():
            return None
        if not whole and self.form is Format.CSV:
            # The half of a number is a number: better none than a wrong one.
            return Fault(number, "cut_off", "the file ends without a line end: complete its last line")
        try:
            return self._parse(content.decode(), number)
        except _BadLineError as bad:
            return Fault(number, bad.reason, storable(bad.detail))
        except UnicodeDecodeError as error:
            found = f"byte 0x{content[error.start]:02x} at position {error.start}"
            return Fault(number, "not_utf8", f"{found} is not UTF-8: convert the file")


def _guess(name: str, first: bytes) -> Format:
    name = name.lower().removesuffix(".gz")
    if name.endswith((".ndjson", ".jsonl")):
        return Format.NDJSON
    if name.endswith(".csv"):
        return Format.CSV
    return Format.NDJSON if first.lstrip().startswith(b"{") else Format.CSV


# --- the two formats -----------------------------------------------------------------------------


def _fields(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _BadLineError("not_csv", f"{error}: {_shown(text)}") from None


def _csv_parser(first: bytes) -> Parse:
    wanted = "wanted is a header such as " + ",".join(COLUMNS)
    try:
        columns = [name.strip() for name in _fields(first.decode().strip())]
    except (UnicodeDecodeError, _BadLineError):
        raise FileError(f"its first line cannot be read; {wanted}") from None
    unknown = [name for name in columns if name not in (*COLUMNS, _IGNORED)]
    missing = [name for name in _NEEDED if name not in columns]
    if unknown or missing or len(set(columns)) < len(columns):
        raise FileError(f"its first line is {_shown(','.join(columns))}; {wanted}")
    count = len(columns)
    sensor, created_at, value = (columns.index(name) for name in _NEEDED)
    received_at, unit = (columns.index(name) if name in columns else None for name in ("received_at", "unit"))

    def parse(text: str, line: int) -> Row:
        fields = _fields(text)
        if len(fields) != count:
            raise _BadLineError("not_csv", f"it has {len(fields)} fields, the header {count}: {_shown(text)}")
        received = fields[received_at] if received_at is not None else ""
        return Row(
            line,
            _sensor(fields[sensor]),
            _moment("created_at", fields[created_at]),
            _moment("received_at", received) if received else None,
            _value(fields[value]),
            _unit(unguarded(fields[unit])) if unit is not None else None,
        )

    return parse


class _Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    sensor: int
    created_at: str | float
    value: float
    received_at: str | float | None = None
    unit: str | None = None
    id: int | None = None


_decoder = msgspec.json.Decoder(_Wire)


def _ndjson_line(text: str, line: int) -> Row:
    try:
        wire = _decoder.decode(text)
    except msgspec.ValidationError as error:
        detail = str(error)
        if "missing required field" in detail:
            raise _BadLineError("missing_field", detail) from None
        raise _BadLineError("not_finite" if "out of range" in detail else "bad_type", detail) from None
    except msgspec.DecodeError as error:
        raise _BadLineError("not_json", f"{error}: {_shown(text)}") from None
    if not 1 <= wire.sensor <= MAX_SENSOR_ID:
        raise _BadLineError("bad_type", f"sensor must be from 1 to 2^63-1, found {wire.sensor}")
    return Row(
        line,
        wire.sensor,
        _moment("created_at", wire.created_at),
        None if wire.received_at is None else _moment("received_at", wire.received_at),
        _finite(wire.value, str(wire.value)),
        None if wire.unit is None else _unit(wire.unit),
    )


# --- the fields ----------------------------------------------------------------------------------


def _sensor(text: str) -> int:
    if _SENSOR.fullmatch(text) and 1 <= (number := int(text)) <= MAX_SENSOR_ID:
        return number
    raise _BadLineError("bad_type", f"sensor must be a whole number from 1 to 2^63-1, found {_shown(text)}")


def _moment(name: str, found: str | float) -> datetime:
    """RFC 3339 with an offset, or Unix seconds."""
    if isinstance(found, str) and found[-1:].isdigit() and _NUMBER.fullmatch(found):
        found = float(found)
    try:
        return moment(found)
    except ValueError as error:
        raise _BadLineError("bad_ts", f"{name} {_shown(str(found))} {error}") from None


def _value(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        # float() would take "nan", "1_000" and " 1".
        raise _BadLineError("bad_type", f"value must be a number, found {_shown(text)}")
    return _finite(float(text), text)


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise _BadLineError("not_finite", f"value is beyond what a 64-bit float holds: {_shown(text)}")
    return value


def _unit(unit: str) -> str:
    if len(unit) > MAX_UNIT_CHARS:
        raise _BadLineError("bad_type", f"unit has over {MAX_UNIT_CHARS} characters: {_shown(unit)}")
    if not unit.isprintable() and any(unicodedata.category(one) in ("Cc", "Cs") for one in unit):
        raise _BadLineError("bad_type", f"unit holds a control character: {_shown(unit)}")
    return unit


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
