"""The way of a message, in the admin."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches.store import BatchStore
from monitoring.ingest import ingest
from monitoring.models import Measurement, RejectedMessage, Sensor
from tests.ingest.conftest import MakeBatch, hand_over

__all__ = ["hand_over"]
ADDRESS = "/admin/monitoring/ingestbatch/trace/"

pytestmark = pytest.mark.django_db


def test_it_works(admin: Client, sensors: dict[int, Sensor], store: BatchStore, hand_over: MakeBatch) -> None:
    batch = hand_over(b'{"sensor_id": 1, "value": 21.5}', b"<script>", b'{"sensor_id": 12, "value": 3}')
    ingest(store, batch.id)
    row = Measurement.objects.get()
    page = admin.get(ADDRESS, {"at": row.received_at.isoformat(), "sensor": 1}).content.decode()
    for text in (
        str(batch.id),
        "mqtt:test",
        "21.5",
        "handed over to Redis",
        "claimed by a worker",
        "ms later",
    ):
        assert text in page
    rejected = RejectedMessage.objects.get(code="not_json")
    # In the zone in which times are shown.
    at = rejected.received_at.astimezone().replace(tzinfo=None, microsecond=0).isoformat(sep=" ")
    said = {"at": rejected.received_at.isoformat(), "topic": "iot/measurements"}
    page = admin.get(ADDRESS, said).content.decode()
    assert f"/admin/monitoring/rejectedmessage/{rejected.pk}/change/" in page
    assert admin.get(ADDRESS, {"at": at, "sensor": 12}).status_code == 200


def test_it_begins_with_a_form(admin: Client) -> None:
    page = admin.get(ADDRESS).content.decode()
    assert "Which batch a message was in" in page
    assert "errorlist" not in page
    assert ADDRESS in admin.get("/admin/").content.decode()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"at": "noon", "sensor": "1"}, "Not a time"),
        ({"at": "2026-01-28 16:07:55"}, "Say which"),
        ({"at": "2026-01-28 16:07:55", "sensor": "-1"}, "greater than or equal"),
    ],
)
def test_what_is_wrong_is_said(admin: Client, said: dict[str, str], error: str) -> None:
    assert error in admin.get(ADDRESS, said).content.decode()


def test_what_is_gone_is_said(admin: Client, now: datetime) -> None:
    said = {"at": (now - timedelta(days=30)).isoformat(), "topic": "<b>"}
    page = admin.get(ADDRESS, said).content.decode()
    assert "longer ago" in page
    assert "<b>" not in page


def test_nobody_else_sees_it(client: Client) -> None:
    User.objects.create_user("bea", password="a good password", is_staff=True)
    assert client.login(username="bea", password="a good password")
    assert client.get(ADDRESS).status_code == 403
