"""Sensors made under ids chosen elsewhere, and locked while their measurements are stored."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from batches.batch import Batch
from batches.store import BatchStore
from monitoring.ingest import End, ingest
from monitoring.models import Measurement, Sensor, sensor

HandOver = Callable[..., Batch]


def next_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('monitoring_sensor_id_seq')")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("ahead", [1, 40, 100_000])
def test_the_sequence_goes_past_what_was_registered(db: None, ahead: int) -> None:
    first = next_id()
    Sensor.objects.register([Sensor(id=first + ahead, name="far")])
    assert next_id() == first + ahead + 1


def test_the_first_id_of_all_is_not_given_twice(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('monitoring_sensor_id_seq', 1, false)")
    Sensor.objects.register([Sensor(id=1, name="first")])
    assert Sensor.objects.create(name="second").pk == 2


@pytest.mark.django_db(transaction=True)
def test_an_id_that_was_given_out_meanwhile_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody adds sensors between the look at the sequence and its move."""
    first = next_id()
    given: list[int] = []

    def add() -> None:
        given.extend(Sensor.objects.create(name="added").pk for _ in range(5))
        connection.close()

    class Meanwhile:
        """The distance from which on the sequence jumps; asked for at that very moment."""

        def __lt__(self, ahead: int) -> bool:
            worker = threading.Thread(target=add)
            worker.start()
            worker.join()
            return ahead > 1000

    monkeypatch.setattr(sensor, "_FAR", Meanwhile())
    Sensor.objects.register([Sensor(id=first + 20, name="chosen")])
    assert given == list(range(first + 1, first + 6))
    assert next_id() > first + 20


@pytest.mark.django_db(transaction=True)
def test_a_sensor_whose_measurements_are_being_stored_cannot_be_deleted(
    store: BatchStore, hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without FOR KEY SHARE the deletion goes through, and measurements are left of a sensor that is gone."""
    Sensor.objects.register([Sensor(id=3, name="light")])
    refused: list[bool] = []
    real = Measurement.objects.all().ingest

    def delete() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM monitoring_sensor WHERE id = 3 FOR UPDATE SKIP LOCKED"  # as DELETE takes it
            )
            refused.append(cursor.fetchone() is None)
        connection.close()

    def ingest_meanwhile(self: object, readings: object) -> object:
        worker = threading.Thread(target=delete)
        worker.start()
        worker.join()
        return real(readings)  # type: ignore[arg-type]

    monkeypatch.setattr(type(Measurement.objects.all()), "ingest", ingest_meanwhile)
    assert ingest(store, hand_over(b'{"sensor_id": 3, "value": 1}', b"[]").id).end is End.STORED
    assert refused
    assert all(refused)


@pytest.mark.django_db(transaction=True)
def test_two_batches_of_one_sensor_do_not_wait_for_each_other(store: BatchStore, hand_over: HandOver) -> None:
    """FOR UPDATE would make them."""
    Sensor.objects.register([Sensor(id=3, name="light")])
    ends: list[End] = []

    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        ends.append(ingest(store, hand_over(b'{"sensor_id": 3, "value": 1}').id).end)
        connection.close()

    with transaction.atomic():
        Sensor.objects.lock_for_ingest([3])
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    assert ends == [End.STORED]
