"""Keys in Redis that expire: a process that lives renews them; checks and pages read them.

    iot:heartbeat:<process>               some process of this kind is at work
    iot:heartbeat:<process>:<host name>   this one lives: `ok`, or what is wrong with its work

deploy/healthcheck.py reads the second kind, as a container's healthcheck.
"""

import socket
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from redis import Redis

INTERVAL_SECONDS = 5.0
EXPIRES_SECONDS = 20
_WELL = "ok"


def bridge_process(name: str) -> str:
    """What a bridge is called here. Its `@` keeps it apart from a host's name."""
    return "bridge" if name == "default" else f"bridge@{name}"


def own_key(process: str, host: str | None = None) -> str:
    return f"iot:heartbeat:{process}:{host or socket.gethostname()}"


def beat(redis: "Redis", process: str, trouble: str = "") -> None:
    """Says that this `process` (web, bridge, worker, beat, flower) is alive; with no `trouble`, at work."""
    with redis.pipeline(transaction=False) as pipeline:
        if not trouble:
            pipeline.set(f"iot:heartbeat:{process}", b"1", ex=EXPIRES_SECONDS)
        pipeline.set(own_key(process), trouble or _WELL, ex=EXPIRES_SECONDS)
        pipeline.execute()


def is_beating(redis: "Redis", process: str) -> bool:
    """Whether any process of this kind is at work."""
    return bool(redis.exists(f"iot:heartbeat:{process}"))


def trouble(redis: "Redis", process: str, host: str | None = None) -> str:
    """What is wrong with the process of one host (this one, unless named); empty where nothing is."""
    found = cast(bytes | None, redis.get(own_key(process, host)))
    if found is None:
        return f"no heartbeat for {EXPIRES_SECONDS} s"
    said = found.decode()
    return "" if said == _WELL else said
