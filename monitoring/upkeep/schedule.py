"""What beat does by itself, as rows that a person may change, slow down or switch off in the admin."""

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS

from batches.queues import INGEST_QUEUE, RESEND_TASK, UPKEEP_QUEUE
from process.said import _

MAKE_PARTITIONS = "monitoring.make_partitions"
REFRESH_ROLLUPS = "monitoring.refresh_rollups"
DROP_PARTITIONS = "monitoring.drop_partitions"
DELETE_EXPIRED = "monitoring.delete_expired"
GIVE_WAY = "monitoring.give_way"
REMOVE_SENSORS = "monitoring.remove_sensors"
DELETE_MEASUREMENTS = "monitoring.delete_measurements"
FOLD_LEDGER = "monitoring.fold_ledger"
WORK_JOBS = "monitoring.work_jobs"
LOOK_AT_SENSORS = "monitoring.look_at_sensors"
EVALUATE_ALERTS = "monitoring.evaluate_alerts"
SEND_ALERTS = "monitoring.send_alerts"


@dataclass(frozen=True)
class Job:
    """A task and how often it is sent.

    `expires` (seconds) is just under the interval: where no worker takes the task, the next one replaces it
    rather than add to a backlog. Name and description are stored in English, since rows are found by their
    names; the admin shows the names in the reader's language.
    """

    name: str
    task: str
    every: int
    period: str
    expires: int
    description: str
    queue: str = UPKEEP_QUEUE


JOBS = (
    Job(
        _("resend overdue batches"),
        RESEND_TASK,
        *(5, "seconds", 4),
        "Calls the workers for batches that are due and that none of them is at.",
        # Of a moment, and batches wait for it: it must not stand behind a job of minutes.
        INGEST_QUEUE,
    ),
    Job(
        _("make partitions ahead"),
        MAKE_PARTITIONS,
        *(6, "hours", 6 * 3600 - 60),
        "Makes the partitions of measurements before the first row that needs them.",
    ),
    Job(
        _("refresh rollups"),
        REFRESH_ROLLUPS,
        *(10, "seconds", 9),
        "Computes the minutes, hours and days again that new measurements fall into.",
    ),
    Job(
        _("drop partitions"),
        DROP_PARTITIONS,
        *(10, "minutes", 540),
        "Drops the partitions that lie before the edge of their retention.",
    ),
    Job(
        _("delete what has expired"),
        DELETE_EXPIRED,
        *(15, "minutes", 840),
        "Deletes, in pieces, measurements of sensors kept for less time, and old rejected messages.",
    ),
    Job(
        _("make room among the rejected"),
        GIVE_WAY,
        *(1, "minutes", 50),
        "Deletes the oldest of the loudest rejected messages where all of them take too much.",
    ),
    Job(
        _("remove sensors"),
        REMOVE_SENSORS,
        *(1, "minutes", 50),
        "Removes, in pieces, the sensors that were deleted and all that was theirs.",
    ),
    Job(
        _("delete false readings"),
        DELETE_MEASUREMENTS,
        *(1, "minutes", 50),
        "Deletes, in pieces, the measurements that somebody named as false, and computes their rollups anew.",
    ),
    Job(
        _("fold the ledger"),
        FOLD_LEDGER,
        *(1, "minutes", 50),
        "Counts the ledger's rows into totals, and deletes them after 7 days.",
    ),
    Job(
        _("replay and dismiss rejected messages"),
        WORK_JOBS,
        *(1, "minutes", 50),
        "Goes on, in pieces, with the replays and dismissals that somebody asked for.",
    ),
    Job(
        _("look at sensors"),
        LOOK_AT_SENSORS,
        *(10, "seconds", 9),
        "Finds out which sensors have become late or silent.",
    ),
    Job(
        _("evaluate alerts"),
        EVALUATE_ALERTS,
        *(10, "seconds", 9),
        "Evaluates the rules of alerts that fall due by time, and what workers have not evaluated.",
    ),
    Job(
        _("send alerts"),
        SEND_ALERTS,
        *(10, "seconds", 9),
        "Gathers what is to be told of alerts into messages, and sends them to their channels.",
    ),
)


def make_schedule(using: str = DEFAULT_DB_ALIAS, **kwargs: object) -> None:
    """Makes the rows that are missing, by name, after every migrate; of one that is there, the queue.

    So a job is switched off by its `enabled`, not by deleting it: a deleted one comes back.
    """
    if using != DEFAULT_DB_ALIAS:
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    there = dict(PeriodicTask.objects.values_list("name", "queue"))
    for job in JOBS:
        # Who takes a job is for the code to say; what was made by an earlier version has its queue.
        if job.name in there and there[job.name] != job.queue:
            PeriodicTask.objects.filter(name=job.name, task=job.task).update(queue=job.queue)
    missing = [job for job in JOBS if job.name not in there]
    if not missing:
        return
    # Nothing makes an interval unique: of those alike, the first.
    intervals = {(one.every, one.period): one for one in IntervalSchedule.objects.order_by("-pk")}
    for every, period in {(job.every, job.period) for job in missing} - intervals.keys():
        intervals[every, period] = IntervalSchedule.objects.create(every=every, period=period)
    tasks = [
        PeriodicTask(
            name=job.name,
            task=job.task,
            interval=intervals[job.every, job.period],
            queue=job.queue,
            expire_seconds=job.expires,
            description=job.description,
        )
        for job in missing
    ]
    # Somebody else may migrate at the same moment.
    PeriodicTask.objects.bulk_create(tasks, ignore_conflicts=True)
    PeriodicTasks.update_changed()  # which beat looks at
