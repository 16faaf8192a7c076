"""The partitions of the tables that grow: which there are, and making those that are missing.

Made while measurements come in and are read: a table is filled with nobody looking and attached with
a CHECK that already holds, which waits for no reader and no writer (CREATE ... PARTITION OF would).
"""

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext

from monitoring import locks
from monitoring.span import Span

# Planning looks at every partition: 24 cost 0.3 ms a query, 730 cost 23 ms.
MOST = 120
# How the comment begins of a partition that retention is taking away (monitoring.upkeep.dropping).
MARK = "past its retention, to be dropped: "


class TooManyPartitionsError(Exception):
    """The setting asks for more partitions than planning can bear; the message names the remedy."""


class PartitionLeavingError(Exception):
    """The partition that is needed is just being taken away; once it is gone a new one can be made."""


@dataclass(frozen=True)
class PartitionedTable:
    """A table partitioned by range of `column`. `width`: day, week, month or year; None: PARTITION_WIDTH."""

    name: str
    column: str
    fixed_width: str | None = None

    @property
    def width(self) -> str:
        return self.fixed_width or settings.PARTITION_WIDTH


MEASUREMENTS = PartitionedTable("monitoring_measurement", "created_at")


def period_around(moment: datetime, width: str) -> Span:
    """The day, week (from Monday), month or year, in UTC, that a moment falls into."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if width == "day":
        return Span(day, day + timedelta(days=1))
    if width == "week":
        monday = day - timedelta(days=day.weekday())
        return Span(monday, monday + timedelta(days=7))
    first = day.replace(day=1)
    if width == "year":
        first = first.replace(month=1)
        return Span(first, first.replace(year=first.year + 1))
    return Span(first, (first + timedelta(days=32)).replace(day=1))


def existing(table: PartitionedTable = MEASUREMENTS) -> dict[str, Span]:
    """Name and span of each partition, oldest first, without one that is being detached: it takes no rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.relname, pg_get_expr(child.relpartbound, child.oid)"
            " FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = %s::regclass AND NOT inhdetachpending",
            [table.name],
        )
        found = {name: span_of(bound) for name, bound in cursor.fetchall()}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def span_of(bound: str) -> Span:
    """A partition's bound as PostgreSQL says it: FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('...')."""
    start, end = (datetime.fromisoformat(text).astimezone(UTC) for text in re.findall(r"'([^']+)'", bound))
    return Span(start, end)


def ensure_partitions(first: datetime, last: datetime, table: PartitionedTable = MEASUREMENTS) -> list[str]:
    """Makes what is missing so that every moment from `first` to `last` has a partition.

    Call it outside a transaction that has touched the table. Returns the names of those made.
    Raises TooManyPartitionsError rather than let there be more than MOST, and PartitionLeavingError where
    the span is one that retention is just dropping (monitoring.upkeep.dropping). Partitions of another
    width, made before the setting changed, keep their span; the new ones fill the gaps between them.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.PARTITIONS])
        there = existing(table)
        missing = _missing(first, last, list(there.values()), table.width)
        if len(there) + len(missing) > MOST:
            text = gettext(
                "%(there)d partitions of %(table)s and %(missing)d more needed, but %(most)d is the most:"
                " %(remedy)s"
            )
            counts = {"there": len(there), "missing": len(missing), "most": MOST}
            raise TooManyPartitionsError(text % (counts | {"table": table.name, "remedy": _remedy(table)}))
        return [_make(table, span) for span in missing]


def _remedy(table: PartitionedTable) -> str:
    if table.fixed_width:
        return gettext("keep it for less time (the ROLLUP_..._RETENTION_DAYS of %s)") % table.name
    if table.width == "month":
        return gettext("set a shorter RETENTION_DAYS")
    return gettext("set a wider PARTITION_WIDTH than %s, or set a shorter RETENTION_DAYS") % table.width


def _missing(first: datetime, last: datetime, there: list[Span], width: str) -> list[Span]:
    gaps = []
    moment = first
    while moment <= last:
        period = period_around(moment, width)
        start = period.start
        for span in sorted(there):
            if span.end <= start or span.start >= period.end:
                continue
            if span.start > start:
                gaps.append(Span(start, span.start))
            start = max(start, span.end)
        if start < period.end:
            gaps.append(Span(start, period.end))
        moment = period.end
    return gaps


def _make(table: PartitionedTable, span: Span) -> str:
    name = _free_name(f"{table.name}_p{span.start:%Y%m%d}_{span.end:%Y%m%d}")
    bounds = [span.start.isoformat(), span.end.isoformat()]
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {name} (LIKE {table.name}"
            " INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"
        )
        cursor.execute(
            f"ALTER TABLE {name} ADD CONSTRAINT span CHECK"
            f" ({table.column} IS NOT NULL AND {table.column} >= %s AND {table.column} < %s)",
            bounds,
        )
        cursor.execute(
            f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds
        )
        cursor.execute(f"ALTER TABLE {name} DROP CONSTRAINT span")
    return name


def _free_name(name: str) -> str:
    """Where a person has detached the partition of this name and kept it: the name with a number.

    Partitions are made and attached in one transaction, so one that stands there by itself was detached.
    """
    candidates = (name if number == 1 else f"{name}_{number}" for number in itertools.count(1))
    with connection.cursor() as cursor:
        for candidate in candidates:
            cursor.execute(
                "SELECT relispartition OR coalesce(starts_with(obj_description(oid, 'pg_class'), %s), false)"
                " FROM pg_class WHERE oid = to_regclass(%s)",
                [MARK, candidate],
            )
            found = cursor.fetchone()
            if found is None:
                break
            if found[0]:
                raise PartitionLeavingError(gettext("%s is being dropped") % candidate)
    return candidate
