"""Django's backend for PostgreSQL, whose health check asks the server only where there is a doubt."""

import select
import time
from typing import Any

from django.db.backends.postgresql import base

# Past this a connection may be gone without a word: firewalls and proxies drop what is idle, after minutes.
IDLE_SECONDS = 10.0


class DatabaseWrapper(base.DatabaseWrapper):
    """A server that ends a connection says so, and closes it: there is something to read then, though nothing
    was asked. Django's own check is a round trip before the first query of each request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._used_at = float("-inf")

    def is_usable(self) -> bool:
        now = time.monotonic()
        # A query follows each check, but where a transaction turns out to be empty.
        idle, self._used_at = now - self._used_at, now
        if self.errors_occurred or idle > IDLE_SECONDS or self._has_said_something():
            return super().is_usable()
        return True

    def _has_said_something(self) -> bool:
        if self.connection is None or self.connection.closed:
            return True
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
