"""The figures above the list that are not of sensors: refused today, the backlog, what is missing."""

import time
from threading import Lock
from typing import NamedTuple

from django.db.models import Sum
from django.utils import timezone
from redis.exceptions import RedisError

from monitoring import books
from monitoring.models import RejectedTally
from monitoring.store import glance

# How long figures are cached: many open pages cause one query.
KEPT_SECONDS = 1.0


class Summary(NamedTuple):
    """Messages; `rejected` readings. None where Redis does not answer, or `missing` cannot be told now."""

    rejected: int
    pending: int | None
    missing: int | None


_lock = Lock()
_kept: dict[object, tuple[float, Summary]] = {}


def read() -> Summary:
    """The figures, cached; of today as the viewer's zone has it."""
    today = timezone.localtime().replace(minute=0, second=0, microsecond=0, hour=0)
    with _lock:
        at, found = _kept.get(today, (0.0, None))
        if found is None or time.monotonic() - at > KEPT_SECONDS:
            found = _read(today)
            _kept.clear()
            _kept[today] = time.monotonic(), found
        return found


def _read(today: object) -> Summary:
    rejected = RejectedTally.objects.filter(hour__gte=today).aggregate(sum=Sum("seen"))["sum"] or 0
    try:
        store = glance()
        return Summary(rejected, store.figures().pending_messages, books.missing(store))
    except RedisError:
        return Summary(rejected, None, None)
