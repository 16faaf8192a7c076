"""The schema keeps what the design says of it."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from django.db import IntegrityError, connection

from monitoring.models import Measurement, Sensor
from monitoring.rollups.levels import MINUTE
from monitoring.span import Span
from monitoring.upkeep.partitions import (
    TooManyPartitionsError,
    ensure_partitions,
    existing,
    period_around,
)

pytestmark = pytest.mark.django_db


def test_it_works(sensors: dict[int, Sensor]) -> None:
    now = datetime.now(UTC)
    made = Measurement.objects.create(
        sensor=sensors[3], created_at=now, received_at=now, value=2.57, unit="V"
    )

    assert list(Measurement.objects.order_by("-created_at")[:5]) == [made]
    assert sensors[3].latest() == (2.57, "V", now)
    assert str(sensors[3].latest()) == str(made) == "2.57 V"


def test_a_sensor_has_one_measurement_a_moment(sensors: dict[int, Sensor]) -> None:
    now = datetime.now(UTC)
    Measurement.objects.create(sensor=sensors[3], created_at=now, received_at=now, value=1)
    with pytest.raises(IntegrityError):
        Measurement.objects.create(sensor=sensors[3], created_at=now, received_at=now, value=2)


def test_a_measurement_costs_two_btrees(sensors: dict[int, Sensor]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = %s", [next(iter(existing()))])
        assert cursor.fetchone() == (2,)


def test_ids_chosen_elsewhere_do_not_collide_with_those_that_follow(sensors: dict[int, Sensor]) -> None:
    assert Sensor.objects.create(name="next").pk > 3


def test_partitions_are_made_once(db: None) -> None:
    first, last = datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert len(ensure_partitions(first, last)) == 3
    assert ensure_partitions(first, last) == []
    assert Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)) in existing().values()


def test_another_width_fills_the_gaps(db: None, settings: object) -> None:
    ensure_partitions(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    settings.PARTITION_WIDTH = "week"  # type: ignore[attr-defined]
    ensure_partitions(datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC))
    spans = sorted(existing().values())
    assert all(before.end == after.start for before, after in pairwise(spans))
    assert spans[0] == Span(datetime(2025, 12, 29, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


def test_more_partitions_than_planning_bears_are_refused(db: None, settings: object) -> None:
    settings.PARTITION_WIDTH = "day"  # type: ignore[attr-defined]
    with pytest.raises(TooManyPartitionsError, match="set a wider PARTITION_WIDTH than day, or"):
        ensure_partitions(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert existing() == {}
    with pytest.raises(
        TooManyPartitionsError, match=r"ROLLUP_\.\.\._RETENTION_DAYS of monitoring_rollup_minute"
    ):
        ensure_partitions(datetime(2016, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), MINUTE.table)
    settings.PARTITION_WIDTH = "month"  # type: ignore[attr-defined]
    with pytest.raises(TooManyPartitionsError, match="most: set a shorter RETENTION_DAYS"):
        ensure_partitions(datetime(2016, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("width", "start", "end"),
    [
        ("day", datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("week", datetime(2026, 12, 28, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC)),
        ("month", datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_periods(width: str, start: datetime, end: datetime) -> None:
    assert period_around(datetime(2026, 12, 31, 23, 59, tzinfo=UTC), width) == Span(start, end)


def test_no_query_is_compiled() -> None:
    """PostgreSQL would, over many partitions, for far longer than the query takes."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)
