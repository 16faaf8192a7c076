"""In a worker: what was stored goes to whoever watches, soon after the commit.

    start()                                    once in each process that stores
    status_changed({3: "late"})                from any process

What batches stored is gathered by sensor and published by a thread of its own, at most ten times a second and
for at most a twentieth of the time, so that it holds up no batch. While nobody listens, one batch a second is
gathered and published all the same: the answer of PUBLISH says whether somebody has begun to. So a listener
has everything from LISTENED_AFTER_SECONDS on.

Delivery is at most once: a worker may die between the commit and this. What must be right reads the tables.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping

import redis

from monitoring.ingest import after_commit
from monitoring.live.channel import Newest, News, channel
from monitoring.store import glance

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.1
# Publishing takes at most one part in so many of the time.
SHARE = 20
# While nobody listens, how often a worker finds out whether somebody does.
LOOK_SECONDS = 1.0
# When a listener can count on it that all workers have found out: LOOK_SECONDS, and time for a batch.
LISTENED_AFTER_SECONDS = 2.0
AFTER_FAILURE_SECONDS = 1.0


class Publisher:
    """Gathers in the threads of others, and publishes in its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gathered = News()
        self._wake = threading.Event()
        self._is_listened_to = True
        self._published_at = 0.0
        self._thread: threading.Thread | None = None
        self.pid = os.getpid()

    def is_wanted(self) -> bool:
        return self._is_listened_to or time.monotonic() - self._published_at >= LOOK_SECONDS

    def stored(self, committed: after_commit.Committed) -> None:
        # Told of it for somebody else's sake: status wants each batch.
        if not self.is_wanted():
            return
        make = tuple.__new__  # what a NamedTuple's own constructor takes is half of all this
        stored = {
            sensor_id: make(Newest, (created_us, value, rows))
            for sensor_id, (rows, created_us, value, *_) in committed.stored.items()
        }
        self.add(News(stored, dict(committed.rejected)))

    def add(self, news: News) -> None:
        if not news:
            return
        with self._lock:
            self._gathered.add(news)
            if self._thread is None:
                self._thread = threading.Thread(target=self._for_ever, name="live", daemon=True)
                self._thread.start()
        self._wake.set()

    def publish(self) -> None:
        """Publishes what is gathered, if anything. Raises redis.RedisError, and keeps it for a retry."""
        with self._lock:
            news, self._gathered = self._gathered, News()
        if not news:
            return
        try:
            client = glance().redis
            listeners = client.publish(channel(client), news.pack())
        except BaseException:
            with self._lock:
                news.add(self._gathered)
                self._gathered = news
            raise
        self._is_listened_to = bool(listeners)
        self._published_at = time.monotonic()

    def _for_ever(self) -> None:
        fails = False
        while True:
            self._wake.wait()
            self._wake.clear()
            began = time.monotonic()
            try:
                self.publish()
            except (redis.RedisError, OSError) as error:
                if not fails:
                    logger.warning("live viewers wait, Redis does not answer: %s", error)
                fails = True
                self._wake.set()
                time.sleep(AFTER_FAILURE_SECONDS)
            else:
                fails = False
                time.sleep(max(PAUSE_SECONDS, SHARE * (time.monotonic() - began)))


_publisher: Publisher | None = None


def _ours() -> Publisher:
    """This process's: neither thread nor lock outlives a fork."""
    global _publisher
    if _publisher is None or _publisher.pid != os.getpid():
        _publisher = Publisher()
    return _publisher


def start() -> None:
    """From now on what this process stores is published."""
    publisher = _ours()
    after_commit.subscribe(publisher.stored, publisher.is_wanted)


def status_changed(changed: Mapping[int, str]) -> None:
    """Tells viewers of these sensors what their status is now. Waits for nothing, and never raises."""
    _ours().add(News(changed=dict(changed)))


def flush() -> None:
    """Before a process ends: what is gathered is published now."""
    try:
        _ours().publish()
    except (redis.RedisError, OSError) as error:
        logger.warning("live viewers miss the last values of this process: %s", error)
