"""Partitions go as a whole, and nobody waits for it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.utils import OperationalError

from batches.batch import Batch
from batches.store import BatchStore
from monitoring import locks
from monitoring.ingest import End, ingest
from monitoring.models import IngestBatch, Measurement, RejectedMessage, RetentionRun, Sensor
from monitoring.models.measurement_queryset import Incoming
from monitoring.upkeep import dropping
from monitoring.upkeep.dropping import drop_partitions
from monitoring.upkeep.partitions import MEASUREMENTS, PartitionLeavingError, ensure_partitions, existing
from monitoring.upkeep.pieces import alone
from monitoring.upkeep.tables import Kept, State, mark_of

pytestmark = pytest.mark.django_db(transaction=True)
KEPT = Kept(MEASUREMENTS, "RETENTION_DAYS")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(dropping, "LOCK_TIMEOUT", 200)
    monkeypatch.setattr(dropping, "PATIENT_LOCK_TIMEOUT", 300)


def state_of(name: str) -> State | None:
    found = dropping._find(KEPT, name)
    return found and found.state


@contextmanager
def elsewhere(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """`work` in another thread, with a connection of its own, until the block ends."""
    over, failures = threading.Event(), []

    def run() -> None:
        try:
            work(over)
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert failures == []


@contextmanager
def reading(seen: list[int], isolation: str = "READ COMMITTED") -> Iterator[None]:
    """Somebody reads the table in a transaction that stays open, and reads it again at the end."""
    has_begun = threading.Event()

    def read(over: threading.Event) -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            seen.append(Measurement.objects.count())
            has_begun.set()
            over.wait(30)
            seen.append(Measurement.objects.count())

    with elsewhere(read):
        assert has_begun.wait(10)
        yield


def test_it_works(partitions: str, measure: Callable[..., None], old: datetime) -> None:
    measure(1, old, 10)
    measure(1, datetime.now(UTC), 5)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {partitions}")

    (dropped,) = drop_partitions()

    assert (dropped.name, dropped.rows) == (partitions, 10)
    assert Measurement.objects.count() == 5
    assert partitions not in existing()
    run = RetentionRun.objects.get()
    assert (run.kind, run.target, run.rows, run.freed) == ("partition", partitions, 10, dropped.bytes)
    assert run.freed > 0
    assert drop_partitions() == []


def test_what_is_within_retention_stays(partitions: str, settings: object) -> None:
    settings.RETENTION_DAYS = 2000  # type: ignore[attr-defined]
    assert drop_partitions() == []
    settings.RETENTION_DAYS = 41  # type: ignore[attr-defined]
    # The month of 40 days ago, which is there, has not ended by then.
    assert [partition.name for partition in drop_partitions()] == [partitions]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_an_open_reader_and_ingest_go_on(
    partitions: str, measure: Callable[..., None], isolation: str, old: datetime
) -> None:
    measure(1, old, 10)
    stored: list[datetime] = []
    made: list[datetime] = []
    start = datetime.now(UTC)

    def store(over: threading.Event) -> None:
        while not over.is_set():
            moment = start + timedelta(microseconds=len(stored))
            Measurement.objects.ingest([Incoming(2, moment, moment, 1.0, "", True)])
            stored.append(moment)

    def make(over: threading.Event) -> None:
        """A worker that needs new partitions, one a month further back each time."""
        while not over.is_set():
            moment = start - timedelta(days=70 + 31 * len(made))
            ensure_partitions(moment, moment)
            made.append(moment)
            over.wait(1)

    def both_go_on() -> bool:
        """Each does one more whole piece of work; what waits for the reader does not."""
        before, deadline = (len(stored) + 2, len(made) + 2), time.monotonic() + 30
        while (len(stored) < before[0] or len(made) < before[1]) and time.monotonic() < deadline:
            time.sleep(0.01)
        return len(stored) >= before[0] and len(made) >= before[1]

    seen: list[int] = []
    with elsewhere(store), elsewhere(make):
        with reading(seen, isolation):
            assert both_go_on()
            assert drop_partitions() == []
            assert state_of(partitions) is State.LEAVING
            assert both_go_on()
        deadline = time.monotonic() + 30
        while not drop_partitions() and time.monotonic() < deadline:
            pass
        assert both_go_on()
    assert state_of(partitions) is None
    assert RetentionRun.objects.get().target == partitions
    assert seen[0] >= 10
    assert Measurement.objects.filter(sensor_id=2).count() == len(stored)


@contextmanager
def impatiently() -> Iterator[None]:
    """Whoever waits for a lock fails."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 2000")
        try:
            yield
        finally:
            cursor.execute("RESET lock_timeout")


def test_a_partition_is_made_while_somebody_reads(partitions: str, old: datetime) -> None:
    wanted = old - timedelta(days=200)
    with reading([]), impatiently():
        assert len(ensure_partitions(wanted, wanted)) == 1


