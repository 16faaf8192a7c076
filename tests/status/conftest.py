"""A pipeline that is at work, as its heartbeats tell, and sensors with readings at chosen moments."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from batches.names import Names
from batches.store import BatchStore
from monitoring.models import Measurement, Sensor
from monitoring.models.measurement_queryset import Incoming
from monitoring.status.reach import Reach
from process.heartbeat import beat

Readings = Callable[..., None]


@pytest.fixture
def at_work(store: BatchStore, now: datetime) -> BatchStore:
    """Bridge and worker are at work, and have been for a day."""
    beat(store.redis, "bridge")
    beat(store.redis, "worker")
    Names(store.redis).note_serving("default", (now - timedelta(days=1)).timestamp(), now.timestamp())
    return store


@pytest.fixture
def whole(now: datetime) -> Reach:
    """All that was sent until an hour from now is stored: the times that tests choose lie before."""
    return Reach(now + timedelta(hours=1))


@pytest.fixture
def readings(sensors: dict[int, Sensor]) -> Readings:
    """Stores a reading of the sensor at each of the moments."""

    def readings(sensor_id: int, moments: Iterable[datetime]) -> None:
        received_at = datetime.now(UTC)
        rows = [Incoming(sensor_id, moment, received_at, 1.0, "", True) for moment in moments]
        assert len(Measurement.objects.ingest(rows).stored) == len(rows)

    return readings


@pytest.fixture
def every_minute(readings: Readings, now: datetime) -> datetime:
    """Sensor 1 has sent one a minute, the last of them now; returns when that was."""
    readings(1, [now - timedelta(minutes=minute) for minute in range(60)])
    return now
