"""What is missing is a number at every moment: nought under load, right where some are lost."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from monitoring import books
from monitoring.ingest import ingest, work
from monitoring.models import Correction, IngestBatch, Sensor

HandOver = Callable[[int], Batch]


@pytest.fixture
def hand_over(store: BatchStore) -> HandOver:
    def hand_over(messages: int) -> Batch:
        now = time.time_ns() // 1000
        payload = b'{"sensor_id": 3, "value": 1}'
        batch = Batch(
            time_ordered_id(),
            "mqtt:test",
            [Message(now + number, "iot/measurements", payload, False) for number in range(messages)],
        )
        store.hand_over(batch, Receipt(f"test:{batch.id}", "", 60))
        return batch

    return hand_over


@pytest.fixture
def load(
    transactional_db: None, store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> Iterator[None]:
    """Two hundred batches a second, four hundred messages, handed over and stored by threads."""
    ended, faults = threading.Event(), list[BaseException]()

    def send() -> None:
        while not ended.wait(0.005):
            hand_over(2)

    def store_them() -> None:
        while not ended.is_set():
            work(store, lambda attempt: None, seconds=0.2)
            ended.wait(0.001)
        connection.close()

    def told(job: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                job()
            except BaseException as fault:
                faults.append(fault)
                raise

        return run

    threads = [threading.Thread(target=told(job)) for job in (send, store_them, store_them)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not faults


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


@pytest.mark.usefixtures("load")
def test_nothing_is_missing_in_any_look_while_messages_come(store: BatchStore) -> None:
    wait_for(lambda: store.figures().handed_over > 50, "the first messages")
    before = store.figures().handed_over
    looks, pending = [], 0
    # Until some hundred messages came, in looks that found some of them pending.
    while len(looks) < 200 or pending < 20 or store.figures().handed_over < before + 300:
        pending += store.figures().pending_batches > 0
        looks.append(books.missing(store))
        assert len(looks) < 5000, (pending, store.figures())
    assert set(looks) == {0}


@pytest.mark.usefixtures("load")
def test_what_is_lost_under_load_is_a_number_too(store: BatchStore, hand_over: HandOver) -> None:
    wait_for(lambda: store.figures().handed_over > 50, "the first messages")
    lost = hand_over(7)
    store.redis.delete(f"iot:batch:{lost.id}")
    wait_for(lambda: store.redis.zscore("iot:batches:due", str(lost.id)) is None, "a worker to look for it")
    IngestBatch.objects.filter(pk=lost.id).delete()  # where that worker was quicker
    assert [books.missing(store) for _ in range(20)] == [7] * 20
    done = hand_over(5)
    wait_for(lambda: IngestBatch.objects.filter(pk=done.id).exists(), "the next batch")
    IngestBatch.objects.filter(pk=done.id).delete()
    wait_for(lambda: not store.redis.exists(f"iot:batch:{done.id}"), "its end in Redis")
    assert [books.missing(store) for _ in range(20)] == [12] * 20


@pytest.mark.usefixtures("transactional_db")
def test_a_batch_that_stands_on_both_sides_counts_once(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are committed, and its worker died before it said so."""
    hand_over(4)
    with monkeypatch.context() as patch:
        patch.setattr(BatchStore, "done", lambda self, *ids: 0)
        work(store, lambda attempt: None)
    assert IngestBatch.objects.sums()["messages"] == store.figures().pending_messages == 4
    assert books.missing(store) == 0


@pytest.mark.usefixtures("transactional_db")
def test_what_came_within_a_look_is_not_taken_for_more(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at Redis and the look at the ledger a batch comes and is stored, and another comes."""
    hand_over(1)
    standing = BatchStore.standing

    def then_some(self: BatchStore, most: int) -> object:
        found = standing(self, most)
        ingest(self, hand_over(3).id)
        hand_over(2)
        return found

    monkeypatch.setattr(BatchStore, "standing", then_some)
    assert books.missing(store) == 0


@pytest.mark.usefixtures("db")
def test_nobody_says_a_number_that_is_not_known(
    store: BatchStore, hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_over(1)
    monkeypatch.setattr(books, "MOST_PENDING", 0)
    assert books.missing(store) is None
    monkeypatch.setattr(books, "MOST_PENDING", 10)
    assert books.missing(store) == 0
    # A process of the version before hands over without saying which batch.
    monkeypatch.setattr(BatchStore, "handed_over_after", lambda self, before: None)
    assert books.missing(store) is None


def test_a_thousand_batches_are_remembered_and_no_more(store: BatchStore, hand_over: HandOver) -> None:
    ids = [hand_over(2).id for _ in range(1003)]
    assert store.handed_over_after(2004) == {ids[-1]}
    assert store.handed_over_after(6) == set(ids[3:])
    assert store.handed_over_after(4) is None
    assert store.handed_over_after(2006) == set()
    assert store.handed_over_after(2007) is None  # Redis began anew
    assert store.redis.zcard("iot:batches:lately") == 1000


@pytest.mark.usefixtures("transactional_db")
def test_a_batch_whose_key_somebody_deleted_is_corrected_away(
    store: BatchStore, sensors: dict[int, Sensor], hand_over: HandOver
) -> None:
    lost, kept = hand_over(3), hand_over(2)
    store.redis.delete(f"iot:batch:{lost.id}")
    assert books.missing(store) == 3
    made = books.correct(store, "somebody deleted it")
    assert made is not None
    assert made.messages == 3
    figures = store.figures()
    assert (figures.pending_messages, figures.pending_batches) == (2, 1)
    assert books.read(store)["balanced"] is True
    ingest(store, kept.id)
    figures = store.figures()
    assert (figures.pending_messages, figures.pending_bytes, figures.pending_batches) == (0, 0, 0)
    assert books.missing(store) == 0
    assert Correction.objects.count() == 1
