"""Heartbeats: keys in Redis that expire, which a living process renews; healthchecks and pages read them.

    iot:heartbeat:<process>               some process of this kind is at work
    iot:heartbeat:<process>:<host name>   this one lives: `ok`, or what is wrong with its work
    iot:heartbeats                        sorted set: when each was at work last; these do not expire

deploy/healthcheck.py reads the second, as a container's healthcheck. By the third a process that has died is
missed that no list names: a bridge with a name of its own.
"""

import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from redis import Redis

INTERVAL_SECONDS = 5.0
EXPIRES_SECONDS = 20
# How long a process that has fallen silent is still shown; then it is taken for one that was given up.
REMEMBERED_SECONDS = 24 * 3600
# What belongs to every installation. Bridges may have other names, and several may be at work.
PROCESSES = ("bridge", "worker", "upkeep", "beat", "web")
_SEEN = "iot:heartbeats"
_WELL = "ok"


def bridge_process(name: str) -> str:
    """What a bridge is called here. Its `@` keeps it apart from a host's name."""
    return "bridge" if name in ("", "default") else f"bridge@{name}"


def bridge_name(process: str) -> str:
    """The name of the bridge that `bridge_process` calls so."""
    return process.partition("@")[2] or "default"


def own_key(process: str, host: str | None = None) -> str:
    return f"iot:heartbeat:{process}:{host or socket.gethostname()}"


def beat(redis: "Redis", process: str, trouble: str = "") -> None:
    """A heartbeat of this `process` (of PROCESSES, bridge@..., flower): alive, and at work if no `trouble`.

    Raises redis.RedisError.
    """
    with redis.pipeline(transaction=False) as pipeline:
        if not trouble:
            pipeline.set(f"iot:heartbeat:{process}", b"1", ex=EXPIRES_SECONDS)
            pipeline.zadd(_SEEN, {process: time.time()})
        pipeline.set(own_key(process), trouble or _WELL, ex=EXPIRES_SECONDS)
        pipeline.execute()


def is_beating(redis: "Redis", process: str) -> bool:
    """Whether any process of this kind is at work."""
    return bool(redis.exists(f"iot:heartbeat:{process}"))


def forget(redis: "Redis", processes: Iterable[str]) -> None:
    """Removes the heartbeats of an earlier run, which outlive it by some seconds."""
    redis.delete(*(f"iot:heartbeat:{process}" for process in processes))


class Sign(NamedTuple):
    """What the heartbeats say of a kind of process. `works`: whether one is at work.

    `age_s`: seconds since the last heartbeat of one at work; None: none is known.
    """

    works: bool
    age_s: float | None


def signs(redis: "Redis") -> dict[str, Sign]:
    """Of each process that is expected to be at work, or was within REMEMBERED_SECONDS.

    A bridge by its name: once there is another than the default, that one is `bridge@default`, and where
    it was never there, it is not expected.
    """
    now = time.time()
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.zremrangebyscore(_SEEN, "-inf", now - REMEMBERED_SECONDS)
        pipeline.zrange(_SEEN, 0, -1, withscores=True)
        found = cast(list[tuple[bytes, float]], pipeline.execute()[1])
    seen = {name.decode(): max(0.0, now - at) for name, at in found}
    named = sorted(name for name in seen if name.startswith("bridge@"))
    expected = [name for name in PROCESSES if name != "bridge" or name in seen or not named]
    names = [*expected, *named, *sorted(seen.keys() - {*expected, *named})]
    with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.exists(f"iot:heartbeat:{name}")
        beating = map(bool, pipeline.execute())
    shown = ["bridge@default" if name == "bridge" and named else name for name in names]
    each = zip(shown, names, beating, strict=True)
    return {said: Sign(works, seen.get(name)) for said, name, works in each}


def at_work(redis: "Redis") -> dict[str, bool]:
    """Whether each of them is."""
    return {name: sign.works for name, sign in signs(redis).items()}


def last_seen(redis: "Redis") -> dict[str, float]:
    """When each process was at work last (Unix seconds), of those that were within REMEMBERED_SECONDS."""
    found = redis.zrangebyscore(_SEEN, time.time() - REMEMBERED_SECONDS, "+inf", withscores=True)
    return {name.decode(): score for name, score in cast(list[tuple[bytes, float]], found)}


def trouble(redis: "Redis", process: str, host: str | None = None) -> str:
    """What is wrong with the process of one host (this one, unless named); empty where nothing is."""
    found = cast(bytes | None, redis.get(own_key(process, host)))
    if found is None:
        return f"no heartbeat for {EXPIRES_SECONDS} s"
    said = found.decode()
    return "" if said == _WELL else said
