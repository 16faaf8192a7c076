"""alerts/silences/: made, changed, ended; by field what is wrong with one."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from monitoring.models import AlertRule, Mute
from tests.api.conftest import API
from tests.api.test_reading import follow

SILENCES = API + "alerts/silences/"

pytestmark = pytest.mark.django_db


def make(sender: APIClient, **said: object) -> Any:
    answer = sender.post(SILENCES, said, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_it_works(sender: APIClient, sensors: object, user: User, noon: datetime) -> None:
    at = int(noon.timestamp())
    made = make(sender, sensor=3, starts_at=at, ends_at=at + 3600, comment="It is being cleaned.")
    assert made.pop("created_at").endswith("Z")
    assert made == {
        "id": Mute.objects.get().pk,
        "sensor": 3,
        "location": "",
        "rule": None,
        "starts_at": f"{noon:%Y-%m-%dT12:00:00Z}",
        "ends_at": f"{noon:%Y-%m-%dT13:00:00Z}",
        "weekdays": [],
        "from_time": None,
        "to_time": None,
        "zone": "UTC",
        "comment": "It is being cleaned.",
        "created_by": user.username,
        "holds": False,
    }
    assert sender.get(SILENCES).json() == [sender.get(f"{SILENCES}{made['id']}/").json()]


def test_it_holds_from_now_on_and_is_ended(sender: APIClient, sensors: object) -> None:
    made = make(sender)
    assert (made["holds"], made["ends_at"]) == (True, None)
    path = f"{SILENCES}{made['id']}/"
    later = (datetime.fromisoformat(made["starts_at"]) + timedelta(microseconds=1)).isoformat()
    ended = sender.patch(path, {"ends_at": later}, format="json").json()
    assert (ended["holds"], ended["starts_at"]) == (False, made["starts_at"])
    assert sender.patch(path, {"ends_at": None}, format="json").json()["holds"] is True
    assert sender.delete(path).status_code == 204
    for gone in (sender.get(path), sender.patch(path, {}, format="json"), sender.delete(path)):
        assert (gone.status_code, gone.json()) == (404, {"detail": "There is no silence with this id."})


def test_every_week(sender: APIClient, sensors: object) -> None:
    rule = AlertRule.objects.create(name="Silent", kind="silence")
    made = make(
        sender,
        rule=rule.pk,
        location="Hall",
        weekdays=[5, 6],
        from_time="22:00",
        to_time="06:30",
        zone="Europe/Paris",
    )
    assert (made["rule"], made["location"], made["weekdays"]) == (rule.pk, "Hall", [5, 6])
    assert (made["from_time"], made["to_time"], made["zone"]) == ("22:00:00", "06:30:00", "Europe/Paris")


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({"ends_at": "2026-01-01T00:00:00Z", "starts_at": "2026-01-01T00:00:00Z"}, {"ends_at"}),
        ({"starts_at": "2026-01-01T00:00:00"}, {"starts_at"}),
        ({"starts_at": None}, {"starts_at"}),
        ({"starts_at": True}, {"starts_at"}),
        ({"ends_at": "soon"}, {"ends_at"}),
        ({"ends_at": {}}, {"ends_at"}),
        ({"ends_at": "9999-12-31T23:59:59Z"}, {"ends_at"}),
        ({"starts_at": "0001-01-01T00:00:00Z"}, {"starts_at"}),
        ({"sensor": 77}, {"sensor"}),
        ({"sensor": "3"}, {"sensor"}),
        ({"rule": 77}, {"rule"}),
        ({"rule": 2**70}, {"rule"}),
        ({"location": "x" * 201}, {"location"}),
        ({"weekdays": [7]}, {"weekdays"}),
        ({"weekdays": [1, 1]}, {"weekdays"}),
        ({"weekdays": "Monday"}, {"weekdays"}),
        ({"weekdays": [[1]]}, {"weekdays"}),
        ({"weekdays": {"0": 1}}, {"weekdays"}),
        ({"from_time": "25:00"}, {"from_time"}),
        ({"from_time": 22}, {"from_time"}),
        ({"from_time": "22:00", "to_time": "22:00"}, {"to_time"}),
        ({"zone": "Mars/Olympus"}, {"zone"}),
        ({"zone": "../etc/passwd"}, {"zone"}),
        ({"zone": ""}, {"zone"}),
        ({"comment": "x" * 501}, {"comment"}),
        ({"until": "2026-01-01T00:00:00Z"}, {"until"}),
        ({"created_by": "root"}, {"created_by"}),
    ],
)
def test_errors_are_by_field(
    sender: APIClient, sensors: object, said: dict[str, object], fields: set[str]
) -> None:
    made = make(sender)
    before = Mute.objects.values().get()
    for refused in (
        sender.post(SILENCES, said, format="json"),
        sender.patch(f"{SILENCES}{made['id']}/", said, format="json"),
    ):
        assert refused.status_code == 400, refused.content
        assert set(refused.json()) == fields
    assert Mute.objects.values().get() == before


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "3"])
def test_a_body_is_one_object(sender: APIClient, sensors: object, body: str) -> None:
    made = make(sender)
    for method, path in (("POST", SILENCES), ("PATCH", f"{SILENCES}{made['id']}/")):
        assert sender.generic(method, path, body, content_type="application/json").status_code == 400


def test_pages(sender: APIClient, db: None) -> None:
    made = [make(sender, comment=f"{n}")["id"] for n in range(5)][::-1]
    pages = follow(sender, SILENCES + "?limit=2")
    assert [[one["id"] for one in page] for page in pages] == [made[:2], made[2:4], made[4:]]
    assert sender.get(SILENCES + "?sensor=1").status_code == 400


def test_they_are_not_public_where_reading_is(client: APIClient, db: None) -> None:
    assert client.get(SILENCES).status_code == 401
    assert client.get(f"{SILENCES}1/").status_code == 401


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_changing_needs_its_permission(sender: APIClient, user: User, method: str) -> None:
    path = SILENCES if method == "POST" else f"{SILENCES}{make(sender)['id']}/"
    right = {"POST": "add", "PATCH": "change", "DELETE": "delete"}[method] + "_mute"
    user.groups.get().permissions.remove(Permission.objects.get(codename=right))
    refused = sender.generic(method, path, "{}", content_type="application/json")
    assert refused.status_code == 403
    assert f"monitoring.{right}" in refused.json()["detail"]
