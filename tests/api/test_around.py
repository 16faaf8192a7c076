"""The books, tokens, documentation and health."""

import base64
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.models import Token
from process import heartbeat
from tests.api.conftest import API
from tests.api.test_sending import post

pytestmark = pytest.mark.django_db


def test_it_works(sender: APIClient, store: BatchStore) -> None:
    heartbeat.beat(store.redis, "bridge")
    post(sender)
    books = sender.get(API + "pipeline/").json()
    assert 0 <= books["pending"].pop("oldest_age_s") < 10
    assert books["pending"].pop("bytes") > 0
    assert books == {
        "handed_over": 1,
        "redelivered": 0,
        "pending": {"messages": 1, "batches": 1},
        "ledger": dict.fromkeys(("batches", "messages", "readings", "stored", "duplicates", "rejected"), 0),
        "corrected": 0,
        "missing": 0,
        "balanced": True,
        "rejected": dict.fromkeys(("waiting", "replayed", "dismissed", "gone"), 0),
        "rejected_by_code": {},
        "processes": {"bridge": True, "worker": False, "upkeep": False, "beat": False, "web": False},
    }


def test_reading_needs_a_token_unless_it_is_public(settings: Any, db: None) -> None:
    settings.API_PUBLIC_READ = False
    for route in ("monitoring/sensors/", "monitoring/pipeline/", "schema/", "docs/"):
        assert APIClient().get("/api/" + route).status_code == 401


def test_a_token_is_given_for_a_password_and_given_back(user: Any) -> None:
    def basic(text: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    client = APIClient()
    assert client.post("/api/auth/login/", headers=basic("ana:wrong")).status_code == 401
    assert client.post("/api/auth/login/", headers=basic("a\0:b")).status_code == 401
    token = client.post("/api/auth/login/", headers=basic("ana:a good password")).json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert client.get(API + "sensors/").status_code == 200
    assert client.post("/api/auth/logout/").status_code == 204
    assert client.get(API + "sensors/").status_code == 401


def test_a_token_is_given_in_the_shell(user: Any) -> None:
    out = StringIO()
    call_command("api_token", "ana", "--days", "3", stdout=out)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {out.getvalue().strip()}")
    assert client.get(API + "sensors/").status_code == 200
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("api_token", "nobody")


def test_a_token_given_in_the_shell_has_a_scope(user: Any) -> None:
    call_command("api_token", "ana", "--scope", "send", "--name", "greenhouse", stdout=StringIO())
    token = Token.objects.get()
    assert (token.scope, token.name) == ("send", "greenhouse")
    with pytest.raises(CommandError, match="at most 100"):
        call_command("api_token", "ana", "--name", "x" * 101)
    user.groups.clear()
    with pytest.raises(CommandError, match="put them into the group operator"):
        call_command("api_token", "ana", "--scope", "send")
    assert Token.objects.count() == 1


def test_the_documentation_works_offline(client: APIClient, db: None) -> None:
    page = client.get("/api/docs/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert b"https://" not in page.content
    schema = client.get("/api/schema/", headers={"Accept": "application/json"}).json()
    assert "/api/monitoring/sensors/{sensor_id}/last/" in schema["paths"]


def test_health(store: BatchStore) -> None:
    assert Client().get("/healthz").status_code == 200
    heartbeat.beat(store.redis, "web")
    ready = Client().get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "redis": "ok"}
    assert ready.json()["processes"]["web"] is True


def test_a_redis_that_may_fill_up_before_its_bound_is_warned_of(store: BatchStore, settings: Any) -> None:
    held = store.redis.config_get("maxmemory")["maxmemory"]
    settings.BATCHES_MAX_BYTES = int(held)
    (warning,) = Client().get("/readyz").json()["warnings"]
    assert "may be full before BATCHES_MAX_BYTES" in warning


def test_what_is_away_makes_it_not_ready(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert Client().get("/healthz").status_code == 200
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["redis"] == "does not answer (ConnectionError)"


def test_the_schema_names_everything(tmp_path: Path) -> None:
    """Where it has to guess it warns: clients that are made from it would have names such as Kind074Enum."""
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", str(tmp_path / "schema.yml"))
    assert "AlertKindEnum" in (tmp_path / "schema.yml").read_text()
