"""Locks in other hands."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

_WANTED = """
SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
"""


@contextmanager
def held_until_wanted(lock: int) -> Iterator[None]:
    """Another connection holds the lock until somebody waits for it, or the block ends."""
    is_held, over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
                is_held.set()
                while not over.is_set():
                    cursor.execute(_WANTED)
                    if cursor.fetchone():
                        return
        finally:
            connection.close()

    other = threading.Thread(target=hold)
    other.start()
    try:
        assert is_held.wait(30)
        yield
    finally:
        over.set()
        other.join()


@contextmanager
def another(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """A thread to be started within the block, at whose end it has done the work, or raises what that raised.

    A transaction of the block is to end before: `with another(work) as other, transaction.atomic():`.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    other = threading.Thread(target=run)
    yield other
    other.join()
    if failed:
        raise failed[0]


_WAITS_FOR_US = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


def until_somebody_waits_for_us(seconds: float = 30.0) -> None:
    """For what the open transaction holds. Raises TimeoutError where nobody comes to it."""
    end = time.monotonic() + seconds
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            cursor.execute(_WAITS_FOR_US)
            if cursor.fetchone():
                return
    raise TimeoutError("nobody waits for what is held here")
