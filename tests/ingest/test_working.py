"""A worker at work: it goes on while anything is due, and stores several small batches in one transaction."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection

from batches.batch import Batch
from batches.store import BatchStore
from config.celery import app
from monitoring.ingest import Attempt, End, after_commit, columns, ingest, work
from monitoring.models import IngestBatch, Measurement, RejectedMessage, Sensor
from monitoring.tasks import ingest_batch
from monitoring.upkeep.partitions import existing
from tests.elsewhere import elsewhere
from tests.ingest.test_blame import changed
from tests.journey.system import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
PROJECT = Path(__file__).parents[2]
HandOver = Callable[..., Batch]
# A trigger of somebody's that does not bear one value.
REFUSING = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN IF NEW.value = 13 THEN RAISE EXCEPTION 'no thirteen' USING ERRCODE = '22023'; END IF;"
    " RETURN NEW; END $$;"
    "CREATE TRIGGER refuse BEFORE INSERT ON monitoring_measurement FOR EACH ROW EXECUTE FUNCTION refuse()"
)


@cache
def start() -> int:
    """Unix seconds: an hour before the first test that asks."""
    return int(time.time()) - 3600


@pytest.fixture(autouse=True)
def two_sensors(transactional_db: None) -> None:
    columns.forget_doubles()
    Sensor.objects.register([Sensor(id=1, name="one", unit="V"), Sensor(id=2, name="two")])


def payload(sensor_id: int, value: float, second: float | None = None) -> bytes:
    ts = {} if second is None else {"ts": start() + second}
    return json.dumps({"sensor_id": sensor_id, "value": value} | ts).encode()


def at_work(store: BatchStore, seconds: float = 60) -> list[Attempt]:
    made: list[Attempt] = []
    work(store, made.append, seconds)
    return made


def transactions() -> set[int]:
    """Those that entered what stands in the ledger."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT xmin::text::bigint FROM monitoring_ingestbatch")
        return {number for (number,) in cursor.fetchall()}


def due_again(store: BatchStore, *batches: Batch) -> None:
    if batches:
        store.redis.zadd("iot:batches:due", {str(batch.id): 0 for batch in batches})


def assert_all_is_in_the_books(store: BatchStore) -> None:
    figures = store.figures()
    assert (figures.pending_batches, figures.pending_messages, figures.pending_bytes) == (0, 0, 0)
    sums = IngestBatch.objects.sums()
    assert sums["messages"] == figures.handed_over
    assert sums["stored"] == Measurement.objects.count()
    assert sums["readings"] == sums["stored"] + sums["duplicates"] + sums["rejected"]


# --- it goes on --------------------------------------------------------------------------------------------


def test_it_works(store: BatchStore, hand_over: HandOver) -> None:
    batches = [hand_over(*(payload(1 + n % 2, n, 4 * place + n) for n in range(4))) for place in range(600)]
    made = at_work(store)
    assert Counter(attempt.end for attempt in made) == {End.STORED: 600}
    assert {attempt.entry.pk for attempt in made if attempt.entry} == {batch.id for batch in batches}
    assert len(transactions()) == 3, "250 at once"
    assert set(IngestBatch.objects.values_list("messages", "stored")) == {(4, 4)}
    assert_all_is_in_the_books(store)


def test_a_task_is_a_call_to_work(store: BatchStore, hand_over: HandOver) -> None:
    """Whatever batch it names: the worker takes what has been due longest, and ends after the last."""
    hand_over(payload(1, 1), payload(1, 2))
    assert ingest_batch("of another") == "1 stored"
    batches = [hand_over(payload(1, place)) for place in range(3)]
    assert ingest_batch(str(batches[-1].id)) == "3 stored"
    assert ingest_batch(str(batches[0].id)) == "nothing due"
    assert_all_is_in_the_books(store)


def test_whose_time_is_up_has_the_next_one_called(
    store: BatchStore, hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "__defaults__", (0,))
    for place in range(300):
        hand_over(payload(1, place))
    assert ingest_batch("") == "250 stored"
    assert store.redis.llen("ingest") == 1
    with app.connection_for_read() as broker:
        message = broker.SimpleQueue("ingest").get_nowait()
        message.ack()
    assert ingest_batch("") == "50 stored"
    assert store.redis.llen("ingest") == 0
    assert_all_is_in_the_books(store)


# --- each batch by itself ----------------------------------------------------------------------------------


