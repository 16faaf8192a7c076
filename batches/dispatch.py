"""Sends the task that has batches ingested: best effort, for the batch store is the source of truth.

A task names a batch for whoever looks at the tasks, but it only wakes a worker: that claims the batch which
has been due longest.
"""

import logging
import time
from uuid import UUID

from celery import Celery

from batches import task_broker
from batches.batch import Batch
from batches.queues import INGEST_QUEUE, INGEST_TASK
from process.backoff import Backoff

logger = logging.getLogger(__name__)

# With so large a backlog no worker is idle, so another task would wake nobody; and each costs Redis 1.2 KB.
ENOUGH_TASKS = 100
# A broker that refuses does so at once; one that is silent holds up the sender, for seconds each time.
SILENT_SECONDS = 1.0


class _Way:
    """A circuit breaker for one broker: after a task that ran into a timeout, none is sent for a backoff."""

    def __init__(self) -> None:
        self.fails = False
        self.shut_until = 0.0
        self._backoff = Backoff()

    def failed(self, seconds: float) -> None:
        self.fails = True
        if seconds >= SILENT_SECONDS:
            self.shut_until = time.monotonic() + self._backoff.next()

    def worked(self) -> None:
        self.fails = False
        self._backoff.reset()


_ways: dict[str, _Way] = {}


def send_ingest(app: Celery, batch: Batch, pending: int) -> None:
    """Wakes a worker for a batch that was handed over, unless the backlog (`pending`) keeps all busy."""
    if pending <= ENOUGH_TASKS:
        _send(app, batch.id, batch.summary())


def send_again(app: Celery, batch_id: UUID) -> None:
    """Wakes a worker for a batch that is due and that nobody has claimed."""
    _send(app, batch_id, f"again: {batch_id}")


def _send(app: Celery, batch_id: UUID, said: str) -> None:
    """Sends the task, without a retry; raises nothing. `said`: what Flower shows of it.

    A lost task costs only time, since beat sends another while batches are due. Waiting for a silent broker
    costs more, for the next batch waits behind it: so after a timeout nothing is sent for a while.
    """
    way = _ways.setdefault(str(app.conf.broker_url), _Way())
    began = time.monotonic()
    if began < way.shut_until:
        return
    try:
        app.send_task(INGEST_TASK, args=[str(batch_id)], argsrepr=said, queue=INGEST_QUEUE, retry=False)
    except Exception as error:  # kombu, redis and socket errors alike: the batch is safe already
        if not way.fails:
            logger.warning("task for batch %s not sent (it will be sent again): %s", batch_id, error)
        way.failed(time.monotonic() - began)
    else:
        if way.fails:
            logger.info("tasks are sent again")
        way.worked()


def celery_app(broker_url: str, sentinel_master: str = "") -> Celery:
    """A Celery application that can send, for a process that has no Django."""
    app = Celery("iot-monitor", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="msgpack",
        task_ignore_result=True,
        broker_transport_options=task_broker.transport_options(broker_url, sentinel_master)
        | {
            # kombu retries the connection for broker_connection_timeout otherwise, also with retry=False.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
        broker_connection_timeout=5,
    )
    return app
