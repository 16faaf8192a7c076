"""The story of what has been kept long enough.

A partition whose end lies before its table's edge goes as a whole, in steps that PostgreSQL remembers:

1. Its pending rollups are refreshed, from its rows, for the last time, and from then on frozen (GoneSpan).
2. It is marked, by a comment that says what becomes of it, and detached CONCURRENTLY: nobody waits for
   that, it waits for those who still read. Where one reads for too long it stays half detached.
3. Half detached, it is finalized by the next try, or by the next run.
4. Detached and marked, it is dropped. One that a person detached bears no mark, and is left alone.

Rows that go before their partition does (of sensors kept for less time, and rejected messages) are
deleted in pieces, for a share of time, oldest first.

Where each partition stands is read from the catalogue, so a run that was killed, missed or started
twice does no harm.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple

from django.conf import settings
from django.db import Error, OperationalError, connection, transaction

from monitoring import ledger
from monitoring.models import GoneSpan, Measurement, RejectedTally, RetentionRun, Sensor
from monitoring.partitions import MARK, MEASUREMENTS, PartitionedTable, Span, span_of
from monitoring.pieces import PIECE, TimeShare, alone, delete_oldest, in_pieces
from monitoring.rollups import DAYS, HOURS, MINUTES, refresh_span

logger = logging.getLogger(__name__)

DROP_LOCK = 0x696F7404
DELETE_LOCK = 0x696F7405
# How long we wait for a lock on a partition, in ms. Who waits for us meanwhile: a worker that makes a
# partition, a reader with an old snapshot.
LOCK_TIMEOUT = 500
# Where nobody waits behind us. Longer than deadlock_timeout, after which autovacuum gives way.
PATIENT_LOCK_TIMEOUT = 3_000
TRIES = 3
PAUSE_SECONDS = 0.5
# How long what retention did is remembered.
KEEP_RUNS = timedelta(days=400)

# A lock was not to be had, a statement took too long, a deadlock: somebody else was at it.
_BUSY_SQLSTATES = {"55P03", "57014", "40P01"}


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
    *map(
        Kept,
        (MINUTES, HOURS, DAYS),
        ("ROLLUP_MINUTE_RETENTION_DAYS", "ROLLUP_HOUR_RETENTION_DAYS", "ROLLUP_DAY_RETENTION_DAYS"),
    ),
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


class Expired(NamedTuple):
    """Rows that go in pieces."""

    kind: RetentionRun.Kind
    target: str
    rows: int
    first: datetime | None
    last: datetime | None


# --- what there is -------------------------------------------------------------------------------


def partitions(kept: Kept) -> list[Partition]:
    """Every partition of a table, oldest first, those on their way out included."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS, {"table": kept.table.name, "mark": _mark(kept)})
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


def _mark(kept: Kept, span: Span | None = None) -> str:
    return f"{MARK}{kept.table.name} " + (f"{span.start.isoformat()} {span.end.isoformat()}" if span else "")


def expired(now: datetime | None = None) -> list[Expired]:
    """What would go in pieces, counted exactly: reads all of it."""
    now = now or datetime.now(UTC)
    found = [
        _count(
            RetentionRun.Kind.SENSOR_ROWS,
            str(sensor.pk),
            "monitoring_measurement WHERE sensor_id = %s AND created_at < %s",
            "created_at",
            [sensor.pk, edge],
        )
        for sensor, edge in _kept_shorter(now)
    ]
    edge = now - timedelta(days=settings.REJECTED_RETENTION_DAYS)
    rejected = "monitoring_rejectedmessage WHERE received_at < %s"
    found.append(_count(RetentionRun.Kind.REJECTED, "", rejected, "received_at", [edge]))
    found.append(Expired(RetentionRun.Kind.LEDGER, "", *ledger.due(now)))
    return [one for one in found if one.rows]


def _count(
    kind: RetentionRun.Kind, target: str, where: str, column: str, parameters: list[int | datetime]
) -> Expired:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), min({column}), max({column}) FROM {where}", parameters)
        return Expired(kind, target, *cursor.fetchone())


