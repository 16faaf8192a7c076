"""The three levels: minutes are made of the rows, hours of the minutes, days of the hours."""

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from monitoring.upkeep.partitions import MEASUREMENTS, PartitionedTable

# What rows, or finer buckets, come to: count, sum, min, max, first, last. `first` and `last` are those in
# the order of time; the two array_agg are one aggregate to PostgreSQL, computed once.
#
# PostgreSQL refuses to add up finite numbers beyond the range of a float, so two readings of 1e308 in
# a minute would end every refresh. Past 1e290, which leaves room for 1e18 rows, they count as infinite.
OF_ROWS = (
    "count(*) AS count,"
    " sum(CASE WHEN abs(value) < 1e290 THEN value ELSE value * 'Infinity'::float8 END) AS sum,"
    " min(value) AS min, max(value) AS max,"
    " (array_agg(value ORDER BY created_at))[1] AS first,"
    " (array_agg(value ORDER BY created_at))[count(*)::integer] AS last"
)
OF_BUCKETS = (
    "coalesce(sum(count), 0)::bigint AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max,"
    " (array_agg(first ORDER BY start))[1] AS first,"
    " (array_agg(last ORDER BY start))[count(*)::integer] AS last"
)


class Source(NamedTuple):
    """What the buckets of a level are computed from: a table, its column of time, what its rows come to."""

    table: str
    time: str
    aggregates: str


@dataclass(frozen=True)
class Level:
    """`name` is PostgreSQL's own for date_trunc; `finer`: the level it is computed from, None: the rows."""

    name: str
    length: timedelta
    table: PartitionedTable
    finer: "Level | None"

    @property
    def source(self) -> Source:
        if self.finer is None:
            return Source(MEASUREMENTS.name, MEASUREMENTS.column, OF_ROWS)
        return Source(self.finer.table.name, self.finer.table.column, OF_BUCKETS)


MINUTE = Level(
    "minute", timedelta(minutes=1), PartitionedTable("monitoring_rollup_minute", "start", "month"), None
)
HOUR = Level("hour", timedelta(hours=1), PartitionedTable("monitoring_rollup_hour", "start", "year"), MINUTE)
DAY = Level("day", timedelta(days=1), PartitionedTable("monitoring_rollup_day", "start", "year"), HOUR)
# Each after what it is made of.
LEVELS = (MINUTE, HOUR, DAY)
