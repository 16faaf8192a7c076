"""How much of a request's body is read before anybody asks what it is for."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.utils.translation import gettext

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


# Of all requests together that are read or answered just now: Django keeps each whole in memory.
MAX_IN_FLIGHT_BYTES = 64 * 2**20
RETRY = (b"retry-after", b"5")


class _TooLargeError(Exception):
    pass


class _FullError(Exception):
    pass


class BodyLimit:
    """An ASGI middleware that answers 413 to a body of more than `max_bytes`, and reads no more of it; 503
    where all bodies that are held just now would come to more than `max_in_flight` bytes.

    Django stores the whole of a body, in memory and then in /tmp, before it looks at the path or at who
    sends it: without this, a stranger fills the disk or, in a container, the memory.
    """

    def __init__(
        self, application: Application, max_bytes: int, max_in_flight: int = MAX_IN_FLIGHT_BYTES
    ) -> None:
        self.application, self.max_bytes, self.max_in_flight = application, max_bytes, max_in_flight
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and (len(length) > 18 or int(length) > self.max_bytes):
            await self._refuse_large(send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self.in_flight += size
            if received > self.max_bytes:
                raise _TooLargeError
            if self.in_flight > self.max_in_flight:
                raise _FullError
            return message

        try:
            await self.application(scope, counted, send)
        except _TooLargeError:
            # Django reads all of the body before it begins to answer.
            await self._refuse_large(send)
        except _FullError:
            await self._refuse(send, 503, gettext("Too much is being sent at once; try again later."), RETRY)
        finally:
            self.in_flight -= received

    async def _refuse_large(self, send: Send) -> None:
        await self._refuse(
            send, 413, gettext("The body is too large: at most %d bytes are taken.") % self.max_bytes
        )

    async def _refuse(self, send: Send, status: int, detail: str, *more: tuple[bytes, bytes]) -> None:
        body = json.dumps({"detail": detail}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *more,
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
