"""Where rows have gone, the buckets made of them stay as they are, whatever the settings say later."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from monitoring.models import GoneSpan, HourRollup, MinuteRollup, Sensor
from monitoring.rollups import refresh as rollups
from monitoring.rollups import series
from monitoring.span import Span
from monitoring.upkeep import expiring
from monitoring.upkeep.dropping import drop_partitions
from monitoring.upkeep.expiring import delete_expired
from monitoring.upkeep.partitions import ensure_partitions
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import remove_sensors

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def now(now: datetime) -> datetime:
    """On a whole minute."""
    return now.replace(second=0, microsecond=0)


def minutes() -> dict[datetime, int]:
    return dict(MinuteRollup.objects.filter(sensor=1).values_list("start", "count"))


def hours() -> list[int]:
    return list(HourRollup.objects.order_by("start").values_list("count", flat=True))


def test_it_works(partitions: str, pending: Callable[..., None], now: datetime) -> None:
    """A sensor's rows went after 5 days; then it is kept for as long as the rest, and late ones come."""
    old = now - timedelta(days=20)
    pending(old)
    Sensor.objects.filter(pk=1).update(retention_days=5)
    assert delete_expired(TimeShare())["sensor_rows"] == 10
    Sensor.objects.filter(pk=1).update(retention_days=None)
    pending(old + timedelta(seconds=30), 1)
    assert rollups.refresh() == rollups.Refreshed(batches=1, minutes=1, frozen=1)
    assert minutes() == {old: 10}
    # What is older than all that ever went, or newer, is computed.
    pending(old - timedelta(days=2), 2)
    pending(now - timedelta(days=1), 3)
    rollups.refresh()
    assert sorted(minutes().values()) == [2, 3, 10]


def test_a_dropped_partition_leaves_its_buckets_for_good(
    partitions: str, pending: Callable[..., None], settings: Any, old: datetime
) -> None:
    settings.ROLLUP_MINUTE_RETENTION_DAYS = settings.RETENTION_DAYS
    moment = old.replace(minute=0, second=0, microsecond=0)
    pending(moment)
    drop_partitions()
    assert hours() == [10]
    settings.RETENTION_DAYS = settings.ROLLUP_MINUTE_RETENTION_DAYS = 2000
    ensure_partitions(old, old)
    pending(moment + 2 * MINUTE, 1)
    assert rollups.refresh() == rollups.Refreshed(batches=1, minutes=1, frozen=1)
    assert hours() == [10]


def test_a_series_shows_the_buckets_where_the_rows_have_gone(
    partitions: str, pending: Callable[..., None], now: datetime
) -> None:
    old = now - timedelta(days=20)
    pending(old)
    Sensor.objects.filter(pk=1).update(retention_days=5)
    delete_expired(TimeShare())
    Sensor.objects.filter(pk=1).update(retention_days=None)
    sensor, span = Sensor.objects.get(pk=1), Span(old, old + 5 * MINUTE)
    for late in (30, 40):
        said = series.read(sensor, span, 500)
        assert (said.resolution, [point.count for point in said.points]) == ("1m", [10])
        # A late one, which no refresh has taken yet, hides nothing.
        pending(old + timedelta(seconds=late), 1)


def test_rows_that_come_just_before_they_go_are_rolled_up(
    partitions: str, pending: Callable[..., None], monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """A batch that took the sensor for one that is kept longer commits between two steps."""
    old = now - timedelta(days=20)
    pending(old)
    Sensor.objects.filter(pk=1).update(retention_days=5)
    refresh_span, calls = expiring.refresh_span, []

    def and_then_more(*span: datetime) -> Any:
        done = refresh_span(*span)
        if not calls:
            pending(old + timedelta(seconds=20), 4)
        calls.append(span)
        return done

    monkeypatch.setattr(expiring, "refresh_span", and_then_more)
    assert delete_expired(TimeShare())["sensor_rows"] == 14
    rollups.refresh()
    assert minutes() == {old: 14}


def test_it_goes_with_the_sensor(partitions: str, pending: Callable[..., None], now: datetime) -> None:
    pending(now - timedelta(days=20))
    Sensor.objects.filter(pk=1).update(retention_days=5)
    delete_expired(TimeShare())
    assert GoneSpan.objects.get().sensor_id == 1
    Sensor.objects.filter(pk=1).request_removal()
    remove_sensors(TimeShare())
    assert not GoneSpan.objects.exists()


def test_any_number_of_days_stops_no_refresh(
    partitions: str, pending: Callable[..., None], now: datetime
) -> None:
    Sensor.objects.filter(pk=1).update(retention_days=2**31 - 1)
    pending(now - timedelta(days=1), 2)
    rollups.refresh()
    assert hours() == [2]


def test_the_sensor_that_waits_longest_is_first(
    partitions: str, measure: Callable[..., None], monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """Where the time is too short for all, none is passed over for ever."""
    Sensor.objects.update(retention_days=5)
    for sensor, days in ((1, 6), (2, 30), (3, 10)):
        measure(sensor, now - timedelta(days=days), 2)
    used = iter([False, False, False, True])
    monkeypatch.setattr(TimeShare, "is_used", property(lambda share: next(used, True)))
    delete_expired(TimeShare(1))
    left = {one.target for one in expiring.expired()}
    assert "2" not in left
    assert "1" in left
