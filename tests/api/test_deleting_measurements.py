"""DELETE sensors/<id>/measurements/: false readings, first as a dry run."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from monitoring.models import Deletion, Measurement, Sensor
from monitoring.upkeep.deleting import delete_measurements
from monitoring.upkeep.pieces import TimeShare
from tests.api.conftest import API

ROUTE = API + "sensors/3/measurements/"
SPAN = {"from": "2026-01-28T00:00:00Z", "to": "2026-01-29T00:00:00Z"}


def delete(client: APIClient, path: str = ROUTE, **query: object) -> Any:
    return client.delete(f"{path}?{urlencode(query)}")


def test_it_works(sender: APIClient, client: APIClient, measure: Callable[..., None], noon: datetime) -> None:
    measure(3, 0, 1, 2)
    Measurement.objects.filter(created_at=noon + timedelta(seconds=1)).update(value=-127)
    span = {"from": noon.isoformat(), "to": (noon + timedelta(hours=1)).isoformat()}

    said = delete(sender, **span, max=-100, dry_run=1)
    assert said.status_code == 200
    at = (noon + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {"count": 1, "first": at, "last": at, "min": -127.0, "max": -127.0, "frozen": 0}
    body = said.json()
    assert body.pop("detail")
    assert body == {"sensor": 3, "deletion": None, **found, "counted_until": None}
    assert not Deletion.objects.exists()

    said = delete(sender, **span, max=-100)
    assert said.status_code == 202
    number = said.json()["deletion"]
    assert {name: said.json()[name] for name in found} == found
    (state,) = client.get(API + "sensors/3/deletions/").json()
    assert (state["id"], state["deleted"], state["finished_at"]) == (number, 0, None)
    assert "ana" not in str(state)

    assert delete_measurements(TimeShare()) == {"rows": 1, "deletions": 1}
    (state,) = client.get(API + "sensors/3/deletions/").json()
    assert (state["deleted"], state["from"], state["min"], state["max"]) == (
        1,
        noon.strftime("%Y-%m-%dT%H:%M:%SZ"),
        None,
        -100.0,
    )
    assert state["finished_at"]
    assert Deletion.objects.get().requested_by == "ana"
    assert [row["value"] for row in client.get(ROUTE).json()] == [2.57, 2.57]


def test_it_needs_the_permission_to_delete(
    client: APIClient, sender: APIClient, user: User, measure: Callable[..., None]
) -> None:
    measure(3, 0)
    user.groups.get().permissions.remove(Permission.objects.get(codename="delete_measurement"))
    assert delete(client, **SPAN).status_code == 401
    for dry_run in (0, 1):
        refused = delete(sender, **SPAN, dry_run=dry_run)
        assert (refused.status_code, list(refused.json())) == (403, ["detail"])
    assert not Deletion.objects.exists()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "from"),
        ({"from": SPAN["from"]}, "to"),
        ({"from": SPAN["to"], "to": SPAN["from"]}, "from"),
        ({**SPAN, "min": 2, "max": 1}, "min"),
        ({**SPAN, "min": "nan"}, "min"),
        ({**SPAN, "max": "inf"}, "max"),
        ({**SPAN, "max": "x"}, "max"),
        ({**SPAN, "dry_run": "perhaps"}, "dry_run"),
        ({**SPAN, "limit": 5}, "detail"),
        ({**SPAN, "dryrun": 1}, "detail"),
    ],
)
def test_what_cannot_be_read_deletes_nothing(
    sender: APIClient, measure: Callable[..., None], query: dict[str, Any], field: str
) -> None:
    measure(3, 0)
    answer = delete(sender, **query)
    assert answer.status_code == 400
    assert field in answer.json()
    assert not Deletion.objects.exists()


def test_a_sensor_that_is_not_there_or_leaving_is_404(sender: APIClient, sensors: dict[int, Sensor]) -> None:
    Sensor.objects.filter(pk=3).request_removal()
    for number in (3, 99, 2**63, 10**30):
        assert delete(sender, f"{API}sensors/{number}/measurements/", **SPAN).status_code == 404
    assert not Deletion.objects.exists()


def test_deletions_come_in_pages(client: APIClient, sensors: dict[int, Sensor], noon: datetime) -> None:
    route = API + "sensors/3/deletions/"
    for place in range(3):
        Deletion.objects.create(sensor_id=3, start=noon, until=noon + timedelta(days=1), low=place)
    Deletion.objects.create(sensor_id=1, start=noon, until=noon + timedelta(days=1))
    first = client.get(route, {"limit": 2})
    assert [one["min"] for one in first.json()] == [2, 1]
    following = client.get(first["Link"].partition(">")[0][1:])
    assert [one["min"] for one in following.json()] == [0]
    assert "Link" not in following
    assert client.get(f"{API}sensors/{2**63}/deletions/").json() == []
