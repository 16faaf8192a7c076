"""Sensors are looked at when their rows are due: ok, late, silent, and ok again."""

import signal
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from batches.store import BatchStore
from monitoring import locks
from monitoring.models import Measurement, Sensor, SensorStatus
from monitoring.models.measurement_queryset import Incoming
from monitoring.status import changes, counts, looking
from monitoring.status.looking import Looked, look_at, look_at_due
from monitoring.status.reach import Reach
from monitoring.status.rule import RECHECK, Outage
from monitoring.upkeep.partitions import ensure_partitions
from monitoring.upkeep.pieces import TimeShare
from tests.elsewhere import elsewhere
from tests.examples import examples
from tests.status.conftest import Readings

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db


def look(now: datetime, known: Reach | None = None) -> Looked:
    return look_at_due(TimeShare(), known or Reach(now), now)


def status(sensor_id: int) -> str:
    return SensorStatus.objects.get(pk=sensor_id).status


def test_it_works(every_minute: datetime, readings: Readings) -> None:
    now = every_minute
    look(now)
    row = SensorStatus.objects.get(pk=1)
    assert (row.status, row.newest_at, row.interval_s) == ("ok", now, 60)
    assert row.due_at == now + timedelta(minutes=3)
    assert counts() == {"ok": 1, "late": 0, "silent": 0, "never": 2, "off": 0}
    look(now + timedelta(seconds=180))
    assert status(1) == "ok"
    look(now + timedelta(seconds=191))
    assert status(1) == "late"
    look(now + timedelta(seconds=600))
    assert status(1) == "late"
    look(now + timedelta(seconds=611))
    row = SensorStatus.objects.get(pk=1)
    assert (row.status, row.rank, row.changed_at) == ("silent", 0, now + timedelta(seconds=611))
    readings(1, [now + timedelta(seconds=200)])
    look(now + timedelta(seconds=611) + RECHECK)
    assert status(1) == "silent", "what it sent is old"
    readings(1, [now + timedelta(seconds=900)])
    look(now + timedelta(seconds=611) + 2 * RECHECK)
    row = SensorStatus.objects.get(pk=1)
    assert (row.status, row.newest_at) == ("late", now + timedelta(seconds=900))


def test_nothing_is_written_for_whom_readings_come_as_expected(
    every_minute: datetime, readings: Readings
) -> None:
    now = every_minute
    look(now)
    readings(1, [now + timedelta(minutes=minute) for minute in range(1, 4)])
    assert look(now + timedelta(minutes=2)).sensors == 0
    assert look(now + timedelta(minutes=3)).sensors == 1
    assert SensorStatus.objects.get(pk=1).due_at == now + timedelta(minutes=6)


def test_each_sensor_has_a_row_from_the_start_to_the_end(sensors: dict[int, Sensor]) -> None:
    assert SensorStatus.objects.count() == 3
    Sensor.objects.create(name="another", is_active=False)
    assert counts()["off"] == 1
    connection.cursor().execute("DELETE FROM monitoring_sensor WHERE id = 1")
    sensors[2].delete()
    assert sorted(SensorStatus.objects.values_list("pk", flat=True))[0] == 3


def test_rows_that_somebody_removed_are_made_again(sensors: dict[int, Sensor], now: datetime) -> None:
    SensorStatus.objects.all().delete()
    look(now)
    assert SensorStatus.objects.count() == 3


def test_one_that_is_switched_off_is_off_at_once_and_comes_back(every_minute: datetime) -> None:
    now = every_minute
    look(now)
    Sensor.objects.filter(pk=1).update(is_active=False)
    assert status(1) == "off"
    look(now)
    assert SensorStatus.objects.get(pk=1).due_at is None
    Sensor.objects.filter(pk=1).update(is_active=True)
    look(now + timedelta(seconds=5))
    assert status(1) == "ok"


def test_an_interval_that_is_set_goes_before_one_that_is_learned(every_minute: datetime) -> None:
    now = every_minute
    look(now)
    Sensor.objects.filter(pk=1).update(expected_interval_s=10)
    look(now + timedelta(seconds=31))
    row = SensorStatus.objects.get(pk=1)
    assert (row.interval_s, row.status) == (10, "late")
    Sensor.objects.filter(pk=1).update(expected_interval_s=None)
    look(now + timedelta(seconds=32))
    row = SensorStatus.objects.get(pk=1)
    assert (row.interval_s, row.status) == (60, "ok")


