"""The books: every message handed over is pending or in the ledger; every reading in the ledger is
stored, a duplicate, or rejected.

read() gives, for the API, the admin and the metrics:

    {"handed_over": 7, "redelivered": 0,                     messages
     "pending": {"messages": 0, "batches": 0, "bytes": 0, "oldest_age_s": None},
     "ledger": {"batches": 3, "messages": 7, "readings": 8, "stored": 6, "duplicates": 1, "rejected": 1},
     "corrected": 0,                                         messages
     "missing": 0,                                           messages; None where it cannot be said
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

# How often `missing` looks, how long a look may take, and how many pending batches it looks up in the ledger.
LOOKS = 3
LOOK_SECONDS = 5.0
MOST_PENDING = 10_000


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
    missing: int | None
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
    """The books, by four queries and a few Redis calls. Raises redis.RedisError where Redis is away.

    Two stores cannot be read as of one moment: while batches are being ingested a message may stand
    on both sides, or on none, for an instant. At rest the sums are exact; `missing` is at every moment.
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
        "missing": missing(store),
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
    """Messages that the ledger lacks, or with a minus Redis: those handed over, less pending, less ledger.

    Exact while batches come and go. None where it cannot be said: more than MOST_PENDING batches wait, or
    more than a thousand came within a look, three times. Raises redis.RedisError where Redis is away.

    1. Redis says as of one moment what was handed over, and which batches are pending. Any other batch that
       was handed over until then is done: its row was committed before, so the ledger shows it from now on.
    2. The ledger says, in one statement, how many messages it has. That counts two kinds of batches too
       often: those that were pending at that moment, whose rows are committed by now, and those that came
       after it. So it also says how many messages it has of the former, and names the latest of its batches.
    3. Redis says which batches came after that moment. Of those that the ledger named they are taken out.
    """
    for _ in range(LOOKS):
        begun = time.monotonic()
        standing = store.standing(MOST_PENDING)
        if standing is None:
            return None
        entered = IngestBatch.objects.entered(standing.pending, LOOK_SECONDS)
        came = store.handed_over_after(standing.handed_over)
        # A batch that came after the look began was stored in a transaction that began after it: had the look
        # taken longer than that, the ledger might not have named it.
        if came is None or time.monotonic() - begun > LOOK_SECONDS:
            continue
        too_often = entered.of_batches + sum(entered.lately.get(batch_id, 0) for batch_id in came)
        ledger = entered.messages - too_often + entered.corrected
        return standing.handed_over - standing.messages - ledger
    return None


class NotKnown(Exception):
    """It cannot be said at this moment what is missing; a retry may."""


def correct(store: BatchStore, reason: str) -> Correction | None:
    """Notes by how many messages the two sides differ; None where they do not.

    A batch whose key somebody deleted in Redis is missing, and from then on no longer pending.
    Raises NotKnown, and redis.RedisError where Redis is away.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.CORRECT])
        store.forget_gone()
        messages = missing(store)
        if messages is None:
            raise NotKnown
        return Correction.objects.create(messages=messages, reason=reason) if messages else None


def _corrected() -> int:
    return Correction.objects.aggregate(sum=Sum("messages"))["sum"] or 0
