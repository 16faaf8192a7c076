"""Batches sent through the pipeline."""

import time

import pytest

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from monitoring.ingest import ingest
from monitoring.models import Sensor
from tests.pipeline.sending import SendAll


@pytest.fixture
def send(store: BatchStore, sensors: dict[int, Sensor]) -> SendAll:
    """Hands payloads over that were received `ago` seconds before; `stored`: and has them stored."""

    def send(*payloads: bytes, ago: float = 0, stored: bool = True, source: str = "mqtt:test") -> Batch:
        first = time.time_ns() // 1000 - int(ago * 1_000_000)
        messages = [Message(first + place, "t", payload, False) for place, payload in enumerate(payloads)]
        batch = Batch(time_ordered_id(), source, messages)
        store.hand_over(batch, Receipt(f"test:{batch.id}", "", 60))
        if stored:
            ingest(store, batch.id)
        return batch

    return send
