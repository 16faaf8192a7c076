"""POST measurements/: into the same batches, once."""

import json
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from batches.batch import Batch
from batches.store import BatchStore
from monitoring.api import measurements
from tests.api.conftest import API

pytestmark = pytest.mark.django_db
ROUTE, SENSORS = API + "measurements/", API + "sensors/"
READING = {"sensor_id": 3, "type": "light", "value": 2.57, "unit": "V"}


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    sent: list[Batch] = []
    monkeypatch.setattr(measurements, "send_ingest", lambda app, batch, pending: sent.append(batch))
    return sent


def post(client: APIClient, body: Any = READING, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(ROUTE, raw, content_type="application/json", headers=names)


def test_it_works(sender: APIClient, store: BatchStore, sent: list[Batch]) -> None:
    answer = post(sender)

    assert answer.status_code == 202
    claim = store.claim(UUID(answer.json()["batch"]))
    assert claim is not None
    batch = Batch.unpack(claim.batch_id, claim.body)
    assert batch.source == "http"
    assert [(m.topic, json.loads(m.payload)) for m in batch.messages] == [("http", READING)]
    assert [one.id for one in sent] == [batch.id]


def test_what_is_refused_is_told_and_not_handed_over(sender: APIClient, store: BatchStore) -> None:
    answer = post(sender, [READING, {"sensor_id": 3}])
    assert answer.status_code == 400
    assert [(one["index"], one["code"]) for one in answer.json()["errors"]] == [(1, "missing_field")]
    for body in (b"", b"{", b"\xff", b"[]", b"7", b'{"sensor_id": 3, "value": NaN}'):
        assert post(sender, body).status_code == 400
    assert store.figures().handed_over == 0


def test_a_retry_under_a_key_changes_nothing(sender: APIClient, store: BatchStore) -> None:
    first, again = post(sender, idempotency_key="a"), post(sender, idempotency_key="a")
    assert first.json() == again.json()
    assert store.figures().handed_over == 1
    assert post(sender, {**READING, "value": 3}, idempotency_key="a").status_code == 422
    assert post(sender, idempotency_key="b").json() != first.json()


def pass_time(store: BatchStore, seconds: int) -> None:
    """What is to expire in Redis does so that much sooner."""
    for key in store.redis.scan_iter():
        if (left := store.redis.ttl(key)) >= 0:
            store.redis.expire(key, left - seconds)  # in the past: it goes at once


def test_a_key_lives_a_day(sender: APIClient, store: BatchStore) -> None:
    first = post(sender, idempotency_key="a").json()
    pass_time(store, 24 * 3600 - 60)
    assert post(sender, idempotency_key="a").json() == first
    pass_time(store, 60)
    assert post(sender, idempotency_key="a").json() != first


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
def test_a_key_that_is_none_is_a_400(sender: APIClient, key: str) -> None:
    assert post(sender, idempotency_key=key).status_code == 400


def test_too_much_and_the_wrong_type(sender: APIClient, store: BatchStore) -> None:
    assert post(sender, b" " * 16385).status_code == 413
    fits = json.dumps(READING).encode().ljust(16384)
    assert post(sender, fits).status_code == 202
    for route in (ROUTE, SENSORS):
        refused = sender.post(route, b"{}", content_type="text/plain")
        assert refused.status_code == 415
        detail = "Unsupported media type 'text/plain': send JSON, with Content-Type: application/json."
        assert refused.json() == {"detail": detail}
        assert sender.post(route, {"a": "b"}, format="multipart").status_code == 415
    refused = post(sender, content_encoding="gzip")
    assert refused.status_code == 415
    assert "Content-Encoding" in refused.json()["detail"]


def test_sending_needs_a_token_also_where_reading_does_not(client: APIClient, db: None) -> None:
    answer = post(client)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    for token in ("Token", "Token x", "Token é", "Token \0", "Token a b", "Basic x"):
        assert post(client, authorization=token).status_code == 401


def test_a_session_needs_its_csrf_token(user: Any, store: BatchStore) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(user)
    assert post(browser).status_code == 403


def test_a_store_that_is_away_or_full_is_a_503(sender: APIClient, settings: Any) -> None:
    settings.BATCHES_MAX_BYTES = 10
    full = post(sender)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for answer in (full, post(sender), sender.get(API + "pipeline/")):
        assert answer.status_code == 503
        assert answer["Retry-After"] == "5"
        assert answer.json()["detail"]
