"""Messages at a steady rate, as a bridge hands them over, each batch ingested at once."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt

BATCH = 100
TOPIC = "iot/measurements"


class Over(Protocol):
    def is_set(self) -> bool: ...


@dataclass
class Stream:
    """`took`: each batch's seconds from when it was due, so a stall shows in all that it held up.

    `failures`: how those ended that were not stored.
    """

    rate: float
    sensors: int
    took: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, over: Over) -> None:
        """Until `over` is set. Wants Django; closes this thread's connection to the database at the end."""
        from django.db import connections

        store, number, due = batch_store(), 0, time.monotonic()
        while not over.is_set():
            due += BATCH / self.rate
            time.sleep(max(0, due - time.monotonic()))
            first = time.time_ns() // 1000
            payloads = [
                b'{"sensor_id": %d, "value": %.2f}' % (1 + n % self.sensors, n % 331 / 4)
                for n in range(number, number + BATCH)
            ]
            number += BATCH
            end = store_at_once(store, [Message(first + n, TOPIC, one) for n, one in enumerate(payloads)])
            if end != "stored":
                self.failures.append(end)
            self.took.append(time.monotonic() - due)
        connections.close_all()


def batch_store() -> BatchStore:
    from django.conf import settings

    return BatchStore.at(settings.REDIS_URL, settings.BATCHES_MAX_BYTES)


def store_at_once(store: BatchStore, messages: list[Message]) -> str:
    """Hands a batch over and ingests it, as bridge and worker do; returns how that ended."""
    from monitoring.ingest import ingest

    batch = Batch(time_ordered_id(), "mqtt:bench", messages)
    store.hand_over(batch, Receipt(f"bench:{batch.id}", "", 60))
    return ingest(store, batch.id).end.value
