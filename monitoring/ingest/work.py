"""A worker at work: it takes up what has been due longest, until nothing is due or its time is up."""

import time
from collections.abc import Callable

from batches.store import BatchStore
from monitoring.ingest.attempt import Attempt, End, attempt, database_answers

# A task that goes on keeps its worker from everything else, and from stopping.
RUN_SECONDS = 2.0


def work(store: BatchStore, tell: Callable[[Attempt], None], seconds: float = RUN_SECONDS) -> bool:
    """Tells of each attempt. Returns whether more is due that a worker could take up now."""
    end = time.monotonic() + seconds
    while claims := store.take():
        for claim in claims:
            made = attempt(store, claim)
            tell(made)
            if made.end is End.POSTPONED and not database_answers():
                return False
        if time.monotonic() >= end:
            return bool(store.due(1))
    return False
