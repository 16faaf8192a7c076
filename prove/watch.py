"""How far ingest is, looked at several times a second, and for how long it stood still."""

import threading
import time
from collections.abc import Sequence

import psycopg2
import redis

from batches.connect import connect
from batches.store import BatchStore
from prove.faults import Done

EVERY_SECONDS = 0.1
# For how long what was hurt may be on its way back.
AFTER_SECONDS = 3.0


class Watch(threading.Thread):
    def __init__(self, database_url: str, redis_url: str) -> None:
        super().__init__(name="watch", daemon=True)
        #: Each moment at which the ledger had grown.
        self.grew: list[float] = []
        self.oldest_pending = 0.0
        self.pending = 0
        self._database_url = database_url
        self._store = BatchStore(connect(redis_url, 1), 1)
        self._end = threading.Event()

    def run(self) -> None:
        last = None
        connection = None
        while not self._end.wait(EVERY_SECONDS):
            try:
                if connection is None:
                    connection = psycopg2.connect(
                        self._database_url, connect_timeout=2, options="-c statement_timeout=2000"
                    )
                    connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT id FROM monitoring_ingestbatch ORDER BY ingested_at DESC, id DESC LIMIT 1"
                    )
                    newest = cursor.fetchone()
                if newest != last:
                    last = newest
                    self.grew.append(time.monotonic())
            except psycopg2.Error:
                connection = None
            self._look_at_redis()

    def _look_at_redis(self) -> None:
        try:
            figures = self._store.figures()
        except (redis.RedisError, OSError):
            return
        self.pending = figures.pending_messages
        if figures.oldest_pending is not None:
            self.oldest_pending = max(self.oldest_pending, time.time() - figures.oldest_pending)

    def end(self) -> None:
        self._end.set()
        self.join()

    def longest_stalls(self, done: Sequence[Done], until: float) -> dict[str, float]:
        """Fault, such as `kill redis` → the longest time without growth that began after one, or held it.

        A stall that several faults share counts for the one that lasted longest within it.
        """
        longest: dict[str, float] = {}
        for began, ended in zip(self.grew, [*self.grew[1:], until], strict=True):
            if ended - began < 1:
                continue
            shares = [
                (min(ended, one.began + one.fault.seconds + AFTER_SECONDS) - max(began, one.began), one.fault)
                for one in done
            ]
            share, fault = max(shares, default=(0.0, None))
            name = "no fault" if fault is None or share <= 0 else f"{fault.act} {fault.target}"
            longest[name] = max(longest.get(name, 0.0), ended - began)
        return longest
