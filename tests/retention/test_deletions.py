"""False readings are deleted in pieces, each with the rollups made of them, and who asked is kept."""

import json
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batches.batch import Batch
from batches.store import BatchStore, Receipt
from monitoring import books, locks, tasks
from monitoring.ingest import ingest
from monitoring.models import Deletion, GoneSpan, IngestBatch, Measurement, MinuteRollup, Sensor
from monitoring.rollups import series
from monitoring.rollups.refresh import refresh
from monitoring.span import Span
from monitoring.transfer.formats import Format
from monitoring.transfer.rows_out import Selection, chunks
from monitoring.upkeep import deleting
from monitoring.upkeep.deleting import delete_measurements, look, request_deletion
from monitoring.upkeep.dropping import drop_partitions
from monitoring.upkeep.expiring import delete_expired
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import remove_sensors
from tests.elsewhere import elsewhere
from tests.locks import held_until_wanted
from tests.rollups.rows import DAY, HOUR, MINUTE, Row, buckets, expected
from tests.rollups.rows import store as store_rows

PROJECT = Path(__file__).parents[2]
FALSE = -127.0


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "PIECE", 10)


def which(start: datetime, until: datetime, sensor: int = 1, **values: float) -> Deletion:
    return Deletion(sensor_id=sensor, start=start, until=until, **values)


def asked(start: datetime, until: datetime, sensor: int = 1, **values: float) -> Deletion:
    deletion = which(start, until, sensor, **values)
    request_deletion(deletion, "ana")
    return deletion


def every(step: timedelta, count: int, start: datetime, false_every: int = 7) -> list[Row]:
    """Rows of sensor 1; each `false_every`-th says -127."""
    return [
        (1, start + place * step, FALSE if place % false_every == 0 else float(place % 5))
        for place in range(count)
    ]


@pytest.mark.django_db
def test_it_works(sensors: dict[int, Sensor], noon: datetime, small_pieces: None) -> None:
    store_rows([*every(20 * timedelta(seconds=1), 90, noon), (2, noon, FALSE)])
    refresh()
    found = look(which(noon + MINUTE, noon + HOUR, high=-100.0))
    assert (found.count, found.min, found.max, found.frozen, found.counted_until) == (
        12,
        FALSE,
        FALSE,
        0,
        None,
    )
    assert (found.first, found.last) == (noon + timedelta(seconds=140), noon + timedelta(seconds=1680))
    assert Measurement.objects.count() == 91
    assert not Deletion.objects.exists()

    deletion = asked(noon + MINUTE, noon + HOUR, high=-100.0)
    assert delete_measurements(TimeShare()) == {"rows": 12, "deletions": 1}

    deletion.refresh_from_db()
    assert (deletion.deleted, deletion.first, deletion.last) == (12, found.first, found.last)
    assert (deletion.requested_by, deletion.frozen) == ("ana", 0)
    assert deletion.finished_at is not None
    assert list(Measurement.objects.filter(value=FALSE).values_list("sensor_id", "created_at")) == [
        (1, noon),
        (2, noon),
    ]
    # With no refresh in between; and a refresh has nothing to mend.
    assert buckets() == expected()
    refresh()
    assert buckets() == expected()
    assert delete_measurements(TimeShare()) == {"rows": 0, "deletions": 0}


@pytest.mark.django_db
def test_only_what_was_named_goes(sensors: dict[int, Sensor], noon: datetime) -> None:
    store_rows([(1, noon + second * timedelta(seconds=1), float(second)) for second in range(6)])
    for low, high, left in ((None, 0.0, [1, 2, 3, 4, 5]), (5.0, None, [1, 2, 3, 4]), (2.0, 3.0, [1, 4])):
        values = {name: end for name, end in (("low", low), ("high", high)) if end is not None}
        asked(noon, noon + MINUTE, **values)
        delete_measurements(TimeShare())
        assert sorted(Measurement.objects.values_list("value", flat=True)) == left
    # The end is not included, the beginning is.
    asked(noon + timedelta(seconds=1), noon + timedelta(seconds=4))
    delete_measurements(TimeShare())
    assert list(Measurement.objects.values_list("value", flat=True)) == [4]


