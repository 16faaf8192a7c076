"""COPY's binary format (PostgreSQL's manual, COPY, File Formats): nothing is written as text, or parsed."""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from django.db import IntegrityError, connection

# PostgreSQL counts microseconds from 2000-01-01; where others count from 1970, this is the difference.
EPOCH_US = 946_684_800_000_000
UNIQUE_VIOLATION = "23505"

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = (-1).to_bytes(2, signed=True)
NULL = (-1).to_bytes(4, signed=True)
_INT8, _INT4 = 20, 23  # their oids, which an array names
_pack_int8 = struct.Struct(">iq").pack
_pack_int4 = struct.Struct(">ii").pack
_pack_array = struct.Struct(">iiiiii").pack


def copy(into: str, rows: Iterable[bytes]) -> bool:
    """Copies rows in the order of the columns of `into`: `table (column, ...)`.

    False where a unique key is taken: nothing is copied then, and the transaction (or savepoint) is broken.
    """
    stream = BytesIO(b"".join((_HEAD, *rows, _END)))
    try:
        with connection.cursor() as cursor, connection.wrap_database_errors:
            raw = cursor.cursor  # psycopg2's own, which knows COPY
            raw.copy_expert(f"COPY {into} FROM STDIN (FORMAT binary)", stream, size=1 << 20)
    except IntegrityError as error:
        if getattr(error.__cause__, "pgcode", None) != UNIQUE_VIOLATION:
            raise
        return False
    return True


def fetch(query: str, parameters: Mapping[str, Any], columns: str) -> Iterator[tuple[Any, ...]]:
    """The rows of a query whose columns are none of them null: "q" a bigint, or a timestamptz in microseconds
    since 2000; "d" a double precision. All of them are held in memory at once, as bytes."""
    stream = BytesIO()
    with connection.cursor() as cursor, connection.wrap_database_errors:
        raw = cursor.cursor
        said = raw.mogrify(query, parameters).decode()
        raw.copy_expert(f"COPY ({said}) TO STDOUT (FORMAT binary)", stream, size=1 << 20)
    # How many columns, and before each its length: both are known.
    row = struct.Struct(">2x" + "".join(f"4x{column}" for column in columns))
    return row.iter_unpack(stream.getbuffer()[len(_HEAD) : -len(_END)])


def field(value: bytes) -> bytes:
    """A column as it stands in a row; the row begins with how many there are."""
    return len(value).to_bytes(4) + value


def timestamp(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def bigints(numbers: Sequence[int] | None) -> bytes:
    """A column of type bigint[]."""
    if numbers is None:
        return NULL
    return _array(_INT8, 12, [_pack_int8(8, number) for number in numbers])


def integers(numbers: Sequence[int] | None) -> bytes:
    """A column of type integer[]."""
    if numbers is None:
        return NULL
    return _array(_INT4, 8, [_pack_int4(4, number) for number in numbers])


def _array(oid: int, width: int, packed: list[bytes]) -> bytes:
    # One dimension, no nulls, how many, counted from 1.
    return _pack_array(20 + width * len(packed), 1, 0, oid, len(packed), 1) + b"".join(packed)
