"""`python -m config.web --host 127.0.0.1 --port 8000`: the site, as `make run` and the containers have it."""

import argparse
import asyncio
import os
import resource
import socket
import sys

import uvicorn

from config.http_bounds import BoundedProtocol

# Files that are open beside connections: libraries, logs, the database, Redis.
OTHER_FILES = 256
# What the header Date may be behind, and the end after a signal.
TICK_SECONDS = 0.5


class Server(uvicorn.Server):
    """Streams end when the process does; nobody has to wait until uvicorn gives them up."""

    async def main_loop(self) -> None:
        # uvicorn's own looks ten times a second whether it is to end: most of what it does at rest.
        while not await self.on_tick(counter=0):
            await asyncio.sleep(TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        from monitoring.dashboard.live import hub

        hub().end("restart")
        await super().shutdown(sockets)


def _allow_files(count: int) -> None:
    """As far as the system lets us: each connection is one, and many shells begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.web", description="Serves the site.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    BoundedProtocol.max_connections = settings.WEB_MAX_CONNECTIONS
    BoundedProtocol.streams = staticmethod(_streams)
    _allow_files(settings.WEB_MAX_CONNECTIONS + settings.LIVE_MAX_STREAMS + OTHER_FILES)
    server = Server(
        uvicorn.Config(
            "config.asgi:application",
            host=asked.host,
            port=asked.port,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            timeout_graceful_shutdown=3,
            # Whose X-Forwarded-For is believed: nobody's, unless it is said.
            proxy_headers=bool(settings.TRUSTED_PROXIES),
            forwarded_allow_ips=settings.TRUSTED_PROXIES,
        )
    )
    server.run()
    if not server.started:
        sys.exit(3)  # as uvicorn's own command does


def _streams() -> int:
    from monitoring.dashboard.live import hub

    return len(hub())


if __name__ == "__main__":
    main()
