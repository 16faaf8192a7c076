"""The one way to Redis: connections with bounds, for a frozen Redis would hold its caller for ever."""

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry


def connect(url: str, seconds: float = 5, *, to_connect: float | None = None, retries: int = 1) -> Redis:
    """A client that gives bytes; nothing is sent before its first command.

    `seconds`: how long it waits for an answer, and, unless `to_connect` says otherwise, for a connection.
    A connection that a restart had closed is tried again at once, `retries` times: whoever calls decides
    what to do after that.
    """
    return Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds if to_connect is None else to_connect,
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(NoBackoff(), retries, (RedisConnectionError,)),
    )