def _kept_shorter(now: datetime) -> list[tuple[Sensor, datetime]]:
    """The sensors that are kept for less time than the rest, each with its edge."""
    shorter = Sensor.objects.present().filter(retention_days__lt=settings.RETENTION_DAYS).order_by("pk")
    return [(sensor, now - timedelta(days=sensor.retention_days or 0)) for sensor in shorter]


# --- whole partitions ----------------------------------------------------------------------------


def drop_partitions(now: datetime | None = None) -> list[Partition]:
    """Drops what is due, as far as nobody reads it; returns what was dropped.

    Call it outside a transaction. Ingest and readers wait for less than a second, and only those who
    need a lock on the very partition or make a new one. Does nothing where another is at it.
    """
    now = now or datetime.now(UTC)
    dropped = []
    with alone(DROP_LOCK) as is_alone:
        if not is_alone:
            return []
        for kept in TABLES:
            for partition in due(kept, now):
                if _take_away(kept, partition.name):
                    dropped.append(partition)
                elif _find(kept, partition.name) is not None:
                    # PostgreSQL detaches one partition of a table at a time.
                    logger.info("%s is still being read; it goes with a later run", partition.name)
                    break
    return dropped


def _find(kept: Kept, name: str) -> Partition | None:
    return next((partition for partition in partitions(kept) if partition.name == name), None)


def _take_away(kept: Kept, name: str) -> bool:
    """Step by step, from whatever step it stands at; False where somebody is in the way of it."""
    tries = TRIES
    table, quoted = kept.table.name, connection.ops.quote_name(name)
    while partition := _find(kept, name):
        try:
            if partition.state is State.ATTACHED:
                # Of a rollup's too: what is pending would be computed from a part of it.
                refresh_span(partition.span.start, partition.span.end)
                with transaction.atomic():
                    _freeze(0, partition.span)
                mark = _mark(kept, partition.span)
                _run(f"COMMENT ON TABLE {quoted} IS '{mark}'", PATIENT_LOCK_TIMEOUT)
                _run(f"ALTER TABLE {table} DETACH PARTITION {quoted} CONCURRENTLY", LOCK_TIMEOUT)
            elif partition.state is State.LEAVING:
                _send_autovacuum_away(quoted)
                _run(f"ALTER TABLE {table} DETACH PARTITION {quoted} FINALIZE", LOCK_TIMEOUT)
            else:
                _drop(partition)
                return True
        except OperationalError as error:
            if getattr(error.__cause__, "pgcode", None) not in _BUSY_SQLSTATES:
                raise
            tries -= 1
            if not tries:
                return False
            time.sleep(PAUSE_SECONDS)
    return False


def _freeze(sensor_id: int, span: Span) -> None:
    """For the last time, what is pending is refreshed. Call it in a transaction: until that ends no other
    refresh begins, and from then on each leaves the span as it is."""
    refresh_span(span.start, span.end)
    GoneSpan.objects.widen(sensor_id, span.start, span.end)


def _drop(partition: Partition) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {PATIENT_LOCK_TIMEOUT}")
        RetentionRun.objects.note(
            RetentionRun.Kind.PARTITION,
            partition.name,
            partition.rows,
            partition.span.start,
            partition.span.end,
            partition.bytes,
        )
        cursor.execute(f"DROP TABLE {connection.ops.quote_name(partition.name)}")
    logger.info("%s dropped: about %d rows, %d bytes", partition.name, partition.rows, partition.bytes)


