"""Limits for one client of the web server: bytes of the headers, timeouts, and a place among the connections.

uvicorn has none of these (docs/decisions/0019): it keeps 64 MB of one header in memory while it waits for the
rest, and a request of which half has come for ever.
"""

import json
import socket
from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
# The timeout of a head, from its first byte on; of a connection that is idle; of a body that has stalled.
PATIENCE_SECONDS = 10.0
# A body that comes more slowly has stalled too, though bytes keep trickling in.
MIN_BODY_BYTES_PER_SECOND = 500
# The write timeout: a response of which the client reads nothing for so long is given up.
UNREAD_SECONDS = 60.0
# What the kernel takes in beyond what it can send at once.
UNSENT_BYTES = 64 * 1024
MAX_PIPELINED = 16


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with a client that may be anybody.

    More than `MAX_HEAD_BYTES` in a row that are no body are answered 431, what does not come in time 408, and
    the connection is closed. Where `max_connections` are open, a new one takes the place of the one that has
    kept the server waiting for longest; if none does, it is answered 503.
    """

    max_connections = 512
    #: How many answers are streams that stay open for ever. They have a bound of their own, and do not count.
    streams: Callable[[], int] = staticmethod(lambda: 0)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bytes_in_a_row = 0
        # By the loop's clock; both None while it is the server's turn.
        self._waits_since: float | None = None
        self._deadline: float | None = None
        self._begun = False
        self._watch: TimerHandle | None = None
        self._unread, self._unread_since = 0, 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        _bound_what_is_unread(transport)
        self._wait()
        self._watch = self.loop.call_later(PATIENCE_SECONDS, self._look)
        # Asked only where it may matter.
        if (
            len(self.connections) > self.max_connections
            and len(self.connections) - self.streams() > self.max_connections
        ):
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            allowed = MAX_HEAD_BYTES - self._bytes_in_a_row
            if not allowed:
                self._refuse(
                    431,
                    gettext("The request's head is too large: at most %d bytes are taken.") % MAX_HEAD_BYTES,
                )
                return
            piece, data = data[:allowed], data[allowed:]
            # The parser's callbacks set it back to 0 when a head is complete, and for each part of a body.
            self._bytes_in_a_row += len(piece)
            super().data_received(piece)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        self._wait()

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests before the first is answered")
        self._bytes_in_a_row = 0
        super().on_headers_complete()
        self._wait()

    def on_body(self, body: bytes) -> None:
        self._bytes_in_a_row = 0
        super().on_body(body)
        if self._deadline is not None:
            in_time = self._deadline + len(body) / MIN_BODY_BYTES_PER_SECOND
            self._deadline = min(in_time, self.loop.time() + PATIENCE_SECONDS)

    def on_message_complete(self) -> None:
        self._bytes_in_a_row = 0
        super().on_message_complete()
        self._begun = False
        if self.cycle.response_complete:
            self._wait()
        else:
            self._waits_since = self._deadline = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._begun:
            # uvicorn's own keep-alive is shorter, but a stray line end stops it.
            self._wait()

    def _wait(self) -> None:
        """From now on it is the client's turn."""
        self._waits_since = self.loop.time()
        self._deadline = self._waits_since + PATIENCE_SECONDS

    def _look(self) -> None:
        """Gives up a client that is too slow.

        No deadline is nearer than `PATIENCE_SECONDS` when it is set: one look in that time is enough, and a
        request costs no timer.
        """
        now = self.loop.time()
        if self._is_left_unread(now):
            self.transport.abort()
            return
        if self._deadline is not None and now >= self._deadline and not self.flow.read_paused:
            if self._begun:
                self._refuse(
                    408,
                    gettext("The request did not come in time: it stalled for %.0f s.") % PATIENCE_SECONDS,
                )
            else:
                self.transport.close()
            self._deadline = None
        wait = PATIENCE_SECONDS if self._deadline is None else max(self._deadline - now, 0.1)
        self._watch = self.loop.call_later(wait, self._look)

    def _is_left_unread(self, now: float) -> bool:
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread or not unread:
            self._unread, self._unread_since = unread, now
        return now - self._unread_since >= UNREAD_SECONDS

    def _make_room(self) -> None:
        waiting = [one for one in self.connections if isinstance(one, BoundedProtocol) and one is not self]
        longest = min(
            (one for one in waiting if one._waits_since is not None),
            key=lambda one: one._waits_since or 0.0,
            default=None,
        )
        if longest is None:
            self._refuse(503, gettext("Too many connections are open; try again later."))
        else:
            self.connections.discard(longest)
            longest.transport.abort()

    def _refuse(self, status: int, detail: str) -> None:
        """Answers, where no answer has begun, and closes."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = json.dumps({"detail": detail}).encode()
            retry = b"retry-after: 5\r\n" if status == 503 else b""
            self.transport.write(
                STATUS_LINE[status]
                + b"content-type: application/json\r\n%bconnection: close\r\n" % retry
                + b"content-length: %d\r\n\r\n%b" % (len(body), body)
            )
        self.transport.close()


def _bound_what_is_unread(transport: BaseTransport) -> None:
    """The kernel takes megabytes for a client that reads nothing, and they would be old when it does.

    And where a client has gone without a word, nothing comes back for what was sent: the connection is over
    then in a minute, not in a quarter of an hour.
    """
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * UNREAD_SECONDS))
