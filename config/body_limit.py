"""How much of a request's body is read before anybody asks what it is for."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """An ASGI application that answers 413 to a body of more than `max_bytes`, and reads no more of it.

    Django stores the whole of a body, in memory and then in /tmp, before it looks at the path or at who
    sends it: without this, a stranger fills the disk or, in a container, the memory.
    """

    def __init__(self, application: Application, max_bytes: int) -> None:
        self.application, self.max_bytes = application, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and (len(length) > 18 or int(length) > self.max_bytes):
            await self._refuse(send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise _TooLargeError
            return message

        try:
            await self.application(scope, counted, send)
        except _TooLargeError:
            # Django reads all of the body before it begins to answer.
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        detail = f"The body is too large: at most {self.max_bytes} bytes are taken."
        body = json.dumps({"detail": detail}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