def _send_autovacuum_away(quoted: str) -> None:
    """It gives way to who waits for a second, which the statement that follows does not."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {PATIENT_LOCK_TIMEOUT}")
        cursor.execute(f"LOCK TABLE ONLY {quoted} IN SHARE UPDATE EXCLUSIVE MODE")


def _run(statement: str, lock_timeout: int) -> None:
    """One statement outside a transaction, which DETACH CONCURRENTLY needs, that gives up soon."""
    with connection.cursor() as cursor:
        # DETACH waits for one lock after another, so all of it has a bound too.
        cursor.execute(f"SET lock_timeout = {lock_timeout}; SET statement_timeout = {lock_timeout + 400}")
        try:
            cursor.execute(statement)
        finally:
            # A connection that is gone has forgotten them.
            with contextlib.suppress(Error):
                cursor.execute("RESET lock_timeout; RESET statement_timeout")


# --- rows, in pieces -----------------------------------------------------------------------------


def delete_expired(share: TimeShare, now: datetime | None = None) -> dict[str, int]:
    """Deletes what is due in pieces; returns how many rows of each kind, such as {"rejected": 5000}."""
    now = now or datetime.now(UTC)
    deleted = {"sensor_rows": 0, "rejected": 0}
    shorter = _with_rows_past(now)
    if shorter:
        # Once for all of them, so that each piece finds little that is pending.
        refresh_span(min(oldest for *_, oldest in shorter), max(edge for _, edge, _ in shorter))
    for sensor_id, edge, _ in shorter:
        if share.is_used:
            break
        deleted["sensor_rows"] += in_pieces(DELETE_LOCK, rows_of_sensor(sensor_id, edge), share)
    edge = now - timedelta(days=settings.REJECTED_RETENTION_DAYS)
    deleted["rejected"] = in_pieces(DELETE_LOCK, lambda: _delete_rejected(edge), share)
    in_pieces(DELETE_LOCK, lambda: RejectedTally.objects.fold(edge, PIECE), share)
    RetentionRun.objects.filter(last_at__lt=now - KEEP_RUNS).delete()
    return deleted


def _with_rows_past(now: datetime) -> list[tuple[int, datetime, datetime]]:
    """The sensors that have rows past their own retention, each with its edge and its oldest row.

    Whose oldest row is oldest comes first, so that none is passed over for ever where time is short. A
    look-up in the index a sensor.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WITH_ROWS_PAST, {"now": now, "days": settings.RETENTION_DAYS})
        return list(cursor.fetchall())


_WITH_ROWS_PAST = """
SELECT sensor.id, sensor.edge, oldest.created_at FROM (
    SELECT id, %(now)s::timestamptz - retention_days * interval '24 hours' AS edge
    FROM monitoring_sensor
    WHERE retention_days < %(days)s AND removal_requested_at IS NULL
) AS sensor CROSS JOIN LATERAL (
    SELECT created_at FROM monitoring_measurement
    WHERE sensor_id = sensor.id AND created_at < sensor.edge ORDER BY created_at LIMIT 1
) AS oldest
ORDER BY oldest.created_at, sensor.id
"""


def rows_of_sensor(
    sensor_id: int, edge: datetime, kind: RetentionRun.Kind = RetentionRun.Kind.SENSOR_ROWS
) -> Callable[[], int]:
    """A piece: deletes the sensor's oldest measurements before `edge`, and returns how many.

    Each call begins where the one before ended, rather than at index entries of rows just deleted. Where
    the sensor stays, their rollups are brought up to date first and frozen with them.
    """
    done_until: datetime | None = None

    def piece() -> int:
        nonlocal done_until
        rows = Measurement.objects.filter(sensor_id=sensor_id, created_at__lt=edge)
        if done_until is not None:
            rows = rows.filter(created_at__gte=done_until)
        moments = rows.order_by("created_at").values_list("created_at", flat=True)
        first = moments.first()
        if first is None:
            return 0
        until = moments[PIECE : PIECE + 1].first() or edge
        if kind is RetentionRun.Kind.SENSOR_ROWS:
            _freeze(sensor_id, Span(first, until))
        # Said with both ends, the partitions before and after are left out.
        deleted, last = _delete_measurements(sensor_id, first, until)
        done_until = until
        RetentionRun.objects.note(kind, str(sensor_id), deleted, first, last)
        return deleted

    return piece


def _delete_measurements(sensor_id: int, start: datetime, end: datetime) -> tuple[int, datetime]:
    """How many, and the last moment of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH piece AS (DELETE FROM monitoring_measurement"
            " WHERE sensor_id = %s AND created_at >= %s AND created_at < %s RETURNING created_at)"
            " SELECT count(*), max(created_at) FROM piece",
            [sensor_id, start, end],
        )
        count, last = cursor.fetchone()
        return int(count), last


def _delete_rejected(edge: datetime) -> int:
    kind, table = RetentionRun.Kind.REJECTED, "monitoring_rejectedmessage"
    return delete_oldest(kind, table, "received_at", "received_at < %s", edge)
