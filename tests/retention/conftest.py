"""Partitions that tests drop for good, and rows that are old."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection

from monitoring.models import IngestBatch, Measurement, Sensor
from monitoring.upkeep.partitions import ensure_partitions
from tests.ingest.conftest import hand_over  # noqa: F401 -- a fixture


@pytest.fixture
def old(now: datetime) -> datetime:
    """Before the edge of 730 days by more than a month."""
    return now - timedelta(days=800)


@pytest.fixture
def partitions(transactional_db: None, now: datetime, old: datetime) -> Iterator[str]:
    """Partitions around now, and one past its retention, whose name it is."""
    ensure_partitions(now - timedelta(days=40), now + timedelta(days=1))
    (old,) = ensure_partitions(old, old)
    Sensor.objects.register([Sensor(id=1, name="one"), Sensor(id=2, name="two"), Sensor(id=3, name="three")])
    yield old
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'monitoring\\_%\\_p2%'"
        )
        for (name,) in cursor.fetchall():
            with contextlib.suppress(Exception):
                cursor.execute(f"ALTER TABLE monitoring_measurement DETACH PARTITION {name} FINALIZE")
            cursor.execute(f"DROP TABLE {name}")


@pytest.fixture
def measure() -> Callable[..., None]:
    """measure(1, start, 100): a row a second of a sensor."""

    def measure(sensor_id: int, start: datetime, count: int = 1) -> None:
        Measurement.objects.bulk_create(
            Measurement(
                sensor_id=sensor_id,
                created_at=start + timedelta(seconds=second),
                received_at=start,
                value=second,
                unit="V",
            )
            for second in range(count)
        )

    return measure


@pytest.fixture
def pending(measure: Callable[..., None]) -> Callable[..., None]:
    """pending(moment, 10): ten rows of sensor 1 from then on, within a minute, that no refresh has taken."""

    def pending(moment: datetime, count: int = 10) -> None:
        measure(1, moment, count)
        IngestBatch.objects.create(
            id=uuid4(),
            source="http",
            first_received_at=moment,
            last_received_at=moment,
            touched_sensors=[1],
            touched_minutes=[int(moment.timestamp()) // 60],
        )

    return pending
