"""Workers are called for batches that are due: while no task waits, or a long queue would only get longer."""

import time

import pytest

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from config.celery import app
from monitoring import tasks
from monitoring.tasks import resend_overdue


def overdue(store: BatchStore) -> Batch:
    """A batch whose task was lost."""
    batch = Batch(time_ordered_id(), "http", [Message(1, "", b"{}")])
    store.hand_over(batch, Receipt(str(batch.id), "", 60))
    store.redis.zadd("iot:batches:due", {str(batch.id): time.time() - 1})
    return batch


def test_it_works(store: BatchStore) -> None:
    assert resend_overdue() == 0
    overdue(store)
    overdue(store)
    assert resend_overdue() == 2
    assert store.redis.llen("ingest") == 2


def test_while_tasks_wait_none_is_added(store: BatchStore) -> None:
    app.send_task("monitoring.ingest_batch", args=["of another"], queue="ingest")
    overdue(store)
    assert resend_overdue() == 0
    assert store.redis.llen("ingest") == 1
    store.redis.delete("ingest")  # as the workers come through it
    assert resend_overdue() == 1


def test_what_was_done_while_it_looked_at_the_queue_is_not_sent_again(
    store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = overdue(store)

    def waiting() -> int:
        store.done(batch.id)
        return 0

    monkeypatch.setattr(tasks, "_waiting", waiting)
    assert resend_overdue() == 0
    assert store.redis.llen("ingest") == 0
