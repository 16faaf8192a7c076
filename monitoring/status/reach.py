"""The watermark: up to which moment all that was sent is known to be stored. No sensor is late for what we
have not read.

It is the earliest of

- when the oldest batch was handed over that still waits,
- when each bridge last said that its broker serves it; one that has just come back lets what the broker kept
  for it arrive first,
- when a worker last sent its heartbeat, where none is alive any more.

Where that lies back more than a little, we are behind.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _
from redis import Redis
from redis.exceptions import RedisError

from batches.names import Names, Serving
from batches.store import BatchStore
from monitoring.status.rule import Outage
from monitoring.store import glance
from process import heartbeat

# Bridges say every 5 s that they are served, and batches wait for a moment at the busiest of times.
IS_BEHIND = timedelta(seconds=15)
# How long the broker's backlog may take to come, and boards to reconnect to it.
CATCHES_UP = timedelta(seconds=30)
# A bridge that is away for longer, while another is served, is taken for one that was given up.
GIVEN_UP = timedelta(hours=1)
_LOOKED_AT = "iot:status:looked_at"


class Why(models.TextChoices):
    REDIS = "redis", _("Redis does not answer")
    PENDING = "pending", _("batches wait to be stored")
    BRIDGE = "bridge", _("a bridge is away, or has no connection to its broker")
    CATCHING_UP = "catching_up", _("a bridge has just come back, and what the broker kept arrives first")
    WORKER = "worker", _("no worker is there that stores what comes")
    UPKEEP = "upkeep", _("the job that looks at sensors does not run")


class Behind(NamedTuple):
    """`since`: what was sent after that may be missing; None where not even that is known."""

    since: datetime | None
    why: Why


class Reach(NamedTuple):
    """`until`: the watermark, before which all that was sent is stored; None: not known. `outage`: when we
    took nothing last."""

    until: datetime | None = None
    why: Why = Why.REDIS
    outage: Outage | None = None

    def is_behind(self, now: datetime) -> bool:
        return self.until is None or now - self.until > IS_BEHIND


def reach(store: BatchStore, now: datetime | None = None) -> Reach:
    """A few calls to Redis; raises nothing."""
    now = now or datetime.now(UTC)
    try:
        seen = heartbeat.last_seen(store.redis)
        bridges = list(_bridges(store.redis, seen, now))
        limits = [limit for limit, _outage in bridges]
        if not limits:
            return Reach(None, Why.BRIDGE)
        oldest = store.figures().oldest_pending
        if oldest is not None:
            limits.append((_moment(oldest), Why.PENDING))
        if not heartbeat.is_beating(store.redis, "worker"):
            limits.append((_moment(seen.get("worker", 0)), Why.WORKER))
    except (RedisError, OSError):
        return Reach()
    until, why = min((min(at, now), why) for at, why in limits)
    outages = [outage for _limit, outage in bridges if outage is not None]
    return Reach(until, why, max(outages, key=lambda one: one.end, default=None))


def _bridges(
    redis: "Redis", seen: dict[str, float], now: datetime
) -> Iterator[tuple[tuple[datetime, Why], Outage | None]]:
    names = [one for one in seen if one == "bridge" or one.startswith("bridge@")]
    said = {name: Names(redis).serving(heartbeat.bridge_name(name)) for name in names}
    # One of an earlier version says no more than that it lives.
    served = {name: one or Serving(None, seen[name], seen[name]) for name, one in said.items()}
    newest = max((one.until for one in served.values()), default=0.0)
    for one in served.values():
        if newest - one.until > GIVEN_UP.total_seconds():
            continue
        if one.before is None:
            yield (_moment(one.until), Why.BRIDGE), None
            continue
        outage = Outage(_moment(one.before), _moment(one.since))
        if now - outage.end < CATCHES_UP:
            yield (outage.start, Why.CATCHING_UP), outage
        else:
            yield (_moment(one.until), Why.BRIDGE), outage


def note_look(redis: "Redis", now: datetime) -> None:
    """Notes that the job ran. Raises redis.RedisError."""
    redis.set(_LOOKED_AT, now.timestamp())


def behind(now: datetime | None = None) -> Behind | None:
    """Why nobody can be called late or silent just now; None where that can be told. Raises nothing."""
    now = now or datetime.now(UTC)
    store = glance()
    known = reach(store, now)
    if known.is_behind(now):
        return Behind(known.until, known.why)
    try:
        looked_at = store.redis.get(_LOOKED_AT)
    except (RedisError, OSError):
        return Behind(None, Why.REDIS)
    if looked_at is not None and now - _moment(float(looked_at)) > _RUNS:
        return Behind(_moment(float(looked_at)), Why.UPKEEP)
    return None


# The job comes every 10 s, and other jobs may hold it up for as long as they may take.
_RUNS = timedelta(minutes=1)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
