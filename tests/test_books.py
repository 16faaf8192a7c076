"""The books after somebody restored an older database, or Redis began anew."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from monitoring import books
from monitoring.ingest import ingest
from monitoring.management.commands import correct_books
from monitoring.models import Correction, IngestBatch, Sensor


def hand_over(store: BatchStore, messages: int) -> Batch:
    batch = Batch(
        time_ordered_id(),
        "mqtt:test",
        [
            Message(
                1_700_000_000_000_000 + number, "iot/measurements", b'{"sensor_id": 3, "value": 1}', False
            )
            for number in range(messages)
        ],
    )
    store.hand_over(batch, Receipt(f"test:{batch.id}", "", 60))
    return batch


def store_some(store: BatchStore, messages: int) -> Batch:
    batch = hand_over(store, messages)
    ingest(store, batch.id)
    return batch


def correct(reason: str = "restored the dump of 3 May") -> str:
    out = StringIO()
    call_command("correct_books", reason, stdout=out)
    return out.getvalue()


@pytest.fixture(autouse=True)
def the_same_redis(store: BatchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correct_books, "batch_store", lambda: store)


def test_an_older_database_has_forgotten_messages(store: BatchStore, sensors: dict[int, Sensor]) -> None:
    store_some(store, 5)
    late = store_some(store, 3)
    IngestBatch.objects.filter(pk=late.id).delete()
    found = books.read(store)
    assert (found["handed_over"], found["ledger"]["messages"], found["balanced"]) == (8, 5, False)

    assert correct().startswith("3 messages were handed over that the database does not know")

    found = books.read(store)
    assert (found["handed_over"], found["corrected"], found["balanced"]) == (8, 3, True)
    assert str(Correction.objects.get()) == "+3: restored the dump of 3 May"
    assert correct() == "nothing is missing: nothing to correct\n"
    store_some(store, 2)
    assert books.read(store)["balanced"] is True


def test_a_new_redis_does_not_count_what_was_before(store: BatchStore, sensors: dict[int, Sensor]) -> None:
    store_some(store, 1200)
    store.redis.flushdb()
    store_some(store, 2)
    assert books.read(store)["balanced"] is False
    assert correct("another machine") == "1,200 messages in the ledger are unknown to Redis: noted\n"
    found = books.read(store)
    assert (found["handed_over"], found["corrected"], found["balanced"]) == (2, -1200, True)


def test_what_is_pending_is_not_missing(store: BatchStore, sensors: dict[int, Sensor]) -> None:
    batch = hand_over(store, 4)
    assert correct() == "nothing is missing: nothing to correct\n"
    IngestBatch.objects.filter(pk=store_some(store, 3).id).delete()
    assert correct().startswith("3 messages were handed over that the database does not know")
    ingest(store, batch.id)
    assert correct() == "nothing is missing: nothing to correct\n"
    assert books.read(store)["balanced"] is True


def test_what_cannot_be_known_is_not_corrected(
    store: BatchStore, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correct_books, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(books, "MOST_PENDING", 0)
    hand_over(store, 4)
    with pytest.raises(CommandError, match="too much is pending to say what is missing"):
        correct()
    assert not Correction.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "two\nlines", "\0"])
def test_a_reason_is_a_line(store: BatchStore, db: None, reason: str) -> None:
    with pytest.raises(CommandError, match="the reason is a line of 1 to 200 characters"):
        correct(reason)


def test_redis_is_away(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correct_books, "batch_store", lambda: BatchStore.at("redis://127.0.0.1:1/0", 1))
    with pytest.raises(CommandError, match=r"REDIS_URL: .*Connection refused"):
        correct()
