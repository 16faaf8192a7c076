"""trace/."""

from datetime import datetime, timedelta

import pytest
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.ingest import ingest
from monitoring.models import Measurement, RejectedMessage, Sensor
from tests.api.conftest import API
from tests.ingest.conftest import MakeBatch, hand_over

__all__ = ["hand_over"]
ADDRESS = API + "trace/"

pytestmark = pytest.mark.django_db


def test_it_works(
    sender: APIClient, sensors: dict[int, Sensor], store: BatchStore, hand_over: MakeBatch
) -> None:
    batch = hand_over(b'{"sensor_id": 1, "value": 21.5}', b"garbage")
    ingest(store, batch.id)
    row, rejected = Measurement.objects.get(), RejectedMessage.objects.get()
    said = sender.get(ADDRESS, {"sensor": 1, "at": row.received_at.isoformat()}).json()
    assert said["detail"] == "These batches were being received then."
    assert [one["value"] for one in said["measurements"]] == [21.5]
    (one,) = said["batches"]
    assert (one["batch"], one["source"], one["messages"]) == (str(batch.id), "mqtt:test", 2)
    assert all(one[name] for name in ("handed_over_at", "claimed_at", "committed_at"))
    at = rejected.received_at.isoformat()
    said = sender.get(ADDRESS, {"topic": "iot/measurements", "at": at}).json()
    assert [(one["id"], one["code"], one["state"]) for one in said["rejected"]] == [
        (rejected.pk, "not_json", "waiting")
    ]
    assert said["batches"][0]["batch"] == str(batch.id)


def test_what_is_not_found_is_said(sender: APIClient, sensors: dict[int, Sensor], now: datetime) -> None:
    for at, detail in (
        (now - timedelta(days=30), "The ledger keeps batches for 7 days, and that is longer ago."),
        (now, "No batch that was being received then is in the ledger. What is pending will be."),
    ):
        assert sender.get(ADDRESS, {"topic": "x", "at": at.isoformat()}).json()["detail"] == detail


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"at": "2026-01-01T00:00:00Z"}, "detail"),
        ({"topic": "x"}, "at"),
        ({"topic": "x", "at": "noon"}, "at"),
        ({"sensor": "0", "at": "1"}, "sensor"),
        ({"sensor": "1", "at": "1", "limit": "3"}, "detail"),
    ],
)
def test_a_wrong_question_is_refused(sender: APIClient, query: dict[str, str], field: str) -> None:
    response = sender.get(ADDRESS, query)
    assert response.status_code == 400
    assert field in response.json()
