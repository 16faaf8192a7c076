"""The consumer's loop: claims what has been due longest, until nothing is due or its time is up."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from batches.batch import Batch
from batches.store import BatchStore, Claim
from monitoring import unread_times
from monitoring.ingest.attempt import Attempt, End, attempt, first_line, ingest, start_afresh
from monitoring.ingest.passing import is_in_every_way
from monitoring.ingest.together import together
from monitoring.models import IngestBatch
from process.failpoints import failpoint

logger = logging.getLogger(__name__)

# A task that goes on for longer keeps its worker from everything else, and from stopping.
RUN_SECONDS = 2.0


def work(store: BatchStore, tell: Callable[[Attempt], None], seconds: float = RUN_SECONDS) -> bool:
    """Attempts what is due for so many seconds, calling `tell` after each attempt.

    Returns whether more is due that a worker could claim now: not after an error that every batch would meet.
    """
    end = time.monotonic() + seconds
    while claims := store.take():
        for made in _attempts(store, claims):
            tell(made)
            if made.in_every_way:
                return False
        if time.monotonic() >= end:
            return bool(store.due(1))
    return False


def _attempts(store: BatchStore, claims: Sequence[Claim]) -> Iterator[Attempt]:
    """Attempts claimed batches: together, or where that fails one by one.

    Ends with the first that is postponed for an error that every batch would meet; so are all that are left.
    """
    if len(claims) == 1:
        yield attempt(store, claims[0])
        return
    failpoint("ingest.claimed")
    left = [claim.batch_id for claim in claims]
    try:
        batches = [Batch.unpack(claim.batch_id, claim.body) for claim in claims]
        entries = together(batches)
    except Exception as error:
        start_afresh()
        if is_in_every_way(error):
            logger.warning("%d batches will be retried: %s", len(left), first_line(error))
            store.postpone_together(left)
            yield Attempt(End.POSTPONED, in_every_way=True)
            return
        logger.warning("%d batches are retried one by one: %s", len(left), first_line(error))
        entries = []
    else:
        if any(entry.stored for entry in entries):
            unread_times.look(store.redis, batches[-1].messages[0])
    yield from _stored(store, entries)
    stored = {entry.pk for entry in entries}
    left = [batch_id for batch_id in left if batch_id not in stored]
    while left:
        made = ingest(store, left.pop(0))
        if made.in_every_way and left:
            store.postpone_together(left)
            left.clear()
        yield made


def _stored(store: BatchStore, entries: Sequence[IngestBatch]) -> Iterator[Attempt]:
    if not entries:
        return
    failpoint("ingest.committed")
    store.done(*(entry.pk for entry in entries))
    failpoint("ingest.done")
    for entry in entries:
        yield Attempt(End.STORED, entry)
