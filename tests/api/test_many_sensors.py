"""Many sensors: found, shown with their last values, and changed, all or none."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from monitoring.models import Measurement, Sensor
from tests.api.conftest import API
from tests.api.test_reading import follow

SENSORS = API + "sensors/"


@pytest.fixture
def plant(sensors: dict[int, Sensor]) -> dict[int, Sensor]:
    """Twelve sensors of which some are not active, beside the three."""
    Sensor.objects.register(
        Sensor(
            id=10 + n, name=f"Pump {n}", kind="pressure", unit="bar", location="Hall A", is_active=n % 3 > 0
        )
        for n in range(12)
    )
    return Sensor.objects.in_bulk()


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [sensor["id"] for sensor in answer.json()]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "pump 1"}, [11, 20, 21]),
        ({"q": "hALL a", "limit": 2}, [10, 11]),
        ({"q": "salon"}, [1, 2, 3]),
        ({"q": "13"}, [13]),
        ({"q": "%"}, []),
        ({"q": "9" * 30}, []),
        ({"kind": "light"}, [3]),
        ({"kind": ""}, []),
        ({"active": "0"}, [10, 13, 16, 19]),
        ({"active": "true", "kind": "pressure", "q": "Pump 1"}, [11, 20, 21]),
    ],
)
def test_they_are_found(client: APIClient, plant: object, query: dict[str, str], found: list[int]) -> None:
    assert ids(client.get(SENSORS, query)) == found


def test_a_page_keeps_what_was_asked(client: APIClient, plant: object) -> None:
    pages = follow(client, f"{SENSORS}?kind=pressure&active=1&with=last&limit=3")
    assert [[sensor["id"] for sensor in page] for page in pages] == [[11, 12, 14], [15, 17, 18], [20, 21]]
    assert all(sensor["last"] is None for page in pages for sensor in page)


@pytest.mark.parametrize("query", [{"q": "a\0"}, {"active": "perhaps"}, {"with": "first"}, {"name": "x"}])
def test_what_cannot_be_asked_is_said(client: APIClient, plant: object, query: dict[str, str]) -> None:
    assert client.get(SENSORS, query).status_code == 400


def test_each_comes_with_its_last_value(
    client: APIClient, measure: Callable[..., None], noon: datetime
) -> None:
    measure(3, 1, 2, 0)
    Measurement.objects.filter(created_at=noon + timedelta(seconds=2)).update(value=0.1 + 0.2, unit="mV")
    measure(1, 5)
    with CaptureQueriesContext(connection) as asked:
        first, second, third = client.get(SENSORS, {"with": "last"}).json()
    assert third["last"] == {
        "value": 0.1 + 0.2,
        "unit": "mV",
        "created_at": (noon + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert (first["last"]["value"], second["last"]) == (2.57, None)
    assert third["name"] == "Capteur Lumière Salon"
    # The sensors, and the last of all of them in one statement.
    assert len(asked.captured_queries) == 2
    assert "last" not in client.get(SENSORS).json()[0]


def test_a_list_of_changes(sender: APIClient, plant: object) -> None:
    changes = [
        {"id": 12, "name": "Pump twelve", "is_active": False},
        {"id": 3, "location": "Salon"},
        {"id": 11, "location": "Hall B"},
        {"id": 10},
    ]
    answer = sender.patch(SENSORS, changes, format="json")
    assert ids(answer) == [12, 3, 11, 10]
    assert [sensor["location"] for sensor in answer.json()] == ["Hall A", "Salon", "Hall B", "Hall A"]
    twelve = Sensor.objects.get(pk=12)
    assert (twelve.name, twelve.is_active, twelve.unit) == ("Pump twelve", False, "bar")
    assert Sensor.objects.filter(location="Hall B").count() == 1


def test_all_or_none(sender: APIClient, plant: object) -> None:
    Sensor.objects.filter(pk=14).request_removal()
    good = {"id": 3, "name": "changed"}
    for bad, errors in (
        ({"id": 11, "retention_days": 1}, {"retention_days"}),
        ({"id": 11, "name": "", "unit": "x" * 33}, {"name", "unit"}),
        ({"id": 11, "added_at": "2020-01-01T00:00:00Z"}, {"added_at"}),
        ({"name": "x"}, {"id"}),
        ({"id": 99}, {"id"}),
        ({"id": 14, "name": "x"}, {"id"}),
        ({"id": 2**63}, {"id"}),
        ({"id": 3}, {"id"}),
        ("text", {"non_field_errors"}),
        (None, None),
    ):
        answer = sender.patch(SENSORS, [good, bad], format="json")
        assert answer.status_code == 400
        first, second = answer.json()
        assert first == {}
        assert errors is None or set(second) == errors
    assert not Sensor.objects.filter(name="changed").exists()


def test_a_change_for_all_that_a_query_names(sender: APIClient, plant: object) -> None:
    answer = sender.patch(f"{SENSORS}?kind=pressure&active=0", {"retention_days": 30}, format="json")
    assert (answer.status_code, answer.json()) == (200, {"changed": 4})
    assert set(Sensor.objects.filter(retention_days=30).values_list("pk", flat=True)) == {10, 13, 16, 19}
    assert sender.patch(f"{SENSORS}?q=nobody", {"unit": ""}, format="json").json() == {"changed": 0}


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {"is_active": False}),
        ("?kind=pressure", {}),
        ("?kind=pressure", {"retention_days": 1}),
        ("?kind=pressure", {"id": 3, "name": "x"}),
        ("?kind=pressure", "text"),
        ("?kind=pressure", [{"id": 3, "name": "x"}]),
        ("?color=red", {"is_active": False}),
        ("?limit=5", {"is_active": False}),
        ("", []),
        ("", [{"id": 3}] * 1001),
    ],
)
def test_what_names_nothing_changes_nothing(
    sender: APIClient, plant: dict[int, Sensor], query: str, body: object
) -> None:
    assert sender.patch(SENSORS + query, body, format="json").status_code == 400
    assert list(Sensor.objects.values()) == [
        {name: value for name, value in vars(sensor).items() if name != "_state"} for sensor in plant.values()
    ]


def test_a_thousand_at_once(sender: APIClient, sensors: object) -> None:
    Sensor.objects.register(Sensor(id=1000 + n, name="x") for n in range(1000))
    changes = [{"id": 1000 + n, "name": f"Sensor {n}", "location": f"Place {n}"} for n in range(1000)]
    with CaptureQueriesContext(connection) as asked:
        assert len(ids(sender.patch(SENSORS, changes, format="json"))) == 1000
    assert len(asked.captured_queries) < 15
    assert Sensor.objects.get(pk=1999).location == "Place 999"


def test_last_values_want_the_permission_to_see_measurements(sensors: object, settings: Any) -> None:
    settings.API_PUBLIC_READ = False
    user = User.objects.create_user("sam")
    user.user_permissions.add(Permission.objects.get(codename="view_sensor"))
    client = APIClient()
    client.force_authenticate(user)
    assert client.get(API + "sensors/").status_code == 200
    assert client.get(API + "sensors/?with=last").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_measurement"))
    client.force_authenticate(User.objects.get(pk=user.pk))
    assert client.get(API + "sensors/?with=last").status_code == 200
