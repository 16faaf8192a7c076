"""A job of upkeep that somebody waits for is sent at once, rather than with beat's next round."""

import logging

from celery import current_app
from django.db import transaction

from batches.queues import UPKEEP_QUEUE

logger = logging.getLogger(__name__)


def send_on_commit(task: str) -> None:
    """Sends the task once the open transaction has committed. Best effort: what it is to do is in the
    database, and beat sends the task each minute."""

    def send() -> None:
        try:
            current_app.send_task(task, queue=UPKEEP_QUEUE, expires=50, retry=False)
        except Exception as error:  # kombu, redis and socket errors alike
            logger.warning("%s waits for beat: %s", task, error)

    transaction.on_commit(send)
