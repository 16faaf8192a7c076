"""The pipeline's page: what it says, to whom, and what it costs."""

import gzip
import html
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from batches.batch import Batch, Message, time_ordered_id
from batches.store import BatchStore, Receipt
from monitoring.dashboard import pipeline
from monitoring.ingest import ingest
from monitoring.models import IngestTotal, RejectedMessage, RejectedMinute, Sensor
from monitoring.roles import make_groups
from process import heartbeat

PAGE = "/pipeline/"
GOOD, BAD, OTHER = b'{"sensor_id": 3, "value": 1}', b"[private", b'{"sensor_id": 77, "value": 1}'


@pytest.fixture(autouse=True)
def public(settings: Any, store: BatchStore) -> Iterator[None]:
    settings.API_PUBLIC_READ = True
    pipeline._kept.clear()
    yield
    pipeline._kept.clear()


@pytest.fixture
def sent(store: BatchStore, sensors: dict[int, Sensor]) -> None:
    """Two stored, three rejected, one pending."""
    for payloads, is_stored in (([GOOD, GOOD, BAD, BAD, OTHER], True), ([GOOD], False)):
        now = time.time_ns() // 1000
        messages = [Message(now + place, "t", payload, False) for place, payload in enumerate(payloads)]
        batch = Batch(time_ordered_id(), "mqtt:test", messages)
        store.hand_over(batch, Receipt(f"test:{batch.id}", "", 60))
        if is_stored:
            ingest(store, batch.id)


def look(client: Client, query: str = "", **headers: str) -> str:
    pipeline._kept.clear()
    answer = client.get(PAGE + query, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def tile(page: str, title: str) -> str:
    """Its text."""
    found = re.search(rf'<div class="tile"><dt>{title}</dt>(.*?)</div>', page, re.DOTALL)
    assert found
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", found[1])).split())


def test_it_says_what_came_and_what_became_of_it(client: Client, store: BatchStore, sent: None) -> None:
    heartbeat.beat(store.redis, "worker")
    store.redis.zadd("iot:heartbeats", {"beat": time.time() - 300})
    page = look(client)
    assert tile(page, "Received").startswith("6 messages")
    assert re.match(r"1 the oldest came \d+ s ago", tile(page, "Pending"))
    assert tile(page, "Missing") == "0 every message is accounted for"
    assert tile(page, "Rejected") == "3 readings in the last 3 hours"
    assert "6 messages received; readings: 2 stored, 0 duplicates, 3 rejected" in page
    # Of one minute, or of two where that changed meanwhile; each stands in two pictures.
    sums = Counter[str]()
    for minute in set(re.findall(r"\d\d:\d\d: \d+ received[^<]*", page)):
        sums.update({name: int(count) for count, name in re.findall(r"(\d+) ([a-z_]+)", minute)})
    assert sums == {"received": 6, "stored": 2, "not_json": 2, "unknown_sensor": 1}
    states = re.findall(r'<td><span class="state state-(\w+)"', page)
    assert states == ["never", "ok", "never", "silent", "never"]
    assert "5 min ago" in page
    assert page.count('<rect class="hint"') == 2 * 180


def test_the_same_as_a_table(client: Client, sent: None) -> None:
    page = look(client, "?hours=24&table=1")
    rows = re.findall(r'<tr><th scope="row">\d\d:\d\d</th>(.*?)</tr>', page)
    assert len(rows) == 96
    cells = [[int(cell) for cell in re.findall(r">(\d+)</td>", row)] for row in rows]
    assert [sum(column) for column in zip(*cells, strict=True)] == [6, 2, 0, 2, 1]
    assert cells[0] != [0, 0, 0, 0, 0] or cells[1] != [0, 0, 0, 0, 0]  # the newest first
    assert '<svg class="bars"' not in page
    assert 'href="/pipeline/?hours=24"' in page


@pytest.mark.parametrize("hours", ["0", "2", "x", "-1", "1e3", "9" * 500, "３"])
def test_a_span_that_is_none(client: Client, db: None, hours: str) -> None:
    assert "hours is one of 1, 3, 6, 24." in look(client, f"?hours={hours}")


def test_what_was_refused_is_private(client: Client, sent: None, django_user_model: Any) -> None:
    """Its codes are counted for everybody; the way to it is for those who may see it."""
    make_groups()
    inbox = "/admin/monitoring/rejectedmessage/"
    page = look(client)
    assert "not_json" in page
    assert inbox not in page
    assert "private" not in page
    vera = django_user_model.objects.create_user("vera", is_staff=True)
    client.force_login(vera)
    assert inbox not in look(client)
    vera.groups.add(Group.objects.get(name="viewer"))
    (link,) = re.findall(rf'href="({inbox}\?code=not_json[^"]*)"', look(client))
    listed = client.get(html.unescape(link))
    assert listed.status_code == 200
    assert len(listed.context["cl"].result_list) == 2
    RejectedMessage.objects.update(received_at=F("received_at") - timedelta(hours=5))
    assert len(client.get(html.unescape(link)).context["cl"].result_list) == 0


def test_it_is_the_ledgers(client: Client, settings: Any, db: None, django_user_model: Any) -> None:
    settings.API_PUBLIC_READ = False
    sent_to = client.get(PAGE + "?hours=6")
    assert (sent_to.status_code, sent_to["Location"]) == (302, "/login/?next=/pipeline/%3Fhours%3D6")
    client.force_login(django_user_model.objects.create_user("nobody"))
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE).status_code == 405


