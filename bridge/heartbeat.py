"""A key in Redis that expires: a process that lives and works renews it; checks and pages read it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis

INTERVAL_SECONDS = 5.0
EXPIRES_SECONDS = 20


def beat(redis: "Redis", process: str) -> None:
    """Says that `process` (web, bridge, worker, beat) is alive and at work."""
    redis.set(f"iot:heartbeat:{process}", b"1", ex=EXPIRES_SECONDS)


def is_beating(redis: "Redis", process: str) -> bool:
    return bool(redis.exists(f"iot:heartbeat:{process}"))
