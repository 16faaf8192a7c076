"""A fault of the surroundings is never blamed on a message."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import Error, OperationalError, connection
from redis.exceptions import RedisError

from batches.batch import Batch
from batches.store import DEATHS_BEFORE_CARE, BatchStore
from monitoring.ingest import Attempt, End, attempt, ingest
from monitoring.ingest import sensors as sensors_held
from monitoring.ingest.passing import AllAlikeError, BusyError, is_in_every_way, is_passing
from monitoring.ingest.together import together
from monitoring.ingest.ways import at_once, one_by_one
from monitoring.models import IngestBatch, Measurement, RejectedMessage, Sensor
from monitoring.models.measurement_queryset import MeasurementQuerySet
from tests.locks import held_until_wanted

HandOver = Callable[..., Batch]


def payload(value: float = 1, sensor_id: int = 1) -> bytes:
    return json.dumps({"sensor_id": sensor_id, "value": value}).encode()


@contextmanager
def changed(change: str, back: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(change)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(back)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("change", "back"),
    [
        (
            "ALTER TABLE monitoring_measurement RENAME COLUMN unit TO units",
            "ALTER TABLE monitoring_measurement RENAME COLUMN units TO unit",
        ),
        (
            "ALTER TABLE monitoring_measurement ADD COLUMN site text NOT NULL",
            "ALTER TABLE monitoring_measurement DROP COLUMN site",
        ),
        (
            "ALTER TABLE monitoring_measurement ADD CONSTRAINT small CHECK (value < 0) NOT VALID",
            "ALTER TABLE monitoring_measurement DROP CONSTRAINT small",
        ),
    ],
    ids=["a column renamed", "a column added", "a constraint added"],
)
@pytest.mark.parametrize("messages", [1, 3])
def test_tables_that_somebody_changed_cost_no_message(
    store: BatchStore, hand_over: HandOver, change: str, back: str, messages: int
) -> None:
    Sensor.objects.register([Sensor(id=1, name="one")])
    batch = hand_over(*(payload(value) for value in range(messages)))
    with changed(change, back):
        for _ in range(attempt.PATIENCE + 2):
            assert ingest(store, batch.id).end is End.POSTPONED
        assert RejectedMessage.objects.count() == 0
    assert ingest(store, batch.id).end is End.STORED
    assert Measurement.objects.count() == messages


@pytest.fixture
def picky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirteen cannot be stored, and nobody knows why."""
    real = MeasurementQuerySet.ingest

    def ingest_others(self: MeasurementQuerySet, readings: list[object]) -> object:
        if any(reading.value == 13 for reading in readings):  # type: ignore[attr-defined]
            raise ZeroDivisionError("thirteen")
        return real(self, readings)  # type: ignore[arg-type]

    monkeypatch.setattr(
        "monitoring.ingest.columns.read", lambda batch: ([], list(range(len(batch.messages))))
    )
    monkeypatch.setattr(MeasurementQuerySet, "ingest", ingest_others)


@pytest.mark.django_db(transaction=True)
def test_a_message_alone_is_blamed_once_others_are_stored_and_it_is_not(
    store: BatchStore, hand_over: HandOver, picky: None
) -> None:
    Sensor.objects.register([Sensor(id=1, name="one")])
    batch = hand_over(payload(13))
    for _ in range(attempt.PATIENCE + 1):
        assert ingest(store, batch.id).end is End.POSTPONED
    assert ingest(store, hand_over(payload(12)).id).end is End.STORED
    assert ingest(store, batch.id).end is End.STORED
    assert RejectedMessage.objects.get().code == "failed"


@pytest.mark.django_db(transaction=True)
def test_it_is_not_blamed_at_its_first_failures(store: BatchStore, hand_over: HandOver, picky: None) -> None:
    Sensor.objects.register([Sensor(id=1, name="one")])
    ingest(store, hand_over(payload(12)).id)
    batch = hand_over(payload(13), payload(13))
    for _ in range(attempt.PATIENCE):
        assert ingest(store, batch.id).end is End.POSTPONED
    assert ingest(store, batch.id).end is End.STORED
    assert RejectedMessage.objects.count() == 2


@pytest.mark.django_db
def test_messages_that_fail_in_two_ways_are_each_their_own_fault(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: MeasurementQuerySet, readings: list[object]) -> object:
        if not readings:
            from monitoring.models.measurement_queryset import Outcome

            return Outcome([], [], {}, {})
        raise (ZeroDivisionError if readings[0].value == 1 else KeyError)("no")  # type: ignore[attr-defined]

    monkeypatch.setattr(
        "monitoring.ingest.columns.read", lambda batch: ([], list(range(len(batch.messages))))
    )
    monkeypatch.setattr(MeasurementQuerySet, "ingest", fails)
    assert ingest(store, hand_over(payload(1), payload(2)).id).end is End.STORED
    assert [one.code for one in RejectedMessage.objects.all()] == ["failed", "failed"]


@pytest.mark.django_db
@pytest.mark.parametrize("way", [at_once, lambda batch: together([batch])], ids=["alone", "together"])
def test_only_what_is_of_a_partition_is_tried_twice(
    sensors: dict[int, Sensor],
    hand_over: HandOver,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[[Batch], object],
) -> None:
    tries = []

    def fails(*_: object) -> None:
        tries.append(1)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(sensors_held, "held", fails)
    batch = hand_over(payload())
    with pytest.raises(OperationalError):
        way(batch)
    assert tries == [1]


