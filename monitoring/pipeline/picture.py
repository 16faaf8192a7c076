"""What came in and what became of it, in steps of time, and how long it took.

A message is received when its batch is handed over, and stored, a duplicate or rejected when the transaction
began that stored its batch: where the workers are behind, the one lies minutes before the other. Imports and
replays are left out: nobody sent what they store.

The latency of a batch is the time from when the bridge, or the API, received its first message until the
transaction began that stored it, some milliseconds before its end. It counts for each of the batch's
messages, so half of the messages took no longer than `p50`, and 99 of 100 no longer than `p99`; those that
came late in their batch took less. `waited` is the part until a worker took the batch up. Three clocks take
part: the bridge's, the worker's and the database's.
"""

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from batches.store import BatchStore
from monitoring.rejected.replay import SOURCE as REPLAY
from monitoring.transfer.rows_in import SOURCE as IMPORT

# How long a step is, in minutes, in a picture of so many hours: some hundred steps.
STEPS = {1: 1, 3: 1, 6: 5, 24: 15}
# Latencies are those of the batches of the last minutes, or of the last so many of them.
LATENCY_MINUTES = 5
LATENCY_BATCHES = 10_000


@dataclass
class Step:
    """Messages received; readings, of what was ingested, by what became of them. `rejected` by code."""

    start: datetime
    received: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    @property
    def readings(self) -> int:
        return self.stored + self.duplicates + sum(self.rejected.values())


@dataclass(frozen=True)
class Latency:
    """In seconds; None where no message was ingested in the last minutes."""

    messages: int
    p50: float | None
    p99: float | None
    waited_p50: float | None
    waited_p99: float | None


@dataclass(frozen=True)
class Picture:
    """`steps` cover the time without a gap, the oldest first; the last is not over yet. `received` is not
    known where Redis is away: `is_whole` is False then."""

    minutes: int
    steps: list[Step]
    latency: Latency
    is_whole: bool

    @property
    def codes(self) -> list[str]:
        """Those that occur, the most frequent first."""
        sums: dict[str, int] = {}
        for step in self.steps:
            for code, count in step.rejected.items():
                sums[code] = sums.get(code, 0) + count
        return sorted(sums, key=lambda code: (-sums[code], code))


def look(hours: int, store: BatchStore | None, now: datetime | None = None) -> Picture:
    """The last `hours` (of STEPS). One query and one call of Redis, which may be away: `store` None."""
    minutes = STEPS[hours]
    length = timedelta(minutes=minutes)
    end = _ceil(now or datetime.now(UTC), length)
    start = end - timedelta(hours=hours)
    steps = {at: Step(at) for number in range(hours * 60 // minutes) for at in [start + number * length]}
    ledger, codes, latency = _ask(start, end, length)
    for at, stored, duplicates in ledger:
        steps[_at(at)].stored, steps[_at(at)].duplicates = stored, duplicates
    for at, code, seen in codes:
        steps[_at(at)].rejected[code] = seen
    if store is not None:
        for second, messages in store.received(start.timestamp(), end.timestamp()).items():
            steps[_floor(_at(second), length)].received += messages
    return Picture(minutes, list(steps.values()), Latency(*latency), store is not None)


def latency() -> Latency:
    """Of the last minutes alone."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({_LATENCY}) AS latency", _latency_parameters())
        return Latency(*cursor.fetchone())


def _latency_parameters() -> dict[str, Any]:
    return {"lately": timedelta(minutes=LATENCY_MINUTES), "batches": LATENCY_BATCHES}


def _at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _floor(moment: datetime, length: timedelta) -> datetime:
    return _at(moment.timestamp() // length.total_seconds() * length.total_seconds())


def _ceil(moment: datetime, length: timedelta) -> datetime:
    return _at(math.ceil(moment.timestamp() / length.total_seconds()) * length.total_seconds())


def _ask(start: datetime, end: datetime, length: timedelta) -> tuple[list[Any], list[Any], list[Any]]:
    """In one statement, so that what was rejected in a step is what its codes come to."""
    parameters: dict[str, Any] = {"start": start, "end": end, "length": length, "sources": [IMPORT, REPLAY]}
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, parameters | _latency_parameters())
        ledger, codes, of_latency = (
            json.loads(one) if isinstance(one, str) else one for one in cursor.fetchone()
        )
    return ledger or [], codes or [], of_latency


# Weighted by messages: PostgreSQL's own percentiles count rows. Nought where a clock is behind another.
_LATENCY = """
    SELECT coalesce(max(total), 0)::bigint AS messages,
           min(latency) FILTER (WHERE upto >= total * 0.5) AS p50,
           min(latency) FILTER (WHERE upto >= total * 0.99) AS p99,
           min(waited) FILTER (WHERE waited_upto >= total * 0.5) AS waited_p50,
           min(waited) FILTER (WHERE waited_upto >= total * 0.99) AS waited_p99
    FROM (
        SELECT latency, waited, sum(messages) OVER () AS total,
               sum(messages) OVER (ORDER BY latency) AS upto,
               sum(messages) OVER (ORDER BY waited) AS waited_upto
        FROM (
            SELECT messages,
                   GREATEST(0, extract(epoch FROM ingested_at - first_received_at))::float8 AS latency,
                   GREATEST(0, extract(epoch FROM claimed_at - first_received_at))::float8 AS waited
            FROM monitoring_ingestbatch
            WHERE ingested_at > now() - %(lately)s AND messages > 0
            ORDER BY ingested_at DESC LIMIT %(batches)s
        ) AS batch
    ) AS ranked"""

_LOOK = f"""
WITH ledger AS (
    SELECT ingested_at AS at, stored, duplicates FROM monitoring_ingestbatch
    WHERE NOT counted AND ingested_at >= %(start)s AND source <> ALL(%(sources)s)
    UNION ALL
    SELECT start, stored, duplicates FROM monitoring_ingesttotal
    WHERE start >= %(start)s AND source <> ALL(%(sources)s)
), step AS (
    SELECT extract(epoch FROM date_bin(%(length)s, at, 'epoch')) AS at,
           sum(stored) AS stored, sum(duplicates) AS duplicates
    FROM ledger WHERE at < %(end)s GROUP BY 1
), code AS (
    SELECT extract(epoch FROM date_bin(%(length)s, start, 'epoch')) AS at, code, sum(seen) AS seen
    FROM monitoring_rejectedminute WHERE start >= %(start)s AND start < %(end)s GROUP BY 1, 2
), latency AS ({_LATENCY}
)
SELECT (SELECT json_agg(json_build_array(at, stored, duplicates)) FROM step),
       (SELECT json_agg(json_build_array(at, code, seen)) FROM code),
       (SELECT json_build_array(messages, p50, p99, waited_p50, waited_p99) FROM latency)
"""
