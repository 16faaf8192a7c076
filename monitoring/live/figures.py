"""In a web process: the topics that somebody watches, each read in a thread, and told where it has changed.

What topics there are, and who reads them, says monitoring.live.topics.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from functools import partial

from monitoring.live import events, topics

logger = logging.getLogger(__name__)

# A topic is worked out for at most one part in so many of the time.
SHARE = 20


class _Told:
    """What is known of a topic: when it was read, how it reads as an event."""

    def __init__(self) -> None:
        self.text, self.due, self.is_new, self.watched_at = b"", 0.0, False, 0.0
        self.read: asyncio.Future[tuple[bytes, float]] | None = None


class Figures:
    """Used on the loop; `thread` is where topics are read."""

    def __init__(self, thread: Executor) -> None:
        self._thread = thread
        self._told: dict[str, _Told] = {}

    def watch(self, wanted: Iterable[str]) -> None:
        """Notes that somebody watches these topics now. Names that are not registered are left out."""
        now = asyncio.get_running_loop().time()
        for name in wanted:
            if (topic := topics.registered().get(name)) is not None:
                told = self._told.setdefault(name, _Told())
                if now - told.watched_at > 3 * topic.every and not told.is_new:
                    told.text = b""  # of long ago
                told.watched_at = now

    def read(self, now: float) -> None:
        """Starts to read the topics that are watched and due, in the thread; blocks nobody."""
        known = topics.registered()
        for name, told in self._told.items():
            topic = known[name]
            if told.read is None and now >= told.due and now - told.watched_at <= 3 * topic.every:
                told.read = asyncio.get_running_loop().run_in_executor(self._thread, _read, topic)
                told.read.add_done_callback(partial(self._got, told, topic))

    @staticmethod
    def _got(told: _Told, topic: topics.Topic, read: "asyncio.Future[tuple[bytes, float]]") -> None:
        told.read = None
        if read.cancelled():
            return
        text, took = read.result()
        told.due = asyncio.get_running_loop().time() + max(topic.every, SHARE * took)
        if text and text != told.text:
            told.text, told.is_new = text, True

    def take_new(self) -> dict[str, bytes]:
        """The events of the topics that have changed, by name; each is given once."""
        found = {name: one.text for name, one in self._told.items() if one.is_new}
        for name in found:
            self._told[name].is_new = False
        return found

    def latest(self, wanted: Iterable[str]) -> bytes:
        """The latest events of these topics, as one text."""
        return b"".join(self._told[name].text for name in wanted if name in self._told)


def _read(topic: topics.Topic) -> tuple[bytes, float]:
    """The topic's event, empty where reading it failed, and the seconds that it took. Raises nothing."""
    from django.db import close_old_connections

    began = time.monotonic()
    try:
        text = events.event(topic.event, topic.read())
    except Exception as error:
        logger.warning("viewers of %s wait: %s", topic.event, str(error).partition("\n")[0])
        text = b""
    finally:
        close_old_connections()
    return text, time.monotonic() - began
