"""Celery's doors into the stories: thin, each a line or two."""

import logging
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from amqp.exceptions import ChannelError
from celery import current_app, shared_task
from django.conf import settings
from django.utils.translation import gettext
from kombu import Queue

from batches.dispatch import send_again
from batches.queues import INGEST_QUEUE, INGEST_TASK, RESEND_TASK
from monitoring import books
from monitoring.alerts import due, telling
from monitoring.ingest import Attempt, End, work
from monitoring.ingest.lines import line
from monitoring.models import IngestBatch
from monitoring.rejected import jobs
from monitoring.rollups.refresh import Refreshed, refresh
from monitoring.status import looking
from monitoring.store import batch_store
from monitoring.upkeep import deleting, dropping, expiring, folding, giving_way, removal, schedule
from monitoring.upkeep.partitions import ensure_partitions
from monitoring.upkeep.pieces import TimeShare
from process.report import Report
from process.said import _

logger = logging.getLogger(__name__)

# Each of these tasks keeps a worker at work for as long as anything is due.
RESEND_AT_ONCE = 100
# Of the 10 s between two refreshes: what is left then is the next one's.
REFRESH_SECONDS = 8
# What the runs of jobs count, marked for translation.
COUNTED = (_("rows"), _("sensors"), _("deletions"), _("messages"), _("jobs"), _("sensor_rows"), _("rejected"))
# What a run of a job that works in pieces may take of a worker; what is left waits for the next run.
SHARE_SECONDS = 10


@shared_task(name=INGEST_TASK)
def ingest_batch(batch_id: str) -> str:
    """Consumes the backlog, what has been due longest first; returns how many batches ended how.

    The batch that the task names is for whoever looks at the tasks: it waits its turn in the store, or is
    done already.
    """
    store = batch_store()
    ends: Counter[End] = Counter()

    def tell(attempt: Attempt) -> None:
        ends[attempt.end] += 1
        _tell(attempt)

    if work(store, tell) and (due := store.due(1)):
        send_again(current_app, due[0])
    return ", ".join(f"{count} {end.value}" for end, count in ends.items()) or "nothing due"


@shared_task(name=RESEND_TASK)
def resend_overdue() -> int:
    """Sends tasks for batches that are due, where the queue is empty; returns how many.

    Tasks get lost, with a worker or with Celery's broker; and of a large backlog most batches have none.
    """
    store = batch_store()
    # At rest this is all. Asked again below: what is due now may be done once the queue is seen to be empty.
    if not store.due(1):
        return 0
    if _waiting():
        return 0
    due = store.due(RESEND_AT_ONCE)
    for batch_id in due:
        send_again(current_app, batch_id)
    if due:
        logger.info("backlog: tasks sent again for %d batches", len(due))
    return len(due)


def _waiting() -> int:
    """Tasks in the queue of batches, whatever broker carries it."""
    # A connection of its own: one of the pool may be of before the broker's last restart.
    with current_app.connection_for_read() as connection:
        try:
            queue = Queue(INGEST_QUEUE, channel=connection.default_channel)
            declared: Any = queue.queue_declare(passive=True)  # the stubs say str
        except ChannelError:  # no such queue: nothing was ever sent
            return 0
        return int(declared.message_count)


@shared_task(name=schedule.MAKE_PARTITIONS)
def make_partitions() -> list[str]:
    """Makes the partitions of now and of the weeks ahead; returns those that were missing."""
    now = datetime.now(UTC)
    made = ensure_partitions(now, now + timedelta(days=35 if settings.PARTITION_WIDTH == "month" else 14))
    if made:
        logger.info("partitions made: %s", ", ".join(made))
    return made


@shared_task(name=schedule.REFRESH_ROLLUPS)
def refresh_rollups() -> dict[str, int]:
    """Refreshes the rollups piece by piece; returns how many batches and minutes that took.

    Takes as many batches as wait when it begins: what comes in meanwhile falls into much the same minutes,
    and would have them computed again and again.
    """
    end = time.monotonic() + REFRESH_SECONDS
    waiting, done = IngestBatch.objects.untaken().count(), Refreshed()
    while done.batches < waiting and time.monotonic() < end and (latest := refresh()) and latest.batches:
        done = done.plus(latest)
    if time.monotonic() >= end:
        logger.info("rollups: %d batches in %d s, and a backlog is left", done.batches, REFRESH_SECONDS)
    return done._asdict()


