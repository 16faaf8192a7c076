"""lobby/: sensors that nobody has registered, approved or blocked; and what the others are refused for."""

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.models import BlockedSensor, Job, Measurement, RejectedMessage, Sensor
from monitoring.rejected import jobs
from monitoring.upkeep.pieces import TimeShare
from tests.api.conftest import API
from tests.api.test_rejected import post, rfc3339
from tests.rejected.conftest import Reject, reading, register, require_exact_books

LOBBY = API + "lobby/"
MISFITS = LOBBY + "misfits/"

pytestmark = pytest.mark.django_db


def work() -> None:
    jobs.work(TimeShare())


def waiting() -> int:
    return RejectedMessage.objects.waiting().count()


def test_who_waits_is_shown_with_what_it_said(sender: APIClient, reject: Reject, noon: datetime) -> None:
    reject(
        reading(12, 1, type="temperature", unit="C"),
        *(reading(12, place, type="temperature", unit="°C") for place in (2, 3)),
        at=noon,
    )
    reject(reading(13, 4), b"garbage", reading(1, unit="F"), at=noon + timedelta(hours=1))
    newest, guest = sender.get(LOBBY).json()
    assert guest == {
        "id": 12,
        "messages": 3,
        "first": rfc3339(noon),
        "last": rfc3339(noon + timedelta(microseconds=2)),
        "topics": ["iot/measurements"],
        "kinds": ["temperature"],
        "units": ["°C", "C"],
        "last_value": 3.0,
        "suggested": {"name": "Sensor 12", "kind": "temperature", "unit": "°C", "location": ""},
    }
    assert (newest["id"], newest["units"], newest["suggested"]["unit"]) == (13, [], "")
    assert [one["id"] for one in sender.get(LOBBY, {"limit": 1}).json()] == [13]
    for query in ({"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"sensor": 12}):
        assert sender.get(LOBBY, query).status_code == 400


def test_one_is_approved_as_it_is_suggested(
    sender: APIClient, reject: Reject, store: BatchStore, noon: datetime
) -> None:
    reject(reading(12, 1, type="temperature", unit="°C"), reading(13), at=noon)
    done = sender.post(f"{LOBBY}12/approve/")
    assert done.status_code == 201
    body = done.json()
    assert body["sensor"] == sender.get(done["Location"]).json()
    assert (
        body["sensor"].items()
        >= {
            "id": 12,
            "name": "Sensor 12",
            "kind": "temperature",
            "unit": "°C",
            "location": "",
            "is_active": True,
        }.items()
    )
    work()
    assert sender.get(f"{API}jobs/{body['job']}/").json()["stored"] == 1
    stored = Measurement.objects.get()
    assert (stored.sensor_id, stored.created_at) == (12, noon)
    assert [one["id"] for one in sender.get(LOBBY).json()] == [13]
    require_exact_books(store)
    # The next sensor without an id of its own gets another one.
    assert post(sender, API + "sensors/", name="Next").json()["id"] > 12


def test_one_is_approved_as_somebody_says(sender: APIClient, reject: Reject) -> None:
    reject(reading(12, unit="C"))
    done = post(sender, f"{LOBBY}12/approve/", name="Porch", unit="°C", location="Outside")
    assert done.status_code == 201
    sensor = Sensor.objects.get(pk=12)
    assert (sensor.name, sensor.kind, sensor.unit, sensor.location) == ("Porch", "", "°C", "Outside")
    work()
    assert RejectedMessage.objects.get().code == "unit_mismatch"


def test_what_waits_in_an_array_with_other_faults_is_replayed_too(
    sender: APIClient, reject: Reject, store: BatchStore
) -> None:
    elements = [{"sensor_id": 12, "value": 1}, *({"value": place} for place in range(60))]
    (row,) = reject(json.dumps(elements).encode())
    assert (row.code, row.sensors) == ("missing_field", [12])
    assert [one["id"] for one in sender.get(LOBBY).json()] == [12]
    assert post(sender, f"{LOBBY}12/approve/").status_code == 201
    work()
    assert Measurement.objects.get().sensor_id == 12
    row.refresh_from_db()
    assert (row.state, row.elements, row.code) == ("waiting", 60, "missing_field")
    require_exact_books(store)


@pytest.mark.django_db(transaction=True)
def test_asked_for_at_once_it_is_registered_once(
    user: User, sender: APIClient, reject: Reject, store: BatchStore
) -> None:
    reject(reading(12))
    clients = [APIClient() for _ in range(3)]
    begin, statuses = threading.Barrier(len(clients)), list[int]()

    def approve(client: APIClient) -> None:
        client.force_authenticate(user)
        begin.wait()
        statuses.append(client.post(f"{LOBBY}12/approve/").status_code)
        connection.close()

    threads = [threading.Thread(target=approve, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 409, 409]
    work()
    assert Measurement.objects.count() == 1
    require_exact_books(store)


@pytest.mark.parametrize("deed", ["approve", "block"])
def test_who_does_not_wait_is_neither_approved_nor_blocked(
    deed: str, sender: APIClient, reject: Reject
) -> None:
    reject(reading(12), reading(1, unit="F"))
    for number in (99, 0, 2**63, 10**30):
        assert sender.post(f"{LOBBY}{number}/{deed}/").status_code == 404
    assert sender.post(f"{LOBBY}1/{deed}/").status_code == 409
    Sensor.objects.filter(pk=2).request_removal()
    assert sender.post(f"{LOBBY}2/{deed}/").status_code == 409
    assert not Job.objects.exists()
    assert not BlockedSensor.objects.exists()


def test_an_approval_that_cannot_be_read_registers_nothing(sender: APIClient, reject: Reject) -> None:
    reject(reading(12))
    refused: list[tuple[dict[str, object], str]] = [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": None}, "name"),
        ({"kind": "x" * 65}, "kind"),
        ({"unit": ["°C"]}, "unit"),
        ({"location": {}}, "location"),
        ({"id": 13}, "id"),
        ({"is_active": False}, "is_active"),
    ]
    for body, field in refused:
        answer = post(sender, f"{LOBBY}12/approve/", **body)
        assert answer.status_code == 400, body
        assert field in answer.json()
    for text in ('{"name": "\\ud800"}', "[]", "1", "{", "[" * 100_000):
        answer = sender.generic("POST", f"{LOBBY}12/approve/", text, content_type="application/json")
        assert answer.status_code == 400, text[:20]
    assert not Sensor.objects.filter(pk=12).exists()
    assert not Job.objects.exists()


def test_many_are_approved_all_or_none(sender: APIClient, reject: Reject, store: BatchStore) -> None:
    reject(reading(12, unit="°C"), reading(13), reading(14))
    refused = post(sender, LOBBY + "approve/", sensors=[12, 99, 1])
    assert refused.status_code == 400
    assert [said.partition(":")[0] for said in refused.json()["sensors"]] == ["1", "99"]
    for said in ([], [0], [2**63], ["x"], [1] * 101, "12", None, {}):
        assert "sensors" in post(sender, LOBBY + "approve/", sensors=said).json(), said
    assert "sensors" in post(sender, LOBBY + "approve/").json()
    assert "all" in post(sender, LOBBY + "approve/", all=True, sensors=[12]).json()
    assert not Sensor.objects.filter(pk__in=[12, 13, 14]).exists()
    assert not Job.objects.exists()

    done = post(sender, LOBBY + "approve/", sensors=[13, 12, 13])
    assert done.status_code == 201
    approved = done.json()["approved"]
    assert [(one["sensor"]["id"], one["sensor"]["unit"]) for one in approved] == [(12, "°C"), (13, "")]
    assert set(Job.objects.values_list("pk", flat=True)) == {one["job"] for one in approved}
    work()
    assert Measurement.objects.count() == 2
    assert [one["id"] for one in sender.get(LOBBY).json()] == [14]
    require_exact_books(store)


def test_one_is_blocked_and_unblocked(sender: APIClient, reject: Reject, store: BatchStore) -> None:
    reject(reading(12), reading(13))
    done = sender.post(f"{LOBBY}12/block/")
    assert (done.status_code, set(done.json())) == (200, {"detail", "job"})
    work()
    shown = sender.get(API + "rejected/", {"sensor": 12}).json()
    assert [(one["state"], one["outcome"]) for one in shown] == [("dismissed", "blocked")]
    assert [one["id"] for one in sender.get(LOBBY).json()] == [13]
    (blocked,) = sender.get(LOBBY + "blocked/").json()
    assert blocked.pop("blocked_at")
    assert blocked == {"id": 12, "blocked_by": "ana"}
    assert reject(reading(12)) == []
    # Once more, where the answer was lost; and it is not approved meanwhile.
    assert sender.post(f"{LOBBY}12/block/").status_code == 200
    refused = sender.post(f"{LOBBY}12/approve/")
    assert refused.status_code == 409
    assert "unblock" in refused.json()["detail"]

    assert sender.post(f"{LOBBY}12/unblock/").status_code == 200
    for number in (12, 1, 0, 2**63, 10**30):
        assert sender.post(f"{LOBBY}{number}/unblock/").status_code == 404
    assert sender.get(LOBBY + "blocked/").json() == []
    assert len(reject(reading(12))) == 1
    for deed in ("block", "unblock"):
        assert post(sender, f"{LOBBY}12/{deed}/", reason="x").status_code == 400
    require_exact_books(store)


def test_those_that_are_blocked_come_in_pages(sender: APIClient) -> None:
    BlockedSensor.objects.bulk_create(
        BlockedSensor(pk=place, blocked_by="ana") for place in (5, 7, 2**63 - 1)
    )
    first = sender.get(LOBBY + "blocked/", {"limit": 2})
    assert [one["id"] for one in first.json()] == [5, 7]
    following = sender.get(first["Link"].partition(">")[0][1:])
    assert [one["id"] for one in following.json()] == [2**63 - 1]


# --- what sensors that are registered were refused for -------------------------------------------


def remedy(client: APIClient, misfit: dict[str, Any], name: str, **more: object) -> Any:
    named = {"code": misfit["code"], "sensor": misfit["sensor"]["id"], "detail": misfit["detail"]}
    return post(client, MISFITS, remedy=name, **named | more)


def test_misfits_are_shown_with_their_remedies(sender: APIClient, reject: Reject, noon: datetime) -> None:
    register(12, is_active=False)
    reject(reading(12), at=noon)
    reject(reading(1, unit="C"), reading(1, unit="C", value=2), at=noon + timedelta(hours=1))
    reject(reading(2, type="wetness"), b"garbage", at=noon + timedelta(hours=2))
    kind, unit, inactive = sender.get(MISFITS).json()
    assert (kind["code"], kind["said"], kind["remedies"]) == ("type_mismatch", "wetness", ["change_kind"])
    assert (inactive["code"], inactive["said"], inactive["remedies"]) == ("inactive_sensor", "", ["activate"])
    assert unit == {
        "code": "unit_mismatch",
        "sensor": sender.get(API + "sensors/1/").json(),
        "detail": '"unit" is "C", sensor 1 has "°C"',
        "messages": 2,
        "first": rfc3339(noon + timedelta(hours=1)),
        "last": rfc3339(noon + timedelta(hours=1, microseconds=1)),
        "said": "C",
        "remedies": ["change_unit", "read_unit_as"],
    }
    assert len(sender.get(MISFITS, {"limit": 2}).json()) == 2
    assert sender.get(MISFITS, {"code": "x"}).status_code == 400


def test_each_is_mended_and_replayed(sender: APIClient, reject: Reject, store: BatchStore) -> None:
    register(12, is_active=False)
    register(14, unit="V")
    reject(reading(12), reading(1, unit="C"), reading(2, type="wetness"), reading(14, unit="mV"))
    misfits = {one["sensor"]["id"]: one for one in sender.get(MISFITS).json()}
    tried = remedy(sender, misfits[1], "read_unit_as", dry_run=True)
    assert (tried.status_code, tried.json()["stored"], tried.json()["is_complete"]) == (200, 1, True)
    assert not Job.objects.exists()
    for number, name in ((12, "activate"), (1, "read_unit_as"), (2, "change_kind"), (14, "change_unit")):
        done = remedy(sender, misfits[number], name)
        assert (done.status_code, done.json()["messages"]) == (202, 1), done.json()
        assert done["Location"].endswith(f"/jobs/{done.json()['job']}/")
    there = Sensor.objects.in_bulk()
    assert there[12].is_active
    assert (there[1].unit, there[2].kind, there[14].unit) == ("°C", "wetness", "mV")
    work()
    assert waiting() == 0
    assert dict(Measurement.objects.values_list("sensor_id", "unit")) == {12: "", 1: "°C", 2: "%", 14: "mV"}
    assert sender.get(MISFITS).json() == []
    require_exact_books(store)


def test_a_remedy_that_does_not_fit_changes_nothing(sender: APIClient, reject: Reject) -> None:
    reject(reading(1, unit="C"))
    (misfit,) = sender.get(MISFITS).json()
    refused: list[tuple[str, dict[str, object], int, str]] = [
        ("activate", {}, 400, "remedy"),
        ("change_kind", {}, 400, "remedy"),
        ("burn", {}, 400, "remedy"),
        ("change_unit", {"dry_run": True}, 400, "dry_run"),
        ("change_unit", {"unit": "F"}, 400, "unit"),
        ("change_unit", {"code": "nothing"}, 400, "code"),
        ("change_unit", {"sensor": 2**63}, 400, "sensor"),
        ("change_unit", {"detail": "a\0"}, 400, "detail"),
        ("change_unit", {"detail": "x" * 501}, 400, "detail"),
        ("change_unit", {"detail": "another"}, 404, "detail"),
        ("change_unit", {"sensor": 2}, 404, "detail"),
        ("change_unit", {"sensor": 2**63 - 1}, 404, "detail"),
        ("change_unit", {"code": "not_json"}, 404, "detail"),
    ]
    for name, more, status, field in refused:
        answer = remedy(sender, misfit, name, **more)
        assert (answer.status_code, field in answer.json()) == (status, True), (name, more, answer.json())
    assert post(sender, MISFITS).status_code == 400
    assert Sensor.objects.get(pk=1).unit == "°C"
    assert not Job.objects.exists()


# --- who may -------------------------------------------------------------------------------------


def test_other_permissions_are_needed_for_what_is_done_to_sensors(
    sender: APIClient, user: User, reject: Reject
) -> None:
    reject(reading(12), reading(1, unit="C"))
    (misfit,) = sender.get(MISFITS).json()
    group = user.groups.get()
    for codename in ("add_sensor", "change_sensor"):
        group.permissions.remove(Permission.objects.get(codename=codename))
    for answer, permission in (
        (post(sender, f"{LOBBY}12/approve/"), "monitoring.add_sensor"),
        (post(sender, LOBBY + "approve/", sensors=[12]), "monitoring.add_sensor"),
        (remedy(sender, misfit, "change_unit"), "monitoring.change_sensor"),
    ):
        assert answer.status_code == 403
        assert permission in answer.json()["detail"]
    assert not Job.objects.exists()
    assert remedy(sender, misfit, "read_unit_as").status_code == 202
    assert sender.post(f"{LOBBY}12/block/").status_code == 200
    group.permissions.remove(Permission.objects.get(codename="change_rejectedmessage"))
    for path in ("12/block/", "12/unblock/", "12/approve/", "approve/", "misfits/"):
        assert sender.post(LOBBY + path).status_code == 403
    for path in ("", "blocked/", "misfits/"):
        assert sender.get(LOBBY + path).status_code == 200
