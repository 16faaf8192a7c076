"""A sensor's page as the server sends it: what it holds, what it costs, and its files against the API."""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from batches.batch import time_ordered_id
from monitoring import dashboard
from monitoring.models import RejectedMessage, Sensor, SensorStatus
from monitoring.roles import OPERATOR, make_groups
from tests.rollups.rows import store

pytestmark = pytest.mark.django_db
PAGE = "/sensors/3/"
MINUTE = timedelta(minutes=1)
SCRIPTS = Path(dashboard.__file__).parents[1] / "static" / "monitoring" / "dashboard"


@pytest.fixture
def public(settings: Any) -> Client:
    settings.API_PUBLIC_READ = True
    return Client()


@pytest.fixture
def day(sensors: dict[int, Sensor], noon: datetime) -> dict[str, str]:
    """The address of a day of readings, one a minute but for two hours; some have microseconds."""
    store(
        (3, noon + n * MINUTE + timedelta(microseconds=n % 2), n % 50 + 0.25)
        for n in range(1440)
        if not 600 <= n < 720
    )
    return {"from": f"{noon:%Y-%m-%dT%H:%M:%SZ}", "to": f"{noon + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"}


def said(page: Any) -> Any:
    """What the page gives to its script."""
    (found,) = re.findall(r'<script id="first" type="application/json">(.*?)</script>', page.content.decode())
    return json.loads(found)


def reject(sensor: int, now: datetime) -> None:
    RejectedMessage.objects.create(
        received_at=now,
        topic="t",
        payload=b"{",
        length=1,
        code="not_json",
        batch=time_ordered_id(),
        position=0,
        sensors=[sensor],
    )


def test_the_first_series_comes_with_the_page(public: Client, day: dict[str, str]) -> None:
    page = public.get(PAGE, day)
    assert page.status_code == 200
    first = said(page)
    api = public.get("/api/monitoring/sensors/3/series/", {**day, "points": 1000, "statistics": "1"}).json()
    assert first["series"] == api
    assert (len(api["points"]), len(api["gaps"])) == (660, 1)
    assert first["last"]["value"] == 1439 % 50 + 0.25
    text = page.content.decode()
    assert "Capteur Lumière Salon" in text
    assert not re.search(r"\sstyle=|\son\w+=|<script(?![^>]*(\bsrc=|application/json))", text)


@pytest.fixture
def operator_client(django_user_model: Any) -> Client:
    """Of staff, with what a group may and with a permission of their own."""
    make_groups()
    operator = django_user_model.objects.create_user("operator", is_staff=True)
    operator.groups.set(Group.objects.filter(name=OPERATOR))
    operator.user_permissions.add(Permission.objects.get(codename="view_session"))
    client = Client()
    client.force_login(operator)
    return client


@pytest.mark.parametrize("who", ["public", "admin", "operator"])
def test_the_page_takes_six_queries_at_most(
    who: str,
    public: Client,
    admin_client: Client,
    operator_client: Client,
    day: dict[str, str],
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    """Of a sensor whose interval is known: else the readings before a span that has few are asked for."""
    SensorStatus.objects.update(interval_s=60)
    client = {"public": public, "admin": admin_client, "operator": operator_client}[who]
    text = client.get(PAGE, day).content.decode()
    assert ("No rejected message waits" in text) == (who != "public")
    for path, query in (
        (PAGE, day),
        (PAGE, {}),
        ("/sensors/1/", {}),
        ("/compare/?sensor=1&sensor=2&sensor=3", {}),
    ):
        with django_assert_max_num_queries(6):
            assert client.get(path, query).status_code == 200


def test_what_is_exported_is_what_the_api_has(public: Client, day: dict[str, str], noon: datetime) -> None:
    span = {
        "from": f"{noon + 500 * MINUTE:%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{noon + 800 * MINUTE:%Y-%m-%dT%H:%M:%SZ}",
    }
    links = dict(
        re.findall(r'href="([^"]+)" data-format="([^"]+)"', unescape(public.get(PAGE, span).content.decode()))
    )
    files = {form: b"".join(public.get(url)).decode() for url, form in links.items()}
    assert sorted(files) == ["csv", "csv-fr", "ndjson"]
    rows, url = [], f"/api/monitoring/sensors/3/measurements/?from={span['from']}&to={span['to']}&limit=100"
    while url:
        page = public.get(url)
        rows += page.json()
        url = (re.findall(r'<([^>]+)>; rel="next"', page.headers.get("Link", "")) or [""])[0]
    assert len(rows) == 180
    wanted = sorted((datetime.fromisoformat(row["created_at"]), row["value"], row["unit"]) for row in rows)

    table = list(csv.DictReader(io.StringIO(files["csv"])))
    assert [(datetime.fromisoformat(r["created_at"]), float(r["value"]), r["unit"]) for r in table] == wanted
    lines = [json.loads(line) for line in files["ndjson"].splitlines()]
    assert [(datetime.fromisoformat(r["created_at"]), r["value"], r["unit"]) for r in lines] == wanted
    assert files["csv-fr"].startswith("\ufeffsensor;created_at (UTC);received_at (UTC);value;unit\n")
    french = list(csv.DictReader(io.StringIO(files["csv-fr"].removeprefix("\ufeff")), delimiter=";"))
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d{1,6})?", r["created_at (UTC)"]) for r in french
    )
    assert [
        (
            datetime.fromisoformat(r["created_at (UTC)"].replace(",", ".")).replace(tzinfo=UTC),
            float(r["value"].replace(",", ".")),
            r["unit"],
        )
        for r in french
    ] == wanted
    assert all("." not in row["value"] for row in french)
    assert 'filename="sensor-3-' in public.get(links_of(links, "csv-fr"))["Content-Disposition"]