@pytest.mark.django_db
def test_what_is_too_much_to_count_is_said(
    sensors: dict[int, Sensor], noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_rows(every(MINUTE, 30, noon))
    monkeypatch.setattr(deleting, "LOOKED_AT", 29)
    assert look(which(noon, noon + DAY)).counted_until == noon + 29 * MINUTE
    monkeypatch.setattr(deleting, "LOOKED_AT", 30)
    assert look(which(noon, noon + DAY)).counted_until is None


@pytest.mark.django_db
def test_a_piece_reads_no_more_than_its_rows(
    sensors: dict[int, Sensor], noon: datetime, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few of a long span match, each transaction is short; and a run ends when its time is used."""
    store_rows(every(MINUTE, 95, noon, false_every=40))
    refresh()
    deletion = asked(noon, noon + DAY, high=-100.0)
    used = iter([False, False, False, True])
    with monkeypatch.context() as patched:
        patched.setattr(TimeShare, "is_used", property(lambda share: next(used, True)))
        assert delete_measurements(TimeShare(1)) == {"rows": 1, "deletions": 0}
    deletion.refresh_from_db()
    assert (deletion.position, deletion.deleted, deletion.finished_at) == (noon + 20 * MINUTE, 1, None)
    assert buckets() == expected()
    assert delete_measurements(TimeShare()) == {"rows": 2, "deletions": 1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("nth", [1, 3, 5])
def test_it_handles_a_worker_that_is_killed(
    sensors: dict[int, Sensor], noon: datetime, small_pieces: None, nth: int
) -> None:
    store_rows(every(20 * timedelta(seconds=1), 45, noon))
    refresh()
    deletion = asked(noon, noon + HOUR, low=0.0)
    died = elsewhere(lambda: delete_measurements(TimeShare()), f"deleting.deleted=kill@{nth}")
    assert died.code == -signal.SIGKILL, died.said

    # What was done is done whole, and the piece in which it died not at all.
    deletion.refresh_from_db()
    gone = [row for row in every(MINUTE, 10 * (nth - 1), noon) if row[2] != FALSE]
    assert deletion.deleted == 45 - Measurement.objects.count() == len(gone)
    assert buckets() == expected()
    assert delete_measurements(TimeShare())["deletions"] == 1
    deletion.refresh_from_db()
    assert deletion.deleted == 38
    assert set(Measurement.objects.values_list("value", flat=True)) == {FALSE}
    assert buckets() == expected()


@pytest.mark.django_db
def test_a_series_never_shows_what_is_gone(
    sensors: dict[int, Sensor], noon: datetime, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each piece, with no refresh in between: as buckets, which the rollups serve."""
    store_rows(every(MINUTE, 50, noon, false_every=2))
    refresh()
    # What no refresh has taken yet is deleted too.
    store_rows([(1, noon + place * MINUTE + timedelta(seconds=30), FALSE) for place in range(50)])
    asked(noon, noon + HOUR, high=-100.0)
    pieces = 0
    while Deletion.objects.open().exists():
        used = iter([False, False, True])
        with monkeypatch.context() as patched:
            patched.setattr(TimeShare, "is_used", property(lambda share, used=used: next(used, True)))
            delete_measurements(TimeShare(1))
        pieces += 1
        said = series.read(sensors[1], Span(noon, noon + DAY), 24)
        assert said.resolution == "1h"
        assert sum(point.count for point in said.points) == Measurement.objects.count()
        low = min(Measurement.objects.values_list("value", flat=True))
        assert min(point.min for point in said.points) == low
    assert pieces == 11
    assert series.read(sensors[1], Span(noon, noon + DAY), 24).points[0].min == 0
    refresh()
    assert buckets() == expected()


@pytest.mark.django_db
def test_the_books_stay_as_they_are_and_a_batch_that_comes_again_changes_nothing(
    sensors: dict[int, Sensor], noon: datetime, store: BatchStore, hand_over: Callable[..., Batch]
) -> None:
    """The ledger says what came in. A device that says it anew, with the same ts, has it stored anew."""

    def payload(value: float) -> bytes:
        return json.dumps({"sensor_id": 1, "value": value, "ts": noon.timestamp()}).encode()

    batch = hand_over(payload(FALSE))
    assert ingest(store, batch.id).entry is not None
    before = IngestBatch.objects.sums()
    asked(noon, noon + MINUTE)
    assert delete_measurements(TimeShare()) == {"rows": 1, "deletions": 1}
    assert IngestBatch.objects.sums() == before
    assert (before["readings"], before["stored"]) == (1, 1)
    assert books.read(store)["balanced"]

    store.hand_over(batch, Receipt("again", "", 60))
    ingest(store, batch.id)
    assert not Measurement.objects.exists()

    # Not a conflict: nothing stands under its key any more.
    ingest(store, hand_over(payload(21.0)).id)
    assert Measurement.objects.get().value == 21.0
    refresh()
    assert buckets() == expected()


@pytest.mark.django_db
def test_an_export_leaves_it_out(sensors: dict[int, Sensor], noon: datetime) -> None:
    """Also one that is under way, from its next chunk on."""
    store_rows(every(MINUTE, 30, noon, false_every=2))
    export = chunks(Selection(1), Format.CSV, rows=10)
    first = next(export).text
    assert first.count(b"-127") == 5
    asked(noon, noon + HOUR, high=-100.0)
    delete_measurements(TimeShare())
    assert [(chunk.rows, chunk.text.count(b"-127")) for chunk in export] == [(10, 0)]
    assert b"-127" not in next(chunks(Selection(1), Format.CSV)).text


@pytest.mark.django_db(transaction=True)
def test_where_rows_have_gone_the_rollups_stay(
    partitions: str, pending: Callable[..., None], measure: Callable[..., None], now: datetime
) -> None:
    """A span that retention thinned out: a bucket there would be computed from a part of its rows."""
    old = now.replace(second=0, microsecond=0) - timedelta(days=20)
    pending(old)
    Sensor.objects.filter(pk=1).update(retention_days=5)
    delete_expired(TimeShare())
    Sensor.objects.filter(pk=1).update(retention_days=None)
    measure(1, old + timedelta(seconds=30))
    pending(now - DAY, 3)
    refresh()
    assert GoneSpan.objects.get().sensor_id == 1

    found = look(which(old, now))
    assert (found.count, found.frozen) == (4, 1)
    deletion = asked(old, now)
    delete_measurements(TimeShare())
    deletion.refresh_from_db()
    assert (deletion.deleted, deletion.frozen) == (4, 1)
    assert list(MinuteRollup.objects.values_list("start", "count")) == [(old, 10)]


@pytest.mark.django_db(transaction=True)
def test_retention_and_a_removal_may_be_at_it_too(
    partitions: str, pending: Callable[..., None], old: datetime, now: datetime, small_pieces: None
) -> None:
    for moment in (old, now - DAY):
        pending(moment, 25)
    refresh()
    deletion = asked(old, now)
    delete_measurements(TimeShare(60))
    assert drop_partitions()
    Sensor.objects.filter(pk=1).request_removal()
    late = asked(old, now)
    assert remove_sensors(TimeShare())["sensors"] == 1
    assert delete_measurements(TimeShare()) == {"rows": 0, "deletions": 1}
    # It stays when the sensor goes.
    assert list(Deletion.objects.order_by("pk").values_list("pk", "deleted")) == [
        (deletion.pk, 50),
        (late.pk, 0),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_not_do_it_twice(sensors: dict[int, Sensor], noon: datetime) -> None:
    store_rows(every(MINUTE, 20, noon))
    asked(noon, noon + DAY)
    with held_until_wanted(locks.DELETE):
        assert tasks.delete_measurements() == {"rows": 0, "deletions": 0}
        assert delete_measurements(TimeShare()) == {"rows": 20, "deletions": 1}


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_a_refresh_before_it_locks_a_row(sensors: dict[int, Sensor], noon: datetime) -> None:
    """Retention takes the refresh's lock and then rows; the other way round the two would deadlock."""
    store_rows(every(MINUTE, 20, noon))
    asked(noon, noon + DAY)
    with held_until_wanted(locks.REFRESH):
        assert delete_measurements(TimeShare()) == {"rows": 20, "deletions": 1}
    assert not any(buckets().values())


@pytest.mark.django_db
def test_the_job_is_sent_at_once(
    sensors: dict[int, Sensor], noon: datetime, store: BatchStore, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        asked(noon, noon + DAY)
    (sent,) = store.redis.lrange("upkeep", 0, -1)
    assert json.loads(sent)["headers"]["task"] == "monitoring.delete_measurements"
