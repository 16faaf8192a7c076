"""A batch goes through the decoders into the database, once."""

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection

from batches.batch import Batch, Message, time_ordered_id, to_datetime
from batches.store import BatchStore, Receipt
from monitoring.decoders import Code, decode
from monitoring.decoders.json.examples import Example, load
from monitoring.ingest import End, columns, ingest
from monitoring.ingest.progress import Progress
from monitoring.ingest.sensors import held
from monitoring.ingest.settle import settle
from monitoring.ingest.work import work
from monitoring.models import BlockedSensor, IngestBatch, Measurement, RejectedMessage, RejectedTally, Sensor
from monitoring.models.measurement_queryset import MeasurementQuerySet

HandOver = Callable[..., Batch]
EXAMPLES = load()


def payload(sensor_id: int = 3, value: float = 2.57, **fields: object) -> bytes:
    return json.dumps({"sensor_id": sensor_id, "value": value, **fields}).encode()


def books_balance(store: BatchStore) -> bool:
    figures, sums = store.figures(), IngestBatch.objects.sums()
    return (
        figures.handed_over == figures.pending_messages + sums["messages"]
        and sums["readings"] == sums["stored"] + sums["duplicates"] + sums["rejected"]
        and sums["stored"] == Measurement.objects.count()
    )


