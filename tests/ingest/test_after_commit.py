"""What a batch stored is told once it is committed; nothing that listens can fail or delay it."""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from batches.batch import Batch
from batches.store import BatchStore
from monitoring.ingest import End, after_commit, columns, ingest
from monitoring.ingest.after_commit import Committed, Newest
from monitoring.models import Measurement, Sensor
from tests.journey.system import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
HandOver = Callable[..., Batch]


def payload(sensor_id: int, value: float, ts: float | None = None) -> bytes:
    return json.dumps({"sensor_id": sensor_id, "value": value} | ({} if ts is None else {"ts": ts})).encode()


@pytest.fixture(autouse=True)
def two_sensors(transactional_db: None) -> None:
    columns.forget_doubles()
    Sensor.objects.register([Sensor(id=1, name="one", unit="V"), Sensor(id=2, name="two")])


@pytest.fixture
def told() -> Iterator[list[Committed]]:
    found: list[Committed] = []
    end = after_commit.subscribe(found.append)
    yield found
    end()


def test_it_works(store: BatchStore, hand_over: HandOver, told: list[Committed]) -> None:
    now = 1_000_000 * (int(time.time()) - 60)
    batch = hand_over(
        payload(1, 1.5, now / 1e6 + 2),
        payload(1, 2.5, now / 1e6 + 1),
        b"[" + payload(2, 3, now / 1e6) + b"]",
        b"garbage",
        b"more garbage",
        payload(9, 1),
    )
    assert ingest(store, batch.id).end is End.STORED
    wait_for(lambda: told, "being told")
    assert told == [
        Committed(
            batch.id,
            {
                1: Newest(2, now + 2_000_000, 1.5, "V", now + 1_000_000, 1.5, 2.5),
                2: Newest(1, now, 3.0, "", now, 3.0, 3.0),
            },
            {"not_json": 2, "unknown_sensor": 1},
        )
    ]


def test_a_batch_that_was_done_is_not_told_again(
    store: BatchStore, hand_over: HandOver, told: list[Committed]
) -> None:
    from monitoring.ingest.ways import at_once

    batch = hand_over(payload(1, 1))
    at_once(batch)
    assert at_once(batch) is None
    after_commit._waiting.join()
    assert len(told) == 1


def test_what_was_rolled_back_is_not_told(
    store: BatchStore, hand_over: HandOver, told: list[Committed]
) -> None:
    from django.db import transaction

    from monitoring.ingest.ways import at_once

    with transaction.atomic():
        at_once(hand_over(payload(1, 1)))
        transaction.set_rollback(True)
    after_commit._waiting.join()
    assert told == []


def test_one_that_fails_fails_nobody_else(
    store: BatchStore, hand_over: HandOver, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(committed: Committed) -> None:
        raise ZeroDivisionError("in a subscriber")

    ends = [after_commit.subscribe(fails)]
    found: list[Committed] = []
    ends.append(after_commit.subscribe(found.append))
    try:
        with caplog.at_level(logging.ERROR):
            assert ingest(store, hand_over(payload(1, 1)).id).end is End.STORED
            wait_for(lambda: found, "the other one being told")
    finally:
        for end in ends:
            end()
    assert "in a subscriber" in caplog.text
    assert Measurement.objects.count() == 1


def test_one_that_hangs_holds_up_no_batch(
    store: BatchStore, hand_over: HandOver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(after_commit, "_waiting", queue.Queue(2))
    monkeypatch.setattr(after_commit, "_teller", None)
    go_on, told = threading.Event(), []

    def hangs(committed: Committed) -> None:
        go_on.wait(30)
        told.append(committed.batch)

    end = after_commit.subscribe(hangs)
    try:
        batches = [hand_over(payload(1, value)) for value in range(6)]
        for batch in batches:
            assert ingest(store, batch.id).end is End.STORED
        go_on.set()
        wait_for(lambda: batches[-1].id in told, "the newest being told")
    finally:
        go_on.set()
        end()
    assert Measurement.objects.count() == 6
    assert "batches were not told" in caplog.text


def test_nobody_listens_and_nothing_is_gathered(store: BatchStore, hand_over: HandOver) -> None:
    assert not after_commit.is_wanted()
    ingest(store, hand_over(payload(1, 1)).id)
    assert after_commit._waiting.empty()