def test_what_comes_of_a_batch_is_what_comes_of_it_alone(store: BatchStore, hand_over: HandOver) -> None:
    """Whatever is beside it."""
    contents = [
        [payload(1, 1, 1), payload(2, 1, 1)],
        [b"garbage", payload(1, 2, 2), b"more garbage"],
        [payload(9, 3, 3)],
        [b"[" + payload(2, 4, 4) + b"," + payload(2, 5, 5) + b"," + payload(9, 1, 1) + b"]"],
        [payload(1, 6, 6), payload(1, 6, 6), payload(1, 7, 6)],
        [payload(1, 8, 8)],
        [b'{"sensor_id": 1, "value": 9, "unit": "A"}', payload(2, 9, 9)],
        [payload(2, 10, 400_000)],
    ]

    def come_of(batches: list[Batch]) -> list[tuple[object, ...]]:
        entries = IngestBatch.objects.in_bulk([batch.id for batch in batches])
        return [
            (
                *(
                    getattr(entries[one.id], name)
                    for name in ("messages", "readings", "stored", "duplicates")
                ),
                (entries[one.id].touched_sensors, entries[one.id].touched_minutes),
                list(
                    RejectedMessage.objects.filter(batch=one.id)
                    .order_by("position", "index")
                    .values_list("position", "index", "code", "elements")
                ),
            )
            for one in batches
        ]

    alone = [hand_over(*payloads) for payloads in contents]
    for batch in alone:
        assert ingest(store, batch.id).end is End.STORED
    rows = list(Measurement.objects.order_by("sensor_id", "created_at").values_list("sensor_id", "value"))
    seen = dict(RejectedMessage.objects.order_by().values_list("code").distinct().values_list("code", "code"))
    Measurement.objects.all().delete()
    columns.forget_doubles()

    beside = [hand_over(*payloads) for payloads in contents]
    assert {attempt.end for attempt in at_work(store)} == {End.STORED}

    assert len(transactions()) == len(contents) + 1
    assert come_of(beside) == come_of(alone)
    assert seen.keys() == {"not_json", "unknown_sensor", "conflict", "unit_mismatch", "clock_ahead"}
    assert (
        list(Measurement.objects.order_by("sensor_id", "created_at").values_list("sensor_id", "value"))
        == rows
    )
    assert store.figures().pending_batches == 0


def test_a_key_that_two_of_them_ask_for_is_stored_once(store: BatchStore, hand_over: HandOver) -> None:
    first, again, other = (_in_its_own_millisecond(hand_over, payload(1, value, 1)) for value in (1, 1, 2))
    neighbour = hand_over(payload(2, 1, 1))
    assert [attempt.end for attempt in at_work(store)] == [End.STORED] * 4
    assert len(transactions()) == 1
    entries = IngestBatch.objects.in_bulk()
    assert [
        (entries[one.id].stored, entries[one.id].duplicates, entries[one.id].rejected)
        for one in (first, again, other, neighbour)
    ] == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)]
    assert_all_is_in_the_books(store)


def _in_its_own_millisecond(hand_over: HandOver, message: bytes) -> Batch:
    """The order of ids is that of time, within a millisecond it is any."""
    begun = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == begun:
        pass
    return hand_over(message)


def test_what_was_stored_before_is_not_stored_again(store: BatchStore, hand_over: HandOver) -> None:
    """As after a worker that died between its commit and the store."""
    from monitoring.ingest.ways import at_once

    batches = [hand_over(payload(1, place), payload(2, place)) for place in range(5)]
    at_once(batches[2])
    assert Counter(attempt.end for attempt in at_work(store)) == {End.STORED: 4, End.DONE_BEFORE: 1}
    assert Measurement.objects.count() == 10
    assert_all_is_in_the_books(store)


def test_a_partition_that_retention_dropped_meanwhile_is_made_anew(
    store: BatchStore, hand_over: HandOver
) -> None:
    """And what goes on in a savepoint is then together again too."""
    hand_over(payload(1, 1))
    at_work(store)
    with connection.cursor() as cursor:
        for name in existing():
            cursor.execute(f"DROP TABLE {name}")
    before = transactions()
    for place in range(3):
        hand_over(payload(1, place), b"[" + payload(2, place) + b"]")
    assert [attempt.end for attempt in at_work(store)] == [End.STORED] * 3
    assert len(transactions() - before) == 1
    assert Measurement.objects.count() == 6


def test_one_that_fails_spoils_none_of_its_neighbours(store: BatchStore, hand_over: HandOver) -> None:
    """And each is told once."""
    before = [hand_over(payload(1, place, place)) for place in range(3)]
    bad = hand_over(payload(1, 13, 13), payload(1, 14, 14))
    after = [hand_over(payload(2, place, place)) for place in range(3)]
    told: list[after_commit.Committed] = []
    end = after_commit.subscribe(told.append)
    with changed(REFUSING, "DROP FUNCTION refuse() CASCADE"):
        made = at_work(store)
    assert {attempt.end for attempt in made} == {End.STORED}
    assert Measurement.objects.count() == 7
    rejected = RejectedMessage.objects.get()
    assert (rejected.batch, rejected.position, rejected.code) == (bad.id, 0, "failed")
    assert_all_is_in_the_books(store)
    wait_for(lambda: len(told) == 7, "being told")
    assert {one.batch for one in told} == {batch.id for batch in (*before, bad, *after)}
    end()


