"""The story of the rollups: minutes from the rows, hours from the minutes, days from the hours.

1. Take ledger entries that no refresh has taken, oldest first, and note the minutes they touched.
2. Leave out what is frozen: minutes whose rows have gone, or some of them (GoneSpan). So minutes are
   kept at least as long as rows, hours as minutes, days as hours.
3. Compute those minutes again from their rows, their hours from minutes, their days from hours. A
   bucket with nothing in it any more goes.

Nothing is ever added to a bucket: each is computed from all that it stands on, which is idempotent, so that
late, doubled, replayed and deleted rows all come out right. All of a piece is one transaction: a crash leaves
the ledger saying what is still to be done.

No row is missed, though batches commit all the while. A batch's rows and its ledger entry, which names
their minutes, become visible at one moment. At READ COMMITTED each statement sees what was committed
when it began; the one that takes the entries runs before the one that reads the rows. So the rows of
every entry taken are seen; a row that is not seen has an entry that was not taken, for the next refresh.

Whoever must not miss a row listens here (`listen`): each entry is taken once, in a transaction with what it
writes.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from django.db import IntegrityError, OperationalError, ProgrammingError, connection, transaction
from django.db.backends.utils import CursorWrapper

from monitoring import locks
from monitoring.models import GoneSpan
from monitoring.rollups.levels import LEVELS, Level
from monitoring.span import Span
from monitoring.upkeep.partitions import PartitionedTable, ensure_partitions, existing

logger = logging.getLogger(__name__)

_Done = TypeVar("_Done")
_LOCK_NOT_AVAILABLE = "55P03"

# How long a refresh waits for its turn, in ms. Retention holds the lock for a piece at a time.
TURN_TIMEOUT = 1_000
# What one piece takes at most: ledger entries, and of those no more than pass so many pairs.
BATCHES = 1000
PAIRS = 50_000


class Refreshed(NamedTuple):
    """What a refresh did. `minutes` are (sensor, minute) pairs; of them `frozen` were left as they are."""

    batches: int = 0
    minutes: int = 0
    frozen: int = 0

    def plus(self, other: "Refreshed") -> "Refreshed":
        return Refreshed(*(mine + its for mine, its in zip(self, other, strict=True)))


Listener = Callable[[CursorWrapper, bool], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """From now on it is called in the transaction of each piece, in this process, once its buckets are
    computed. Returns a function that ends that.

    It gets the cursor, and whether rows were changed or deleted, so that it is not the ledger that names the
    minutes. These are in the temporary table touched_minute (sensor_id, start). It runs in a savepoint: what
    it raises is logged, what it wrote is rolled back, and the refresh goes on. Only OperationalError,
    IntegrityError and ProgrammingError roll back the whole piece, which is retried, since the ledger still
    names the minutes: they are transient (a lock timeout, a row that it refers to was deleted meanwhile,
    tables that are not yet those of this code).
    """
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


class _PartitionsMissingError(Exception):
    def __init__(self, missing: list[tuple[PartitionedTable, datetime]]) -> None:
        super().__init__()
        self.missing = missing


def refresh(limit: int = BATCHES) -> Refreshed | None:
    """Refreshes one piece: at most `limit` ledger entries, oldest first. None: another refresh has the lock.

    Where `batches` of the result is 0, the backlog is empty.
    """

    def piece(cursor: CursorWrapper) -> Refreshed | None:
        return _take_and_compute(cursor, limit, None) if _has_its_turn(cursor) else None

    return _with_partitions(piece)


def refresh_span(start: datetime, end: datetime) -> Refreshed:
    """Takes every untaken ledger entry that touches a minute in [start, end), before its rows go.

    Waits for a refresh that is running. Called inside the transaction that takes the rows away and says so
    (GoneSpan), it keeps every other out until that commits: one that found a part of the rows would
    compute their buckets from it. Where much may be pending, call it before too, so that this is short.
    """

    def piece(cursor: CursorWrapper) -> Refreshed:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.REFRESH])
        return _take_and_compute(cursor, BATCHES, Span(start, end))

    done = Refreshed()
    while (latest := _with_partitions(piece)).batches:
        done = done.plus(latest)
    return done


def freeze(sensor_id: int, span: Span) -> None:
    """For the last time, what is pending is refreshed. Call it in a transaction: until that ends no other
    refresh begins, and from then on each leaves the span as it is."""
    refresh_span(span.start, span.end)
    GoneSpan.objects.widen(sensor_id, span.start, span.end)


def recompute(sensor_id: int, start: datetime, end: datetime) -> Refreshed:
    """Computes a sensor's buckets again after rows were changed or deleted, which no ledger entry says.

    Whole minutes from the one of `start` to the one before `end`, and the hours and days around them. All
    at once: the caller keeps the span short. Waits for a refresh that is running.
    """
    return _recompute(_TOUCH_SPAN, {"sensor": sensor_id, "start": start, "end": end})


def recompute_at(sensor_id: int, moments: Sequence[datetime]) -> Refreshed:
    """The same of the minutes that these moments lie in, of which the rows just went."""
    return _recompute(_TOUCH_MOMENTS, {"sensor": sensor_id, "moments": list(moments)})


def _recompute(touch: str, params: dict[str, Any]) -> Refreshed:
    def piece(cursor: CursorWrapper) -> Refreshed:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.REFRESH])
        cursor.execute(_TOUCHED)
        cursor.execute("DELETE FROM touched_minute")
        cursor.execute(touch, params)
        return _compute_touched(cursor, batches=0)

    return _with_partitions(piece)


# --- the steps -----------------------------------------------------------------------------------


def _with_partitions(piece: Callable[[CursorWrapper], _Done]) -> _Done:
    """Runs a piece in one transaction; where partitions of the rollups are missing, makes them and begins
    anew: making them inside would hold up whoever else needs one until the piece is done."""
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                return piece(cursor)
        except _PartitionsMissingError as error:
            for table, moment in error.missing:
                ensure_partitions(moment, moment, table)


def _has_its_turn(cursor: CursorWrapper) -> bool:
    """Waits a little for the lock: a bare try would hardly ever find it free while retention is at work."""
    try:
        with transaction.atomic():
            cursor.execute(f"SET LOCAL lock_timeout = {TURN_TIMEOUT}")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.REFRESH])
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    return True


def _take_and_compute(cursor: CursorWrapper, limit: int, span: Span | None) -> Refreshed:
    cursor.execute(_TOUCHED)
    cursor.execute("DELETE FROM touched_minute")  # refresh_span() may run twice in one transaction
    within, params = "", {"limit": limit, "pairs": PAIRS}
    if span is not None:
        within = _TOUCHES_SPAN
        params |= {"first": _minute(span.start), "end": -(-int(span.end.timestamp()) // 60)}
    cursor.execute(_TAKE.replace("/* within */", within), params)
    (batches,) = cursor.fetchone()
    return _compute_touched(cursor, batches) if batches else Refreshed()


def _compute_touched(cursor: CursorWrapper, batches: int) -> Refreshed:
    spans = existing().values()
    cursor.execute(_LEAVE_WHAT_HAS_NO_PARTITION, [[s.start for s in spans], [s.end for s in spans]])
    frozen = cursor.rowcount
    cursor.execute(_LEAVE_WHAT_HAS_GONE)
    frozen += cursor.rowcount
    _require_partitions(cursor)
    cursor.execute("SELECT count(*) FROM touched_minute")
    (minutes,) = cursor.fetchone()
    if minutes:
        for statement, delete in _COMPUTE:
            cursor.execute(statement)
            if empty := cursor.fetchall():
                sensors, starts = zip(*empty, strict=True)
                cursor.execute(delete, [list(sensors), list(starts)])
        _tell(cursor, batches == 0)
    return Refreshed(batches, minutes + frozen, frozen)


def _tell(cursor: CursorWrapper, by_hand: bool) -> None:
    for listener in tuple(_listeners):
        try:
            with transaction.atomic():
                listener(cursor, by_hand)
        except (OperationalError, IntegrityError, ProgrammingError):  # of what others do at this moment
            raise
        except Exception:
            logger.exception("a listener failed; the rollups are refreshed")


def _require_partitions(cursor: CursorWrapper) -> None:
    """Raises _PartitionsMissingError for the periods of the touched minutes that have none."""
    cursor.execute("SELECT DISTINCT date_trunc('month', start, 'UTC') FROM touched_minute ORDER BY 1")
    months = [month.astimezone(UTC) for (month,) in cursor.fetchall()]
    missing = []
    for table in (level.table for level in LEVELS):
        spans = existing(table).values()
        missing += [
            (table, month) for month in months if not any(span.start <= month < span.end for span in spans)
        ]
    if missing:
        raise _PartitionsMissingError(missing)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


# Dropped at the commit: a table that stayed would be emptied again by every commit of this connection.
_TOUCHED = """
CREATE TEMPORARY TABLE IF NOT EXISTS touched_minute (sensor_id bigint NOT NULL, start timestamptz NOT NULL)
ON COMMIT DROP
"""

_TAKE = """
WITH untaken AS (
    SELECT id, touched_sensors, touched_minutes,
           sum(cardinality(touched_sensors)) OVER (ORDER BY ingested_at, id)
           - cardinality(touched_sensors) AS pairs_before
    FROM (
        SELECT id, ingested_at, touched_sensors, touched_minutes FROM monitoring_ingestbatch
        WHERE touched_sensors IS NOT NULL /* within */
        ORDER BY ingested_at, id LIMIT %(limit)s
    ) AS oldest
), taken AS (
    UPDATE monitoring_ingestbatch AS batch SET touched_sensors = NULL, touched_minutes = NULL
    FROM untaken WHERE batch.id = untaken.id AND untaken.pairs_before < %(pairs)s
    RETURNING untaken.touched_sensors, untaken.touched_minutes
), noted AS (
    INSERT INTO touched_minute
    SELECT DISTINCT sensor_id, to_timestamp(minute * 60.0::float8)
    FROM taken, unnest(touched_sensors, touched_minutes) AS pair (sensor_id, minute)
)
SELECT count(*) FROM taken
"""
_TOUCHES_SPAN = """AND EXISTS (
    SELECT FROM unnest(touched_minutes) AS minute WHERE minute >= %(first)s AND minute < %(end)s)"""

_TOUCH_SPAN = """
INSERT INTO touched_minute
SELECT sensor_id, date_trunc('minute', created_at) FROM monitoring_measurement
WHERE sensor_id = %(sensor)s
  AND created_at >= date_trunc('minute', %(start)s::timestamptz) AND created_at < %(end)s
