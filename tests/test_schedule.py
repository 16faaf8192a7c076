"""The schedule is made once and belongs to the person who changes it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from celery import Celery
from django.core.checks import run_checks
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from batches.connect import connect
from batches.queues import INGEST_QUEUE, INGEST_TASK, UPKEEP_QUEUE
from batches.store import BatchStore
from config.beat import WAIT_SECONDS, Scheduler
from config.celery import app
from monitoring.upkeep.schedule import JOBS, make_schedule
from process.heartbeat import is_beating

pytestmark = pytest.mark.django_db
PROJECT = Path(__file__).parents[1]


def test_it_works() -> None:
    make_schedule()
    for job in JOBS:
        task = PeriodicTask.objects.get(name=job.name)
        assert (task.task, task.enabled, task.queue) == (job.task, True, job.queue)
        assert task.expire_seconds == job.expires < task.interval.schedule.run_every.total_seconds()


def test_each_job_is_a_task_and_each_task_of_ours_is_sent_by_somebody() -> None:
    """By the registry of a worker: a job that names no task would fail there, each time, and only there."""
    app.loader.import_default_modules()
    registered = {name for name in app.tasks if name.startswith("monitoring.")}
    assert {job.task for job in JOBS} | {INGEST_TASK} == registered


def test_each_queue_is_served_where_the_processes_are_listed() -> None:
    queues = {INGEST_QUEUE, UPKEEP_QUEUE}
    assert {job.queue for job in JOBS} == queues
    procfile = re.findall(r"^\w+: celery .*worker.* -Q (\S+)", (PROJECT / "Procfile").read_text(), re.M)
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"].values()
    commands = [service["command"] for service in services if "worker" in service.get("command", [])]
    composed = [command[command.index("-Q") + 1] for command in commands]
    for found in (procfile, composed):
        assert sorted(queue for served in found for queue in served.split(",")) == sorted(queues)


def test_what_a_person_changed_stays() -> None:
    slow = IntervalSchedule.objects.create(every=1, period="hours")
    intervals = IntervalSchedule.objects.count()
    PeriodicTask.objects.filter(name=JOBS[0].name).update(enabled=False, interval=slow)
    PeriodicTask.objects.filter(name=JOBS[1].name).delete()
    before = PeriodicTasks.last_change()
    make_schedule()
    assert PeriodicTasks.last_change() > before, "a beat that runs reads what was added"
    task = PeriodicTask.objects.get(name=JOBS[0].name)
    assert (task.enabled, task.interval) == (False, slow)
    assert PeriodicTask.objects.filter(name=JOBS[1].name, enabled=True).exists()
    assert IntervalSchedule.objects.count() == intervals


def test_nothing_but_what_is_done_in_a_moment_stands_before_the_batches() -> None:
    assert [job.task for job in JOBS if job.queue != "upkeep"] == ["monitoring.resend_overdue"]
    assert app.amqp.router.route({}, "monitoring.resend_overdue")["queue"].name == "ingest"


def test_no_worker_of_the_procfile_takes_both_batches_and_jobs_that_last() -> None:
    lines = (Path(__file__).parents[1] / "Procfile").read_text().splitlines()
    asked_for = {
        line.partition(":")[0]: line.partition(" -Q ")[2].split()[0] for line in lines if " -Q " in line
    }
    assert asked_for == {"worker": "ingest", "upkeep": "upkeep"}
    [upkeep] = [line for line in lines if line.startswith("upkeep:")]
    assert " -c 1 " in upkeep, "each job takes what it needs of PostgreSQL: one at a time"


def test_a_job_of_an_earlier_version_gets_the_queue_of_this_one() -> None:
    PeriodicTask.objects.filter(name=JOBS[0].name).update(queue="upkeep", enabled=False)
    make_schedule()
    task = PeriodicTask.objects.get(name=JOBS[0].name)
    assert (task.queue, task.enabled) == ("ingest", False)


def test_another_database_is_left_alone() -> None:
    PeriodicTask.objects.all().delete()
    make_schedule(using="replica")
    assert not PeriodicTask.objects.exists()


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch, store: BatchStore) -> Iterator[Scheduler]:
    # The test's transaction must outlive the ticks.
    monkeypatch.setattr("config.beat.close_old_connections", lambda: None)
    monkeypatch.setattr("django_celery_beat.schedulers.close_old_connections", lambda: None)
    monkeypatch.setattr("django_celery_beat.schedulers.transaction.commit", lambda: None)
    monkeypatch.setattr(Celery, "send_task", lambda self, name, *args, **kwargs: sent.append(name))
    sent.clear()
    monkeypatch.setattr("config.beat.connection.close", lambda: None)
    scheduler = Scheduler(app=app)
    yield scheduler
    scheduler._finalize.cancel()  # it would look for the database when the tests are over


sent: list[str] = []


def test_a_tick_says_that_beat_lives(scheduler: Scheduler, store: BatchStore) -> None:
    assert scheduler.tick() <= 5
    assert is_beating(store.redis, "beat")


def test_what_was_sent_is_noted_at_once_but_for_jobs_of_seconds(scheduler: Scheduler) -> None:
    """A beat that is killed sends again what it has not noted: by itself it notes every three minutes."""
    scheduler.tick()
    seldom = {job.task for job in JOBS if job.period != "seconds"}
    before = timezone.now() - timedelta(days=2)
    PeriodicTask.objects.update(last_run_at=before)
    PeriodicTasks.update_changed()
    scheduler._asked_at = None
    sent.clear()
    for _ in range(len(JOBS)):
        scheduler.tick()
        noted = PeriodicTask.objects.filter(last_run_at__gt=before).values_list("task", flat=True)
        assert set(noted) & seldom == set(sent) & seldom
    assert set(sent) == {job.task for job in JOBS}


def test_jobs_of_seconds_are_noted_within_a_minute(scheduler: Scheduler) -> None:
    scheduler.tick()
    scheduler._do_sync()
    of_seconds = [job.name for job in JOBS if job.period == "seconds"]
    scheduler._dirty.update(of_seconds)
    assert not scheduler.should_sync()
    scheduler._last_sync -= 61
    assert scheduler.should_sync()


def test_a_job_that_runs_once_is_noted_at_once(scheduler: Scheduler) -> None:
    """Its note is what ends it: a beat that is killed before would have it run again."""
    scheduler.tick()
    scheduler._do_sync()
    name = next(job.name for job in JOBS if job.period == "seconds")
    PeriodicTask.objects.filter(name=name).update(one_off=True)
    PeriodicTasks.update_changed()
    scheduler._asked_at = None
    assert scheduler.schedule[name].model.one_off
    scheduler._dirty = {name}
    assert scheduler.should_sync()


def send_all(scheduler: Scheduler) -> None:
    """All jobs that there are come due, and are sent."""
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(days=2))
    PeriodicTasks.update_changed()
    scheduler._asked_at = None
    for _ in range(len(JOBS)):
        scheduler.tick()


def test_it_handles_a_job_that_is_deleted_before_it_is_noted(scheduler: Scheduler) -> None:
    scheduler.tick()
    scheduler._do_sync()
    send_all(scheduler)
    of_seconds = [job.name for job in JOBS if job.period == "seconds"]
    scheduler._dirty.update(of_seconds)
    PeriodicTask.objects.filter(name__in=of_seconds).delete()
    sent.clear()
    send_all(scheduler)
    assert set(sent) == {job.task for job in JOBS if job.period != "seconds"}


def test_a_tick_asks_once_whether_the_schedule_is_another_one(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler.tick()
    monkeypatch.setattr("config.beat.WAIT_SECONDS", 3600.0)
    scheduler._asked_at = None
    with CaptureQueriesContext(connection) as asked:
        for _ in range(3):
            scheduler.tick()
    assert len([query for query in asked if "periodictasks" in query["sql"]]) == 1


def test_it_handles_a_database_that_is_away(
    scheduler: Scheduler, store: BatchStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone() -> None:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr("config.beat.connection.ensure_connection", gone)
        assert [scheduler.tick(), scheduler.tick()] == [WAIT_SECONDS, WAIT_SECONDS]
    assert caplog.text.count("waits for the database") == 1
    assert is_beating(store.redis, "beat")
    assert scheduler.tick() != WAIT_SECONDS


def test_it_handles_a_redis_that_is_away(scheduler: Scheduler, caplog: pytest.LogCaptureFixture) -> None:
    scheduler.pulse._redis = connect("redis://127.0.0.1:1/0")
    scheduler.tick()
    scheduler.tick()
    assert caplog.text.count("does not take the heartbeat") == 1


def test_too_many_partitions_are_refused_before_anything_starts(settings: object) -> None:
    def said() -> list[str]:
        return [f"{e.msg} {e.hint}" for e in run_checks() if e.id == "monitoring.E001"]

    assert said() == []
    settings.PARTITION_WIDTH = "day"  # type: ignore[attr-defined]
    (line,) = said()
    assert "RETENTION_DAYS=730" in line
    assert "PARTITION_WIDTH=week" in line
    settings.PARTITION_WIDTH = "month"  # type: ignore[attr-defined]
    settings.ROLLUP_MINUTE_RETENTION_DAYS = settings.ROLLUP_HOUR_RETENTION_DAYS = 36_500  # type: ignore[attr-defined]
    (line,) = said()
    assert "ROLLUP_MINUTE_RETENTION_DAYS=36500" in line
    assert "Set ROLLUP_MINUTE_RETENTION_DAYS to 3273 or less." in line
    settings.ROLLUP_MINUTE_RETENTION_DAYS = 3273  # type: ignore[attr-defined]
    assert said() == []
