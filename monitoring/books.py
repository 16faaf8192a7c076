"""The books: every message handed over is pending or in the ledger; every reading in the ledger is
stored, a duplicate, or rejected.

read() gives, for the API, the admin and the metrics:

    {"handed_over": 7, "redelivered": 0,                     messages
     "pending": {"messages": 0, "batches": 0, "bytes": 0, "oldest_age_s": None},
     "ledger": {"batches": 3, "messages": 7, "readings": 8, "stored": 6, "duplicates": 1, "rejected": 1},
     "corrected": 0,                                         messages
     "balanced": True,
     "rejected": {"waiting": 1, "replayed": 0, "dismissed": 0, "gone": 0},   readings
     "rejected_by_code": {"unknown_sensor": {"seen": 1, "kept": 1, "waiting": 1, ...}},
     "processes": {"bridge": True, "worker": True, "upkeep": True, "beat": True, "web": True}}

Where a bridge has a name of its own, each of them stands among the processes too ("bridge@hall": True,
"bridge@default": True), and "bridge" says whether all are at work.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypedDict

from django.db import connection, transaction
from django.db.models import Sum
from redis import Redis

from batches.store import BatchStore
from monitoring import locks
from monitoring.models import Correction, IngestBatch, RejectedTally
from monitoring.models.ledger import Sums
from monitoring.models.rejected_tally import Seen
from monitoring.store import batch_store
from process.heartbeat import at_work


class Pending(TypedDict):
    messages: int
    batches: int
    bytes: int
    oldest_age_s: float | None


class Rejected(TypedDict):
    """Readings; together as many as the ledger's. `gone`: never kept, or deleted while they waited."""

    waiting: int
    replayed: int
    dismissed: int
    gone: int


class Books(TypedDict):
    handed_over: int
    redelivered: int
    pending: Pending
    ledger: Sums
    corrected: int
    balanced: bool
    rejected: Rejected
    rejected_by_code: dict[str, Seen]
    processes: dict[str, bool]


def oldest_pending(store: BatchStore | None = None) -> datetime | None:
    """When the oldest batch was handed over that is not known to be done; None where nothing is pending."""
    oldest = (store or batch_store()).figures().oldest_pending
    return None if oldest is None else datetime.fromtimestamp(oldest, UTC)


def processes(redis: "Redis") -> dict[str, bool]:
    each = at_work(redis)
    return {"bridge": all(works for name, works in each.items() if name.startswith("bridge"))} | each


def read(store: BatchStore) -> Books:
    """Two queries and a few Redis calls; raises redis.RedisError where Redis is away.

    Two stores cannot be read as of one moment: while batches are being ingested a message may stand
    on both sides, or on none, for an instant. At rest the sums are exact.
    """
    figures = store.figures()
    ledger = IngestBatch.objects.sums()
    corrected = _corrected()
    oldest = figures.oldest_pending
    by_code = RejectedTally.objects.by_code()
    return {
        "handed_over": figures.handed_over,
        "redelivered": figures.redelivered,
        "pending": {
            "messages": figures.pending_messages,
            "batches": figures.pending_batches,
            "bytes": figures.pending_bytes,
            "oldest_age_s": None if oldest is None else round(max(0.0, time.time() - oldest), 3),
        },
        "ledger": ledger,
        "corrected": corrected,
        "balanced": figures.handed_over == figures.pending_messages + ledger["messages"] + corrected
        and ledger["readings"] == ledger["stored"] + ledger["duplicates"] + ledger["rejected"],
        "rejected": _of_the_rejected(by_code),
        "rejected_by_code": by_code,
        "processes": processes(store.redis),
    }


def _of_the_rejected(by_code: Mapping[str, Seen]) -> Rejected:
    seen, waiting, replayed, dismissed = (
        sum(counts[name] for counts in by_code.values())
        for name in ("seen", "waiting", "replayed", "dismissed")
    )
    gone = seen - waiting - replayed - dismissed
    return {"waiting": waiting, "replayed": replayed, "dismissed": dismissed, "gone": gone}


def missing(store: BatchStore) -> int | None:
    """Messages that the ledger lacks, or with a minus Redis; None while some are on their way.

    Raises redis.RedisError where Redis is away.
    """
    before = store.figures()
    ledger = IngestBatch.objects.sums()["messages"] + _corrected()
    # Nothing pending, and nothing handed over meanwhile: the ledger was read between two batches.
    if before.pending_batches or store.figures().handed_over != before.handed_over:
        return None
    return before.handed_over - ledger


class NotAtRest(Exception):
    """Messages are on their way, so nobody can say what is missing."""


def correct(store: BatchStore, reason: str) -> Correction | None:
    """Notes by how many messages the two sides differ; None where they do not.

    Raises NotAtRest, and redis.RedisError where Redis is away.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.CORRECT])
        messages = missing(store)
        if messages is None:
            raise NotAtRest
        return Correction.objects.create(messages=messages, reason=reason) if messages else None


def _corrected() -> int:
    return Correction.objects.aggregate(sum=Sum("messages"))["sum"] or 0
