"""Where a sensor's status is read, and its interval set."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from monitoring.models import Sensor
from monitoring.status.looking import look_at_due
from monitoring.status.reach import Reach
from monitoring.transfer.sensors_in import carry_out
from monitoring.upkeep.pieces import TimeShare

pytestmark = pytest.mark.django_db
SENSORS = "/api/monitoring/sensors/"


@pytest.fixture
def manager(admin_user: object) -> APIClient:
    client = APIClient()
    client.force_authenticate(admin_user)  # type: ignore[arg-type]
    return client


def test_it_works(manager: APIClient, every_minute: datetime) -> None:
    look_at_due(TimeShare(), Reach(every_minute), every_minute)
    listed = manager.get(SENSORS).json()
    assert [(row["status"], row["interval_s"]) for row in listed] == [("ok", 60), *[("never", None)] * 2]
    assert manager.get(f"{SENSORS}1/").json() == listed[0]


def test_the_interval_is_set_and_taken_back(manager: APIClient, every_minute: datetime) -> None:
    changed = manager.patch(f"{SENSORS}1/", {"expected_interval_s": 5}, format="json").json()
    assert changed["expected_interval_s"] == 5
    later = every_minute + timedelta(seconds=20)
    look_at_due(TimeShare(), Reach(later), later)
    found = manager.get(f"{SENSORS}1/").json()
    assert (found["status"], found["interval_s"]) == ("late", 5)
    many = [{"id": 1, "expected_interval_s": None}]
    [found] = manager.patch(SENSORS, many, format="json").json()
    assert found["expected_interval_s"] is None


@pytest.mark.parametrize("wrong", [0, -1, 31_536_001, "often", 1.5])
def test_an_interval_that_is_none_is_refused(manager: APIClient, sensors: object, wrong: object) -> None:
    answer = manager.patch(f"{SENSORS}1/", {"expected_interval_s": wrong}, format="json")
    assert answer.status_code == 400
    assert "expected_interval_s" in answer.json()


@pytest.mark.parametrize("name", ["status", "interval_s"])
def test_what_is_measured_is_not_set(manager: APIClient, sensors: object, name: str) -> None:
    assert manager.patch(f"{SENSORS}1/", {name: "ok"}, format="json").status_code == 400


def test_one_that_is_new_was_never_seen(manager: APIClient) -> None:
    answer = manager.post(SENSORS, {"name": "new", "expected_interval_s": 60}, format="json")
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["expected_interval_s"]) == ("never", 60)
    other = manager.post(SENSORS, {"name": "new", "is_active": False}, format="json")
    assert other.json()["status"] == "off"


def test_statements_do_not_grow_with_the_page(manager: APIClient, sensors: object) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert manager.get(SENSORS).status_code == 200
        return len(captured)

    few = statements()
    Sensor.objects.register([Sensor(id=number, name=f"{number}") for number in range(10, 60)])
    assert statements() == few


def test_a_file_of_sensors_sets_it(sensors: object) -> None:
    carry_out("id,expected_interval_s\n1,30\n2,\n")
    assert Sensor.objects.get(pk=1).expected_interval_s == 30
    assert carry_out("id,expected_interval_s\n1,often\n").refused


def test_the_admin_shows_it(admin_client: Client, every_minute: datetime) -> None:
    later = every_minute + timedelta(hours=1)
    look_at_due(TimeShare(), Reach(later), later)
    page = reverse("admin:monitoring_sensor_changelist")
    assert "silent" in admin_client.get(page).content.decode()
    found = admin_client.get(page, {"status": "silent"}).content.decode()
    assert "Capteur Temp Salon" in found
    assert "Capteur Lumière Salon" not in found
    one = admin_client.get(reverse("admin:monitoring_sensor_change", args=[1])).content.decode()
    assert "silent since" in one
    assert "a reading is expected every 60 s" in one
    assert "expected_interval_s" in one
