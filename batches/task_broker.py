"""Celery's broker: the Redis of the batches, unless told otherwise. It carries their ids alone."""

from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

SCHEMES = ("redis", "rediss", "amqp", "amqps", "sentinel")


def check(url: str) -> None:
    """Raises ValidationError. Empty: not given. Several, by semicolons, are tried in turn."""
    for one in filter(None, url.split(";")):
        try:
            parts = urlsplit(one.strip())
            right = (
                parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            right = False
        if not right:
            # Without the address itself: it holds a password.
            raise ValidationError(
                "not an address of Celery's broker: redis://:password@host:6379/0, "
                "amqp://user:password@host:5672/vhost or sentinel://:password@host:26379/0"
            )


def transport_options(url: str, sentinel_master: str) -> dict[str, Any]:
    """What kombu is to be told, so that no call on a broker that is away takes long."""
    if url.startswith("amqp"):
        return {}
    options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 5, "socket_keepalive": True}
    if url.startswith("sentinel"):
        options["master_name"] = sentinel_master
    return options
