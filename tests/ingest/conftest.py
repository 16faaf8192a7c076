"""Batches for the tests of ingest."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt

MakeBatch = Callable[..., Batch]


def now_us() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)


@pytest.fixture
def hand_over(store: BatchStore) -> MakeBatch:
    """Hands a batch of payloads over, as a bridge does; `retained` and `start_us` for all of them."""

    def hand_over(*payloads: bytes, retained: bool = False, start_us: int | None = None) -> Batch:
        start = now_us() if start_us is None else start_us
        messages = [
            Message(start + place, "iot/measurements", payload, retained)
            for place, payload in enumerate(payloads)
        ]
        batch = Batch(time_ordered_id(), "mqtt:test", messages)
        store.hand_over(batch, Receipt(f"test:{batch.id}", "", 60))
        return batch

    return hand_over
