"""The tables that are kept by time, and where each of their partitions stands: read from the catalogue."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from monitoring.rollups.levels import LEVELS
from monitoring.span import Span
from monitoring.upkeep.partitions import MARK, MEASUREMENTS, PartitionedTable, span_of


class Kept(NamedTuple):
    """A partitioned table and the setting that says for how many days it is kept (0: for ever)."""

    table: PartitionedTable
    setting: str

    @property
    def days(self) -> int:
        return int(getattr(settings, self.setting))


# The one list of what is kept by time. Each has a column sensor_id, and an index that begins with it.
# Rows before what is made of them.
TABLES = (
    Kept(MEASUREMENTS, "RETENTION_DAYS"),
    *(Kept(level.table, f"ROLLUP_{level.name.upper()}_RETENTION_DAYS") for level in LEVELS),
)


class State(Enum):
    ATTACHED = "attached"
    LEAVING = "leaving"
    DETACHED = "detached"


class Partition(NamedTuple):
    """`rows` is what PostgreSQL's statistics say; `bytes` with indexes; `goes_at` None: never."""

    table: str
    name: str
    span: Span
    rows: int
    bytes: int
    goes_at: datetime | None
    state: State

    def is_due(self, now: datetime) -> bool:
        return self.state is not State.ATTACHED or (self.goes_at is not None and self.goes_at <= now)


def partitions(kept: Kept) -> list[Partition]:
    """Every partition of a table, oldest first, those on their way out included."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS, {"table": kept.table.name, "mark": mark_of(kept)})
        rows = cursor.fetchall()
    found = []
    for name, bound, is_leaving, mark, count, size in rows:
        if bound is None:
            start, end = map(datetime.fromisoformat, mark.split()[-2:])
            span, state = Span(start, end), State.DETACHED
        else:
            span, state = span_of(bound), State.LEAVING if is_leaving else State.ATTACHED
        goes_at = span.end + timedelta(days=kept.days) if kept.days else None
        found.append(Partition(kept.table.name, name, span, int(count), int(size), goes_at, state))
    return sorted(found, key=lambda partition: partition.span)


_PARTITIONS = """
SELECT relname, bound, inhdetachpending, mark,
       CASE WHEN reltuples >= 0 THEN reltuples ELSE pg_stat_get_live_tuples(oid) END,
       pg_total_relation_size(oid)
FROM (
    SELECT child.oid, relname, reltuples, pg_get_expr(relpartbound, child.oid) AS bound,
           inhdetachpending, NULL AS mark
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = %(table)s::regclass
    UNION ALL
    SELECT oid, relname, reltuples, NULL, false, description
    FROM pg_class JOIN pg_description ON objoid = oid AND classoid = 'pg_class'::regclass AND objsubid = 0
    WHERE relkind = 'r' AND NOT relispartition AND starts_with(description, %(mark)s)
) AS parts
"""


def due(kept: Kept, now: datetime | None = None) -> list[Partition]:
    """The partitions of a table that have been kept long enough, or are on their way out."""
    now = now or datetime.now(UTC)
    return [partition for partition in partitions(kept) if partition.is_due(now)]


def mark_of(kept: Kept, span: Span | None = None) -> str:
    return f"{MARK}{kept.table.name} " + (f"{span.start.isoformat()} {span.end.isoformat()}" if span else "")