def test_it_works(store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver) -> None:
    batch = hand_over(b'{"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}')

    attempt = ingest(store, batch.id)

    stored = Measurement.objects.get()
    assert (stored.sensor_id, stored.value, stored.unit) == (3, 2.57, "V")
    assert stored.created_at == stored.received_at == to_datetime(batch.messages[0].received_us)
    assert attempt.end is End.STORED
    entry = IngestBatch.objects.get(pk=batch.id)
    assert (entry.source, entry.messages, entry.readings, entry.stored) == ("mqtt:test", 1, 1, 1)
    assert entry.touched_sensors == [3]
    assert entry.touched_minutes == [int(stored.created_at.timestamp()) // 60]
    assert store.figures().pending_batches == 0
    assert books_balance(store)


def test_a_batch_that_is_gone_is_no_error(store: BatchStore, db: None) -> None:
    assert ingest(store, time_ordered_id()).end is End.GONE


def test_the_same_batch_again_changes_nothing(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    batch = hand_over(payload(), payload())
    ingest(store, batch.id)
    # As if the worker had died between the commit and forgetting the batch.
    store.hand_over(batch, Receipt("again", "", 60))

    assert ingest(store, batch.id).end is End.DONE_BEFORE
    assert Measurement.objects.count() == 2
    assert IngestBatch.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_batch_in_two_workers_at_once(store: BatchStore, hand_over: HandOver) -> None:
    Sensor.objects.register([Sensor(id=3, name="light")])
    batch = hand_over(*(payload(value=float(value)) for value in range(500)))
    ends: list[End] = []
    gate = threading.Barrier(3)

    def work() -> None:
        gate.wait()
        ends.append(ingest(store, batch.id).end)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert ends.count(End.STORED) == 1
    assert set(ends) <= {End.STORED, End.DONE_BEFORE, End.GONE}
    assert Measurement.objects.count() == 500
    assert books_balance(store)


@pytest.mark.django_db(transaction=True)
def test_two_workers_with_the_same_keys_in_opposite_orders(store: BatchStore, hand_over: HandOver) -> None:
    Sensor.objects.register([Sensor(id=number, name=str(number)) for number in range(1, 51)])
    ts = datetime.now(UTC).timestamp() - 60
    payloads = [payload(number, ts=ts + second) for number in range(1, 51) for second in range(10)]
    batches = [hand_over(*payloads), hand_over(*reversed(payloads))]
    gate = threading.Barrier(2)

    def work(batch: Batch) -> None:
        gate.wait()
        while ingest(store, batch.id).end is End.POSTPONED:
            pass
        connection.close()

    workers = [threading.Thread(target=work, args=[batch]) for batch in batches]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert Measurement.objects.count() == 500
    assert IngestBatch.objects.sums()["duplicates"] == 500
    assert books_balance(store)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_ends_as_it_says(
    store: BatchStore,
    db: None,
    example: Example,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The decoders' examples, through the database: readings, or one rejected row each with its code."""
    received_us = int(example.received_at.timestamp() * 1_000_000)
    message = Message(
        received_us,
        "t",
        example.payload,
        example.retained,
        len(example.message) if len(example.message) > len(example.payload) else None,
    )
    if (one := example.sensor) is not None:
        Sensor.objects.register(
            [Sensor(id=one.id, name="s", kind=one.kind, unit=one.unit, is_active=one.is_active)]
        )
    monkeypatch.setattr(Progress, "begin", lambda batch: Progress(batch, example.oldest))
    batch = Batch(time_ordered_id(), "test", [message])
    store.hand_over(batch, Receipt(str(batch.id), "", 60))

    assert ingest(store, batch.id).end is End.STORED

    assert Measurement.objects.count() == len(example.readings)
    codes = RejectedMessage.objects.values_list("code", "index")
    assert sorted(codes, key=str) == sorted(((one.code, one.index) for one in example.rejected), key=str)
    assert books_balance(store)


def test_a_conflict_is_rejected_and_changes_nothing(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    ts = round(datetime.now(UTC).timestamp()) - 100
    batch = hand_over(payload(value=1, ts=ts), payload(value=1, ts=ts), payload(value=2, ts=ts))

    ingest(store, batch.id)

    assert Measurement.objects.get().value == 1
    rejected = RejectedMessage.objects.get()
    assert (rejected.code, rejected.position) == ("conflict", 2)
    assert bytes(rejected.payload) == batch.messages[2].payload
    assert "1 V" in rejected.detail
    entry = IngestBatch.objects.get()
    assert (entry.stored, entry.duplicates, entry.rejected) == (1, 1, 1)


def test_a_refused_element_of_an_array_is_kept_alone(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    elements = [{"sensor_id": 1, "value": 20.5}, {"sensor_id": 77, "value": 1, "unit": "V"}, 5]
    batch = hand_over(json.dumps(elements).encode())

    ingest(store, batch.id)

    assert Measurement.objects.get().sensor_id == 1
    unknown, no_object = RejectedMessage.objects.order_by("index")
    assert (unknown.code, json.loads(bytes(unknown.payload))) == ("unknown_sensor", elements[1])
    assert (no_object.code, bytes(no_object.payload)) == ("not_an_object", b"5")


def test_of_a_blocked_sensor_nothing_is_kept_but_its_count(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    BlockedSensor.objects.create(pk=12, blocked_by="ana")
    batch = hand_over(payload(12), b"garbage", payload(13), b"[" + payload(13) + b"," + payload(12) + b"]")
    ingest(store, batch.id)
    kept = RejectedMessage.objects.order_by("position").values_list("position", "code", "sensors")
    assert list(kept) == [(1, "not_json", []), (2, "unknown_sensor", [13]), (3, "unknown_sensor", [13])]
    assert IngestBatch.objects.get().rejected == sum(tally.seen for tally in RejectedTally.objects.all()) == 5


def test_whatever_a_reading_is_refused_for_its_sensor_is_known(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    ts = round(datetime.now(UTC).timestamp()) - 100
    batch = hand_over(
        payload(77),
        payload(1, type="light"),
        payload(2, unit="K"),
        payload(3, value=1, ts=ts),
        payload(3, value=2, ts=ts),
        b'[{"sensor_id": 3}, {"sensor_id": "3", "value": 1}]',
    )
    decoded = [(place, decode(message.payload)) for place, message in enumerate(batch.messages)]
    progress = Progress.begin(batch)

    settle(progress, decoded, held())

    assert [
        (refusal.code, refusal.sensor_id)
        for of_message in progress.refused.values()
        for refusal in of_message
    ] == [
        (Code.UNKNOWN_SENSOR, 77),
        (Code.TYPE_MISMATCH, 1),
        (Code.UNIT_MISMATCH, 2),
        (Code.MISSING_FIELD, 3),
        (Code.BAD_TYPE, None),
        (Code.CONFLICT, 3),
    ]


def test_readings_without_a_time_never_displace_each_other(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    three = json.dumps([{"sensor_id": 1, "value": value} for value in (1, 2, 3)]).encode()
    start = int(datetime.now(UTC).timestamp() * 1_000_000)
    for batch in [hand_over(three, three, start_us=start), hand_over(three, start_us=start)]:
        ingest(store, batch.id)

    assert Measurement.objects.count() == 9
    assert IngestBatch.objects.sums()["stored"] == 9
    moments = Measurement.objects.order_by("created_at").values_list("created_at", flat=True)
    assert list(moments) == [to_datetime(start + place) for place in range(9)]


def test_a_late_message_gets_its_partition(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    late = datetime.now(UTC) - timedelta(days=400)
    ingest(store, hand_over(payload(ts=late.timestamp()), payload()).id)
    assert Measurement.objects.order_by("created_at")[0].created_at == late


def test_what_is_older_than_retention_makes_no_partition(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    from monitoring.upkeep.partitions import existing

    before, ahead = existing(), datetime.now(UTC).timestamp() + 4e6
    ingest(store, hand_over(payload(ts=0), payload(ts=ahead)).id)
    codes = RejectedMessage.objects.order_by("position").values_list("code", flat=True)
    assert list(codes) == ["too_old", "clock_ahead"]
    # Neither beside one that is of today.
    ingest(store, hand_over(payload(ts=0), payload()).id)
    ingest(store, hand_over(payload(), payload(ts=ahead)).id)
    assert existing() == before


def test_sensors_register_themselves_where_that_is_wanted(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, settings: object
) -> None:
    settings.AUTO_REGISTER_SENSORS = True  # type: ignore[attr-defined]
    ingest(
        store, hand_over(payload(9, type="pressure", unit="hPa"), payload(9, type="pressure", unit="hPa")).id
    )
    made = Sensor.objects.get(pk=9)
    assert (made.kind, made.unit, Measurement.objects.count()) == ("pressure", "hPa", 2)
    assert Sensor.objects.create(name="next").pk > 9


@pytest.mark.parametrize("batches", [1, 2])
def test_of_what_readings_say_of_an_unknown_sensor_the_last_counts(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, settings: object, batches: int
) -> None:
    settings.AUTO_REGISTER_SENSORS = True  # type: ignore[attr-defined]
    said = [("temperature", "°C"), ("humidity", "%"), ("temperature", "°C")]
    ids = range(100, 110)
    hand_over(*[payload(number, type=kind, unit=unit) for kind, unit in said for number in ids])
    for _ in range(batches - 1):
        hand_over(payload())
    work(store, lambda _: None)
    made = Sensor.objects.filter(pk__in=ids).values_list("kind", "unit")
    assert list(made) == [said[-1]] * len(ids)
    assert books_balance(store)


def test_the_rejected_payloads_of_an_hour_have_a_cap(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, settings: object
) -> None:
    settings.REJECTED_MAX_BYTES_PER_HOUR = 1500  # type: ignore[attr-defined]
    for _ in range(2):
        ingest(store, hand_over(*[b"garbage"] * 10).id)
    tallies = RejectedTally.objects.all()
    assert sum(tally.seen for tally in tallies) == 20
    assert sum(tally.kept for tally in tallies) == RejectedMessage.objects.count()
    assert 4 <= RejectedMessage.objects.count() <= 8  # 4 an hour, and the hour may have changed
    assert books_balance(store)


def test_a_database_that_is_away_postpones(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = hand_over(payload())

    def away(*_: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(MeasurementQuerySet, "ingest", away)
        patch.setattr(connection, "close", lambda: None)  # the test's own transaction is on it
        assert ingest(store, batch.id).end is End.POSTPONED
    assert store.take() == []  # not yet
    assert store.figures().pending_messages == 1
    assert ingest(store, batch.id).end is End.STORED
    assert books_balance(store)


def test_a_message_that_raises_is_rejected_alone(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MeasurementQuerySet.ingest

    def picky(self: MeasurementQuerySet, readings: list[object]) -> object:
        if any(reading.value == 13 for reading in readings):  # type: ignore[attr-defined]
            raise ZeroDivisionError("thirteen")
        return real(self, readings)  # type: ignore[arg-type]

    monkeypatch.setattr(MeasurementQuerySet, "ingest", picky)
    monkeypatch.setattr(columns, "read", lambda batch: ([], list(range(len(batch.messages)))))
    batch = hand_over(*(payload(value=float(value)) for value in range(20)))

    assert ingest(store, batch.id).end is End.STORED
    rejected = RejectedMessage.objects.get()
    assert (rejected.code, rejected.position, rejected.detail) == (
        "failed",
        13,
        "ZeroDivisionError: thirteen",
    )
    assert Measurement.objects.count() == 19
    assert IngestBatch.objects.get(pk=batch.id).rejected == 1
    assert books_balance(store)


def test_what_an_error_says_can_be_kept_whatever_it_is(
    store: BatchStore,
    sensors: dict[int, Sensor],
    hand_over: HandOver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """PostgreSQL has no NUL in a text, and UTF-8 no lone surrogate."""
    # pytest-xdist, which brings the log from its workers, does not take one either.
    caplog.set_level(logging.CRITICAL, "monitoring.ingest")
    real = MeasurementQuerySet.ingest

    def picky(self: MeasurementQuerySet, readings: list[object]) -> object:
        if any(reading.value == 13 for reading in readings):  # type: ignore[attr-defined]
            raise ValueError("thir\0teen\ud800")
        return real(self, readings)  # type: ignore[arg-type]

    monkeypatch.setattr(MeasurementQuerySet, "ingest", picky)
    monkeypatch.setattr(columns, "read", lambda batch: ([], list(range(len(batch.messages)))))

    assert ingest(store, hand_over(payload(value=12), payload(value=13)).id).end is End.STORED
    assert RejectedMessage.objects.get().detail == "ValueError: thir\\0teen\\ud800"


def test_a_batch_of_a_format_to_come_waits(store: BatchStore, db: None) -> None:
    batch_id = time_ordered_id()
    batch = Batch(batch_id, "test", [Message(1, "t", b"x")])
    store.hand_over(batch, Receipt("f", "", 60))
    store.redis.hset(f"iot:batch:{batch_id}", "body", b"\x94\x63\xa0\x90\x90")
    store_before = store.figures().pending_batches
    assert ingest(store, batch_id).end is End.POSTPONED
    assert store.figures().pending_batches == store_before


def test_another_spelling_of_the_unit_is_stored_as_the_sensor_has_it(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    ingest(store, hand_over(payload(1, unit="\u2103")).id)

    assert [one.unit for one in Measurement.objects.all()] == ["°C"]
