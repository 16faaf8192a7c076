"""Celery's broker: the Redis of the batches, unless told otherwise. It carries their ids alone."""

from typing import Any

from marshmallow import ValidationError

from process import address

SCHEMES = ("redis", "rediss", "amqp", "amqps", "sentinel")
EXAMPLE = (
    "redis://:password@host:6379/0, amqp://user:password@host:5672/vhost or sentinel://:password@host:26379/0"
)


def check(url: str) -> None:
    """Raises ValidationError. Several, by semicolons, are tried in turn."""
    for one in filter(None, map(str.strip, url.split(";"))):
        try:
            address.split(one, SCHEMES, EXAMPLE)
        except ValueError as error:
            raise ValidationError(f"{error}, and ; as %3B") from None


def transport_options(url: str, sentinel_master: str) -> dict[str, Any]:
    """What kombu is to be told, so that no call on a broker that is away takes long."""
    if url.startswith("amqp"):
        return {}
    options: dict[str, Any] = {"socket_timeout": 5, "socket_connect_timeout": 5, "socket_keepalive": True}
    if url.startswith("sentinel"):
        options["master_name"] = sentinel_master
    return options