UNION
SELECT sensor_id, start FROM monitoring_rollup_minute
WHERE sensor_id = %(sensor)s AND start >= date_trunc('minute', %(start)s::timestamptz) AND start < %(end)s
"""

_TOUCH_MOMENTS = """
INSERT INTO touched_minute
SELECT DISTINCT %(sensor)s, date_trunc('minute', moment) FROM unnest(%(moments)s::timestamptz[]) AS moment
"""

# Somebody may have detached one; else retention did, and _LEAVE_WHAT_HAS_GONE finds the minute too. A
# partition begins and ends at midnight UTC, so that no hour or day lies on both sides.
_LEAVE_WHAT_HAS_NO_PARTITION = """
DELETE FROM touched_minute AS touched WHERE NOT EXISTS (
    SELECT FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS span (start, until)
    WHERE touched.start >= span.start AND touched.start < span.until)
"""
_LEAVE_WHAT_HAS_GONE = """
DELETE FROM touched_minute AS touched USING monitoring_gonespan AS gone
WHERE gone.sensor_id IN (0, touched.sensor_id)
  AND touched.start < gone.until AND touched.start + interval '1 minute' > gone.start
"""

# Stores the buckets that have something in them and returns those that have not. The LATERAL aggregate
# is a look-up by (sensor, time) for each bucket, whatever the planner believes of the temporary table.
_COMPUTE_LEVEL = """
WITH computed AS MATERIALIZED (
    SELECT bucket.sensor_id, bucket.start, below.*
    FROM (
        SELECT DISTINCT sensor_id, date_trunc('{level}', start, 'UTC') AS start FROM touched_minute
        ORDER BY 1, 2
    ) AS bucket
    CROSS JOIN LATERAL (
        SELECT {source.aggregates} FROM {source.table} AS source
        WHERE source.sensor_id = bucket.sensor_id
          AND source.{source.time} >= bucket.start
          AND source.{source.time} < bucket.start + interval '1 {level}'
    ) AS below
), stored AS (
    INSERT INTO {table} (sensor_id, start, count, sum, min, max, first, last)
    SELECT sensor_id, start, count, sum, min, max, first, last FROM computed WHERE count > 0
    ON CONFLICT (sensor_id, start) DO UPDATE SET
        count = EXCLUDED.count, sum = EXCLUDED.sum, min = EXCLUDED.min, max = EXCLUDED.max,
        first = EXCLUDED.first, last = EXCLUDED.last
)
SELECT sensor_id, start FROM computed WHERE count = 0
"""

_DELETE_LEVEL = """
DELETE FROM {table} AS bucket
USING unnest(%s::bigint[], %s::timestamptz[]) AS gone (sensor_id, start)
WHERE bucket.sensor_id = gone.sensor_id AND bucket.start = gone.start
"""


def _statements(level: Level) -> tuple[str, str]:
    names = {"level": level.name, "table": level.table.name, "source": level.source}
    return _COMPUTE_LEVEL.format(**names), _DELETE_LEVEL.format(**names)


_COMPUTE = tuple(map(_statements, LEVELS))
