"""The map and the wall: every sensor once, by place, with its state."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.dashboard.listing import STATES
from monitoring.models import Sensor, SensorStatus

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def anybody(settings: Any) -> None:
    settings.API_PUBLIC_READ = True


def test_every_sensor_is_a_cell_of_its_place() -> None:
    for name, place in (("b 10", "Hall"), ("b 9", "Hall"), ("a", ""), ("gone", "Hall")):
        Sensor.objects.create(name=name, location=place)
    Sensor.objects.filter(name="gone").request_removal()
    silent = Sensor.objects.get(name="b 10")
    SensorStatus.objects.filter(pk=silent.pk).update(status="silent")
    before = timezone.now().timestamp()
    answer = Client().get("/map/cells/").json()
    places = answer["places"]
    assert before - 0.001 <= answer["now"] / 1000 <= timezone.now().timestamp()
    ids = dict(Sensor.objects.values_list("name", "pk"))
    never = str(STATES.index("never"))
    assert places == [
        {"title": "", "ids": [ids["a"]], "states": never},
        {"title": "Hall", "ids": [ids["b 9"], ids["b 10"]], "states": never + str(STATES.index("silent"))},
    ]


def test_the_wall_names_what_is_silent_for_longest() -> None:
    now = timezone.now()
    for number in range(15):
        sensor = Sensor.objects.create(name=f"quiet {number}")
        SensorStatus.objects.filter(pk=sensor.pk).update(
            status="silent", newest_at=now - timedelta(hours=number)
        )
    text = Client().get("/wall/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in text
    found = [text.index(f">quiet {number}<") for number in range(14, 2, -1)]
    assert found == sorted(found)
    assert ">quiet 2<" not in text, "twelve, and no more"


@pytest.mark.parametrize("path", ["/map/", "/map/cells/", "/wall/"])
def test_who_may_not_read_sees_nothing_of_it(settings: Any, path: str) -> None:
    assert Client().get(path).status_code == 200
    settings.API_PUBLIC_READ = False
    assert Client().get(path).status_code == 302
