"""Sensors made under ids chosen elsewhere."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from batches.batch import Batch
from batches.store import BatchStore
from monitoring.ingest import End, ingest
from monitoring.models import Sensor, sensor

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


def test_what_readings_name_is_made_as_any_sensor_is(db: None) -> None:
    """In a statement of its own, which knows of no field that the model has had since."""
    first = next_id()
    units = {first: ("", ""), first + 1: ('it\'s \\ "so"', "µ\u2103"), 2**53 + 1: ("pump", "V")}
    Sensor.objects.register([Sensor(id=first + 1, name="taken")])
    Sensor.objects.register_named(units, 1_000_000)
    assert Sensor.objects.get(pk=first + 1).name == "taken"
    Sensor.objects.filter(pk=first + 1).delete()
    Sensor.objects.register_named(units, 1_000_000)

    fields = [field.name for field in Sensor._meta.concrete_fields if field.name != "added_at"]
    rows = list(Sensor.objects.filter(pk__in=units).values(*fields).order_by("pk"))
    Sensor.objects.filter(pk__in=units).delete()
    Sensor.objects.register(
        [Sensor(id=n, name=f"Sensor {n}", kind=kind, unit=unit) for n, (kind, unit) in units.items()]
    )
    assert rows == list(Sensor.objects.filter(pk__in=units).values(*fields).order_by("pk"))
    assert next_id() == first + 2


def test_of_what_readings_name_the_last_are_left_out_past_the_most(db: None) -> None:
    first, there = next_id(), Sensor.objects.count()
    named = {first + ahead: ("", "") for ahead in (9, 3, 6)}
    Sensor.objects.register_named(named, there + 2)
    assert set(Sensor.objects.filter(pk__in=named).values_list("pk", flat=True)) == {first + 3, first + 6}
    Sensor.objects.register_named(named, there + 2)
    assert Sensor.objects.count() == there + 2


@pytest.mark.django_db(transaction=True)
def test_an_id_that_was_given_out_meanwhile_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody takes ids between the look at the sequence and its move."""
    first = next_id()
    given: list[int] = []

    def add() -> None:
        given.extend(next_id() for _ in range(5))
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
def test_nobody_is_given_an_id_that_is_about_to_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody adds a sensor just before the chosen ones are inserted."""
    first = next_id()
    given: list[int] = []
    real = Sensor.objects.all().bulk_create

    def add() -> None:
        given.append(Sensor.objects.create(name="added").pk)
        connection.close()

    def insert(self: object, sensors: list[Sensor], **options: bool) -> list[Sensor]:
        worker = threading.Thread(target=add)
        worker.start()
        worker.join()
        return real(sensors, **options)

    monkeypatch.setattr(type(Sensor.objects.all()), "bulk_create", insert)
    Sensor.objects.register([Sensor(id=first + 1, name="chosen"), Sensor(id=first + 2, name="chosen")])
    assert given == [first + 3]
    assert Sensor.objects.filter(name="chosen").count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_batches_of_one_sensor_do_not_wait_for_each_other(store: BatchStore, hand_over: HandOver) -> None:
    Sensor.objects.register([Sensor(id=3, name="light")])
    ends: list[End] = []

    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        ends.append(ingest(store, hand_over(b'{"sensor_id": 3, "value": 1}').id).end)
        connection.close()

    with transaction.atomic():
        Sensor.objects.hold()
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    assert ends == [End.STORED]