def links_of(links: dict[str, str], form: str) -> str:
    return next(url for url, its in links.items() if its == form)


def test_what_others_sent_is_for_those_who_may_see_it(
    public: Client, admin_client: Client, sensors: dict[int, Sensor], now: datetime, django_user_model: Any
) -> None:
    for _ in range(2):
        reject(3, now)
    reject(1, now)
    assert "rejected message" not in public.get(PAGE).content.decode()
    text = admin_client.get(PAGE).content.decode()
    assert "2 rejected messages wait" in text
    url = re.search(r'href="([^"]*rejectedmessage[^"]*sensor=3[^"]*)"', text)
    assert url
    assert admin_client.get(unescape(url[1])).status_code == 200
    assert "No rejected message waits" in admin_client.get("/sensors/2/").content.decode()
    # Who may see values alone sees nothing of it, nor the way to the settings.
    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_measurement"))
    client = Client()
    client.force_login(viewer)
    text = client.get(PAGE).content.decode()
    assert "rejected message" not in text
    assert "in the admin" not in text


def test_who_may_not_read_sees_no_page(settings: Any, sensors: dict[int, Sensor]) -> None:
    settings.API_PUBLIC_READ = False
    for path in (PAGE, "/compare/?sensor=1"):
        assert Client().get(path).status_code == 302


def test_no_sensor_is_404(public: Client, sensors: dict[int, Sensor]) -> None:
    for number in (4, 0, 2**63, 10**30):
        assert public.get(f"/sensors/{number}/").status_code == 404, number


@pytest.mark.parametrize(
    "query",
    [
        "range=2h",
        "from=yesterday&to=today",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "to=2026-01-01T00:00:00Z",
        "from=0001-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
    ],
)
def test_a_span_that_cannot_be_read_is_said_and_the_page_is_there(
    public: Client, sensors: dict[int, Sensor], query: str
) -> None:
    for path in (PAGE + "?", "/compare/?sensor=3&"):
        page = public.get(path + query)
        assert page.status_code == 400
        assert 'role="alert"' in page.content.decode()
        assert said(page)["preset"] == "24h"


def test_a_sensor_that_is_off_or_being_removed_says_so(public: Client, sensors: dict[int, Sensor]) -> None:
    Sensor.objects.filter(pk=3).update(is_active=False)
    assert "what it sends is rejected" in public.get(PAGE).content.decode()
    Sensor.objects.filter(pk=3).request_removal()
    assert "is being removed" in public.get(PAGE).content.decode()


def test_names_and_units_are_text(public: Client, sensors: dict[int, Sensor], noon: datetime) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    Sensor.objects.filter(pk=3).update(name=hostile, location=hostile, unit="<b>")
    store([(3, noon, 1.0)], "<b>")
    for path in (PAGE, "/compare/?sensor=3", "/compare/?q=img"):
        text = public.get(path).content.decode()
        assert "<img src=x" not in text
        assert "<b>1" not in text
    assert said(public.get(PAGE))["name"] == hostile


def test_sensors_are_found_and_offered_for_comparison(public: Client, sensors: dict[int, Sensor]) -> None:
    page = public.get("/compare/?sensor=1&q=Salon", headers={"HX-Request": "true"})
    text = unescape(page.content.decode())
    assert "<html" not in text
    assert re.findall(r'href="(\?sensor=[^"]+)"', text) == ["?sensor=1&sensor=2", "?sensor=1&sensor=3"]
    assert "HX-Request" in page.headers["Vary"]
    text = unescape(public.get("/compare/?sensor=1&sensor=2&range=7d").content.decode())
    assert 'href="?sensor=2&range=7d"' in text


@pytest.mark.parametrize(
    "said", ["sensor=x", "sensor=99", "sensor=-1", "&".join(f"sensor={n}" for n in range(1, 12))]
)
def test_what_cannot_be_compared_is_said(public: Client, sensors: dict[int, Sensor], said: str) -> None:
    page = public.get(f"/compare/?sensor=1&{said}")
    assert page.status_code == 400
    assert 'role="alert"' in page.content.decode()
    assert 'data-sensor="1"' in page.content.decode()


def test_a_year_is_read_by_the_rollups_alone(public: Client, day: dict[str, str]) -> None:
    with CaptureQueriesContext(connection) as asked:
        public.get(PAGE, {"range": "1y"})
    assert len(asked) <= 4


@pytest.mark.parametrize("path", [PAGE, "/compare/?sensor=3"])
def test_what_scripts_import_is_asked_for_at_once(
    public: Client, sensors: dict[int, Sensor], path: str
) -> None:
    text = public.get(path).content.decode()
    said = set(re.findall(r'<link rel="modulepreload" href="[^"]*/(\w+)\.js"', text))
    (script,) = re.findall(r'<script type="module" src="[^"]*/(sensor|compare)\.js"', text)
    imported, left = set(), [script]
    while left:
        source = (SCRIPTS / f"{left.pop()}.js").read_text()
        found = set(re.findall(r'from "\./(\w+)\.js"', source)) - imported
        imported |= found
        left += found
    assert said == imported - {"page"}  # which every page has


def test_the_page_is_light(public: Client, day: dict[str, str]) -> None:
    """At most 80 KB in all, as a browser gets it that has nothing yet: page, scripts and styles in gzip."""
    page = public.get(PAGE, day).content
    urls = set(re.findall(r'<(?:link|script)[^>]* (?:src|href)="/static/([^"]+)"', page.decode()))
    files = [Path(str(finders.find(url))).read_bytes() for url in urls]
    assert len(files) > 15
    assert sum(len(gzip.compress(one)) for one in [page, *files]) <= 80_000
