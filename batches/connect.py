"""The one way to Redis: connections with timeouts, for a frozen Redis would hold its caller for ever."""

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry


def connect(url: str, seconds: float = 5, *, to_connect: float | None = None, retries: int = 1) -> Redis:
    """A client that gives bytes; it connects with its first command.

    `seconds`: the timeout of an answer and, unless `to_connect` is given, of connecting. A command whose
    connection fails, as after a restart of Redis, is retried at once, `retries` times; any further retry,
    with its backoff, is the caller's. The client's methods raise redis.RedisError.
    """
    return Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds if to_connect is None else to_connect,
        socket_keepalive=True,
        health_check_interval=25,
        retry=Retry(NoBackoff(), retries, (RedisConnectionError,)),
    )
