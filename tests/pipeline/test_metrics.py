"""What Prometheus reads at /metrics, parsed as Prometheus' own client does; and who may read it."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from batches.batch import Batch
from batches.store import BatchStore
from monitoring.metrics import view
from monitoring.models import SensorStatus
from process import heartbeat
from tests.pipeline.sending import GOOD, OTHER, SendAll

PROJECT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-tests"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def with_a_token(settings: Any, store: BatchStore) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape(client: Client) -> dict[str, Metric]:
    answer = client.get("/metrics", headers=SHOWN)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    return {family.name: family for family in parse(answer.content.decode())}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    (sample,) = (
        sample
        for family in found.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )
    return float(sample.value)


def test_it_says_what_the_books_say(client: Client, store: BatchStore, send: SendAll) -> None:
    send(GOOD, GOOD, b"[", OTHER, ago=12)
    send(GOOD, GOOD, GOOD, stored=False)
    store.count_redelivered(7)
    heartbeat.beat(store.redis, "worker")
    found = scrape(client)
    said = {
        name: value(found, name)
        for name in (
            "iot_messages_handed_over_total",
            "iot_messages_redelivered_total",
            "iot_messages_ingested_total",
            "iot_batches_ingested_total",
            "iot_pending_messages",
            "iot_pending_batches",
            "iot_messages_missing",
            "iot_rollups_pending_batches",
        )
    }
    assert list(said.values()) == [7, 7, 4, 1, 3, 1, 0, 1], said
    outcomes = {
        name: value(found, "iot_readings_total", outcome=name) for name in ("stored", "duplicate", "rejected")
    }
    assert outcomes == {"stored": 2, "duplicate": 0, "rejected": 2}
    for name in ("iot_rejected_readings", "iot_rejected_waiting_readings"):
        assert value(found, name, code="not_json") == value(found, name, code="unknown_sensor") == 1
    assert 1 < value(found, "iot_ingest_latency_seconds", percentile="99") < 60
    assert 2 <= value(found, "iot_ingest_wait_seconds", percentile="50") < 60
    assert value(found, "iot_process_up", process="worker") == 1
    assert value(found, "iot_process_up", process="bridge") == 0
    assert abs(value(found, "iot_process_last_seen_timestamp_seconds", process="worker") - time.time()) < 60
    assert value(found, "iot_partitions", table="monitoring_measurement") >= 2
    assert value(found, "iot_partitions_ahead_seconds", table="monitoring_measurement") > 0
    assert value(found, "iot_store_up", store="redis") == value(found, "iot_store_up", store="database") == 1
    assert 0 <= value(found, "iot_pending_oldest_age_seconds") < 60
    assert value(found, "iot_pending_bytes") > 0
    assert sum(value(found, "iot_sensors", status=one) for one in SensorStatus.Status.values) == 3


def test_the_names_are_as_prometheus_wants_them(client: Client, send: SendAll) -> None:
    """As `promtool check metrics` does: base units, _total on counters alone, help, no reserved label."""
    send(GOOD, b"[")
    families = [family for family in scrape(client).values() if family.samples]
    assert len(families) > 15
    for family in families:
        assert re.fullmatch(r"iot_[a-z_]+", family.name)
        assert family.type in ("counter", "gauge")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert not sample.labels.keys() & {"le", "quantile", "job", "instance"}
        assert not re.search("milli|micro|minutes|hours|kilo|mega|count$|gauge|counter", family.name)


def test_the_documentation_names_all_of_them_and_no_other(
    client: Client, send: SendAll, store: BatchStore
) -> None:
    send(GOOD, b"[")
    heartbeat.beat(store.redis, "worker")
    found = {sample.name for family in scrape(client).values() for sample in family.samples}
    written = set(re.findall(r"\biot_[a-z_]+", (PROJECT / "docs" / "metrics.md").read_text()))
    assert found == written


def test_openmetrics_where_that_is_asked_for(client: Client, send: SendAll) -> None:
    send(GOOD)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = client.get("/metrics", headers=SHOWN | accept)
    assert answer["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert any(
        family.name == "iot_messages_ingested" for family in parse_openmetrics(answer.content.decode())
    )


def test_a_scrape_costs_few_queries_however_much_there_is(client: Client, send: SendAll) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            scrape(client)
        return len(found)

    scrape(client)
    before = queries()
    for _ in range(20):
        send(GOOD, b"[", OTHER)
    assert queries() == before <= 10


def test_redis_is_away(client: Client, send: SendAll, monkeypatch: pytest.MonkeyPatch) -> None:
    send(GOOD)
    monkeypatch.setattr(view, "glance", lambda: BatchStore.at("redis://127.0.0.1:1/0", 1))
    found = scrape(client)
    assert value(found, "iot_store_up", store="redis") == 0
    assert value(found, "iot_store_up", store="database") == 1
    assert value(found, "iot_messages_ingested_total") == 1
    assert "iot_pending_messages" not in found


def test_what_is_missing_is_left_out_where_nobody_can_say(
    client: Client, send: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.books.MOST_PENDING", 0)
    send(GOOD, stored=False)
    assert "iot_messages_missing" not in scrape(client)


@pytest.mark.parametrize(
    "shown",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer é"],
)
def test_who_does_not_show_the_token(client: Client, db: None, settings: Any, shown: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": shown})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
    settings.METRICS_TOKEN = None
    settings.API_PUBLIC_READ = True
    assert client.get("/metrics", headers={"Authorization": shown}).status_code == 404


def test_a_person_who_may_see_the_ledger_needs_no_token(client: Client, db: None, settings: Any) -> None:
    settings.METRICS_TOKEN = None
    ana = User.objects.create_user("ana")
    client.force_login(ana)
    assert client.get("/metrics").status_code == 404
    ana.user_permissions.add(Permission.objects.get(codename="view_ingestbatch"))
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert client.post("/metrics").status_code == 405
