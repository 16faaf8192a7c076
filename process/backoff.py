"""Exponential backoff: how long to wait before the next retry."""

import random

# Seconds. A connection that ends sooner has not held (the broker takes it, and drops it at once), so the
# backoff goes on.
HELD_SECONDS = 10.0


class Backoff:
    """Half a second, then twice as long each time, at most `longest` seconds; with a fifth of jitter.

    `next` gives the seconds to wait and counts the retry; `reset` begins anew.
    """

    def __init__(self, longest: float = 30.0) -> None:
        self._longest = longest
        self._wait = 0.0

    def next(self) -> float:
        self._wait = min(self._longest, max(0.5, self._wait * 2))
        return self._wait * random.uniform(0.8, 1.2)  # noqa: S311

    def reset(self) -> None:
        """What was tried has held."""
        self._wait = 0.0