def test_partitions_come_and_go_while_somebody_is_at_a_sensor(partitions: str, old: datetime) -> None:
    """With a foreign key each would wait for them, and all others behind it."""
    is_at_it, wanted = threading.Event(), old - timedelta(days=200)

    def change(over: threading.Event) -> None:
        with transaction.atomic():
            Sensor.objects.filter(pk=1).update(location="somewhere else")
            is_at_it.set()
            over.wait(30)

    with elsewhere(change):
        assert is_at_it.wait(10)
        with impatiently():
            made = ensure_partitions(wanted, wanted)
        assert [partition.name for partition in drop_partitions()] == [*made, partitions]


@pytest.mark.parametrize("step", ["refresh_span", "DETACH", "drop"])
def test_it_handles_a_death_at_any_step(partitions: str, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    class Death(Exception):
        pass

    def die(*args: object) -> None:
        raise Death

    run = dropping._run
    with monkeypatch.context() as patched:
        if step == "DETACH":
            patched.setattr(dropping, "_run", lambda sql, *a: die() if step in sql else run(sql, *a))
        else:
            patched.setattr(dropping, "_drop" if step == "drop" else step, die)
        with pytest.raises(Death):
            drop_partitions()
    assert state_of(partitions) is (State.DETACHED if step == "drop" else State.ATTACHED)
    assert [partition.name for partition in drop_partitions()] == [partitions]
    assert RetentionRun.objects.count() == 1


def test_it_handles_one_left_half_detached(partitions: str) -> None:
    with reading([]), connection.cursor() as cursor:
        cursor.execute(f"COMMENT ON TABLE {partitions} IS '{mark_of(KEPT, existing()[partitions])}'")
        cursor.execute("SET lock_timeout = 100")
        with pytest.raises(OperationalError, match="lock timeout"):
            cursor.execute(f"ALTER TABLE monitoring_measurement DETACH PARTITION {partitions} CONCURRENTLY")
        cursor.execute("RESET lock_timeout")
    assert state_of(partitions) is State.LEAVING
    assert [partition.name for partition in drop_partitions()] == [partitions]


def test_one_that_a_person_detached_is_left_alone(partitions: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE monitoring_measurement DETACH PARTITION {partitions}")
    assert drop_partitions() == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [partitions])
        assert cursor.fetchone() == (True,)


def test_a_message_for_one_that_a_person_detached_is_stored(
    partitions: str, store: BatchStore, hand_over: Callable[..., Batch]
) -> None:
    """It would hold its whole batch up for as long as the table stands there."""
    last = datetime.now(UTC) - timedelta(days=40)
    (name,) = [name for name, span in existing().items() if span.start <= last < span.end]
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE monitoring_measurement DETACH PARTITION {name}")
    batch = hand_over(b'{"sensor_id": 1, "value": 1, "ts": %d}' % last.timestamp())
    assert ingest(store, batch.id).end is End.STORED
    assert Measurement.objects.get().created_at.date() == last.date()
    assert {f"{name}_2", partitions} < set(existing())


def test_two_at_once_are_one(partitions: str) -> None:
    held = threading.Event()

    def hold(over: threading.Event) -> None:
        with alone(locks.DROP) as is_alone:
            assert is_alone
            held.set()
            over.wait(10)

    with elsewhere(hold):
        assert held.wait(10)
        assert drop_partitions() == []
    assert len(drop_partitions()) == 1


def test_a_late_message_for_it_waits(
    partitions: str, store: BatchStore, hand_over: Callable[..., Batch], settings: object, old: datetime
) -> None:
    """Only a worker that believes in a longer retention can have one."""
    message = b'{"sensor_id": 1, "value": 1, "ts": %d}' % old.timestamp()
    with reading([]):
        assert drop_partitions() == []
        settings.RETENTION_DAYS = 2000  # type: ignore[attr-defined]
        batch = hand_over(message, b'{"sensor_id": 1, "value": 2}')
        with pytest.raises(PartitionLeavingError):
            ensure_partitions(old, old)
        assert ingest(store, batch.id).end is End.POSTPONED
        assert not IngestBatch.objects.exists()
    drop_partitions()
    assert ingest(store, batch.id).end is End.STORED
    assert (Measurement.objects.count(), RejectedMessage.objects.count()) == (2, 0)


def test_what_is_too_old_for_its_sensor_is_rejected(
    partitions: str, store: BatchStore, hand_over: Callable[..., Batch]
) -> None:
    Sensor.objects.filter(pk=1).update(retention_days=3)
    old = (datetime.now(UTC) - timedelta(days=2, minutes=1)).timestamp()
    payloads = [b'{"sensor_id": %d, "value": 1, "ts": %d}' % (sensor, old) for sensor in (1, 2)]
    assert ingest(store, hand_over(*payloads).id).end is End.STORED
    assert RejectedMessage.objects.get().code == "too_old"
    assert Measurement.objects.get().sensor_id == 2
