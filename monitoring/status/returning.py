"""A sensor that was late, silent or never seen, and now sends, is looked at within a second.

It is told of each batch after its commit, and keeps nothing but the sensors' ids: a thread of its own asks,
once a second at most, which of them are not well, and looks at these. This is best effort: where a worker
died or the database was away, the job finds them some minutes later.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from django.db import close_old_connections, transaction

from monitoring.ingest import after_commit
from monitoring.ingest.follower import EVERY_SECONDS, Follower
from monitoring.models import SensorStatus
from monitoring.status.looking import look_at

logger = logging.getLogger(__name__)

# How long it is cached which board a sensor is of.
CLAIMS_SECONDS = 60.0


class Returning:
    """Of one process."""

    def __init__(self, every_seconds: float = EVERY_SECONDS) -> None:
        self._ids: set[int] = set()
        self._boards: dict[int, str] = {}
        # Whose claims were looked at lately, and until when that will do.
        self._claimed: dict[int, str] = {}
        self._claimed_until = 0.0
        self._lock = threading.Lock()
        self._follower = Follower("returning sensors", self.look, every_seconds)

    def start(self) -> Callable[[], None]:
        """Subscribes to what batches store. Returns a function that ends that, and its thread."""
        return self._follower.subscribe(self.note)

    def note(self, committed: after_commit.Committed) -> None:
        if not committed.stored:
            return
        with self._lock:
            self._ids.update(committed.stored)
            self._boards.update(committed.boards)
        self._follower.wake()

    def look(self) -> int:
        """Looks at the sensors that sent meanwhile; returns how many changed status. Raises nothing."""
        with self._lock:
            ids, self._ids = self._ids, set()
            boards, self._boards = self._boards, {}
        close_old_connections()
        try:
            self._claim(boards)
            not_well = SensorStatus.objects.not_well(ids)
            if not not_well:
                return 0
            with transaction.atomic():
                return look_at(not_well)
        except Exception:
            logger.warning("%d sensors are looked at by the job instead", len(ids), exc_info=True)
            return 0

    def _claim(self, boards: Mapping[int, str]) -> None:
        if time.monotonic() > self._claimed_until:
            self._claimed.clear()
            self._claimed_until = time.monotonic() + CLAIMS_SECONDS
        new = {sensor: board for sensor, board in boards.items() if self._claimed.get(sensor) != board}
        if new:
            SensorStatus.objects.claim(new)
            self._claimed |= new


def start() -> None:
    """In a process that stores batches."""
    Returning().start()
