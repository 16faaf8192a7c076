"""Sends the task that has a batch ingested: best effort, for the batch store is the truth."""

import logging

from celery import Celery

from bridge import task_broker
from bridge.batch import Batch

logger = logging.getLogger(__name__)

INGEST_TASK = "monitoring.ingest_batch"
INGEST_QUEUE = "ingest"


def send_ingest(app: Celery, batch: Batch) -> None:
    """A task that is lost costs time alone: beat has overdue batches sent again."""
    try:
        app.send_task(
            INGEST_TASK,
            args=[str(batch.id)],
            argsrepr=batch.summary(),
            queue=INGEST_QUEUE,
            retry=False,
        )
    except Exception as error:  # kombu, redis and socket errors alike: the batch is safe already
        logger.warning("task for batch %s not sent (it will be sent again): %s", batch.id, error)


def celery_app(broker_url: str, sentinel_master: str = "") -> Celery:
    """A Celery application that can send, for a process that has no Django."""
    app = Celery("iot-monitor", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="msgpack",
        task_ignore_result=True,
        broker_transport_options=task_broker.transport_options(broker_url, sentinel_master)
        | {
            # kombu tries to connect for broker_connection_timeout otherwise, also with retry=False.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
        broker_connection_timeout=5,
    )
    return app
