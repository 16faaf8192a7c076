"""`Measurement.objects.ingest` against the same told in plain ORM."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.models import Measurement
from monitoring.models.measurement_queryset import Incoming, Outcome
from monitoring.upkeep.partitions import ensure_partitions

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 31, 23, 59, 59, 999_990, tzinfo=UTC)
UNITS = ["", "V", "°C", "\\N", "a\\b", "%", "\t", "é\n"]

incoming = st.builds(
    lambda sensor, offset, value, unit, timed: Incoming(
        sensor, START + timedelta(microseconds=offset), START, value, unit, timed
    ),
    st.integers(1, 3),
    st.integers(0, 25),
    st.sampled_from([0.0, -0.0, 1.5, -1e300, 5e-324]),
    st.sampled_from(UNITS),
    st.booleans(),
)


def plain(readings: list[Incoming]) -> Outcome:
    """The specification, a query or two for each reading."""
    outcome = Outcome([], [], {}, {})
    moving = []
    for place, reading in enumerate(readings):
        _, created_at, *_ = reading
        if stored(reading, created_at):
            outcome.stored.append(place)
        elif not reading.timed:
            moving.append(place)
        else:
            there = Measurement.objects.get(sensor_id=reading.sensor_id, created_at=created_at)
            if (there.value, there.unit) == (reading.value, reading.unit):
                outcome.duplicates.append(place)
            else:
                outcome.conflicts[place] = (there.value, there.unit)
    for place in moving:
        created_at = readings[place].created_at
        while not stored(readings[place], created_at):
            created_at += timedelta(microseconds=1)
        outcome.stored.append(place)
        outcome.moved[place] = created_at
    return outcome._replace(stored=sorted(outcome.stored))


def stored(reading: Incoming, created_at: datetime) -> bool:
    try:
        with transaction.atomic():
            Measurement.objects.create(
                sensor_id=reading.sensor_id,
                created_at=created_at,
                received_at=reading.received_at,
                value=reading.value,
                unit=reading.unit,
            )
    except IntegrityError:
        return False
    return True


def table() -> list[tuple[object, ...]]:
    return list(
        Measurement.objects.order_by("sensor_id", "created_at").values_list(
            "sensor_id", "created_at", "received_at", "value", "unit"
        )
    )


class Undo(Exception):
    pass


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(incoming, max_size=25), min_size=1, max_size=3))
def test_it_does_what_plain_orm_does(db: None, batches: list[list[Incoming]]) -> None:
    results = []
    for way in (Measurement.objects.all().ingest, plain):
        try:
            with transaction.atomic():
                ensure_partitions(START, START + timedelta(seconds=1))
                outcomes = [way(batch) for batch in batches]
                results.append((outcomes, table()))
                raise Undo
        except Undo:
            pass
    assert results[0] == results[1]


def test_nothing_is_no_query(django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert Measurement.objects.ingest([]) == Outcome([], [], {}, {})
