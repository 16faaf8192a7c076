"""Work on large tables in pieces: each small, in a transaction of its own, and one worker at it at a time.

Each piece finds anew what there is to do, so runs are idempotent: a piece that fails, a run that is missed
and a run that comes twice leave nothing half done and nothing to repair.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import Error, OperationalError, connection, transaction

from monitoring.models import RetentionRun

# Rows a piece: some tens of milliseconds.
PIECE = 5_000
_LOCK_NOT_AVAILABLE = "55P03"


class TimeShare:
    """How long a job may take; None: until all is done."""

    def __init__(self, seconds: float | None = None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self.is_endless = seconds is None

    @property
    def is_used(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end


def in_pieces(lock: int, piece: Callable[[], int], share: TimeShare) -> int:
    """Calls `piece` until it finds nothing to do or the time is used; returns the sum of what it returned.

    Each call has a transaction of its own, under the advisory lock `lock`. Where another worker holds that,
    it is doing the work: with a share of time this call returns at once, without one it waits.
    """
    total = 0
    take = "pg_advisory_xact_lock(%s) IS NOT NULL" if share.is_endless else "pg_try_advisory_xact_lock(%s)"
    while not share.is_used:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {take}", [lock])
                if not cursor.fetchone()[0]:
                    break
            done = piece()
        total += done
        if not done:
            break
    return total


def delete_oldest(kind: RetentionRun.Kind, table: str, column: str, condition: str, before: datetime) -> int:
    """A piece: deletes the rows of the table that meet `condition` (with one %s, for `before`), oldest
    first by `column`, notes that, and returns how many. Rows that others have locked are skipped."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH piece AS (DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition}"
            f" ORDER BY {column}, id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING {column} AS at)"
            " SELECT count(*), min(at), max(at) FROM piece",
            [before, PIECE],
        )
        count, first, last = cursor.fetchone()
    if count:
        RetentionRun.objects.note(kind, "", count, first, last)
    return int(count)


@contextlib.contextmanager
def alone(lock: int, wait_ms: int = 0) -> Iterator[bool]:
    """Takes an advisory lock of the session, for work that spans transactions; gives whether it got it.

    `wait_ms`: how long it waits for whoever has the lock.
    """
    is_alone = _has_its_turn(lock, wait_ms) if wait_ms else _finds_it_free(lock)
    try:
        yield is_alone
    finally:
        if is_alone:
            # A connection that is gone has let go of it.
            with contextlib.suppress(Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])


def _finds_it_free(lock: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        return bool(cursor.fetchone()[0])


def _has_its_turn(lock: int, wait_ms: int) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {wait_ms}")
            cursor.execute("SELECT pg_advisory_lock(%s)", [lock])
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True
