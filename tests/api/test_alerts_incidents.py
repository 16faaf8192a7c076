"""alerts/incidents/: found, in pages, acknowledged; and what strangers do not see of them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from monitoring.models import AlertRule, Incident
from tests.api.conftest import API
from tests.api.test_reading import follow

INCIDENTS = API + "alerts/incidents/"
Fire = Callable[..., Incident]

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(sensors: object) -> AlertRule:
    return AlertRule.objects.create(name="Too warm", kind="above", high=25, severity="critical")


@pytest.fixture
def fire(rule: AlertRule, noon: datetime) -> Fire:
    """fire(minutes, ...): an incident that began so long after noon; resolved, unless `lasts`."""

    def fire(minutes: int, sensor: int | None = 1, lasts: bool = False, **more: Any) -> Incident:
        since = noon + timedelta(minutes=minutes)
        said = {
            "rule": rule,
            "title": rule.name,
            "kind": rule.kind,
            "severity": rule.severity,
            "sensor_id": sensor,
            "subject": f"sensor:{sensor}",
            "state": "firing" if lasts else "resolved",
            "since": since,
            "fired_at": since,
            "resolved_at": None if lasts else since + timedelta(minutes=1),
            "seen_at": since,
        }
        return Incident.objects.create(**said | more)

    return fire


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [incident["id"] for incident in answer.json()]


def test_it_works(sender: APIClient, fire: Fire, rule: AlertRule, noon: datetime) -> None:
    made = fire(0, value=25.5, peak=27.0, last=24.5, end="clear")
    at = f"{noon:%Y-%m-%dT12:00:00Z}"
    assert sender.get(INCIDENTS).json() == [
        {
            "id": made.pk,
            "rule": rule.pk,
            "title": "Too warm",
            "kind": "above",
            "severity": "critical",
            "sensor": 1,
            "subject": "sensor:1",
            "state": "resolved",
            "since": at,
            "fired_at": at,
            "resolved_at": f"{noon:%Y-%m-%dT12:01:00Z}",
            "seen_at": at,
            "end": "clear",
            "value": 25.5,
            "peak": 27.0,
            "last": 24.5,
            "acknowledged_at": None,
            "acknowledged_by": None,
            "comment": "",
            "part_of": None,
            "parts": 0,
        }
    ]


def test_they_are_found(sender: APIClient, fire: Fire, rule: AlertRule, noon: datetime) -> None:
    other = AlertRule.objects.create(name="Silent", kind="silence")
    first, second = fire(0), fire(1, sensor=2, lasts=True)
    third = fire(2, rule=other)
    never = fire(3, state="withdrawn", end="late")
    whole = fire(4, sensor=None, rule=other, subject="board:kitchen", lasts=True)
    parts = [fire(4, sensor=n, rule=other, part_of=whole) for n in (1, 2, 3)]
    at = (noon + timedelta(minutes=1)).isoformat()
    for query, found in (
        ({}, [whole, third, second, first]),
        ({"state": "firing"}, [whole, second]),
        ({"state": "withdrawn"}, [never]),
        ({"state": "resolved", "rule": rule.pk}, [first]),
        ({"rule": other.pk}, [whole, third]),
        ({"sensor": 1}, [parts[0], third, first]),
        ({"sensor": 3, "rule": rule.pk}, []),
        ({"part_of": whole.pk}, parts[::-1]),
        ({"part_of": whole.pk, "sensor": 2}, [parts[1]]),
        ({"from": at}, [whole, third, second]),
        ({"to": at}, [first]),
        ({"from": at, "to": (noon + timedelta(minutes=2)).isoformat()}, [second]),
    ):
        assert ids(sender.get(INCIDENTS, query)) == [one.pk for one in found], query
    assert sender.get(INCIDENTS).json()[0]["parts"] == 3
    assert sender.get(INCIDENTS, {"sensor": 3}).json()[0]["part_of"] == whole.pk


@pytest.mark.parametrize(
    "query",
    [
        {"state": "open"},
        {"sensor": "x"},
        {"sensor": 0},
        {"sensor": 2**70},
        {"rule": "Too warm"},
        {"part_of": -1},
        {"from": "noon"},
        {"from": 100, "to": 99},
        {"severity": "critical"},
        {"cursor": "x"},
        {"limit": 1001},
    ],
)
def test_what_cannot_be_asked_is_said(sender: APIClient, db: None, query: dict[str, Any]) -> None:
    refused = sender.get(INCIDENTS, query)
    assert refused.status_code == 400
    assert refused.json().keys() <= {*query, "detail"}


def test_pages(sender: APIClient, fire: Fire) -> None:
    """Many of one moment, and new ones while somebody reads."""
    made = [fire(n // 3, sensor=1 + n % 3).pk for n in range(9)]
    minutes = iter(range(100, 200))
    pages = follow(sender, INCIDENTS + "?limit=2&state=resolved", lambda: fire(next(minutes)) and None)
    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]
    assert [one["id"] for page in pages for one in page] == made[::-1]


def test_a_page_is_one_query(sender: APIClient, fire: Fire) -> None:
    whole = fire(0, sensor=None, subject="location:Hall")
    for n in range(5):
        fire(n, part_of=whole)
        fire(n, sensor=2)
    with CaptureQueriesContext(connection) as asked:
        ids(sender.get(INCIDENTS))
    of_incidents = [one["sql"] for one in asked if 'FROM "monitoring_incident"' in one["sql"]]
    assert len(of_incidents) == 1


def test_one_is_acknowledged(sender: APIClient, fire: Fire, user: User) -> None:
    made = fire(0, lasts=True)
    path = f"{INCIDENTS}{made.pk}/acknowledge/"
    done = sender.post(path, {"comment": "On my way."}, format="json")
    assert done.status_code == 200
    shown = done.json()
    assert (shown["acknowledged_by"], shown["comment"]) == (user.username, "On my way.")
    assert shown["acknowledged_at"].endswith("Z")
    assert shown["state"] == "firing"
    assert sender.get(INCIDENTS).json() == [shown]


def test_without_a_word(sender: APIClient, fire: Fire) -> None:
    done = sender.post(f"{INCIDENTS}{fire(0, lasts=True).pk}/acknowledge/")
    assert (done.status_code, done.json()["comment"]) == (200, "")
    assert done.json()["acknowledged_at"]


def test_who_was_first_stays(sender: APIClient, fire: Fire, user: User, db: None) -> None:
    path = f"{INCIDENTS}{fire(0, lasts=True).pk}/acknowledge/"
    first = sender.post(path, {"comment": "Seen."}, format="json").json()
    other = APIClient()
    other.force_authenticate(User.objects.create_superuser("root"))
    again = other.post(path, {"comment": "Mended."}, format="json").json()
    assert again == first | {"comment": "Mended."}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"comment": ["x"]}, "comment"),
        ({"comment": None}, "comment"),
        ({"comment": "x" * 2001}, "comment"),
        ({"comment": "a\0"}, "comment"),
        ({"user": "ana"}, "user"),
        (["x"], "non_field_errors"),
    ],
)
def test_what_makes_no_sense_acknowledges_nothing(
    sender: APIClient, fire: Fire, body: object, field: str
) -> None:
    made = fire(0, lasts=True)
    refused = sender.post(f"{INCIDENTS}{made.pk}/acknowledge/", body, format="json")
    assert refused.status_code == 400
    assert set(refused.json()) == {field}
    made.refresh_from_db()
    assert made.acknowledged_at is None


def test_one_that_is_none(sender: APIClient, db: None) -> None:
    for number in (77, 2**70):
        gone = sender.post(f"{INCIDENTS}{number}/acknowledge/")
        assert (gone.status_code, gone.json()) == (404, {"detail": "There is no incident with this id."})


def test_acknowledging_needs_its_permission(sender: APIClient, fire: Fire, user: User) -> None:
    made = fire(0, lasts=True)
    user.groups.get().permissions.remove(Permission.objects.get(codename="change_incident"))
    refused = sender.post(f"{INCIDENTS}{made.pk}/acknowledge/")
    assert refused.status_code == 403
    assert "monitoring.change_incident" in refused.json()["detail"]
    assert ids(sender.get(INCIDENTS)) == [made.pk]


def test_who_acknowledged_it_is_not_public(sender: APIClient, client: APIClient, fire: Fire) -> None:
    made = fire(0, lasts=True)
    sender.post(f"{INCIDENTS}{made.pk}/acknowledge/", {"comment": "Ana: in room 3"}, format="json")
    (shown,) = client.get(INCIDENTS).json()
    assert shown["acknowledged_at"]
    assert (shown["acknowledged_by"], shown["comment"]) == (None, None)


def test_a_rule_that_goes_leaves_what_it_found(sender: APIClient, fire: Fire, rule: AlertRule) -> None:
    fire(0)
    assert sender.delete(f"{API}alerts/rules/{rule.pk}/").status_code == 204
    (shown,) = sender.get(INCIDENTS).json()
    assert (shown["rule"], shown["title"]) == (None, "Too warm")


@pytest.mark.parametrize("change", [{"enabled": False}, {"high": 99}, {"sensor": 2}])
def test_what_a_rule_had_found_ends_when_it_says_something_else(
    sender: APIClient, fire: Fire, rule: AlertRule, change: dict[str, object]
) -> None:
    made = fire(0, lasts=True)
    path = f"{API}alerts/rules/{rule.pk}/"
    assert sender.patch(path, {"name": "Warm", "note": "x"}, format="json").status_code == 200
    assert ids(sender.get(INCIDENTS, {"state": "firing"})) == [made.pk]
    assert sender.patch(path, change, format="json").status_code == 200
    (ended,) = sender.get(INCIDENTS).json()
    assert (ended["state"], ended["end"]) == ("resolved", "changed")
    assert ended["resolved_at"]


def test_what_a_deleted_rule_had_found_ends(sender: APIClient, fire: Fire, rule: AlertRule) -> None:
    fire(0, lasts=True)
    assert sender.delete(f"{API}alerts/rules/{rule.pk}/").status_code == 204
    (ended,) = sender.get(INCIDENTS).json()
    assert (ended["state"], ended["end"], ended["rule"]) == ("resolved", "changed", None)
