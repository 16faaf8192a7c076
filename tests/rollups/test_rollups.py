"""Rollups say what the rows say, whatever came late, twice or not at all any more."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring import locks, tasks
from monitoring.models import GoneSpan, HourRollup, IngestBatch, Measurement, MinuteRollup, Sensor
from monitoring.rollups import refresh as rollups
from monitoring.rollups.refresh import Refreshed, recompute, refresh, refresh_span
from monitoring.tasks import refresh_rollups
from monitoring.upkeep.partitions import existing
from tests.examples import examples
from tests.locks import held_until_wanted
from tests.rollups.rows import DAY, HOUR, MINUTE, buckets, expected, store, untaken

START = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def test_it_works(years: dict[int, Sensor]) -> None:
    store([(3, START, 1.0), (3, START + timedelta(seconds=30), 4.0), (3, START + HOUR, 2.5)])

    assert refresh() == Refreshed(batches=1, minutes=2)

    minute = MinuteRollup.objects.get(sensor=3, start=START)
    assert (minute.count, minute.sum, minute.min, minute.max, minute.first, minute.last) == (2, 5, 1, 4, 1, 4)
    assert buckets() == expected()
    assert refresh() == Refreshed()
    assert untaken() == 0


def test_late_rows_are_counted_in_every_resolution(years: dict[int, Sensor]) -> None:
    store([(3, START + 2 * HOUR, 1.0)])
    refresh()
    store([(3, START, 8.0), (3, START + 2 * HOUR + MINUTE, -1.0), (1, START, 3.0)])
    refresh()
    assert buckets() == expected()


def test_what_was_stored_before_counts_once(years: dict[int, Sensor]) -> None:
    store([(3, START, 1.0)])
    refresh()
    assert store([(3, START, 1.0)]).touched_sensors is None
    store([(3, START, 1.0), (3, START + MINUTE, 1.0)])
    refresh()
    assert buckets() == expected()


def test_a_bucket_goes_with_its_last_row(years: dict[int, Sensor]) -> None:
    store([(3, START, 1.0), (3, START + DAY, 2.0), (1, START, 5.0)])
    refresh()
    Measurement.objects.filter(sensor=3, created_at=START).delete()
    recompute(3, START, START + MINUTE)
    assert buckets() == expected()
    Measurement.objects.all().delete()
    recompute(3, START, START + 2 * DAY)
    recompute(1, START, START + MINUTE)
    assert not any(buckets().values())


def test_pieces_are_bounded_and_oldest_first(years: dict[int, Sensor], monkeypatch: Any) -> None:
    for hour in range(5):
        store([(3, START + hour * HOUR, 1.0), (1, START + hour * HOUR, 1.0)])
    assert refresh(limit=2) == Refreshed(batches=2, minutes=4)
    assert sorted(HourRollup.objects.filter(sensor=3).values_list("start", flat=True)) == [
        START,
        START + HOUR,
    ]
    monkeypatch.setattr(rollups, "PAIRS", 3)
    assert refresh() == Refreshed(batches=2, minutes=4)
    assert refresh() == Refreshed(batches=1, minutes=2)
    assert buckets() == expected()


def test_a_crash_in_the_middle_changes_nothing(years: dict[int, Sensor], monkeypatch: Any) -> None:
    store([(3, START, 1.0)])
    refresh()
    store([(3, START, 2.0), (3, START + MINUTE, 1.0)])
    before = buckets()
    with monkeypatch.context() as patched:
        # Minutes and hours are written already when the days fail.
        patched.setattr(rollups, "_COMPUTE", (*rollups._COMPUTE[:2], ("SELECT 1 / 0", "")))
        with pytest.raises(Exception, match="division by zero"):
            refresh()
    assert (buckets(), untaken()) == (before, 1)
    refresh()
    assert buckets() == expected()


def test_values_that_cannot_be_added_up_stop_nothing(years: dict[int, Sensor]) -> None:
    store([(3, START, 1e308), (3, START + MINUTE / 2, 1.7e308), (1, START, 1.0)])
    assert refresh() == Refreshed(batches=1, minutes=2)
    hour = HourRollup.objects.get(sensor=3)
    assert (hour.count, hour.sum, hour.max) == (2, float("inf"), 1.7e308)


def test_what_has_no_raw_rows_any_more_is_frozen(years: dict[int, Sensor]) -> None:
    store([(3, START, 1.0), (3, START + 7 * DAY, 1.0), (3, START - 60 * DAY, 1.0)])
    refresh()
    before = buckets()
    store([(3, START + MINUTE, 5.0)])  # untaken when its partition goes
    (name,) = [name for name, span in existing().items() if span.start <= START < span.end]
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")
    assert refresh() == Refreshed(batches=1, minutes=1, frozen=1)
    recompute(3, START, START + HOUR)
    assert buckets() == before


def test_a_sensor_whose_rows_have_gone_keeps_its_buckets(sensors: dict[int, Sensor]) -> None:
    old = datetime.now(UTC).replace(second=0, microsecond=0) - 20 * DAY
    rows = [(old, 1.0), (old + MINUTE / 2, 2.0), (old + MINUTE, 3.0), (old + 1.5 * MINUTE, 4.0)]
    store([(sensor, at, value) for sensor in (1, 3) for at, value in rows])
    refresh()
    before = buckets()
    until = old + 1.25 * MINUTE
    Measurement.objects.filter(sensor=3, created_at__lt=until).delete()
    GoneSpan.objects.widen(3, old, until)
    # Late: into a minute whose rows are gone, into one of which a part is, into one after, into one before.
    late = (old + MINUTE / 4, old + 1.75 * MINUTE, old + 2 * MINUTE, old - MINUTE)
    store([(3, at, 9.0) for at in late])
    assert refresh() == Refreshed(batches=1, minutes=4, frozen=2)
    after = buckets()["minute"]
    assert {key: after[key] for key in before["minute"]} == before["minute"]
    assert (after[3, old + 2 * MINUTE], after[3, old - MINUTE]) == ((1, *[9.0] * 5),) * 2
    assert sum(hour[0] for (sensor, _), hour in buckets()["hour"].items() if sensor == 3) == 6
    store([(1, at, 9.0) for at in late])
    assert refresh() == Refreshed(batches=1, minutes=4)


def test_a_span_is_taken_before_it_goes(years: dict[int, Sensor]) -> None:
    old = store([(3, START, 1.0)])
    both = store([(3, START + HOUR, 1.0), (3, START + 3 * DAY, 1.0)])
    new = store([(3, START + 5 * DAY, 1.0)])
    assert refresh_span(START, START + DAY) == Refreshed(batches=2, minutes=3)
    taken = IngestBatch.objects.filter(touched_sensors=None).values_list("pk", flat=True)
    assert set(taken) == {old.pk, both.pk}
    assert new.pk not in taken
    assert refresh_span(START, START + DAY) == Refreshed()
    refresh()
    assert buckets() == expected()


def test_without_a_partition_of_measurements_all_is_frozen(db: None) -> None:
    store([])
    IngestBatch.objects.update(touched_sensors=[3], touched_minutes=[29_000_000])
    assert refresh() == Refreshed(batches=1, minutes=1, frozen=1)


def test_the_task_goes_on_until_nothing_is_left(years: dict[int, Sensor], monkeypatch: Any) -> None:
    monkeypatch.setattr(rollups, "PAIRS", 1)
    for hour in range(5):
        store([(3, START + hour * HOUR, 1.0)])
    assert refresh_rollups() == {"batches": 5, "minutes": 5, "frozen": 0}
    assert buckets() == expected()


def test_the_task_leaves_what_comes_in_meanwhile_to_the_next(
    years: dict[int, Sensor], monkeypatch: Any
) -> None:
    """A steady stream would otherwise keep it computing the same minutes all the time."""

    def refresh_while_more_comes_in() -> Refreshed | None:
        refreshed = refresh()
        store([(3, START + Measurement.objects.count() * MINUTE, 1.0)])
        return refreshed

    monkeypatch.setattr(tasks, "refresh", refresh_while_more_comes_in)
    monkeypatch.setattr(tasks, "REFRESH_SECONDS", 1)
    store([(3, START, 1.0)])
    assert refresh_rollups() == {"batches": 1, "minutes": 1, "frozen": 0}
    assert untaken() == 1


@pytest.mark.django_db(transaction=True)
def test_one_refresh_at_a_time(years: dict[int, Sensor]) -> None:
    store([(3, START, 1.0)])
    said: list[object] = []

    def refresh_too() -> None:
        try:
            said.append(refresh())
        finally:
            connection.close()

    with transaction.atomic():
        refresh_span(START, START + DAY)
        store([(3, START + MINUTE, 1.0)])
        other = threading.Thread(target=refresh_too)
        other.start()
        other.join()
    assert said == [None]
    assert refresh() == Refreshed(batches=1, minutes=1)
    assert buckets() == expected()


@pytest.mark.django_db(transaction=True)
def test_a_refresh_has_its_turn_between_pieces_of_retention(years: dict[int, Sensor]) -> None:
    """Each holds the lock for some tens of milliseconds, one right after the other, for hours."""
    store([(3, START, 1.0)])
    with held_until_wanted(locks.REFRESH):
        assert refresh() == Refreshed(batches=1, minutes=1)


@pytest.mark.django_db(transaction=True)
def test_rows_that_commit_during_a_refresh_are_taken_by_the_next(years: dict[int, Sensor]) -> None:
    store([(3, START, 1.0)])
    stored, refreshed = threading.Event(), threading.Event()

    def ingest() -> None:
        try:
            with transaction.atomic():
                store([(3, START + MINUTE / 2, 7.0)])
                stored.set()
                refreshed.wait(30)
        finally:
            connection.close()

    batch = threading.Thread(target=ingest)
    batch.start()
    assert stored.wait(30)
    assert refresh() == Refreshed(batches=1, minutes=1)
    assert MinuteRollup.objects.get().count == 1
    refreshed.set()
    batch.join()
    assert refresh() == Refreshed(batches=1, minutes=1)
    assert buckets() == expected()


# Around the changes of the clocks in Europe, on both sides of a month's and a year's end.
_moments = st.builds(
    lambda day, minute, second: day + minute * MINUTE + timedelta(seconds=second),
    st.sampled_from(
        [START, datetime(2026, 3, 31, 23, 50, tzinfo=UTC), datetime(2025, 12, 31, 23, tzinfo=UTC)]
    ),
    st.integers(0, 130),
    st.sampled_from([0, 0.000001, 17, 59.999999]),
)
_rows = st.lists(
    st.tuples(st.sampled_from([1, 3]), _moments, st.integers(-8, 8).map(lambda n: n / 4)),
    min_size=1,
    max_size=8,
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("store"), _rows),
        st.tuples(st.just("delete"), _moments),
        st.tuples(st.just("refresh"), st.integers(1, 3)),
        st.tuples(st.just("refresh_span"), _moments),
    ),
    min_size=1,
    max_size=10,
)


@settings(
    max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_steps)
def test_in_whatever_order_the_buckets_are_what_the_rows_say(
    years: dict[int, Sensor], steps: list[tuple[str, Any]]
) -> None:
    with transaction.atomic():
        for name, what in steps:
            if name == "store":
                store(what)
            elif name == "delete":
                Measurement.objects.filter(sensor=3, created_at__range=(what, what + HOUR)).delete()
                recompute(3, what, what + HOUR + timedelta(microseconds=1))
            elif name == "refresh":
                refresh(limit=what)
            else:
                refresh_span(what, what + HOUR)
        while refresh(limit=2) != Refreshed():
            pass
        assert buckets() == expected()
        transaction.set_rollback(True)
