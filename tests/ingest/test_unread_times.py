"""A device that calls its time `timestamp` is told of in the admin, once; its readings are stored."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client
from django.urls import reverse

from batches.batch import Batch, Message
from batches.store import BatchStore
from monitoring import unread_times
from monitoring.ingest import ingest, work
from monitoring.models import Measurement, Sensor
from monitoring.unread_times import Unread

pytestmark = pytest.mark.django_db(transaction=True)
HandOver = Callable[..., Batch]


@pytest.fixture(autouse=True)
def nothing_was_noted(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_times, "_noted", {})
    Sensor.objects.register([Sensor(id=1, name="one")])


def payload(**more: Any) -> bytes:
    return json.dumps({"sensor_id": 1, "value": 2.5} | more).encode()


@pytest.mark.parametrize("field", unread_times.FIELDS)
def test_it_is_noted_and_the_reading_is_stored(store: BatchStore, hand_over: HandOver, field: str) -> None:
    batch = hand_over(payload(**{field: "2026-01-28T15:00:00Z"}))
    ingest(store, batch.id)
    assert Measurement.objects.count() == 1
    assert unread_times.seen(store.redis) == [Unread(field, batch.messages[0].topic)]


@pytest.mark.parametrize(
    "sent",
    [payload(), payload(ts="2026-11-20T15:00:00Z", timestamp=1), payload(unit='"time"'), b"[]", b"\xff"],
)
def test_what_is_none(store: BatchStore, sent: bytes) -> None:
    unread_times.look(store.redis, Message(1, "iot/a", sent))
    assert unread_times.seen(store.redis) == []


def test_small_batches_together(store: BatchStore, hand_over: HandOver) -> None:
    for number in range(3):
        hand_over(payload(value=number, time=number))
    work(store, lambda made: None)
    assert Measurement.objects.count() == 3
    assert [one.field for one in unread_times.seen(store.redis)] == ["time"]


def test_it_is_noted_once_a_minute(store: BatchStore) -> None:
    for topic in ("iot/a", "iot/b"):
        unread_times.look(store.redis, Message(1, topic, payload(time=1)))
    assert unread_times.seen(store.redis) == [Unread("time", "iot/a")]
    assert 0 < int(store.redis.ttl("iot:unread-time:time")) <= 24 * 3600  # type: ignore[arg-type]


def test_a_redis_that_is_away_costs_nothing() -> None:
    unread_times.look(redis.Redis(port=1), Message(1, "iot/a", payload(time=1)))


def test_the_admin_says_it(store: BatchStore, admin_client: Client) -> None:
    assert "nobody reads" not in admin_client.get(reverse("admin:index")).content.decode()
    unread_times.look(store.redis, Message(1, "iot/<b>", payload(timestamp=1)))
    page = admin_client.get(reverse("admin:index")).content.decode()
    assert "Messages on iot/&lt;b&gt; have a field timestamp, which nobody reads" in page
