"""One attempt at a batch, and what may come of it."""

import logging
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone

from batches.batch import Batch
from batches.store import BatchStore, Claim
from monitoring import unread_times
from monitoring.ingest import known_partitions
from monitoring.ingest.passing import AllAlikeError, is_in_every_way, is_passing
from monitoring.ingest.ways import at_once, carefully, one_by_one
from monitoring.models import IngestBatch
from process.failpoints import failpoint

logger = logging.getLogger(__name__)

# How often a batch is retried (the last backoff is half a minute) before its messages may be to blame.
PATIENCE = 6
LATELY = timedelta(minutes=1)


class End(Enum):
    """How an attempt at a batch ended."""

    STORED = "stored"
    DONE_BEFORE = "done before"
    GONE = "gone"
    POSTPONED = "postponed"


class Attempt(NamedTuple):
    """`entry`: the ledger's row, where this attempt wrote it. `in_every_way`: the transient error that it was
    postponed for stands in the way of every other batch too."""

    end: End
    entry: IngestBatch | None = None
    in_every_way: bool = False


def ingest(store: BatchStore, batch_id: UUID) -> Attempt:
    """Claims a batch, due or not, and makes one attempt at it."""
    claim = store.claim(batch_id)
    return Attempt(End.GONE) if claim is None else attempt(store, claim)


def attempt(store: BatchStore, claim: Claim) -> Attempt:
    """One attempt at a batch: every outcome but a death of the process is handled here."""
    failpoint("ingest.claimed")
    try:
        entry = _ingest_claimed(store, claim)
    except Exception as error:
        # What is left is transient, or unknown: neither may cost a message, so the batch is retried.
        if is_passing(error):
            logger.warning("batch %s will be retried: %s", claim.batch_id, first_line(error))
        else:
            logger.exception("batch %s will be retried, for a reason that is not known", claim.batch_id)
        start_afresh()
        own_fault = isinstance(error, AllAlikeError) or not is_passing(error)
        store.postpone(claim.batch_id, apart=own_fault)
        return Attempt(End.POSTPONED, in_every_way=is_in_every_way(error))
    failpoint("ingest.committed")
    store.done(claim.batch_id)
    failpoint("ingest.done")
    return Attempt(End.DONE_BEFORE if entry is None else End.STORED, entry)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def start_afresh() -> None:
    """After an error: closes the database connection, and forgets which partitions there are."""
    connection.close()
    known_partitions.forget()


def _ingest_claimed(store: BatchStore, claim: Claim) -> IngestBatch | None:
    batch = Batch.unpack(claim.batch_id, claim.body)
    entry = _in_its_way(store, claim, batch)
    if entry is not None and entry.stored:
        unread_times.look(store.redis, batch.messages[0])
    return entry


def _in_its_way(store: BatchStore, claim: Claim, batch: Batch) -> IngestBatch | None:
    may_blame = partial(_may_blame, store, batch.id)
    if claim.needs_care:
        logger.warning(
            "batch %s: %d workers have died at it; retrying message by message, to find a poison message",
            batch.id,
            claim.deaths,
        )
        return carefully(store, batch, may_blame)
    try:
        return at_once(batch)
    except Exception as error:
        if is_passing(error):
            raise
        logger.warning("batch %s: %s; retrying message by message", batch.id, error)
        return one_by_one(batch, may_blame)


def _may_blame(store: BatchStore, batch_id: UUID) -> bool:
    """Whether it may be the batch's own fault that all of it fails: it still does after PATIENCE retries,
    while others were stored within the last minute."""
    if store.times_postponed(batch_id) < PATIENCE:
        return False
    lately = timezone.now() - LATELY
    return IngestBatch.objects.filter(ingested_at__gt=lately, stored__gt=0).exists()
