"""Sensors are remembered from batch to batch, and no longer than they are as they were."""

import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from batches.batch import Batch, Message, time_ordered_id
from monitoring import locks
from monitoring.ingest import sensors as remembered
from monitoring.ingest.ways import at_once
from monitoring.models import IngestBatch, Measurement, RejectedMessage, Sensor
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import remove_sensors
from tests.ingest.conftest import now_us


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    remembered.forget()
    yield
    remembered.forget()


def came(*payloads: str) -> Batch:
    start = now_us()
    return Batch(
        time_ordered_id(),
        "mqtt:test",
        [Message(start + place, "iot/measurements", text.encode()) for place, text in enumerate(payloads)],
    )


def outcome(*payloads: str) -> tuple[int, int]:
    """How many were stored, and how many rejected."""
    entry = at_once(came(*payloads))
    assert entry is not None
    return entry.stored, entry.rejected


HUMID = '{"sensor_id": 2, "value": %d, "type": "humidity", "unit": "%%"}'


@pytest.mark.django_db
def test_a_second_batch_reads_no_sensor(sensors: dict[int, Sensor]) -> None:
    def looks() -> int:
        with CaptureQueriesContext(connection) as seen:
            at_once(came(HUMID % 1))
        return sum("FROM monitoring_sensor " in query["sql"] for query in seen.captured_queries)

    assert [looks() for _ in range(3)] == [1, 0, 0]


CHANGES: dict[str, Callable[[], object]] = {
    "saved": lambda: Sensor(id=2, name="x", kind="humidity", unit="g/m³").save(update_fields=["unit"]),
    "updated": lambda: Sensor.objects.filter(pk=2).update(is_active=False),
    "by SQL": lambda: connection.cursor().execute("UPDATE monitoring_sensor SET kind = 'wind' WHERE id = 2"),
    "deleted": lambda: connection.cursor().execute("DELETE FROM monitoring_sensor WHERE id = 2"),
    "truncated": lambda: connection.cursor().execute("TRUNCATE monitoring_sensor CASCADE"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("how", CHANGES)
def test_a_change_holds_from_the_next_batch_on(sensors: dict[int, Sensor], how: str) -> None:
    assert outcome(HUMID % 1, HUMID % 2) == (2, 0)
    CHANGES[how]()
    assert outcome(HUMID % 3, HUMID % 4) == (0, 2)


@pytest.mark.django_db
def test_one_that_is_added_is_known_to_the_next_batch(sensors: dict[int, Sensor]) -> None:
    assert outcome('{"sensor_id": 77, "value": 1}') == (0, 1)
    Sensor(id=77, name="new").save()
    assert outcome('{"sensor_id": 77, "value": 1}') == (1, 0)


@pytest.mark.django_db
def test_a_shorter_retention_is_minded(sensors: dict[int, Sensor]) -> None:
    old = now_us() / 1e6 - 10 * 86_400
    text = '{"sensor_id": 2, "value": 1, "ts": %f}'
    assert outcome(text % old) == (1, 0)
    Sensor.objects.filter(pk=2).update(retention_days=5)
    assert outcome(text % (old + 1)) == (0, 1)
    assert RejectedMessage.objects.get().code == "too_old"


@pytest.mark.django_db
def test_what_was_not_committed_is_not_remembered(sensors: dict[int, Sensor], settings: object) -> None:
    settings.AUTO_REGISTER_SENSORS = True  # type: ignore[attr-defined]
    with transaction.atomic():
        assert outcome('{"sensor_id": 501, "value": 1}') == (1, 0)
        transaction.set_rollback(True)
    settings.AUTO_REGISTER_SENSORS = False  # type: ignore[attr-defined]
    assert not Sensor.objects.filter(pk=501).exists()
    assert outcome('{"sensor_id": 501, "value": 1}') == (0, 1)


@pytest.mark.django_db
def test_without_a_version_nothing_is_remembered(sensors: dict[int, Sensor]) -> None:
    connection.cursor().execute("TRUNCATE monitoring_sensorsversion")
    first, second = (Sensor.objects.hold() for _ in range(2))
    assert isinstance(first, UUID)
    assert first != second
    Sensor.objects.filter(pk=2).update(name="x")  # writes one again
    assert Sensor.objects.hold() == Sensor.objects.hold()


@pytest.mark.django_db
def test_how_many_are_remembered_is_bounded(
    sensors: dict[int, Sensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor that takes any unit may be sent another with each message."""
    monkeypatch.setattr(remembered, "REMEMBERED", 100)
    Sensor.objects.filter(pk=2).update(unit="")
    for count in range(50):
        texts = (HUMID.replace("%%", f"{count}-{place}") % place for place in range(20))
        assert outcome(*texts) == (20, 0)
        with transaction.atomic():
            held = remembered.held()
        assert len(held.accepted) <= 120


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by", ["the job", "SQL"])
def test_no_sensor_goes_while_a_batch_is_stored_for_it(sensors: dict[int, Sensor], by: str) -> None:
    """The batch has looked at its sensors and stored; then somebody deletes one; then it commits."""
    gone = threading.Event()

    def delete() -> None:
        try:
            if by == "the job":
                Sensor.objects.filter(pk=2).request_removal()
                # A batch that had begun before has stored for it meanwhile: the next time finds that too.
                while Sensor.objects.filter(pk=2).exists():
                    remove_sensors(TimeShare())
            else:
                connection.cursor().execute("DELETE FROM monitoring_sensor WHERE id = 2")
        finally:
            connections.close_all()
            gone.set()

    thread = threading.Thread(target=delete)
    with transaction.atomic():
        assert outcome(HUMID % 1) == (1, 0)
        thread.start()
        _until_somebody_waits_for(locks.SENSORS)
        assert not gone.is_set()
    thread.join(20)
    assert gone.is_set()
    assert not Sensor.objects.filter(pk=2).exists()
    if by == "the job":
        assert not Measurement.objects.filter(sensor_id=2).exists()
    assert outcome(HUMID % 3) == (0, 1)
    assert IngestBatch.objects.count() == 2


def _until_somebody_waits_for(lock: int) -> None:
    deadline = time.monotonic() + 20
    with connection.cursor() as cursor:
        while not cursor.rowcount > 0:
            assert time.monotonic() < deadline, "nobody waits for it"
            cursor.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted", [lock]
            )
