"""This process's batch store: one pool of connections for each timeout that callers need."""

from functools import cache

from django.conf import settings

from batches.connect import connect
from batches.store import BatchStore
from process.pulse import Pulse


def batch_store() -> BatchStore:
    """For producers and consumers: whoever hands over, claims and acknowledges batches."""
    return _store(settings.REDIS_URL, settings.BATCHES_MAX_BYTES, settings.BATCH_LEASE_SECONDS, 5, 2)


def glance() -> BatchStore:
    """With a timeout of 1 s: for pages, healthchecks and what else should rather fail than wait for Redis."""
    return _store(settings.REDIS_URL, settings.BATCHES_MAX_BYTES, settings.BATCH_LEASE_SECONDS, 1, 1)


def pulse(process: str) -> Pulse:
    """The heartbeat of this process, which is a `process` (web, worker, beat, flower)."""
    return Pulse(glance().redis, process)


@cache
def _store(url: str, max_bytes: int, lease_seconds: float, seconds: float, to_connect: float) -> BatchStore:
    return BatchStore(connect(url, seconds, to_connect=to_connect), max_bytes, lease_seconds)
