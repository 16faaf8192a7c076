"""`Measurement.objects.ingest` against the same told in plain ORM."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batches.batch import Batch, Message, time_ordered_id
from monitoring.ingest import columns
from monitoring.ingest.ways import at_once
from monitoring.models import Measurement, Sensor
from monitoring.models.measurement_queryset import Incoming, Outcome
from monitoring.upkeep.partitions import ensure_partitions
from tests.examples import examples

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


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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


# --- others at the same rows -----------------------------------------------------------------------------


class Elsewhere(threading.Thread):
    """Does its work on a connection of its own, until somebody else's transaction keeps it waiting."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self.came_of_it: list[object] = []
        self._work, self._pid = work, 0
        self.start()

    def run(self) -> None:
        try:
            connection.ensure_connection()
            self._pid = connection.connection.info.backend_pid
            self.came_of_it.append(self._work())
        except Exception as error:
            self.came_of_it.append(error)
        finally:
            connection.close()

    def until_it_waits(self) -> None:
        deadline = time.monotonic() + 30
        with connection.cursor() as cursor:
            while time.monotonic() < deadline:
                cursor.execute("SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", [self._pid])
                if cursor.fetchone():
                    return
        raise AssertionError(f"it does not wait: {self.came_of_it}")


def surely(seconds: Sequence[int]) -> None:
    Measurement.objects.ingest(
        [Incoming(1, START + timedelta(seconds=second), START, 1.0, "", True) for second in seconds]
    )


def quickly(seconds: Sequence[int]) -> None:
    started = int(START.timestamp())
    payload = b'{"sensor_id": 1, "value": 1, "ts": %d.999990}'
    received = [(int(START.timestamp() * 1e6) + place, one) for place, one in enumerate(seconds)]
    messages = [Message(moment, "t", payload % (started + second)) for moment, second in received]
    at_once(Batch(time_ordered_id(), "mqtt:test", messages))


@pytest.fixture
def partitions(transactional_db: None) -> Iterator[None]:
    """What is committed stays for other tests."""
    made = ensure_partitions(START, START + timedelta(days=1))
    yield
    with connection.cursor() as cursor:
        for name in made:
            cursor.execute(f"DROP TABLE {name}")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", [surely, quickly], ids=["the sure way", "the fast way"])
def test_the_same_keys_in_opposite_orders_do_not_deadlock(
    partitions: None, way: Callable[[Sequence[int]], None]
) -> None:
    """Somebody who takes his row back holds both up until each has what the other wants."""
    columns.forget_doubles()
    Sensor.objects.register([Sensor(id=1, name="one")])
    seconds = range(20)
    with transaction.atomic():
        Measurement.objects.create(
            sensor_id=1, created_at=START + timedelta(seconds=10), received_at=START, value=1, unit=""
        )
        there = Elsewhere(lambda: way(seconds))
        there.until_it_waits()
        and_back = Elsewhere(lambda: way(seconds[::-1]))
        and_back.until_it_waits()
        transaction.set_rollback(True)
    there.join()
    and_back.join()
    assert there.came_of_it == and_back.came_of_it == [None]
    assert Measurement.objects.count() == len(seconds)
    columns.forget_doubles()


@pytest.mark.django_db(transaction=True)
def test_what_somebody_else_commits_meanwhile_is_found(partitions: None) -> None:
    """It was not there when the statement began that met it, and is not seen by that statement."""
    readings = [Incoming(sensor, START, START, 1.0, "V", True) for sensor in (1, 2, 3)]
    with transaction.atomic():
        for sensor, value in ((1, 1.0), (2, 9.0)):
            Measurement.objects.create(
                sensor_id=sensor, created_at=START, received_at=START, value=value, unit="V"
            )
        other = Elsewhere(lambda: Measurement.objects.ingest(readings))
        other.until_it_waits()
    other.join()
    assert other.came_of_it == [Outcome([2], [0], {1: (9.0, "V")}, {})]
