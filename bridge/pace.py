"""When the open batch leaves: a lone message at once, a trickle four times a second, a flood by its size."""

import time
from collections.abc import Callable

SHORTEST_SECONDS = 0.02
LONGEST_SECONDS = 0.25
FLUSH_MESSAGES = 1000
FLUSH_BYTES = 256 * 1024
# What every broker sends before it waits for an acknowledgement. Some send no more than this, whatever
# window they were given.
SMALLEST_WINDOW = 10


class Pace:
    """Says how long to wait; whoever asks flushes, and says so.

    A flush has its price, whatever it carries: so the interval doubles with each that follows soon upon the
    one before. After a flush by size it is the shortest again, so that the end of a flood does not wait.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._interval = SHORTEST_SECONDS
        self._flushed_at = self._arrived_at = float("-inf")
        self._most_unacknowledged = SMALLEST_WINDOW

    def new_connection(self) -> None:
        """Nothing is known yet of how many messages this broker sends before it waits."""
        self._most_unacknowledged = SMALLEST_WINDOW

    def arrived(self) -> None:
        self._arrived_at = self._clock()

    def is_full(self, messages: int, size: int, unacknowledged: int, window: int) -> bool:
        """Whether the batch leaves at once, also while another is being handed over. `size`: bytes."""
        return messages >= FLUSH_MESSAGES or size >= FLUSH_BYTES or unacknowledged >= window

    def until_due(self, unacknowledged: int) -> float:
        """Seconds until a batch leaves that is not full; 0 where it does now."""
        due = self._flushed_at + self._interval
        if unacknowledged >= self._most_unacknowledged:
            # As many as it ever sent: perhaps it is silent since it waits for us.
            due = min(due, self._arrived_at + SHORTEST_SECONDS)
        return max(0.0, due - self._clock())

    def flushed(self, unacknowledged: int, full: bool) -> None:
        now = self._clock()
        soon = now - self._flushed_at <= 2 * LONGEST_SECONDS
        self._interval = min(2 * self._interval, LONGEST_SECONDS) if soon and not full else SHORTEST_SECONDS
        self._flushed_at = now
        self._most_unacknowledged = max(self._most_unacknowledged, unacknowledged)
