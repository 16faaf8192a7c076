"""A self-pipe wakes the loop while it waits for its sockets: for a signal, or the thread that hands over."""

import contextlib
import select
import socket
import time
from collections.abc import Callable


class Waking:
    """The loop selects on it; `wake` may be called from any thread, and from a signal's handler."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then it will wake anyhow
            self._writer.send(b"w")

    def heard(self) -> None:
        """Forgets who woke us."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    def pause(self, seconds: float, going_on: Callable[[], bool]) -> bool:
        """Waits at most `seconds`, while `going_on()`: asked each second or sooner. Returns its answer."""
        deadline = time.monotonic() + seconds
        while going_on() and (left := deadline - time.monotonic()) > 0:
            select.select([self._reader], [], [], min(left, 1.0))
            self.heard()
        return going_on()
