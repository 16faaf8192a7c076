"""Rejected messages as ingest leaves them, and what must hold of them at every moment."""

import json
from collections.abc import Callable
from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Sum

from batches.batch import Batch
from batches.store import BatchStore
from monitoring import books
from monitoring.ingest import End, ingest
from monitoring.models import IngestBatch, Measurement, RejectedMessage, RejectedTally, Sensor
from tests.ingest.conftest import hand_over, now_us

__all__ = ["hand_over"]

Reject = Callable[..., list[RejectedMessage]]


def reading(sensor: int = 12, value: float = 21.5, **more: object) -> bytes:
    return json.dumps({"sensor_id": sensor, "value": value, **more}).encode()


def register(sensor: int = 12, **more: object) -> Sensor:
    return Sensor.objects.create(pk=sensor, name=f"Sensor {sensor}", **more)


@pytest.fixture
def reject(sensors: dict[int, Sensor], store: BatchStore, hand_over: Callable[..., Batch]) -> Reject:
    """reject(payload, ...): has ingest take a batch of them, and gives the rows that wait now."""

    def reject(*payloads: bytes, retained: bool = False, at: datetime | None = None) -> list[RejectedMessage]:
        before = RejectedMessage.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        start_us = now_us() if at is None else int(at.timestamp() * 1_000_000)
        batch = hand_over(*payloads, retained=retained, start_us=start_us)
        assert ingest(store, batch.id).end is End.STORED
        return list(RejectedMessage.objects.filter(pk__gt=before).order_by("pk"))

    return reject


@pytest.fixture
def ana(db: None) -> User:
    return User.objects.create_user("ana", password="a good password")


def require_exact_books(store: BatchStore) -> None:
    """The ledger, the table, the rejected and their tallies agree, to the reading."""
    read = books.read(store)
    assert read["balanced"]
    ledger = read["ledger"]
    assert ledger["stored"] == Measurement.objects.count()
    assert ledger["rejected"] == sum(code["seen"] for code in read["rejected_by_code"].values())
    assert ledger["rejected"] == sum(read["rejected"].values())
    waiting = RejectedMessage.objects.waiting()
    assert read["rejected"]["waiting"] == (waiting.aggregate(sum=Sum("elements"))["sum"] or 0)
    held = sum(row.cost for row in RejectedMessage.objects.all())
    assert RejectedTally.objects.held_bytes() == held
    by_code = dict(waiting.values_list("code").annotate(Sum("elements")))
    assert by_code == {
        code: n for code, counts in read["rejected_by_code"].items() if (n := counts["waiting"])
    }
    assert all(counts["seen"] >= counts["kept"] >= 0 for counts in read["rejected_by_code"].values())
    entries = IngestBatch.objects.filter(source="replay")
    assert all(one.messages == one.rejected == 0 and one.readings for one in entries)


def everything() -> list[tuple[str, list[tuple[object, ...]]]]:
    """All rows of all our tables."""
    with connection.cursor() as cursor:
        names = sorted(name for name in connection.introspection.table_names(cursor))
        found = []
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{name}" AS t ORDER BY 1')
            found.append((name, cursor.fetchall()))
    return found
