"""alerts/rules/: made, changed, deleted; errors by field; who sees what."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from monitoring.models import AlertChannel, AlertRule, Board, Sensor
from tests.api.conftest import API
from tests.api.test_reading import follow

RULES = API + "alerts/rules/"
WARM: dict[str, Any] = {"name": "Too warm", "kind": "above", "high": 25.5, "sensor": 1}

pytestmark = pytest.mark.django_db


def make(sender: APIClient, **more: object) -> Any:
    answer = sender.post(RULES, WARM | more, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


@pytest.fixture
def channel(db: None) -> AlertChannel:
    return AlertChannel.objects.create(name="ops", kind="email", settings={"to": ["ops@example.org"]})


def test_it_works(sender: APIClient, sensors: dict[int, Sensor], channel: AlertChannel, user: User) -> None:
    answer = sender.post(
        RULES, WARM | {"for_s": 60, "channels": [channel.pk], "note": "Open the door."}, format="json"
    )
    assert answer.status_code == 201, answer.content
    rule = answer.json()
    assert answer["Location"] == f"http://testserver{RULES}{rule['id']}/"
    assert rule.pop("active_from").endswith("Z")
    assert rule.pop("created_at").endswith("Z")
    assert rule == {
        "id": AlertRule.objects.get().pk,
        "name": "Too warm",
        "kind": "above",
        "enabled": True,
        "severity": "warning",
        "sensor": 1,
        "sensor_kind": "",
        "location": "",
        "board": None,
        "high": 25.5,
        "low": None,
        "clear_high": None,
        "clear_low": None,
        "for_s": 60,
        "keep_s": 0,
        "window_s": 0,
        "limit_s": None,
        "intervals": 10,
        "check_of": "",
        "channels": [channel.pk],
        "renotify_s": None,
        "note": "Open the door.",
        "version": 1,
        "created_by": user.username,
    }
    assert sender.get(RULES).json() == [sender.get(f"{RULES}{rule['id']}/").json()]


def test_a_change_of_what_it_says_begins_anew(
    sender: APIClient, sensors: object, channel: AlertChannel
) -> None:
    made = make(sender, channels=[channel.pk])
    path = f"{RULES}{made['id']}/"
    named = sender.patch(path, {"name": "Warm", "severity": "critical"}, format="json").json()
    assert (named["name"], named["severity"], named["version"]) == ("Warm", "critical", 1)
    assert (named["active_from"], named["channels"]) == (made["active_from"], [channel.pk])
    moved = sender.patch(path, {"high": 30, "clear_high": 29, "channels": []}, format="json").json()
    assert (moved["high"], moved["clear_high"], moved["channels"], moved["version"]) == (30.0, 29.0, [], 2)
    assert moved["active_from"] > made["active_from"]
    off = sender.patch(path, {"enabled": False, "sensor": None, "sensor_kind": "temperature"}, format="json")
    assert (off.json()["enabled"], off.json()["sensor"]) == (False, None)
    assert off.json()["created_by"] == made["created_by"]


def test_it_is_deleted(sender: APIClient, sensors: object) -> None:
    path = f"{RULES}{make(sender)['id']}/"
    assert sender.delete(path).status_code == 204
    for gone in (sender.get(path), sender.patch(path, {}, format="json"), sender.delete(path)):
        assert (gone.status_code, gone.json()) == (404, {"detail": "There is no alert rule with this id."})
    assert sender.get(f"{RULES}{2**70}/").status_code == 404


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({"high": None}, {"high"}),
        ({"kind": "below"}, {"high", "low"}),
        ({"kind": "outside", "low": 26}, {"low"}),
        ({"clear_high": 26}, {"clear_high"}),
        ({"kind": "rate"}, {"window_s"}),
        ({"kind": "rejected", "window_s": 60}, {"high"}),
        ({"kind": "pipeline", "high": None}, {"check_of", "sensor"}),
        ({"check_of": "books"}, {"check_of"}),
        ({"name": ""}, {"name"}),
        ({"name": None}, {"name"}),
        ({"name": "x" * 201}, {"name"}),
        ({"name": "a\0"}, {"name"}),
        ({"kind": "warm"}, {"kind"}),
        ({"kind": ["above"]}, {"kind"}),
        ({"severity": "fatal"}, {"severity"}),
        ({"enabled": "perhaps"}, {"enabled"}),
        ({"high": "25"}, {"high"}),
        ({"high": True}, {"high"}),
        ({"high": [25]}, {"high"}),
        ({"high": 10**400}, {"high"}),
        ({"for_s": -1}, {"for_s"}),
        ({"for_s": 32 * 86_400}, {"for_s"}),
        ({"for_s": "soon"}, {"for_s"}),
        ({"intervals": 1}, {"intervals"}),
        ({"limit_s": 0}, {"limit_s"}),
        ({"renotify_s": 59}, {"renotify_s"}),
        ({"sensor": 77}, {"sensor"}),
        ({"sensor": "1"}, {"sensor"}),
        ({"sensor": True}, {"sensor"}),
        ({"sensor": 1.5}, {"sensor"}),
        ({"sensor": 2**70}, {"sensor"}),
        ({"sensor": -1}, {"sensor"}),
        ({"board": "nowhere"}, {"board"}),
        ({"board": 1}, {"board"}),
        ({"board": {"name": "x"}}, {"board"}),
        ({"board": "a\0"}, {"board"}),
        ({"channels": [77]}, {"channels"}),
        ({"channels": 1}, {"channels"}),
        ({"channels": [[1]]}, {"channels"}),
        ({"note": "x" * 2001}, {"note"}),
        ({"treshold": 25}, {"treshold"}),
        ({"version": 7}, {"version"}),
        ({"active_from": "2026-01-01T00:00:00Z"}, {"active_from"}),
    ],
)
def test_errors_are_by_field(
    sender: APIClient, sensors: object, said: dict[str, object], fields: set[str]
) -> None:
    made = make(sender)
    before = AlertRule.objects.values().get()
    for refused in (
        sender.post(RULES, WARM | said, format="json"),
        sender.patch(f"{RULES}{made['id']}/", said, format="json"),
    ):
        assert refused.status_code == 400, refused.content
        assert set(refused.json()) == fields
    assert AlertRule.objects.values().get() == before


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "3", '[{"name": "x"}]'])
def test_a_body_is_one_object(sender: APIClient, sensors: object, body: str) -> None:
    made = make(sender)
    for method, path in (("POST", RULES), ("PATCH", f"{RULES}{made['id']}/")):
        assert sender.generic(method, path, body, content_type="application/json").status_code == 400


def test_what_must_be_there(sender: APIClient, sensors: object) -> None:
    assert set(sender.post(RULES, {}, format="json").json()) == {"name", "kind"}


def test_a_rule_of_a_selection(sender: APIClient, sensors: object, now: Any) -> None:
    Board.objects.create(name="kitchen", online=True, since=now)
    made = make(sender, sensor=None, sensor_kind="temperature", location="Hall", board="kitchen")
    assert (made["sensor_kind"], made["location"], made["board"]) == ("temperature", "Hall", "kitchen")
    assert sender.patch(f"{RULES}{made['id']}/", {"board": None}, format="json").json()["board"] is None


def test_a_sensor_that_leaves_is_none(sender: APIClient, sensors: object) -> None:
    Sensor.objects.filter(pk=1).request_removal()
    assert set(sender.post(RULES, WARM, format="json").json()) == {"sensor"}


def test_pages(sender: APIClient, sensors: object) -> None:
    made = [make(sender, name=f"Rule {n}")["id"] for n in range(5)]
    pages = follow(sender, RULES + "?limit=2")
    assert [[rule["id"] for rule in page] for page in pages] == [made[:2], made[2:4], made[4:]]
    assert sender.get(RULES + "?limit=0").status_code == 400
    assert sender.get(RULES + "?kind=above").status_code == 400


def test_what_people_wrote_is_not_public(
    sender: APIClient, sensors: object, channel: AlertChannel, client: APIClient
) -> None:
    made = make(sender, channels=[channel.pk], note="The key is under the mat.")
    for path in (RULES, f"{RULES}{made['id']}/"):
        shown = client.get(path).json()
        rule = shown[0] if isinstance(shown, list) else shown
        assert (rule["high"], rule["note"], rule["channels"], rule["created_by"]) == (25.5, None, None, None)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_changing_needs_its_permission(sender: APIClient, user: User, sensors: object, method: str) -> None:
    path = RULES if method == "POST" else f"{RULES}{make(sender)['id']}/"
    right = {"POST": "add", "PATCH": "change", "DELETE": "delete"}[method] + "_alertrule"
    user.groups.get().permissions.remove(Permission.objects.get(codename=right))
    refused = sender.generic(method, path, "{}", content_type="application/json")
    assert refused.status_code == 403
    assert f"monitoring.{right}" in refused.json()["detail"]


def test_other_methods_are_refused(sender: APIClient, sensors: object) -> None:
    assert sender.put(RULES, WARM, format="json").status_code in (403, 405)
    assert sender.delete(RULES).status_code in (403, 405)
