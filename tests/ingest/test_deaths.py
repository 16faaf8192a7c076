"""A worker that is killed with -9 at any step of a batch: everything is stored once."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from batches.batch import Batch
from batches.store import BatchStore
from monitoring.ingest import End, ingest
from monitoring.models import IngestBatch, Measurement, RejectedMessage, Sensor
from tests.elsewhere import Ended, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)
PROJECT = Path(__file__).parents[2]


def attempt(store: BatchStore, batch: Batch, failpoints: str) -> Ended:
    return elsewhere(lambda: ingest(store, batch.id).end.value, failpoints)


def assert_died(ended: Ended) -> None:
    assert ended.code == -signal.SIGKILL, ended.said


@pytest.fixture
def payloads() -> list[bytes]:
    Sensor.objects.register([Sensor(id=3, name="light")])
    return [json.dumps({"sensor_id": 3, "value": value}).encode() for value in range(5)]


@pytest.mark.parametrize(
    "step",
    ["claimed", "message", "message@3", "copied", "stored", "entered", "before_commit", "committed", "done"],
)
def test_it_is_stored_once(
    store: BatchStore, hand_over: Callable[..., Batch], payloads: list[bytes], step: str
) -> None:
    batch = hand_over(*payloads, b"garbage")
    name, _, nth = step.partition("@")

    assert_died(attempt(store, batch, f"ingest.{name}=kill" + (f"@{nth}" if nth else "")))
    ingest(store, batch.id)

    assert Measurement.objects.count() == 5
    assert RejectedMessage.objects.count() == 1
    entry = IngestBatch.objects.get()
    assert (entry.messages, entry.stored, entry.rejected) == (6, 5, 1)
    figures = store.figures()
    assert (figures.handed_over, figures.pending_messages, figures.pending_batches) == (6, 0, 0)


def test_a_message_that_kills_workers_is_rejected_and_its_neighbours_are_stored(
    store: BatchStore, hand_over: Callable[..., Batch], payloads: list[bytes]
) -> None:
    poison = [b'{"sensor_id": 3, "value": 1, "poison": %d}' % place for place in (1, 2)]
    batch = hand_over(payloads[0], poison[0], *payloads[1:4], poison[1], payloads[4])

    attempts = 0
    while (process := attempt(store, batch, "ingest.message=kill?poison")).code:
        assert_died(process)
        attempts += 1
        assert attempts < 10
    # Three that knew nothing, and two for each poison.
    assert attempts == 7
    assert process.said == End.STORED.value

    assert Measurement.objects.count() == 5
    rejected = RejectedMessage.objects.order_by("position")
    assert [(one.position, one.code) for one in rejected] == [(1, "crashed_worker"), (5, "crashed_worker")]
    assert [bytes(one.payload) for one in rejected] == poison
    assert store.figures().pending_batches == 0


def test_an_exception_that_nobody_expects_costs_one_message(
    store: BatchStore, hand_over: Callable[..., Batch], payloads: list[bytes]
) -> None:
    batch = hand_over(*payloads[:2], b'{"sensor_id": 3, "value": 1, "poison": 1}', *payloads[2:])

    process = attempt(store, batch, "ingest.message=raise?poison")

    assert process.said == End.STORED.value, process.said
    assert Measurement.objects.count() == 5
    assert RejectedMessage.objects.get().code == "failed"