def test_htmx_gets_what_changes(client: Client, sent: None) -> None:
    part = look(client, HX_Request="true")
    assert "<html" not in part
    assert tile(part, "Received").startswith("6")
    page = look(client)
    assert 'hx-get="/pipeline/?hours=3" hx-trigger="every 5s"' in page
    assert 'id="pipeline"' in page
    assert 'id="pipeline"' not in part


def test_redis_is_away(client: Client, sent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "glance", lambda: BatchStore.at("redis://127.0.0.1:1/0", 1))
    page = look(client)
    assert "Redis does not answer" in page
    assert tile(page, "Received").startswith("?")
    assert tile(page, "Missing") == "?"
    assert "2 stored" in page
    assert tile(page, "Rejected").startswith("3")


def test_it_is_light(client: Client, settings: Any, sent: None, now: Any) -> None:
    """With a day of all that there may be: the page's queries, and its bytes."""
    settings.API_PUBLIC_READ = False
    make_groups()
    vera = User.objects.create_user("vera", is_staff=True)
    vera.groups.add(Group.objects.get(name="viewer"))
    client.force_login(vera)
    codes = ["not_json", "bad_type", "clock_ahead", "too_old", "conflict", "unit_mismatch"]
    minutes = [now.replace(second=0, microsecond=0) - timedelta(minutes=minute) for minute in range(5, 1440)]
    counts = {"batches": 9, "messages": 90, "readings": 100, "stored": 81, "duplicates": 3, "rejected": 16}
    IngestTotal.objects.bulk_create(IngestTotal(start=at, source="http", **counts) for at in minutes)
    RejectedMinute.objects.bulk_create(
        RejectedMinute(start=at, code=code, seen=at.minute + 1) for at in minutes for code in codes
    )
    for query in ("?hours=3", "?hours=24", "?hours=3&table=1"):
        with CaptureQueriesContext(connection) as queries:
            page = look(client, query)
        assert len(queries) <= 6, [one["sql"] for one in queries]
        assert len(gzip.compress(page.encode())) < 20_000


def test_many_viewers_ask_once(client: Client, sent: None) -> None:
    look(client)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(PAGE).status_code == 200
    assert len(queries) == 0


def test_in_french_and_in_the_viewers_zone(client: Client, sent: None, now: Any) -> None:
    client.cookies["zone"] = "Asia/Kathmandu"
    page = look(client, Accept_Language="fr")
    assert '<html lang="fr"' in page
    there = (now + timedelta(hours=5, minutes=45)).strftime("%H:")
    assert re.search(rf"<title>{there}\d\d: ", page)