def test_what_else_is_changed_of_a_sensor_asks_for_no_look(every_minute: datetime) -> None:
    look(every_minute)
    Sensor.objects.update(name="another", location="elsewhere")
    assert look(every_minute).sensors == 0


def test_a_sensor_that_changes_its_pace_is_learned_anew(every_minute: datetime, readings: Readings) -> None:
    now = every_minute
    look(now)
    readings(1, [now + timedelta(minutes=5 * number) for number in range(1, 40)])
    end = now + timedelta(minutes=5 * 39)
    look(end)
    assert SensorStatus.objects.get(pk=1).interval_s == 300


def test_a_reading_ahead_of_our_clock_harms_nobody(
    sensors: object, readings: Readings, now: datetime
) -> None:
    readings(1, [now + timedelta(minutes=4) - timedelta(seconds=10 * number) for number in range(20)])
    look(now)
    assert status(1) == "ok"
    look(now + timedelta(minutes=5, seconds=41))
    assert status(1) == "silent"


def test_what_is_imported_of_long_ago_makes_nobody_well(
    sensors: object, readings: Readings, now: datetime
) -> None:
    readings(1, [now - timedelta(days=30, minutes=number) for number in range(60)])
    look(now)
    assert status(1) == "silent"


def test_one_whose_readings_were_deleted_was_never_seen(every_minute: datetime) -> None:
    look(every_minute)
    Measurement.objects.filter(sensor=1).delete()
    look(every_minute + timedelta(minutes=3))
    row = SensorStatus.objects.get(pk=1)
    assert (row.status, row.newest_at) == ("never", None)


def test_one_at_which_somebody_else_looks_is_left_out(every_minute: datetime) -> None:
    other = connection.copy()
    other.ensure_connection()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [locks.STATUS])
            assert look_at_due(TimeShare(5), Reach(every_minute), every_minute).sensors == 0
            # Its end would free it too, but some time after we had gone on.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [locks.STATUS])
    finally:
        other.close()
    assert look_at_due(TimeShare(5), Reach(every_minute), every_minute).sensors == 3


# --- while we are behind --------------------------------------------------------------------------


def test_while_we_are_behind_nobody_is_accused(every_minute: datetime) -> None:
    now = every_minute
    look(now)
    later = now + timedelta(hours=2)
    for known in (Reach(None), Reach(now + timedelta(minutes=1))):
        assert look(later, known).sensors == 0
        assert status(1) == "ok"
    look(later)
    assert status(1) == "silent"


def test_a_little_behind_it_is_judged_by_what_is_known(every_minute: datetime) -> None:
    now = every_minute
    look(now)
    look(now + timedelta(seconds=185), Reach(now + timedelta(seconds=175)))
    row = SensorStatus.objects.get(pk=1)
    assert row.status == "ok"
    assert row.due_at is not None
    assert row.due_at < now + timedelta(seconds=200)
    look(now + timedelta(seconds=195), Reach(now + timedelta(seconds=185)))
    assert status(1) == "late"


def test_one_that_was_silent_before_we_were_behind_stays_so(every_minute: datetime) -> None:
    now = every_minute
    look(now + timedelta(hours=1))
    assert status(1) == "silent"
    SensorStatus.objects.update(due_at=now)
    look(now + timedelta(hours=2), Reach(now + timedelta(hours=2) - timedelta(seconds=10)))
    assert status(1) == "silent"


def test_the_time_in_which_we_were_away_is_nobodys_silence(every_minute: datetime) -> None:
    now = every_minute
    look(now)
    back = now + timedelta(hours=8)
    outage = Outage(now + timedelta(seconds=30), back)
    for seconds, expected in ((60, "ok"), (140, "ok"), (160, "late")):
        moment = back + timedelta(seconds=seconds)
        look(moment, Reach(moment, outage=outage))
        assert status(1) == expected


def test_one_that_is_switched_off_is_off_though_we_are_behind(every_minute: datetime) -> None:
    look(every_minute)
    Sensor.objects.filter(pk=1).update(is_active=False)
    assert look(every_minute, Reach(None)).sensors == 1
    assert SensorStatus.objects.get(pk=1).due_at is None


# --- whoever comes back ---------------------------------------------------------------------------


def test_one_that_comes_back_is_ok_at_once(every_minute: datetime, readings: Readings) -> None:
    now = every_minute
    back = now + timedelta(hours=1)
    look(back)
    readings(1, [back])
    assert SensorStatus.objects.not_well([1, 2, 3]) == [1, 2, 3]
    assert look_at([1], back) == 1
    assert status(1) == "ok"
    assert SensorStatus.objects.not_well([1]) == []


