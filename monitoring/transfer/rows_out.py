"""A sensor's measurements as lines of text, oldest first, a chunk at a time.

Each chunk is a statement and a read-only transaction of its own, and begins after the last row of the
one before (keyset). So nothing is held while whoever reads is slow: no snapshot that vacuum waits for, no
lock that dropping a partition waits for. A row that comes in meanwhile is in the export where it lies
ahead of the last chunk, as in the pages of the API.

PostgreSQL makes the text, and one row a chunk travels: 10,000 lines in 13 ms, where fetching the rows and
formatting them here takes 60.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from monitoring.models import Measurement
from monitoring.transfer.formats import Format
from monitoring.transfer.sheet import Sheet

CHUNK_ROWS = 10_000
# A chunk takes milliseconds; what takes this long waits for something that is wrong.
_STATEMENT_SECONDS = 60


@dataclass(frozen=True)
class Selection:
    """One sensor's measurements from `start` on, and before `end`; None: no bound."""

    sensor_id: int
    start: datetime | None = None
    end: datetime | None = None


class Chunk(NamedTuple):
    """`last`: created_at of the last of its rows."""

    rows: int
    last: datetime
    text: bytes


def chunks(
    selection: Selection, form: Format | Sheet, after: datetime | None = None, rows: int = CHUNK_ROWS
) -> Iterator[Chunk]:
    """All of a selection, or what follows `after`; without the header. Memory: one chunk."""
    while True:
        chunk = _chunk(selection, form, after, rows)
        if chunk is not None:
            yield chunk
        if chunk is None or chunk.rows < rows:
            return
        after = chunk.last


def _chunk(selection: Selection, form: Format | Sheet, after: datetime | None, rows: int) -> Chunk | None:
    conditions, values = ["sensor_id = %s"], [selection.sensor_id, rows]
    bounds = (("created_at >= %s", selection.start), ("created_at < %s", selection.end))
    for condition, bound in (*bounds, ("created_at > %s", after)):
        if bound is not None:
            conditions.append(condition)
            values.insert(-1, bound)  # type: ignore[arg-type]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
        cursor.execute(_CHUNK.format(line=_LINES[form], conditions=" AND ".join(conditions)), values)
        count, last, text = cursor.fetchone()
    return Chunk(count, last, text.encode()) if count else None


# What the text of a time and of a float depends on. 1 and above: the shortest digits that round-trip.
_SETTINGS = f"""
SET TRANSACTION READ ONLY;
SET LOCAL statement_timeout = '{_STATEMENT_SECONDS}s';
SET LOCAL datestyle = 'ISO';
SET LOCAL extra_float_digits = 1
"""

_CHUNK = """
SELECT count(*), max(created_at), string_agg({line} || E'\\n', '' ORDER BY created_at) FROM (
    SELECT sensor_id, created_at, unit,
           replace((created_at AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS created,
           replace((received_at AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS received,
           -- "-0" is an integer to most readers of JSON, and loses its sign.
           CASE WHEN value = 0 AND value::text = '-0' THEN '-0.0' ELSE value::text END AS number
    FROM monitoring_measurement WHERE {conditions} ORDER BY created_at LIMIT %s
) AS chunk
"""

# One look for the many units that need neither quotes nor a guard.
_UNIT = (
    r"""CASE WHEN unit !~ '[",;''=+@\s-]' THEN unit ELSE '"' || replace("""
    r"""CASE WHEN unit ~ '^''*[=+@\t\r\n-]' THEN '''' || unit ELSE unit END, '"', '""') || '"' END"""
)
_LINES: dict[Format | Sheet, str] = {
    Format.CSV: f"sensor_id || ',' || created || ',' || received || ',' || number || ',' || {_UNIT}",
    Sheet.CSV_FR: (
        "sensor_id || ';' || translate(created, 'T.Z', ' ,') || ';' || translate(received, 'T.Z', ' ,')"
        f" || ';' || translate(number, '.', ',') || ';' || {_UNIT}"
    ),
    Format.NDJSON: (
        """'{"sensor":' || sensor_id || ',"created_at":"' || created || '","received_at":"' || received"""
        """ || '","value":' || number || ',"unit":' || to_json(unit)::text || '}'"""
    ),
}


def ends(selection: Selection) -> tuple[datetime, datetime] | None:
    """created_at of the first and of the last row; None where there is none. Two look-ups in the index."""
    rows = Measurement.objects.filter(sensor_id=selection.sensor_id)
    if selection.start:
        rows = rows.filter(created_at__gte=selection.start)
    if selection.end:
        rows = rows.filter(created_at__lt=selection.end)
    moments = rows.values_list("created_at", flat=True)
    first = moments.order_by("created_at").first()
    last = moments.order_by("-created_at").first()
    return (first, last) if first and last else None
