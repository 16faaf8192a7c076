"""Many rejected messages at once, in pieces: watched, stopped, and gone on with after a death."""

import signal
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection

from batches.store import BatchStore
from monitoring import locks
from monitoring.ingest import ingest, ways
from monitoring.models import IngestBatch, Job, Measurement, RejectedMessage, RejectedTally, Sensor
from monitoring.rejected import jobs
from monitoring.rejected.replay import UnitChange
from monitoring.rejected.selection import Selection
from monitoring.upkeep.pieces import TimeShare
from tests.elsewhere import elsewhere
from tests.ingest.conftest import MakeBatch
from tests.locks import held_until_wanted
from tests.rejected.conftest import Reject, reading, register, require_exact_books

PROJECT = Path(__file__).parents[2]
UNKNOWN = Selection(code="unknown_sensor")

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PIECE", 3)


def replay_job(ana: User, which: Selection = UNKNOWN, **more: object) -> Job:
    return jobs.request(Job.Kind.REPLAY, which, ana, **more)  # type: ignore[arg-type]


def finished(job: Job) -> Job:
    jobs.work(TimeShare())
    job.refresh_from_db()
    assert job.finished_at is not None
    return job


def test_it_replays_all_of_a_selection(
    reject: Reject, store: BatchStore, ana: User, small_pieces: None, noon: datetime
) -> None:
    rows = reject(*(reading(12 + place % 2, place) for place in range(10)), b"garbage", at=noon)
    register(12)
    job = replay_job(ana)
    assert job.state == "waiting"
    finished(job)
    assert (job.state, job.total, job.dealt_with) == ("done", 10, 10)
    assert (job.stored, job.duplicates, job.rejected, job.codes) == (5, 0, 5, {"unknown_sensor": 5})
    assert Measurement.objects.count() == 5
    assert RejectedMessage.objects.waiting().count() == 6
    rows[0].refresh_from_db()
    assert rows[0].replayed_by == ana
    require_exact_books(store)
    assert jobs.work(TimeShare()) == {"messages": 0, "jobs": 0}


@pytest.mark.parametrize(
    ("which", "ids"),
    [
        (Selection(sensor=12), [0, 1, 3]),
        (Selection(only_sensor=13), [2]),
        (Selection(topic="iot/measurements", code="unknown_sensor"), [0, 1, 2]),
        (Selection(topic="elsewhere"), []),
        (Selection(detail="there is no sensor 13"), [2]),
        (Selection(code="bad_type"), [3]),
        (Selection(without_sensor=True), [4]),
    ],
)
def test_a_selection_takes_what_meets_all_that_it_says(
    which: Selection, ids: list[int], reject: Reject
) -> None:
    rows = reject(reading(12), reading(12, 2), reading(13), b'{"sensor_id": 12, "value": "x"}', b"{")
    assert Selection.from_json(which.as_json()) == which
    assert [row.pk for row in which.waiting().order_by("pk")] == [rows[place].pk for place in ids]


def test_a_selection_has_a_beginning_and_an_end(reject: Reject, noon: datetime) -> None:
    rows = [reject(reading(value=hour), at=noon + timedelta(hours=hour))[0] for hour in range(3)]
    which = Selection(start=noon + timedelta(hours=1), until=noon + timedelta(hours=2))
    assert Selection.from_json(which.as_json()) == which
    assert which.waiting().get() == rows[1]
    assert Selection(ids=(rows[0].pk,)).waiting().get() == rows[0]


def test_what_is_rejected_after_it_began_is_no_matter_of_its(
    reject: Reject, ana: User, small_pieces: None
) -> None:
    reject(*(reading(value=place) for place in range(5)))
    job = replay_job(ana)
    pieces = jobs._pieces(job.pk, TimeShare())
    next(pieces)
    reject(reading(value=5))
    assert sum(pieces) == 2
    job.refresh_from_db()
    assert (job.total, job.dealt_with) == (5, 5)


def test_it_is_stopped_between_two_pieces(
    reject: Reject, store: BatchStore, ana: User, small_pieces: None
) -> None:
    reject(*(reading(value=place) for place in range(10)))
    register(12)
    job = replay_job(ana)
    pieces = jobs._pieces(job.pk, TimeShare())
    next(pieces)
    assert jobs.request_stop(job.pk)
    assert list(pieces) == []
    job.refresh_from_db()
    assert (job.state, job.dealt_with, job.stored) == ("stopped", 3, 3)
    assert RejectedMessage.objects.waiting().count() == 7
    assert not jobs.request_stop(job.pk)
    assert not jobs.request_stop(0)
    require_exact_books(store)


def test_what_was_cut_is_left_out(reject: Reject, ana: User) -> None:
    reject(b"x" * 20_000)
    job = finished(replay_job(ana, Selection()))
    assert (job.total, job.dealt_with) == (0, 0)


def test_it_reads_a_unit_as_another(reject: Reject, store: BatchStore, ana: User) -> None:
    reject(reading(1, 1, unit="C"), reading(1, 2, unit="C"))
    job = finished(replay_job(ana, Selection(code="unit_mismatch"), change=UnitChange("C", "°C")))
    assert job.stored == 2
    require_exact_books(store)


