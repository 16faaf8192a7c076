"""`python -m config.web --host 127.0.0.1 --port 8000`: the site, as `make run` and the containers have it."""

import argparse
import os

import uvicorn

from config.http_bounds import BoundedProtocol


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.web", description="Serves the site.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    BoundedProtocol.max_connections = settings.WEB_MAX_CONNECTIONS
    uvicorn.run(
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


if __name__ == "__main__":
    main()
