"""What retention and the rollups owe each other."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from monitoring.models import Sensor
from monitoring.rollups import levels
from monitoring.rollups import refresh as rollups
from monitoring.upkeep.dropping import drop_partitions
from monitoring.upkeep.expiring import delete_expired
from monitoring.upkeep.partitions import existing
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import belongings, remove_sensors

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def now(now: datetime) -> datetime:
    """On a whole minute."""
    return now.replace(second=0, microsecond=0)


def hours() -> list[int]:
    from monitoring.models.rollup import HourRollup  # type: ignore[import-not-found,unused-ignore]

    return list(HourRollup.objects.order_by("start").values_list("count", flat=True))


def test_it_works(partitions: str, pending: Callable[..., None], old: datetime) -> None:
    pending(old.replace(second=0))
    dropped = [partition.name for partition in drop_partitions()]
    assert partitions in dropped
    # The minutes are kept as long as the rows, and went with them; the hours are kept for longer.
    assert len(dropped) == 2
    assert existing(levels.MINUTE.table) == {}
    assert hours() == [10]
    assert drop_partitions() == []
    rollups.refresh()
    assert hours() == [10]


def test_rows_of_a_sensor_are_rolled_up_before_they_go(
    partitions: str, pending: Callable[..., None], now: datetime
) -> None:
    Sensor.objects.filter(pk=1).update(retention_days=5)
    pending(now - timedelta(days=20))
    assert delete_expired(TimeShare())["sensor_rows"] == 10
    assert hours() == [10]
    rollups.refresh()
    assert hours() == [10]


def test_a_sensor_goes_with_its_rollups(partitions: str, pending: Callable[..., None], now: datetime) -> None:
    for days in (20, 10):
        pending(now - timedelta(days=days))
    rollups.refresh()
    pending(now - timedelta(days=1))
    assert belongings(1)[:2] == (30, 6)
    Sensor.objects.filter(pk=1).request_removal()
    assert remove_sensors(TimeShare()) == {"rows": 36, "sensors": 1}
    rollups.refresh()
    assert hours() == []
