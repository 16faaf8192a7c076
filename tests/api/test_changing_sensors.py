"""Sensors are registered, changed and deleted over HTTP."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from django.db import connection
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.models import Measurement, Sensor
from monitoring.upkeep import sending
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import remove_sensors
from tests.api.conftest import API

SENSORS = API + "sensors/"


@pytest.fixture(autouse=True)
def ids_from_four(sensors: object) -> Iterator[None]:
    """A sequence is not rolled back with a test's transaction, and other tests look at what comes next."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('monitoring_sensor_id_seq', 3)")


def test_it_works(sender: APIClient, client: APIClient, measure: Callable[..., None]) -> None:
    measure(3, 0, 1, 2)
    made = sender.post(SENSORS, {"name": "Serre", "kind": "light"}, format="json")
    assert made.status_code == 201
    number = made.json()["id"]
    assert client.get(made["Location"]).json()["name"] == "Serre"
    changed = sender.patch(f"{SENSORS}{number}/", {"retention_days": 30}, format="json")
    assert (changed.status_code, changed.json()["retention_days"]) == (200, 30)

    gone = sender.delete(f"{SENSORS}3/")
    assert gone.status_code == 202
    body = gone.json()
    assert (body["sensor"], body["measurements"], body["is_estimate"]) == (3, 3, False)
    assert body["from"].endswith("T12:00:00Z")
    assert client.get(f"{SENSORS}3/").status_code == 404
    assert [sensor["id"] for sensor in client.get(SENSORS).json()] == [1, 2, number]
    assert not Sensor.objects.get(pk=3).is_active
    assert sender.delete(f"{SENSORS}3/").status_code == 202
    assert sender.patch(f"{SENSORS}3/", {"is_active": True}, format="json").status_code == 404
    assert sender.post(SENSORS, {"id": 3, "name": "again"}, format="json").status_code == 409

    assert remove_sensors(TimeShare())["sensors"] == 1
    assert not Measurement.objects.exists()
    assert sender.delete(f"{SENSORS}3/").status_code == 404
    assert sender.post(SENSORS, {"id": 3, "name": "again"}, format="json").status_code == 201
    assert sender.post(SENSORS, {"id": 70, "name": "chosen"}, format="json").status_code == 201
    assert sender.post(SENSORS, {"name": "next"}, format="json").json()["id"] > 70


def test_the_job_is_sent_at_once(
    sender: APIClient, sensors: object, store: BatchStore, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert sender.delete(f"{SENSORS}3/").status_code == 202
    (sent,) = store.redis.lrange("upkeep", 0, -1)
    assert json.loads(sent)["headers"]["task"] == "monitoring.remove_sensors"
    with django_capture_on_commit_callbacks(execute=True):
        assert sender.delete(f"{SENSORS}3/").status_code == 202
    assert store.redis.llen("upkeep") == 1


def test_a_queue_that_is_away_changes_nothing(
    sender: APIClient, sensors: object, django_capture_on_commit_callbacks: Any, monkeypatch: Any
) -> None:
    with Celery(broker="redis://127.0.0.1:1/0", set_as_current=False) as away:
        away.conf.broker_connection_timeout = 0.1
        monkeypatch.setattr(sending, "current_app", away)
        with django_capture_on_commit_callbacks(execute=True):
            assert sender.delete(f"{SENSORS}3/").status_code == 202
    assert remove_sensors(TimeShare())["sensors"] == 1


def test_it_needs_a_token(client: APIClient, sensors: object) -> None:
    for answer in (
        client.post(SENSORS, {"name": "x"}, format="json"),
        client.patch(f"{SENSORS}1/", {"name": "x"}, format="json"),
        client.delete(f"{SENSORS}1/"),
    ):
        assert answer.status_code == 401
    assert Sensor.objects.present().count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "retention_days": 1}, "retention_days"),
        ({"name": "x", "retention_days": 10**12}, "retention_days"),
        ({"name": "x", "retention_days": 36_501}, "retention_days"),
        ({"name": "x", "id": 0}, "id"),
        ({"name": "x", "id": 2**63}, "id"),
        ({"name": "x", "added_at": "2020-01-01T00:00:00Z"}, "added_at"),
        ({"name": "x", "kind": None}, "kind"),
        ([], "non_field_errors"),
        ("text", "non_field_errors"),
    ],
)
def test_what_is_wrong_is_said_by_field(sender: APIClient, sensors: object, body: object, field: str) -> None:
    answer = sender.post(SENSORS, body, format="json")
    assert answer.status_code == 400
    assert field in answer.json()
    if isinstance(body, dict) and body:
        assert sender.patch(f"{SENSORS}1/", body, format="json").status_code == 400


def test_an_id_past_all_sensors_is_none(sender: APIClient, sensors: object) -> None:
    for number in (99, 2**63, 10**40):
        assert sender.patch(f"{SENSORS}{number}/", {"name": "x"}, format="json").status_code == 404
        assert sender.delete(f"{SENSORS}{number}/").status_code == 404