def test_a_sensor_that_registers_itself_stays_though_its_batch_fails(
    store: BatchStore, hand_over: HandOver, settings: LazySettings
) -> None:
    """So the batches beside it need not be attempted again for it."""
    settings.AUTO_REGISTER_SENSORS = True
    hand_over(b"[" + payload(50, 13, 13) + b"]", b"[" + payload(50, 14, 14) + b"]")
    for place in range(3):
        hand_over(b"[" + payload(50, place, place) + b"]")
    with changed(REFUSING, "DROP FUNCTION refuse() CASCADE"):
        assert {attempt.end for attempt in at_work(store)} == {End.STORED}
    assert len(transactions()) == 2
    assert Measurement.objects.filter(sensor=50).count() == 4
    assert_all_is_in_the_books(store)


def wait_long(store: BatchStore, *batches: Batch) -> None:
    """Once postponed they come again in 16 s, rather than in the middle of a test that is slow."""
    for batch in batches:
        store.redis.hset(f"iot:batch:{batch.id}", "postponed", 4)


def test_where_the_database_is_away_all_wait_and_no_other_is_tried(
    store: BatchStore, hand_over: HandOver
) -> None:
    batches = [hand_over(payload(1, place)) for place in range(300)]
    wait_long(store, *batches)
    connection.ensure_connection()
    with changed("ALTER TABLE monitoring_measurement RENAME TO elsewhere", "SELECT 1"):
        made: list[Attempt] = []
        assert not work(store, made.append), "no other worker is called"
        assert [(one.end, one.in_every_way) for one in made] == [(End.POSTPONED, True)]
        assert len(store.due(1000)) == 50
    with changed("ALTER TABLE elsewhere RENAME TO monitoring_measurement", "SELECT 1"):
        due_again(store, *batches)
        assert {one.end for one in at_work(store)} == {End.STORED}
    assert len(transactions()) == 2, "together again: it was none of theirs"
    assert_all_is_in_the_books(store)


def test_one_that_may_be_at_fault_is_by_itself_the_next_time(store: BatchStore, hand_over: HandOver) -> None:
    bad = hand_over(payload(1, 13, 13))
    wait_long(store, bad)
    store.redis.hset(f"iot:batch:{bad.id}", "body", b"of another version")
    good = [hand_over(payload(1, place, place)) for place in range(3)]
    assert [attempt.end for attempt in at_work(store)] == [End.POSTPONED, *[End.STORED] * 3]
    due_again(store, bad)
    more = [hand_over(payload(2, place, place)) for place in range(3)]
    assert [len(store.take()) for _ in range(2)] == [1, 3]
    due_again(store, *more)
    assert len(at_work(store)) == 3
    assert IngestBatch.objects.count() == len(good) + len(more)


# --- a worker that dies ------------------------------------------------------------------------------------


def run(store: BatchStore, failpoints: str) -> int:
    return elsewhere(lambda: work(store, lambda made: None), failpoints).code


@pytest.mark.parametrize(
    "step", ["claimed", "message@3", "copied", "stored", "entered", "before_commit", "committed", "done"]
)
def test_what_a_dead_worker_had_is_stored_once(store: BatchStore, hand_over: HandOver, step: str) -> None:
    batches = [hand_over(payload(1, place), payload(2, place)) for place in range(4)]
    garbage = hand_over(payload(1, 1), b"garbage")
    name, _, nth = step.partition("@")

    assert run(store, f"ingest.{name}=kill" + (f"@{nth}" if nth else "")) == -signal.SIGKILL
    pending = [batch for batch in (*batches, garbage) if store.redis.exists(f"iot:batch:{batch.id}")]
    due_again(store, *pending)
    assert all(len(claims) == 1 for claims in (store.take() for _ in pending)), "each by itself"
    due_again(store, *pending)
    at_work(store)

    assert Measurement.objects.count() == 9
    assert RejectedMessage.objects.count() == 1
    assert IngestBatch.objects.count() == 5
    assert_all_is_in_the_books(store)


def test_one_that_kills_workers_costs_its_neighbours_nothing(store: BatchStore, hand_over: HandOver) -> None:
    good = [hand_over(payload(1, place)) for place in range(3)]
    poison = hand_over(payload(2, 1), b'{"sensor_id": 2, "value": 2, "poison": 1}')
    good += [hand_over(payload(1, place)) for place in range(3)]

    deaths = 0
    while code := run(store, "ingest.message=kill?poison"):
        assert code == -signal.SIGKILL
        deaths += 1
        assert deaths < 10
        due_again(store, *(one for one in (*good, poison) if store.redis.exists(f"iot:batch:{one.id}")))
    # Once among the others, three times alone, and two that went carefully.
    assert deaths == 6
    assert Measurement.objects.count() == 7
    assert RejectedMessage.objects.get().code == "crashed_worker"
    assert_all_is_in_the_books(store)
