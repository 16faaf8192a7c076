"""The story of a ledger's row after its batch is stored.

1. At once it counts in the sums by itself (IngestBatchQuerySet.sums).
2. After some minutes it is counted: added to its minute's total and marked, in one transaction. From
   then on the sums read the total, so they stay quick however many rows the ledger has.
3. For 7 days it stays, so that the same batch is never stored twice and its touched pairs wait for the
   rollups; then, once those have been taken, it is deleted. That changes no sum.
4. After a month the totals of a day's minutes are added up to one of the day.

Each piece is one transaction, so the sums are the same before, between and after, whatever dies.
"""

from datetime import UTC, datetime, timedelta

from django.db import connection

from monitoring import locks
from monitoring.models import RetentionRun
from monitoring.upkeep.pieces import PIECE, TimeShare, delete_oldest, in_pieces

COUNT_AFTER = timedelta(minutes=2)
KEEP = timedelta(days=7)
KEEP_MINUTES = timedelta(days=31)


def fold(share: TimeShare, oldest_pending: datetime | None = None) -> dict[str, int]:
    """Counts, deletes and adds up what is due; returns {"counted": ..., "deleted": ..., "added_up": ...}.

    `oldest_pending`: when the oldest batch came in that is not known to be done. Rows from then on
    stay: one of them may be its row, and must be there when it is tried again.
    """
    now = datetime.now(UTC)
    before = now - KEEP if oldest_pending is None else min(now - KEEP, oldest_pending)
    return {
        "counted": in_pieces(locks.FOLD, lambda: _count(now - COUNT_AFTER), share),
        "deleted": in_pieces(locks.FOLD, lambda: _delete(before), share),
        "added_up": in_pieces(locks.FOLD, lambda: _add_up(now - KEEP_MINUTES), share),
    }


def due(now: datetime) -> tuple[int, datetime | None, datetime | None]:
    """How many rows have had their 7 days, and the first and the last moment of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), min(ingested_at), max(ingested_at) FROM monitoring_ingestbatch WHERE {_DONE}",
            [now - KEEP],
        )
        count, first, last = cursor.fetchone()
    return count, first, last


_DONE = "ingested_at < %s AND counted AND touched_sensors IS NULL"
_COUNTS = ("batches", "messages", "readings", "stored", "duplicates", "rejected")
_ADD = f"""
    INSERT INTO monitoring_ingesttotal AS total (start, source, {", ".join(_COUNTS)})
    SELECT date_trunc(%s, start, 'UTC') AS unit, source, {", ".join(f"sum({name})" for name in _COUNTS)}
    FROM piece GROUP BY unit, source
    ON CONFLICT (start, source) DO UPDATE SET
    {", ".join(f"{name} = total.{name} + EXCLUDED.{name}" for name in _COUNTS)}
"""


def _count(before: datetime) -> int:
    with connection.cursor() as cursor:
        # A row that a refresh of the rollups holds is left for the next time, rather than waited for.
        # A row that commits late, with an older time, is found as any other: what is looked for is the
        # mark, not a place that was reached.
        cursor.execute(
            "WITH due AS (SELECT id FROM monitoring_ingestbatch WHERE NOT counted AND ingested_at < %s"
            " ORDER BY ingested_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED),"
            " piece AS (UPDATE monitoring_ingestbatch AS batch SET counted = true FROM due"
            " WHERE batch.id = due.id RETURNING ingested_at AS start, source, 1 AS batches, messages,"
            f" readings, stored, duplicates, rejected), added AS ({_ADD}) SELECT count(*) FROM piece",
            [before, PIECE, "minute"],
        )
        return int(cursor.fetchone()[0])


def _delete(before: datetime) -> int:
    return delete_oldest(RetentionRun.Kind.LEDGER, "monitoring_ingestbatch", "ingested_at", _DONE, before)


def _add_up(before: datetime) -> int:
    # Whole days alone, so that a day is added to once; its own row, at midnight, is among them.
    midnight = before.replace(hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(start) FROM monitoring_ingesttotal"
            " WHERE start < %s AND start <> date_trunc('day', start, 'UTC')",
            [midnight],
        )
        (first,) = cursor.fetchone()
        if first is None:
            return 0
        day = first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # One statement could not both delete and update the row at midnight: it stays, and is added to.
        cursor.execute(
            "WITH piece AS (DELETE FROM monitoring_ingesttotal WHERE start > %s AND start < %s RETURNING *),"
            f" added AS ({_ADD}) SELECT count(*) FROM piece",
            [day, day + timedelta(days=1), "day"],
        )
        return int(cursor.fetchone()[0])
