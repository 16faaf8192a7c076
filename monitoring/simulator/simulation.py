"""When which board sends what, and the sums."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from django.utils.translation import gettext

from monitoring.numbers import grouped

from .faults import Kind, Message, Messages
from .sender import Sender

REACH_SECONDS = 30.0
ACKNOWLEDGE_SECONDS = 10.0
BEHIND_SECONDS = 1.0
"""A schedule further behind than this is moved rather than caught up with: boards do not send in bursts."""
LONGEST_WAIT = 0.25
SHORTEST_WAIT = 0.001


class Unreachable(Exception):
    """The broker did not answer in time; the message says why."""


@dataclass
class Sums:
    """What was sent."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    messages: int = 0
    acknowledged: int = 0
    refused: int = 0
    resent: int = 0
    reconnections: int = 0
    seconds: float = 0.0
    fell_behind: bool = False

    @property
    def rate(self) -> float:
        return self.messages / self.seconds if self.seconds else 0.0

    def lines(self, qos: int = 1) -> list[str]:
        """For people. Good and late readings are to be stored, duplicates recognised, garbage rejected."""
        kinds = self.kinds
        sent = gettext("sent %(messages)s messages in %(seconds)s s (%(rate)s/s)") % {
            "messages": grouped(self.messages),
            "seconds": grouped(self.seconds, 1),
            "rate": grouped(self.rate, 1),
        }
        acknowledged = gettext(", %s acknowledged") % grouped(self.acknowledged)
        lines = [sent + (acknowledged if qos else gettext(", at QoS 0: unacknowledged"))]
        readings = gettext(
            "readings: %(good)s good, %(duplicate)s duplicate, %(late)s late; garbage: %(garbage)s"
        )
        lines.append(readings % {str(kind): grouped(kinds[kind]) for kind in Kind})
        if self.refused:
            lines.append(gettext("the broker refused %s") % grouped(self.refused))
        if qos and (missing := self.messages - self.acknowledged - self.refused):
            text = gettext("%(count)s were not acknowledged within %(seconds)d s")
            lines.append(text % {"count": grouped(missing), "seconds": ACKNOWLEDGE_SECONDS})
        if self.reconnections:
            text = gettext("%(count)s reconnections; %(resent)s messages may have arrived twice")
            lines.append(text % {"count": grouped(self.reconnections), "resent": grouped(self.resent)})
        if self.fell_behind:
            lines.append(gettext("the broker or this machine was slower than the rate asked for"))
        return lines


class Simulation:
    """Each board reads its three sensors every 1/rate seconds; the boards take turns within that time."""

    def __init__(
        self,
        sender: Sender,
        messages: Messages,
        *,
        boards: int,
        rate: float,
        duration: float | None = None,
        limit: int | None = None,
        progress: Callable[[Sums], None] = lambda sums: None,
    ) -> None:
        """`limit` counts messages, faults included; `duration` counts from the first connection."""
        self.sums = Sums()
        self.stopping = False
        self._sender = sender
        self._messages = messages
        self._boards = boards
        self._every = 1 / (boards * rate)
        self._duration = duration
        self._limit = limit
        self._progress = progress
        self._ready: deque[tuple[int, Message]] = deque()
        self._tick = 0
        self._due = 0.0
        self._began: float | None = None

    def stop(self) -> None:
        """End soon; may be called from a signal handler."""
        self.stopping = True

    def run(self) -> Sums:
        """Raises Unreachable where the run is a finite one and no broker is there within 30 seconds."""
        give_up = time.monotonic() + REACH_SECONDS
        paused = True
        while not self._over():
            now = time.monotonic()
            if not self._sender.ready:
                if self._began is None and now > give_up and (self._limit or self._duration):
                    raise Unreachable(self._sender.trouble)
                paused = True
                self._sender.work(LONGEST_WAIT)
            else:
                if self._began is None:
                    self._began = now
                if paused:  # what a board would have sent meanwhile is lost, as without a network
                    paused, self._due = False, now
                self._publish(now)
                self._sender.work(self._pause())
            self._count()
            self._progress(self.sums)
        self._finish()
        return self.sums

    def _over(self) -> bool:
        if self.stopping or (self._limit is not None and self.sums.kinds.total() >= self._limit):
            return True
        if self._began is None or self._duration is None:
            return False
        return time.monotonic() - self._began >= self._duration

    def _publish(self, now: float) -> None:
        if now - self._due > BEHIND_SECONDS:
            self.sums.fell_behind, self._due = True, now
        while self._send_ready() and self._due <= now and not self._enough():
            board = self._tick % self._boards
            self._ready.extend((board, message) for message in self._messages.of(board, time.time()))
            self._tick += 1
            self._due += self._every

    def _send_ready(self) -> bool:
        """Whether all that is ready went out."""
        while self._ready and not self._enough():
            board, message = self._ready[0]
            if not self._sender.has_room(board):
                return False
            if not self._sender.publish(board, message.payload):
                return False
            self._ready.popleft()
            self.sums.kinds[message.kind] += 1
        return True

    def _enough(self) -> bool:
        return self._limit is not None and self.sums.kinds.total() >= self._limit

    def _pause(self) -> float:
        """Until the next board's turn, or, where there is no room, until an acknowledgement arrives."""
        if self._ready:
            return LONGEST_WAIT
        wait = min(self._due - time.monotonic(), LONGEST_WAIT)
        if self._began is not None and self._duration is not None:
            wait = min(wait, self._began + self._duration - time.monotonic())
        return max(wait, SHORTEST_WAIT)

    def _finish(self) -> None:
        """Wait for what is not acknowledged yet, but not for ever."""
        if self._began is not None:
            self.sums.seconds = time.monotonic() - self._began
        until = time.monotonic() + ACKNOWLEDGE_SECONDS
        while self._sender.outstanding and time.monotonic() < until:
            self._sender.work(0.05)
        seconds = self.sums.seconds
        self._count()
        self.sums.seconds = seconds
        self._sender.close()

    def _count(self) -> None:
        sums, sender = self.sums, self._sender
        sums.messages, sums.acknowledged = sender.published, sender.acknowledged
        sums.refused, sums.resent = sender.refused, sender.resent
        sums.reconnections = sender.reconnections
        if self._began is not None:
            sums.seconds = time.monotonic() - self._began
