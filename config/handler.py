"""Django under ASGI on a pool of threads, whose connections to the database are persistent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

# Answered on threads of their own: where all others wait for a database that is away, these still say so.
PROBES = ("/healthz", "/readyz")
_PROBE_THREADS = 2


class Handler(ASGIHandler):
    """At most `threads` requests are worked on at a time; the others wait.

    Django's own handler gives each request a new thread, and so a new connection to the database, and
    switches between thread and loop for each middleware (docs/decisions/0021). Here a request is answered on
    one thread from the first middleware to the last, and the thread is free again before anything is sent. So
    a view that streams is a plain function that returns an async iterator: the iterator runs on the loop,
    holds no thread, and opens what it needs there.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(threads, "request")
        self._probe_threads = ThreadPoolExecutor(_PROBE_THREADS, "probe")
        # These would be called on a thread that has no connection; see _answer.
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)
        request_started.disconnect(reset_queries)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Without the context that Django's own makes here, whose thread would serve one request alone."""
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is served here, not {scope['type']}")
        await self.handle(scope, receive, send)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def run_get_response(self, request: HttpRequest) -> HttpResponseBase:
        threads = self._probe_threads if request.path_info in PROBES else self._threads
        answer = sync_to_async(self._answer, thread_sensitive=False, executor=threads)
        response = await answer(request)
        response._handler_class = self.__class__  # type: ignore[attr-defined]
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        reset_queries()
        close_old_connections()
        try:
            response = self.get_response(request)
        finally:
            close_old_connections()
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            response.block_size = self.chunk_size  # type: ignore[attr-defined]  # of a file
            response.streaming_content = _on_the_loop(response.streaming_content)  # type: ignore[arg-type]
        return response


async def _on_the_loop(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """A file block by block; Django would take all of it into memory first."""
    while block := await asyncio.to_thread(next, blocks, b""):
        yield block
