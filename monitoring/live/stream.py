"""One viewer's stream: an async iterator over what is sent, with a bound on what waits for it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from monitoring.live import events

if TYPE_CHECKING:
    from monitoring.live.hub import Hub

# The bound of a viewer's queue, in frames. A slow consumer that exceeds it is told to fetch what it missed.
QUEUE = 4
# What is sent again to a viewer that comes back: publications of several workers cross on their way.
OVERLAP_MS = 2000


class Wish(NamedTuple):
    """What a viewer asked for. `after`: the id that it saw last, or None. `once`: what is there, no more."""

    sensors: frozenset[int] = frozenset()
    topics: frozenset[str] = frozenset()
    after: int | None = None
    once: bool = False


class Stream:
    """Made on any thread, then used on the loop alone; `close` may come from any thread.

    `may_watch` is called once a minute, on a thread, where the right to watch may end (None: it cannot).
    """

    def __init__(
        self, hub: "Hub", wish: Wish, who: str = "", may_watch: Callable[[], bool] | None = None
    ) -> None:
        self._hub, self.wish, self.who, self.may_watch = hub, wish, who, may_watch
        #: The instant from which on it lacks something, until it is told so: such a stream gets no ids.
        self.lacks_from: int | None = None
        self.sent_at = self.checked_at = 0.0
        self._queue: deque[bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._taken_id, self._newest_id = 0, 0
        self._has_begun = self._is_over = False

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> bytes:
        if not self._has_begun:
            self._has_begun = True
            self._hub.join(self)
        try:
            while not self._queue:
                if self._is_over:
                    raise StopAsyncIteration
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        except BaseException:
            self._hub.leave(self)
            raise
        chunk = b"".join(self._queue)
        self._queue.clear()
        self._taken_id = self._newest_id
        return chunk

    def offer(self, text: bytes, id: int) -> None:
        """Queues an event; a slow consumer loses its queue. `id`: with this, all up to there is sent."""
        if self.lacks_from is None:
            if len(self._queue) >= QUEUE:
                self._lose(id)
                return
            text = events.identity(id) + text
            self._newest_id = id
        elif len(self._queue) >= QUEUE:
            return
        self._put(text)

    def begin(self, text: bytes, id: int) -> None:
        """Queues what comes first, whatever its size. `id` as in `offer`."""
        self._taken_id = self._newest_id = id
        self._put(text)

    def catch_up(self, id: int) -> None:
        """Ends a gap: from `id` on it gets everything; `resync` tells it to fetch what it lacks before
        that."""
        if self.lacks_from is None:
            return
        text = events.identity(id) + events.event("resync", {"from": self.lacks_from})
        text += self._hub.latest(self.wish.topics)
        # Where this is not read either, it is still from there on that something is missing.
        self._taken_id, self._newest_id = self.lacks_from + OVERLAP_MS, id
        self.lacks_from = None
        if len(self._queue) >= QUEUE:
            self._queue.clear()
        self._put(text)

    def lack(self, since: int) -> None:
        self.lacks_from = since if self.lacks_from is None else min(self.lacks_from, since)

    def _lose(self, id: int) -> None:
        """A slow consumer: drops its queue, and tells it with one event that something is missing."""
        self._queue.clear()
        self.lack(self._taken_id - OVERLAP_MS)
        self.catch_up(id)

    def end(self, why: str) -> None:
        """Once: of two reasons the first is told."""
        if self._is_over:
            return
        self._is_over = True
        self._put(events.event("bye", {"why": why}))

    @property
    def is_behind(self) -> bool:
        return bool(self._queue)

    def _put(self, text: bytes) -> None:
        self._queue.append(text)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def close(self) -> None:
        """Called by Django once the answer is over, on a thread."""
        self._hub.leave_from_anywhere(self)