@shared_task(name=schedule.DROP_PARTITIONS)
def drop_partitions() -> list[str]:
    """Drops the partitions that have been kept long enough; returns their names."""
    return [partition.name for partition in dropping.drop_partitions()]


@shared_task(name=schedule.DELETE_EXPIRED)
def delete_expired() -> dict[str, int]:
    """Deletes rows that go before their partition, and old rejected messages; returns how many."""
    return _told(gettext("expired"), expiring.delete_expired(TimeShare(SHARE_SECONDS)))


@shared_task(name=schedule.GIVE_WAY)
def give_way() -> int:
    """Deletes what rejected messages take past REJECTED_MAX_BYTES; returns how many."""
    rows = giving_way.give_way(TimeShare(SHARE_SECONDS))
    if rows:
        logger.warning(
            "%d rejected messages deleted, the oldest of the loudest: REJECTED_MAX_BYTES was exceeded",
            rows,
        )
    return rows


@shared_task(name=schedule.REMOVE_SENSORS)
def remove_sensors() -> dict[str, int]:
    """Goes on removing the sensors that somebody deleted; returns how many rows and sensors went."""
    return _told(gettext("removed with their sensors"), removal.remove_sensors(TimeShare(SHARE_SECONDS)))


@shared_task(name=schedule.DELETE_MEASUREMENTS)
def delete_measurements() -> dict[str, int]:
    """Goes on deleting the measurements that somebody named; returns how many went, and requests ended."""
    return _told(gettext("deleted as false"), deleting.delete_measurements(TimeShare(SHARE_SECONDS)))


@shared_task(name=schedule.FOLD_LEDGER)
def fold_ledger() -> dict[str, int]:
    """Counts the ledger's rows into totals, and deletes them after 7 days; returns how many."""
    return folding.fold(TimeShare(SHARE_SECONDS), books.oldest_pending(batch_store()))


@shared_task(name=schedule.WORK_JOBS)
def work_jobs() -> dict[str, int]:
    """Goes on with jobs on rejected messages; returns how many messages were dealt with, and jobs ended."""
    return _told(gettext("rejected messages"), jobs.work(TimeShare(SHARE_SECONDS)))


@shared_task(name=schedule.LOOK_AT_SENSORS)
def look_at_sensors() -> int:
    """Looks at the sensors whose status may have changed; returns of how many it has."""
    return looking.job(batch_store(), TimeShare(SHARE_SECONDS)).changed


@shared_task(name=schedule.EVALUATE_ALERTS)
def evaluate_alerts() -> dict[str, int]:
    """Evaluates what is due of alerts; returns of how many sensors, and how many incidents that changed."""
    done = due.job(batch_store(), TimeShare(SHARE_SECONDS))
    return {"evaluated": done.pairs, "fired": len(done.fired), "ended": len(done.ended)}


@shared_task(name=schedule.SEND_ALERTS)
def send_alerts() -> dict[str, int]:
    """Gathers and sends what is to be told of alerts; returns how many deliveries were sent, failed, wait."""
    return asdict(telling.job(batch_store(), TimeShare(SHARE_SECONDS)))


def _told(what: str, counts: dict[str, int]) -> dict[str, int]:
    if any(counts.values()):
        told = ", ".join(f"{count} {gettext(name)}" for name, count in counts.items() if count)
        logger.info("%s: %s", what, told)
    return counts


@cache
def _report() -> Report:
    return Report(
        logger, lambda counts, seconds: line(settings.LANGUAGE_CODE, "stored many", *counts, seconds), 3
    )


def _tell(attempt: Attempt) -> None:
    entry = attempt.entry
    if entry is None:
        return
    language = settings.LANGUAGE_CODE
    lines = [lambda: line(language, "stored")] * min(entry.stored, 11)
    lines += [lambda: line(language, "duplicate")] * min(entry.duplicates, 11)
    if entry.rejected:
        lines.append(lambda: line(language, "rejected", entry.rejected, entry.pk))
    _report().tell(lines, [entry.stored, entry.duplicates, entry.rejected])
