"""The story of a partition that has been kept long enough.

One whose end lies before its table's edge goes as a whole, in steps that PostgreSQL remembers:

1. Its pending rollups are refreshed, from its rows, for the last time, and from then on frozen (GoneSpan).
2. It is marked, by a comment that says what becomes of it, and detached CONCURRENTLY: nobody waits for
   that, it waits for those who still read. Where one reads for too long it stays half detached.
3. Half detached, it is finalized by the next try, or by the next run.
4. Detached and marked, it is dropped. One that a person detached bears no mark, and is left alone.

Where each partition stands is read from the catalogue, so runs are idempotent: one that was killed, missed or
started twice does no harm.
"""

import contextlib
import logging
import time
from datetime import UTC, datetime

from django.db import Error, OperationalError, connection, transaction

from monitoring import locks
from monitoring.models import RetentionRun
from monitoring.rollups.refresh import freeze, refresh_span
from monitoring.upkeep.pieces import alone
from monitoring.upkeep.tables import TABLES, Kept, Partition, State, due, mark_of, partitions

logger = logging.getLogger(__name__)

# How long we wait for a lock on a partition, in ms. Who waits for us meanwhile: a worker that makes a
# partition, a reader with an old snapshot.
LOCK_TIMEOUT = 500
# Where nobody waits behind us. Longer than deadlock_timeout, after which autovacuum gives way.
PATIENT_LOCK_TIMEOUT = 3_000
TRIES = 3
PAUSE_SECONDS = 0.5
# Lock timeout, statement timeout, deadlock: somebody else was at it, and a retry may succeed.
_BUSY_SQLSTATES = {"55P03", "57014", "40P01"}


def drop_partitions(now: datetime | None = None) -> list[Partition]:
    """Drops what is due, as far as nobody reads it; returns what was dropped.

    Call it outside a transaction. Ingest and readers wait for less than a second, and only those who
    need a lock on the very partition or make a new one. Does nothing where another is at it.
    """
    now = now or datetime.now(UTC)
    dropped = []
    with alone(locks.DROP) as is_alone:
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
    """Drops a partition step by step, from whatever step it stands at; False where somebody is in the way."""
    tries = TRIES
    table, quoted = kept.table.name, connection.ops.quote_name(name)
    while partition := _find(kept, name):
        try:
            if partition.state is State.ATTACHED:
                # Of a rollup's too: what is pending would be computed from a part of it.
                refresh_span(partition.span.start, partition.span.end)
                with transaction.atomic():
                    freeze(0, partition.span)
                mark = mark_of(kept, partition.span)
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
