"""The way of a message, told afterwards."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from batches.store import BatchStore
from monitoring.ingest import ingest
from monitoring.models import Measurement, RejectedMessage, Sensor
from monitoring.rejected.replay import replay_one
from monitoring.trace import SECOND, trace
from tests.ingest.conftest import MakeBatch, hand_over

__all__ = ["hand_over"]
TOPIC = "iot/measurements"


def reading(sensor: int, **more: object) -> bytes:
    return json.dumps({"sensor_id": sensor, "value": 1.5, **more}).encode()


@pytest.mark.django_db(transaction=True)
def test_a_sensor_s_message_is_followed(
    sensors: dict[int, Sensor], store: BatchStore, hand_over: MakeBatch, now: datetime
) -> None:
    batch = hand_over(reading(1), reading(12))
    other = hand_over(reading(2))
    for one in (batch, other):
        ingest(store, one.id)
    row = Measurement.objects.get(sensor_id=1)
    found = trace(row.received_at, sensor=1)
    (traced,) = (one for one in found.batches if one.entry.pk == batch.id)
    assert found.measurements == [row]
    assert found.rejected == []
    assert found.is_kept
    assert traced.claimed_at is not None
    entry = traced.entry
    assert (entry.source, entry.messages, entry.stored, entry.rejected) == ("mqtt:test", 2, 1, 1)
    assert now - SECOND < traced.handed_over_at <= traced.claimed_at <= traced.committed_at
    assert traced.committed_at < datetime.now(UTC)
    # To the microsecond it is in no other batch.
    assert len(trace(row.received_at, sensor=1, within=timedelta(microseconds=1)).batches) == 1


@pytest.mark.django_db
def test_a_device_s_own_time_leads_to_when_it_was_received(
    sensors: dict[int, Sensor], store: BatchStore, hand_over: MakeBatch, noon: datetime, now: datetime
) -> None:
    batch = hand_over(reading(1, ts=noon.timestamp()))
    ingest(store, batch.id)
    found = trace(noon, sensor=1)
    assert [one.entry.pk for one in found.batches] == [batch.id]
    assert found.measurements[0].received_at > noon


@pytest.mark.django_db
def test_of_a_topic_and_a_time(
    sensors: dict[int, Sensor], store: BatchStore, hand_over: MakeBatch, now: datetime
) -> None:
    batch = hand_over(reading(1), b"garbage")
    ingest(store, batch.id)
    (row,) = RejectedMessage.objects.all()
    found = trace(row.received_at, TOPIC)
    assert [one.entry.pk for one in found.batches] == [batch.id]
    assert found.rejected == [row]
    assert trace(row.received_at, "another").rejected == []
    assert trace(row.received_at - SECOND * 60, TOPIC)[4:] == ([], [])
    assert trace(row.received_at - SECOND * 60, TOPIC).batches == []


@pytest.mark.django_db
def test_what_was_replayed_is_followed_to_when_it_came(
    sensors: dict[int, Sensor], store: BatchStore, hand_over: MakeBatch, noon: datetime
) -> None:
    batch = hand_over(reading(12, ts=noon.timestamp()))
    ingest(store, batch.id)
    Sensor.objects.create(pk=12, name="late")
    (row,) = RejectedMessage.objects.all()
    replay_one(row.pk, User.objects.create_user("ana"))
    found = trace(noon, sensor=12)
    assert [one.entry.source for one in found.batches] == ["mqtt:test", "replay"]
    assert [(one.pk, one.state) for one in found.rejected] == [(row.pk, "replayed")]


@pytest.mark.django_db
def test_what_the_ledger_has_no_more_is_said(now: datetime) -> None:
    assert trace(now - timedelta(days=6), TOPIC).is_kept
    assert not trace(now - timedelta(days=8), TOPIC).is_kept