def test_nobody_comes_back_by_a_reading_of_long_ago(
    every_minute: datetime, readings: Readings, now: datetime
) -> None:
    look(now + timedelta(hours=1))
    readings(1, [now + timedelta(minutes=2)])
    readings(2, [now - timedelta(days=3)])
    back = now + timedelta(hours=1, seconds=1)
    assert look_at([1, 2], back) == 0
    assert (status(1), status(2)) == ("silent", "never")
    look(back)
    assert status(2) == "silent", "the job is asked for what was never seen"


def test_a_look_because_of_a_batch_makes_nobody_worse(every_minute: datetime) -> None:
    look(every_minute)
    assert look_at([1], every_minute + timedelta(hours=1)) == 0
    assert status(1) == "ok"


def test_changes_are_told_once_they_are_committed(
    every_minute: datetime, django_capture_on_commit_callbacks: object
) -> None:
    told: list[dict[int, str]] = []
    end = changes.listen(lambda changed: told.append(dict(changed)))
    try:
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
            look(every_minute)
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
            look(every_minute)
    finally:
        end()
    assert told == [{1: "ok"}]


# --- intervals ------------------------------------------------------------------------------------


class Intervals(TestCase):
    """SQL's median of the gaps is Python's."""

    @hypothesis_settings(max_examples=examples(25))
    @given(st.lists(st.integers(0, 500_000_000), unique=True, max_size=70))
    def test_the_median_of_the_last_gaps(self, offsets: list[int]) -> None:
        start = datetime.now(UTC) - timedelta(minutes=20)
        ensure_partitions(start, datetime.now(UTC) + timedelta(days=1))
        Sensor.objects.register([Sensor(id=1, name="one"), Sensor(id=2, name="two")])
        moments = sorted(start + timedelta(microseconds=number) for number in offsets)
        Measurement.objects.ingest([Incoming(1, moment, moment, 1.0, "", True) for moment in moments])
        last = moments[-51:]
        gaps = [(b - a).total_seconds() for a, b in pairwise(last)]
        gaps = [gap for gap in gaps if gap >= 0.001]
        found = SensorStatus.objects.intervals([1, 2], 50, 0.001)
        if not gaps:
            assert found == {}
        else:
            count, middle = found[1]
            assert count == len(gaps)
            assert middle == pytest.approx(median(gaps))


# --- many, and a job that is killed ----------------------------------------------------------------


def test_statements_do_not_grow_with_the_sensors(sensors: object, now: datetime) -> None:
    look(now)

    def statements() -> int:
        SensorStatus.objects.update(due_at=now, learn_at=now)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            look(now)
        return len(captured)

    few = statements()
    Sensor.objects.register([Sensor(id=number, name=f"{number}") for number in range(10, 900)])
    assert statements() == few


@pytest.mark.django_db(transaction=True)
def test_ten_thousand_sensors_are_looked_at_in_ten_pieces(now: datetime) -> None:
    ensure_partitions(now - timedelta(days=1), now + timedelta(days=1))
    Sensor.objects.register([Sensor(id=number, name=f"{number}") for number in range(1, 10_001)])
    rows = [
        Incoming(number, now - timedelta(seconds=10 * place), now, 1.0, "", True)
        for number in range(1, 10_001)
        for place in range(7)
    ]
    Measurement.objects.ingest(rows)
    with CaptureQueriesContext(connection) as captured:
        assert look(now).sensors == 10_000
    assert counts()["ok"] == 10_000
    assert len(captured) < 11 * 10
    assert look(now).sensors == 0


@pytest.mark.django_db(transaction=True)
def test_a_job_that_is_killed_leaves_nothing_half_done(
    at_work: BatchStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_partitions(now - timedelta(days=1), now + timedelta(days=1))
    Sensor.objects.register([Sensor(id=number, name=f"{number}") for number in range(1, 8)])

    def run(failpoints: str = "") -> int:
        return elsewhere(lambda: looking.job(at_work, TimeShare()), failpoints).code

    monkeypatch.setattr(looking, "PIECE", 3)
    assert run("status.looked=kill@2") == -signal.SIGKILL
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert SensorStatus.objects.filter(due_at__lte=later).count() == 4, "one piece of three is done"
    assert run() == 0
    assert not SensorStatus.objects.filter(due_at__lte=later).exists()
