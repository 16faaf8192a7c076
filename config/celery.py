"""The Celery application: `celery -A config worker`."""

import logging
import logging.config
import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import (
    setup_logging,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)

from batches.queues import RESEND_TASK
from process import collecting

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("iot-monitor", events="config.events:Events")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add("config.worker:Heartbeat")
app.steps["worker"].add("config.worker:EndsInTime")

logger = logging.getLogger(__name__)

# That root runs a worker. What it warns of is pickle, which CELERY_ACCEPT_CONTENT does not have.
warnings.filterwarnings("ignore", category=SecurityWarning)

# A line or two for each task sent, received and done: with a batch every 20 ms, nothing but these.
TALKATIVE = ("celery.app.trace", "celery.worker.strategy", "celery.beat", "django_celery_beat.schedulers")


@setup_logging.connect
def log_as_django_does(**kwargs: Any) -> None:
    """Worker and beat log through LOGGING, at LOG_LEVEL; Celery then leaves logging alone."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
    if settings.LOG_LEVEL != "DEBUG":
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)


@worker_process_init.connect
def collect_garbage_seldom(**kwargs: Any) -> None:
    collecting.seldom()


@worker_process_init.connect
def begin_to_listen(**kwargs: Any) -> None:
    """Subscribes, in each child of the pool, for there batches are stored: so sensors that come back are
    seen, alerts are evaluated, and viewers are told."""
    from monitoring.alerts import watching
    from monitoring.live import publish
    from monitoring.status import changes, returning

    returning.start()
    watching.start()
    publish.start()
    changes.listen(publish.status_changed)


@worker_process_shutdown.connect
def tell_viewers_the_last(**kwargs: Any) -> None:
    from monitoring.live import publish

    publish.flush()


@task_prerun.connect
def look_at_the_connection(task: Any, **kwargs: Any) -> None:
    """A health check of the connection: it outlives its tasks, and perhaps the server's end.
    Without it a worker whose PostgreSQL restarted would fail every task from then on.
    """
    from django.db import close_old_connections, connection

    if not task.request.is_eager:
        connection.settings_dict["CONN_MAX_AGE"] = None
        connection.settings_dict["CONN_HEALTH_CHECKS"] = True
        close_old_connections()


@worker_ready.connect
def take_up_what_a_crash_left(**kwargs: Any) -> None:
    """Has the backlog of before the start retried at once. Best effort: beat does so within seconds."""
    try:
        app.send_task(RESEND_TASK, expires=60, retry=False)
    except Exception as error:
        logger.warning("overdue batches wait for beat: %s", error)