# None: there was no answer.
@pytest.mark.parametrize(
    "sqlstate", ["42703", "58030", "XX001", "F0001", "25006", "53100", "08006", "40001", None]
)
def test_what_is_of_the_surroundings(sqlstate: str | None) -> None:
    cause = type("Cause", (Exception,), {"pgcode": sqlstate})()
    error = Error("something")
    error.__cause__ = cause
    assert is_passing(error)


@pytest.mark.parametrize("sqlstate", ["22003", "23502", "23514"])
def test_what_may_be_of_the_message(sqlstate: str) -> None:
    error = Error("something")
    error.__cause__ = type("Cause", (Exception,), {"pgcode": sqlstate})()
    assert not is_passing(error)


@pytest.mark.parametrize(
    ("sqlstate", "is_so"),
    [(None, True), ("57P01", True), ("53100", True), ("40P01", False), ("55P03", False), ("22003", False)],
)
def test_what_is_in_the_way_of_every_batch(sqlstate: str | None, is_so: bool) -> None:
    """Two that meet, or one whose own fault it may be, hold up no other."""
    error = Error("something")
    error.__cause__ = type("Cause", (Exception,), {"pgcode": sqlstate})()
    assert is_in_every_way(error) is is_so


@pytest.mark.parametrize("error", [AllAlikeError("x"), BusyError("x")])
def test_what_is_of_a_batch_alone(error: Exception) -> None:
    assert is_passing(error)
    assert not is_in_every_way(error)
    assert is_in_every_way(RedisError("away"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("messages", [1, 3])
def test_a_full_disk_costs_no_message(store: BatchStore, hand_over: HandOver, messages: int) -> None:
    """SQLSTATE class 53, from PostgreSQL itself."""
    Sensor.objects.register([Sensor(id=1, name="one")])
    batch = hand_over(*(payload(value) for value in range(messages)))
    raise_it = (
        "CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;"
        " CREATE TRIGGER disk_is_full BEFORE INSERT ON monitoring_measurement"
        " FOR EACH ROW EXECUTE FUNCTION disk_is_full()"
    )
    with changed(raise_it, "DROP FUNCTION disk_is_full CASCADE"):
        assert ingest(store, batch.id).end is End.POSTPONED
    assert RejectedMessage.objects.count() == 0
    assert ingest(store, batch.id).end is End.STORED
    assert Measurement.objects.count() == messages
    assert IngestBatch.objects.get().rejected == 0


@pytest.mark.django_db
def test_a_batch_that_was_done_is_not_stored_message_by_message(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    batch = hand_over(payload(), b"garbage")
    assert one_by_one(batch) is not None
    assert one_by_one(batch) is None
    assert (Measurement.objects.count(), RejectedMessage.objects.count()) == (1, 1)


# --- careful workers -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_another_is_careful_with_waits(store: BatchStore, hand_over: HandOver) -> None:
    Sensor.objects.register([Sensor(id=1, name="one")])
    batch = hand_over(payload())
    for _ in range(DEATHS_BEFORE_CARE):
        store.claim(batch.id)
    with held_until_wanted(batch.id.int & 0x7FFF_FFFF_FFFF_FFFF):
        assert ingest(store, batch.id) == Attempt(End.POSTPONED)
    assert store.careful_deaths(batch.id) == {}, "it has touched nothing"
    assert ingest(store, batch.id).end is End.STORED


@pytest.mark.django_db
def test_each_position_is_noted_whenever_it_is_touched(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    """When it is decoded, and when it is stored; one that kills is not touched at all."""
    touched: list[int] = []
    entry = one_by_one(hand_over(payload(1), payload(2), payload(3)), before=touched.append, crashed=[1])
    assert touched == [0, 2, 0, 2]
    assert entry is not None
    assert (entry.stored, entry.rejected) == (2, 1)
    rejected = RejectedMessage.objects.get()
    assert (rejected.position, rejected.code) == (1, "crashed_worker")


def test_a_position_is_suspect_after_one_death_and_known_after_two(
    store: BatchStore, hand_over: HandOver
) -> None:
    batch = hand_over(payload(), payload(), payload())
    assert store.careful_deaths(batch.id) == {}
    store.note_touching(batch.id, 1)
    assert store.careful_deaths(batch.id) == {1: 1}
    assert store.careful_deaths(batch.id) == {1: 1}  # counted once
    store.note_touching(batch.id, 1)
    assert store.careful_deaths(batch.id) == {1: 2}


def test_one_death_is_forgotten_once_a_worker_has_come_past_it(
    store: BatchStore, hand_over: HandOver
) -> None:
    batch = hand_over(payload(), payload(), payload())
    for position in (0, 2, 0, 0, 2):
        store.note_touching(batch.id, position)
        deaths = store.careful_deaths(batch.id)
    # The first at 0 was forgotten; that of two in a row at 0 was not, and 2 was come to twice.
    assert deaths == {0: 2, 2: 2}


def test_another_worker_does_not_wipe_the_note_of_a_careful_one(
    store: BatchStore, hand_over: HandOver
) -> None:
    batch = hand_over(payload())
    store.note_touching(batch.id, 0)
    store.postpone(batch.id)
    assert store.careful_deaths(batch.id) == {0: 1}


def test_what_version_0_1_noted_is_understood(store: BatchStore, hand_over: HandOver) -> None:
    batch = hand_over(payload())
    store.redis.hset(f"iot:batch:{batch.id}", "crashed", "1 5")
    assert store.careful_deaths(batch.id) == {1: 2, 5: 2}
