"""An advisory lock in other hands."""

import threading
from collections.abc import Iterator
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
