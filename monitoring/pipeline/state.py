"""What the pipeline is doing now: the backlog and its age, what is missing, and who is at work."""

import time
from dataclasses import dataclass

from batches.store import BatchStore
from monitoring import books
from process.heartbeat import Sign, signs


@dataclass(frozen=True)
class State:
    """Messages, batches, bytes, seconds. `missing`: None where it cannot be said (books.missing)."""

    pending_messages: int
    pending_batches: int
    pending_bytes: int
    oldest_s: float | None
    missing: int | None
    processes: dict[str, Sign]


def read(store: BatchStore) -> State:
    """One query. Raises redis.RedisError where Redis is away."""
    figures = store.figures()
    oldest = figures.oldest_pending
    return State(
        figures.pending_messages,
        figures.pending_batches,
        figures.pending_bytes,
        None if oldest is None else max(0.0, time.time() - oldest),
        books.missing(store),
        signs(store.redis),
    )
