"""A thread for a subscriber that has more to do with what was stored than `after_commit` may wait for."""

import threading
import time
from collections.abc import Callable

from django.db import close_old_connections

from monitoring.ingest import after_commit
from monitoring.ingest.after_commit import Subscriber, Wanted

EVERY_SECONDS = 1.0


class Follower:
    """Of one process. Once woken it calls `look`, which raises nothing: at most once in `every_seconds`, and
    for half of the time at most, since the other half is for storing.

    The thread is made by the first `wake`: it would not outlive the fork of a pool's child.
    """

    def __init__(self, name: str, look: Callable[[], object], every_seconds: float = EVERY_SECONDS) -> None:
        self._name, self._look, self._every = name, look, every_seconds
        self._something = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def subscribe(self, subscriber: Subscriber, is_wanted: Wanted = lambda: True) -> Callable[[], None]:
        """To `after_commit`. Returns a function that ends that, and the thread."""
        unsubscribe = after_commit.subscribe(subscriber, is_wanted)

        def end() -> None:
            unsubscribe()
            self._ended.set()
            self._something.set()
            if self._thread is not None:
                self._thread.join()

        return end

    def wake(self) -> None:
        """Called by the subscriber, always from the same thread."""
        self._something.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._something.wait()
            if self._ended.is_set():
                break
            self._something.clear()
            began = time.monotonic()
            self._look()
            self._ended.wait(max(self._every, time.monotonic() - began))
        close_old_connections()
