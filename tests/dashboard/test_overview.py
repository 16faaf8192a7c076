"""The list of sensors: filters, order and pages by the address; the first message; what it costs."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring.dashboard import summary
from monitoring.models import Measurement, RejectedMessage, Sensor, SensorStatus
from monitoring.upkeep.partitions import ensure_partitions

pytestmark = pytest.mark.django_db

START = "Send the first measurement"


@pytest.fixture(autouse=True)
def anybody(settings: Any) -> None:
    settings.API_PUBLIC_READ = True
    summary._kept.clear()


def sensors(*names: str, **more: Any) -> list[Sensor]:
    return [Sensor.objects.create(name=name, **more) for name in names]


def state(sensor: Sensor, status: str) -> None:
    SensorStatus.objects.filter(pk=sensor.pk).update(status=status)


def measure(sensor: Sensor, value: float = 21.5, ago: timedelta = timedelta(seconds=5)) -> None:
    at = timezone.now() - ago
    ensure_partitions(at, at)
    Measurement.objects.create(sensor=sensor, created_at=at, received_at=at, value=value, unit="°C")


def page(query: str = "", **headers: str) -> str:
    answer = Client().get(f"/{query}", headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def names(text: str) -> list[str]:
    return re.findall(r'<th scope="row" class="who"><a href="[^"]+">([^<]+)</a>', text)


def test_what_needs_a_look_stands_first_and_numbers_count_as_numbers() -> None:
    made = sensors("Hall 10", "hall 2", "Attic", "Barn", "Cellar", "Dock")
    measure(made[0])
    for sensor, status in zip(made, ("silent", "silent", "ok", "late", "never", "off"), strict=True):
        state(sensor, status)
    assert names(page()) == ["hall 2", "Hall 10", "Barn", "Cellar", "Attic", "Dock"]
    assert names(page("?sort=name")) == ["Attic", "Barn", "Cellar", "Dock", "hall 2", "Hall 10"]


def test_the_address_says_what_is_shown() -> None:
    first, second, third = sensors("North", "South", "East", kind="temperature", location="Hall")
    measure(first)
    state(second, "silent")
    Sensor.objects.filter(pk=third.pk).update(location="Yard", kind="light")
    assert names(page("?q=nor")) == ["North"]
    assert names(page(f"?q={third.pk}")) == ["East"]
    assert names(page("?status=silent")) == ["South"]
    assert names(page("?location=Yard")) == ["East"]
    assert names(page("?kind=light&q=hall")) == []
    assert "No sensor is like that." in page("?kind=light&q=hall")
    assert re.findall(r'scope="rowgroup">([^<]+?) <', page("?sort=place")) == ["Hall", "Yard"]
    assert 'data-count="silent">1<' in page("?q=nor"), "the counts are those of all"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?status=broken", "status is one of silent, late, never, ok, off."),
        ("?sort=random()", "sort is one of state, name, place."),
        ("?page=-1", "page is a number from 1."),
        ("?page=two", "page is a number from 1."),
    ],
)
def test_what_is_not_understood_is_said_and_left_out(query: str, said: str) -> None:
    (sensor,) = sensors("North")
    measure(sensor)
    text = page(query)
    assert said in text
    assert names(text) == ["North"]


@pytest.mark.parametrize(
    "query", ["?q=%00", "?q=%27%3B--", "?q=" + 5000 * "x", "?page=" + 500 * "9", "?kind=%F0%9F"]
)
def test_hostile_queries_are_searches(query: str) -> None:
    (sensor,) = sensors("North")
    measure(sensor)
    page(query)


def test_fifty_a_page_and_the_last_page_for_what_is_past_it() -> None:
    made = sensors(*(f"s{n}" for n in range(1, 121)))
    measure(made[0])
    assert names(page())[:2] == ["s1", "s2"]
    assert len(names(page())) == 50
    assert names(page("?page=3")) == [f"s{n}" for n in range(101, 121)]
    assert names(page("?page=77")) == names(page("?page=3"))
    assert "101 to 120 of 120" in page("?page=3")
    assert 'href="/?status=never&amp;page=2"' in page("?status=never")


def test_the_last_value_and_the_day() -> None:
    (sensor,) = sensors("North", unit="°C")
    measure(sensor, 21.5)
    text = page()
    assert '<span class="figure" data-value>21.5</span> <span class="unit">°C</span>' in text
    client = Client()
    client.cookies["django_language"] = "fr"
    assert "data-value>21,5<" in client.get("/").content.decode()


def test_as_many_queries_for_a_thousand_sensors_as_for_ten() -> None:
    def queries() -> int:
        summary._kept.clear()
        with CaptureQueriesContext(connection) as found:
            page()
        return len(found)

    made = sensors(*(f"s{n}" for n in range(10)))
    for sensor in made:
        measure(sensor)
        state(sensor, "ok")
    page()
    few = queries()
    Sensor.objects.bulk_create(Sensor(name=f"more {n}") for n in range(1000))
    assert queries() == few
    assert few <= 6


def test_a_fragment_for_htmx_and_the_page_for_a_browser() -> None:
    (sensor,) = sensors("North")
    measure(sensor)
    assert "<html" in page()
    answer = Client().get("/", headers={"HX-Request": "true"})
    assert "<html" not in answer.content.decode()
    assert names(answer.content.decode()) == ["North"]
    assert "HX-Request" in answer.headers["Vary"]


def test_before_the_first_value_the_page_says_how_to_send_it(settings: Any) -> None:
    settings.MQTT_URL, settings.MQTT_TOPICS = "mqtt://127.0.0.1:4321", ["hall/#", "hall/measurements"]
    (sensor,) = sensors("North", kind="light", unit="V")
    text = page()
    assert START in text
    assert "mosquitto_pub -h testserver -p 4321 -q 1 -t hall/measurements" in text
    assert (
        f"&quot;sensor_id&quot;: {sensor.pk}, &quot;type&quot;: &quot;light&quot;, &quot;value&quot;: 2.57"
        in text
    )
    assert f"curl http://testserver/api/monitoring/sensors/{sensor.pk}/last/" in text
    assert "MQTT_LISTEN=0.0.0.0" in text, "who came by another name cannot reach a broker on loopback"
    waits = "/start/news/?waits=1"
    assert waits in text
    news = Client().get(waits, headers={"HX-Request": "true"})
    assert "HX-Retarget" not in news.headers
    measure(sensor)
    news = Client().get(waits, headers={"HX-Request": "true"})
    assert news.headers["HX-Retarget"] == "#content"
    assert names(news.content.decode()) == ["North"]
    assert START in Client().get("/start/").content.decode()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://mosquitto:1883", "-h testserver -p 1999 "),
        (
            "mqtts://user:secret@broker.example.org",
            "-h broker.example.org -p 8883 -u board -P PASSWORD --tls-use",
        ),
        (None, "-h testserver -p 1883 "),
    ],
)
def test_the_broker_is_named_as_the_reader_reaches_it(settings: Any, url: str | None, said: str) -> None:
    settings.MQTT_URL, settings.MQTT_PORT = url, 1999
    sensors("North")
    text = page()
    assert said in text
    assert "secret" not in text


def test_a_first_message_that_was_refused_shows_why(settings: Any, admin_client: Client) -> None:
    sensors("North")
    RejectedMessage.objects.create(
        received_at=timezone.now(),
        topic="t",
        payload=b"{",
        length=1,
        batch=uuid4(),
        position=0,
        code="not_json",
        detail="at byte 1",
    )
    text = page("start/news/?waits=1")
    assert "not_json" in text
    assert "at byte 1" not in text, "what was refused is not for everybody"
    assert "at byte 1" in admin_client.get("/start/news/?waits=1").content.decode()
    client = Client()
    client.cookies["django_language"] = "fr"
    assert "The payload is not JSON." in text
    assert "n’est pas du JSON" in client.get("/start/news/?waits=1").content.decode()
