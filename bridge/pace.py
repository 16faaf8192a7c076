"""When the open batch leaves: a lone message at once, a trickle four times a second, a steady stream forty
times, a flood by its size. And when the socket is read: at once, in a flood less often."""

import time
from collections.abc import Callable

SHORTEST_SECONDS = 0.02
LONGEST_SECONDS = 0.25
# What a batch costs by itself (a commit, a row in the ledger with its touched minutes) its messages bear
# together, so the more the better; but of more, hostile input would take over a second (decisions/0027).
FLUSH_MESSAGES = 3000
FLUSH_BYTES = 384 * 1024
# Messages a second: up to here a flush costs more than all that it carries, so there are few of them.
TRICKLE = 200
# Above that, so long an interval is enough for a flush to cost little beside what it carries.
STEADY_SECONDS = 0.025
# Messages a second: from here on it is worth waiting until a batch is full, which it is in a moment.
FLOOD = 20_000
FLOOD_SECONDS = 0.06
# A broker sends each message by itself, and a turn of the loop costs as much as fifteen messages do. So in a
# flood they gather in the socket for a moment, which is short beside the batch that they then wait in.
READ_SECONDS = 0.005
# Messages in flight that every broker allows. Some send no more than this, whatever window they were given.
SMALLEST_WINDOW = 10


class Pace:
    """Says how long the open batch may wait; the caller flushes it, and reports that with `flushed`.

    A flush costs the same whatever it carries. So the interval doubles with each flush that soon follows
    another, up to what suits the rate of messages. After a flush by size it is short again, so that the end
    of a flood does not wait.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._interval = SHORTEST_SECONDS
        self._flushed_at = self._arrived_at = float("-inf")
        self._most_unacknowledged = SMALLEST_WINDOW
        self._is_flood = False

    def new_connection(self) -> None:
        """Forgets how many messages the last broker had in flight before it waited for us."""
        self._most_unacknowledged = SMALLEST_WINDOW

    def arrived(self) -> None:
        self._arrived_at = self._clock()

    def nothing_came(self) -> None:
        """A read found nothing: the flood is over, or the broker waits for acknowledgements."""
        self._is_flood = False

    @property
    def between_reads(self) -> float:
        """Seconds to wait before the socket is read; 0 for as soon as there is something."""
        return READ_SECONDS if self._is_flood else 0.0

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

    def flushed(self, messages: int, unacknowledged: int, full: bool) -> None:
        now = self._clock()
        passed = now - self._flushed_at
        # Of few messages a read's wait would be a good part of what the broker has in flight.
        self._is_flood = full and messages >= FLUSH_MESSAGES // 3 and messages >= FLOOD * passed
        if full:
            self._interval = FLOOD_SECONDS
        elif passed > 2 * LONGEST_SECONDS:
            self._interval = SHORTEST_SECONDS
        else:
            self._interval = min(2 * self._interval, _suits(messages / max(passed, 1e-6)))
        self._flushed_at = now
        self._most_unacknowledged = max(self._most_unacknowledged, unacknowledged)


def _suits(rate: float) -> float:
    """Seconds between two flushes, at so many messages a second."""
    if rate >= FLOOD:
        return LONGEST_SECONDS
    return min(max(LONGEST_SECONDS * (TRICKLE / rate) ** 2, STEADY_SECONDS), LONGEST_SECONDS)