def test_it_dismisses_with_a_reason(reject: Reject, store: BatchStore, ana: User, small_pieces: None) -> None:
    reject(*(reading(value=place) for place in range(7)), b"x" * 20_000)
    job = jobs.request(Job.Kind.DISMISS, Selection(), ana, reason="a test of the board")
    finished(job)
    assert (job.dealt_with, job.dismissed) == (8, 8)
    assert set(RejectedMessage.objects.values_list("state", "outcome", "replayed_by")) == {
        ("dismissed", "a test of the board", ana.pk)
    }
    assert RejectedTally.objects.by_code()["unknown_sensor"]["dismissed"] == 7
    require_exact_books(store)
    register(12)
    assert finished(replay_job(ana)).total == 0


def test_a_dry_run_says_what_a_job_would_come_to(
    reject: Reject, store: BatchStore, ana: User, small_pieces: None, noon: datetime
) -> None:
    ts = noon.timestamp()
    reject(
        *(reading(value=place, ts=ts + place) for place in range(8)),
        *(reading(value=place, ts=ts + place) for place in range(4)),  # in other pieces than their likes
        *(reading(value=-1, ts=ts), reading(unit="F"), reading()),
    )
    register(12, unit="°C")
    told: list[tuple[int, int]] = []
    sums = jobs.look(UNKNOWN, tell=lambda done, total: told.append((done, total)))
    assert sums == jobs.Sums(15, 15, 9, 4, {"conflict": 1, "unit_mismatch": 1})
    assert told[-1] == (15, 15)
    assert not Measurement.objects.exists()
    assert jobs.look(UNKNOWN, most=4).messages == 6
    job = finished(replay_job(ana))
    assert (job.stored, job.duplicates, job.codes) == (sums.stored, sums.duplicates, sums.rejected)
    require_exact_books(store)


def test_where_a_worker_is_at_it_another_leaves_it(reject: Reject, ana: User) -> None:
    reject(reading())
    job = replay_job(ana)
    with held_until_wanted(locks.JOBS):
        assert jobs.work(TimeShare()) == {"messages": 0, "jobs": 0}
    assert finished(job).dealt_with == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", ["jobs.attempt", "replay.locked", "replay.before_commit", "jobs.piece"])
def test_after_a_death_it_goes_on_where_its_last_piece_ended(
    point: str, reject: Reject, store: BatchStore, ana: User, small_pieces: None
) -> None:
    reject(*(reading(value=place) for place in range(10)), reading(13))
    register(12)
    job = replay_job(ana)
    died = elsewhere(lambda: jobs.work(TimeShare()), f"{point}=kill@2")
    assert died.code == -signal.SIGKILL, died.said
    # What was done is done whole, and the piece at which it died not at all.
    require_exact_books(store)
    job.refresh_from_db()
    assert job.stored == Measurement.objects.count() == (6 if point == "jobs.piece" else 3)
    finished(job)
    assert (job.total, job.dealt_with, job.stored, job.rejected) == (11, 11, 10, 1)
    assert IngestBatch.objects.filter(source="replay").count() == 4
    require_exact_books(store)


@pytest.mark.django_db(transaction=True)
def test_a_message_that_kills_its_worker_is_passed_over(
    reject: Reject, store: BatchStore, ana: User, small_pieces: None
) -> None:
    reject(*(reading(value=place) for place in range(4)), reading(value=6.66), reading(value=5))
    register(12)
    job = replay_job(ana)
    deaths = 0
    while code := elsewhere(lambda: jobs.work(TimeShare()), "replay.message=kill?6.66").code:
        assert code == -signal.SIGKILL
        deaths += 1
        assert deaths < 10
    job.refresh_from_db()
    assert job.state == "done"
    assert (job.stored, job.codes) == (5, {"crashed_worker": 1})
    assert RejectedMessage.objects.waiting().count() == 1
    require_exact_books(store)


def test_an_error_around_it_is_said_and_it_is_tried_again(
    reject: Reject, store: BatchStore, ana: User
) -> None:
    reject(reading(), reading(value=2))
    register(12)
    job = replay_job(ana)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_measurement RENAME COLUMN value TO worth")
    jobs.work(TimeShare())
    job.refresh_from_db()
    assert "value" in job.error
    assert (job.state, job.attempts, job.dealt_with) == ("running", 0, 0)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_measurement RENAME COLUMN worth TO value")
    assert finished(job).stored == 2
    assert job.error == ""
    require_exact_books(store)


@pytest.mark.django_db(transaction=True)
def test_it_begins_once_what_was_being_stored_is_stored(
    reject: Reject, store: BatchStore, ana: User, hand_over: MakeBatch
) -> None:
    """A batch that took the sensor for unknown may commit after the sensor is registered."""
    holding, go_on = threading.Event(), threading.Event()
    batch = hand_over(reading(), reading(value=2))

    def late() -> None:
        def wait(name: str, at_hand: bytes = b"") -> None:
            if name == "ingest.entered" and threading.current_thread() is thread:
                holding.set()
                assert go_on.wait(30)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ways, "failpoint", wait)
            ingest(store, batch.id)
        connection.close()

    thread = threading.Thread(target=late)
    thread.start()
    assert holding.wait(30)
    register(12)
    job = replay_job(ana, Selection(sensor=12))
    assert not Sensor.objects.wait_for_holders(0)
    worker = threading.Thread(target=lambda: (jobs.work(TimeShare()), connection.close()))
    worker.start()
    # Neither is a new batch held up meanwhile.
    assert reject(reading(1)) == []
    assert RejectedMessage.objects.count() == 0
    go_on.set()
    thread.join()
    worker.join()
    job.refresh_from_db()
    assert (job.state, job.total, job.stored) == ("done", 2, 2)
    require_exact_books(store)
