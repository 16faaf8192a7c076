"""This process's batch store: one pool of connections for each patience that a caller can have."""

from functools import cache

from django.conf import settings

from batches.connect import connect
from batches.store import BatchStore
from process.pulse import Pulse


def batch_store() -> BatchStore:
    """For whoever hands over, claims and finishes batches."""
    return _store(settings.REDIS_URL, settings.BATCHES_MAX_BYTES, settings.BATCH_LEASE_SECONDS, 5, 2)


def glance() -> BatchStore:
    """For pages, healthchecks and whatever else would rather say that Redis is away than wait for it."""
    return _store(settings.REDIS_URL, settings.BATCHES_MAX_BYTES, settings.BATCH_LEASE_SECONDS, 1, 1)


def pulse(process: str) -> Pulse:
    """The heartbeat of this process, which is a `process` (web, worker, beat, flower)."""
    return Pulse(glance().redis, process)


@cache
def _store(url: str, max_bytes: int, lease_seconds: float, seconds: float, to_connect: float) -> BatchStore:
    return BatchStore(connect(url, seconds, to_connect=to_connect), max_bytes, lease_seconds)
