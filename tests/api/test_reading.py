"""What reads from the API see: exact shapes, pages that lose nothing, and a 400 for what makes no sense."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from monitoring.api.lists import newest, newest_of
from monitoring.api.pages import Cursor
from monitoring.models import Sensor
from tests.api.conftest import API
from tests.examples import examples

pytestmark = pytest.mark.django_db
Measure = Callable[..., None]


def test_it_works(client: APIClient, measure: Measure, noon: datetime) -> None:
    measure(3, 0, 1.25)
    answer = client.get(API + "measurements/")

    assert answer.status_code == 200
    assert [row["created_at"] for row in answer.json()] == [
        f"{noon:%Y-%m-%dT12:00:01.250000Z}",
        f"{noon:%Y-%m-%dT12:00:00Z}",
    ]
    assert list(answer.json()[0]) == ["id", "sensor", "value", "unit", "created_at"]
    assert "Link" not in answer


def test_shapes(client: APIClient, measure: Measure, noon: datetime) -> None:
    measure(3, 0)
    at = f"{noon:%Y-%m-%dT12:00:00Z}"
    assert client.get(API + "sensors/3/last/").json() == {
        "sensor": 3,
        "value": 2.57,
        "unit": "V",
        "created_at": at,
    }
    sensor = client.get(API + "sensors/3/").json()
    assert sensor.pop("added_at").endswith("Z")
    assert sensor == {
        "id": 3,
        "name": "Capteur Lumière Salon",
        "kind": "light",
        "unit": "V",
        "is_active": True,
        "location": "",
        "retention_days": None,
        "expected_interval_s": None,
        "status": "never",
        "interval_s": None,
    }
    assert [row["id"] for row in client.get(API + "sensors/").json()] == [1, 2, 3]
    assert client.get(API + "sensors/3/measurements/").json() == client.get(API + "measurements/").json()


def follow(client: APIClient, address: str, between: Callable[[], None] = lambda: None) -> list[list[Any]]:
    pages = []
    while address:
        answer = client.get(address)
        assert answer.status_code == 200, answer.content
        pages.append(answer.json())
        link = re.fullmatch(r'<(http://testserver/[^>]+)>; rel="next"', answer.get("Link", "<>"))
        address = link[1] if link else ""
        between()
    return pages


@pytest.mark.parametrize("route", ["measurements/?limit=300", "sensors/3/measurements/?limit=300"])
def test_every_row_is_seen_once_while_rows_come_in(client: APIClient, measure: Measure, route: str) -> None:
    measure(3, *range(1050))
    head = iter(range(2000, 3000))
    pages = follow(client, API + route, lambda: measure(3, next(head)))

    assert [len(page) for page in pages] == [300, 300, 300, 150]
    seen = [row["created_at"] for page in pages for row in page]
    assert len(set(seen)) == 1050
    assert seen == sorted(seen, reverse=True)


def test_rows_of_one_moment_are_not_lost_between_pages(client: APIClient, measure: Measure) -> None:
    for sensor in (1, 2, 3):
        measure(sensor, 0, 1)
    rows = [row["id"] for page in follow(client, API + "measurements/?limit=1") for row in page]
    assert len(set(rows)) == 6


def test_sensors_come_in_pages(client: APIClient, sensors: dict[int, Sensor]) -> None:
    assert [[row["id"] for row in page] for page in follow(client, API + "sensors/?limit=2")] == [[1, 2], [3]]


def test_the_next_page_keeps_the_other_parameters(
    client: APIClient, measure: Measure, noon: datetime
) -> None:
    measure(3, *range(10))
    measure(2, *range(10))
    query = urlencode({"sensor": 3, "from": (noon + timedelta(seconds=2)).isoformat(), "limit": 3})
    pages = follow(client, f"{API}measurements/?{query}")
    assert [len(page) for page in pages] == [3, 3, 2]
    assert {row["sensor"] for page in pages for row in page} == {3}


def test_from_is_included_and_to_is_not(client: APIClient, measure: Measure, noon: datetime) -> None:
    measure(3, 0, 1, 2)
    start = int(noon.timestamp())
    assert len(client.get(f"{API}measurements/?from={start}&to={start + 2}").json()) == 2
    # A bare + stands for a space in a query.
    for offset in ("+00:00", "+0000", "+00"):
        assert len(client.get(f"{API}measurements/?from={noon:%Y-%m-%dT12:00:01}{offset}").json()) == 2


@pytest.mark.parametrize(
    ("route", "queries"),
    [("sensors/", 1), ("sensors/3/", 1), ("sensors/3/last/", 1), ("measurements/?limit=5", 1)],
)
def test_an_answer_costs_one_query(
    client: APIClient, measure: Measure, django_assert_num_queries: Any, route: str, queries: int
) -> None:
    measure(3, *range(10))
    with django_assert_num_queries(queries):
        assert client.get(API + route).status_code == 200


def test_pages_are_read_from_the_index(measure: Measure, noon: datetime) -> None:
    measure(3, *range(2000))
    cursor = Cursor(noon + timedelta(seconds=1000), 10**6)
    with connection.cursor() as sql:
        sql.execute("ANALYZE monitoring_measurement")
    for rows in (newest({"limit": 10, "cursor": cursor}), newest_of(3, {"limit": 10, "cursor": cursor})):
        plan = rows.explain()
        assert "Index" in plan
        assert "Sort" not in plan
        assert "Seq Scan" not in plan


def test_what_is_not_there_is_a_404_that_says_what(client: APIClient, sensors: dict[int, Sensor]) -> None:
    assert "no measurement" in client.get(API + "sensors/3/last/").json()["detail"]
    for route in ("sensors/99/", "sensors/99/last/", "sensors/99/measurements/", f"sensors/{2**70}/last/"):
        answer = client.get(API + route)
        assert answer.status_code == 404
        assert "no sensor" in answer.json()["detail"]
    assert client.get(API + "sensors/3/measurements/").json() == []


def test_unknown_paths_methods_and_types_are_json(client: APIClient, sensors: dict[int, Sensor]) -> None:
    assert "detail" in client.get("/api/nothing/").json()
    assert client.get(API + "sensors/abc/").status_code == 404
    assert client.get(API + "sensors?limit=1").headers["Location"] == API + "sensors/?limit=1"
    assert "detail" in client.post(API + "measurements").json()
    assert "detail" in client.get(API + "sensors/", headers={"Accept": "text/xml"}).json()
    client.force_authenticate(None)
    assert client.delete(API + "sensors/").status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=abc",
        "limit=",
        "limit=1%00",
        "limit=" + "9" * 5000,
        "limit=1&limit=2",
        "cursor=",
        "cursor=abc",
        "cursor=%00",
        "cursor=é",
        "cursor=" + "_" * 22,
        "sensor=abc",
        "sensor=0",
        f"sensor={2**70}",
        "sensor=1%00",
        "from=2026-01-28T15:07:55",
        "from=99999-01-01T00:00:00Z",
        "from=9999-12-31T23:59:59-14:00",
        "from=1e400",
        "from=" + "9" * 20,
        "from=nan",
        "from=",
        "to=%00",
        "from=2000&to=1000",
        "from=1000&to=1000",
        "form=2026-01-01",
        "format=xml",
        "offset=1",
    ],
)
def test_a_query_that_makes_no_sense_is_a_400(client: APIClient, db: None, query: str) -> None:
    answer = client.get(f"{API}measurements/?{query}")
    assert answer.status_code == 400, answer.content
    assert isinstance(answer.json(), dict)


def test_a_400_says_what_to_do(client: APIClient, db: None) -> None:
    assert "offset" in client.get(API + "measurements/?from=2026-01-28T15:07:55").json()["from"][0]
    unknown = client.get(API + "measurements/?form=1").json()["detail"]
    assert all(name in unknown for name in ("'form'", "sensor", "from", "to", "limit", "cursor"))


_WORDS = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
    # Of a cursor's form, and seldom one.
    st.binary(min_size=16, max_size=16).map(lambda raw: urlsafe_b64encode(raw).decode().rstrip("=")),
)
_NAMES = st.sampled_from(["limit", "cursor", "sensor", "from", "to"]) | st.text(max_size=5)


@hypothesis_settings(
    max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    params=st.lists(st.tuples(_NAMES, _WORDS), max_size=3),
    route=st.sampled_from(["measurements/", "sensors/", "sensors/3/measurements/"]),
)
def test_no_query_is_a_500(
    client: APIClient, sensors: dict[int, Sensor], params: list[tuple[str, str]], route: str
) -> None:
    query = urlencode(params, errors="replace")
    assert client.get(f"{API}{route}?{query}").status_code in (200, 400)
