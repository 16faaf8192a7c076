"""rejected/: read, and one of them replayed or set aside; who may."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.models import Job, Measurement, RejectedMessage, Sensor
from tests.api.conftest import API
from tests.rejected.conftest import Reject, reading, register, require_exact_books

ROUTE = API + "rejected/"
JOBS = API + "jobs/"

pytestmark = pytest.mark.django_db


def post(client: APIClient, path: str, **body: object) -> Any:
    return client.post(path, body, format="json")


def post_text(client: APIClient, path: str, text: str | bytes) -> Any:
    return client.generic("POST", path, text, content_type="application/json")


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.json()
    return [row["id"] for row in answer.json()]


def rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# --- read ----------------------------------------------------------------------------------------


def test_one_is_shown_with_all_that_is_known_of_it(sender: APIClient, reject: Reject, noon: datetime) -> None:
    (row,) = reject(reading(12, unit="°C"), at=noon)
    shown = sender.get(f"{ROUTE}{row.pk}/").json()
    payload = reading(12, unit="°C")
    assert shown == {
        "id": row.pk,
        "received_at": rfc3339(noon),
        "topic": "iot/measurements",
        "payload": payload.decode(),
        "payload_base64": base64.b64encode(payload).decode(),
        "length": len(payload),
        "retained": False,
        "code": "unknown_sensor",
        "detail": "there is no sensor 12",
        "sensor": 12,
        "sensors": [12],
        "state": "waiting",
        "batch": str(row.batch),
        "position": 0,
        "index": None,
        "indexes": None,
        "readings": 1,
        "outcome": "",
        "replayed_at": None,
        "replayed_by": None,
        "became": None,
    }
    assert sender.get(ROUTE).json() == [shown]


def test_what_is_no_text_is_there_as_base64(sender: APIClient, reject: Reject) -> None:
    reject(b"\xff\xfe", b"a\0b", b"\xed\xa0\x80")
    lone, nul, bytes_ = sender.get(ROUTE).json()
    assert (bytes_["payload"], base64.b64decode(bytes_["payload_base64"])) == (None, b"\xff\xfe")
    assert (nul["payload"], nul["sensor"], nul["sensors"]) == ("a\0b", None, [])
    assert (lone["payload"], base64.b64decode(lone["payload_base64"])) == (None, b"\xed\xa0\x80")


def test_of_an_array_that_was_kept_whole_it_says_which(sender: APIClient, reject: Reject) -> None:
    elements = [{"sensor_id": 1, "value": 1}, *({"sensor_id": 12} for _ in range(60)), {"sensor_id": "x"}]
    reject(json.dumps(elements).encode())
    (shown,) = sender.get(ROUTE).json()
    assert (shown["readings"], shown["index"], shown["code"]) == (61, None, "missing_field")
    assert sorted(index for which in shown["indexes"].values() for index in which) == list(range(1, 62))


def test_every_filter_works_alone_and_together(sender: APIClient, reject: Reject, noon: datetime) -> None:
    old, mismatch, other = (
        reject(reading(12), at=noon)[0],
        reject(reading(1, unit="F"), at=noon + timedelta(hours=1))[0],
        reject(reading(13), at=noon + timedelta(hours=2))[0],
    )
    RejectedMessage.objects.filter(pk=other.pk).update(topic="else/where", state="dismissed")
    for query, found in [
        ({}, [other, mismatch, old]),
        ({"code": "unknown_sensor"}, [other, old]),
        ({"sensor": 12}, [old]),
        ({"sensor": 2**63 - 1}, []),
        ({"topic": "else/where"}, [other]),
        ({"topic": "else/"}, []),
        ({"detail": "there is no sensor 12"}, [old]),
        ({"detail": ""}, []),
        ({"state": "waiting"}, [mismatch, old]),
        ({"state": "dismissed"}, [other]),
        ({"from": rfc3339(noon + timedelta(hours=1))}, [other, mismatch]),
        ({"to": (noon + timedelta(hours=1)).timestamp()}, [old]),
        ({"code": "unknown_sensor", "state": "waiting", "sensor": 13}, []),
        ({"limit": 1}, [other]),
    ]:
        assert ids(sender.get(ROUTE, query)) == [row.pk for row in found], query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"code": "no_such_code"}, "code"),
        ({"code": ""}, "code"),
        ({"sensor": 0}, "sensor"),
        ({"sensor": 2**63}, "sensor"),
        ({"sensor": "9" * 2000}, "sensor"),
        ({"topic": "a\0b"}, "topic"),
        ({"detail": "a\0b"}, "detail"),
        ({"state": "gone"}, "state"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"sensors": 1}, "detail"),
    ],
)
def test_a_filter_that_cannot_be_read_is_a_400(
    sender: APIClient, query: dict[str, object], field: str
) -> None:
    answer = sender.get(ROUTE, query)
    assert answer.status_code == 400
    assert field in answer.json()


def test_pages_hold_while_rows_arrive_and_go(sender: APIClient, reject: Reject, noon: datetime) -> None:
    # Several of one moment: the id decides.
    rows = reject(*(reading(value=place) for place in range(7)), at=noon)
    RejectedMessage.objects.filter(pk__in=[row.pk for row in rows[2:5]]).update(received_at=noon)
    order = list(RejectedMessage.objects.order_by("-received_at", "-pk").values_list("pk", flat=True))
    path: str | None = f"{ROUTE}?limit=2&code=unknown_sensor"
    seen: list[int] = []
    while path:
        answer = sender.get(path)
        seen += ids(answer)
        path = answer["Link"].partition(">")[0][1:] if "Link" in answer else None
        reject(reading(value=100 + len(seen)))
        RejectedMessage.objects.filter(pk=seen[0]).delete()
    assert seen == order


def test_groups_say_how_many_wait(sender: APIClient, reject: Reject, noon: datetime) -> None:
    reject(reading(12), reading(12, 2), at=noon)
    reject(reading(13), b"garbage", at=noon + timedelta(hours=1))
    (dismissed,) = reject(reading(14))
    assert post(sender, f"{ROUTE}{dismissed.pk}/dismiss/", reason="x").status_code == 200

    def grouped(**query: object) -> Any:
        answer = sender.get(ROUTE + "groups/", query)
        assert answer.status_code == 200, answer.json()
        return answer.json()

    codes = {group.pop("code"): group for group in grouped()}
    assert {code: (group["messages"], group["readings"]) for code, group in codes.items()} == {
        "unknown_sensor": (3, 3),
        "not_json": (1, 1),
    }
    assert codes["unknown_sensor"]["first"] == rfc3339(noon)
    assert codes["unknown_sensor"]["last"] == rfc3339(noon + timedelta(hours=1))
    assert set(codes["not_json"]) == {"messages", "readings", "first", "last"}
    by_both = {(group["code"], group["sensor"]): group["messages"] for group in grouped(by="code,sensor")}
    # A message that names no sensor is of none.
    assert by_both == {("unknown_sensor", 12): 2, ("unknown_sensor", 13): 1, ("not_json", None): 1}
    assert grouped(by="detail,topic", sensor=13)[0]["detail"] == "there is no sensor 13"
    assert len(grouped(by="sensor", limit=1)) == 1
    assert grouped(code="conflict") == []
    for by in ("", "code,code", "id", "code,", "state; DROP TABLE x"):
        assert "by" in sender.get(ROUTE + "groups/", {"by": by}).json()
    for query in ({"state": "waiting"}, {"cursor": "x"}):
        assert sender.get(ROUTE + "groups/", query).status_code == 400


def test_what_is_not_there_is_a_404(sender: APIClient) -> None:
    for number in (1, 2**63, 10**30):
        for path in (f"{ROUTE}{number}/", f"{JOBS}{number}/"):
            assert sender.get(path).status_code == 404, path
        assert post(sender, f"{ROUTE}{number}/replay/").status_code == 404
        assert post(sender, f"{ROUTE}{number}/dismiss/", reason="x").status_code == 404
        assert sender.delete(f"{JOBS}{number}/").status_code == 404


# --- one is replayed, or set aside ---------------------------------------------------------------


def test_it_is_replayed_once(sender: APIClient, reject: Reject, store: BatchStore, noon: datetime) -> None:
    (row,) = reject(reading(12), at=noon)
    register(12)
    path = f"{ROUTE}{row.pk}/replay/"
    expected = {
        "outcome": "stored",
        "code": None,
        "detail": "",
        "sensor": 12,
        "created_at": rfc3339(noon),
        "readings": {"stored": 1, "duplicates": 0, "rejected": {}},
    }
    tried = post(sender, path, dry_run=True)
    assert (tried.status_code, tried.json()) == (200, expected)
    assert not Measurement.objects.exists()
    done = sender.post(path)  # without any body
    assert (done.status_code, done.json()) == (200, expected)
    assert Measurement.objects.count() == 1
    shown = sender.get(f"{ROUTE}{row.pk}/").json()
    assert (shown["state"], shown["outcome"], shown["replayed_by"]) == ("replayed", "stored", "ana")
    assert shown["became"] == {"sensor": 12, "created_at": rfc3339(noon)}
    for body in ({}, {"dry_run": True}, {"payload": "{}"}):
        again = post(sender, path, **body)
        assert again.status_code == 409
        assert "replayed" in again.json()["detail"]
    require_exact_books(store)


def test_what_is_refused_again_waits_on(sender: APIClient, reject: Reject, store: BatchStore) -> None:
    (row,) = reject(reading(12))
    said = post(sender, f"{ROUTE}{row.pk}/replay/")
    assert said.status_code == 200
    assert said.json() == {
        "outcome": "rejected",
        "code": "unknown_sensor",
        "detail": "there is no sensor 12",
        "sensor": None,
        "created_at": None,
        "readings": {"stored": 0, "duplicates": 0, "rejected": {"unknown_sensor": 1}},
    }
    assert sender.get(f"{ROUTE}{row.pk}/").json()["state"] == "waiting"
    require_exact_books(store)


def test_a_changed_payload_is_stored_instead(sender: APIClient, reject: Reject, noon: datetime) -> None:
    text, raw, cut = reject(b"21.5", b"\xff", b"x" * 20_000, at=noon)
    changed = {"sensor_id": 1, "value": 21.5, "unit": "°C"}
    stored = post(sender, f"{ROUTE}{text.pk}/replay/", payload=json.dumps(changed))
    assert stored.json()["outcome"] == "stored"
    encoded = base64.b64encode(json.dumps(changed).encode()).decode()
    stored = post(sender, f"{ROUTE}{raw.pk}/replay/", payload_base64=encoded)
    assert stored.json()["outcome"] == "stored"

    refused = post(sender, f"{ROUTE}{cut.pk}/replay/")
    assert refused.status_code == 409
    assert "payload" in refused.json()["detail"]
    assert post(sender, f"{ROUTE}{cut.pk}/replay/", payload="").json()["code"] == "empty"
    stored = post(sender, f"{ROUTE}{cut.pk}/replay/", payload=json.dumps(changed))
    assert stored.json()["outcome"] == "stored"
    again = post(sender, f"{ROUTE}{cut.pk}/replay/")
    assert "replayed" in again.json()["detail"], "not that it was cut"
    assert Measurement.objects.count() == 3


def test_a_unit_is_read_as_another(sender: APIClient, reject: Reject) -> None:
    (row,) = reject(reading(1, unit="C"))
    unit = {"from": "C", "to": "°C"}
    assert post(sender, f"{ROUTE}{row.pk}/replay/", unit=unit).json()["outcome"] == "stored"
    assert Measurement.objects.get().unit == "°C"


def test_a_replay_that_cannot_be_read_changes_nothing(sender: APIClient, reject: Reject) -> None:
    (row,) = reject(reading(1, unit="F"))
    refused: list[tuple[dict[str, object], str]] = [
        ({"payload": "x" * 16_385}, "payload"),
        ({"payload": "é" * 8_193}, "payload"),
        ({"payload": "a\0b"}, "payload"),
        ({"payload": None}, "payload"),
        ({"payload": {"sensor_id": 1}}, "payload"),
        ({"payload_base64": "not base64!"}, "payload_base64"),
        ({"payload_base64": "AAA"}, "payload_base64"),
        ({"payload_base64": "é"}, "payload_base64"),
        ({"payload_base64": base64.b64encode(b"x" * 16_385).decode()}, "payload_base64"),
        ({"payload": "x", "payload_base64": "eA=="}, "payload_base64"),
        ({"dry_run": "perhaps"}, "dry_run"),
        ({"dryrun": True}, "dryrun"),
        ({"unit": "C"}, "unit"),
        ({"unit": {"from": "C"}}, "unit"),
        ({"unit": {"from": "C", "to": "°C", "also": "F"}}, "unit"),
        ({"unit": {"from": "", "to": "°C"}}, "unit"),
        ({"unit": {"from": "C", "to": "x" * 33}}, "unit"),
        ({"unit": {"from": "C", "to": "a\0"}}, "unit"),
    ]
    for body, field in refused:
        answer = post(sender, f"{ROUTE}{row.pk}/replay/", **body)
        assert answer.status_code == 400, body
        assert field in answer.json()
    assert not Measurement.objects.exists()


HOSTILE: list[str | bytes] = [
    '{"payload": "\\ud800"}',
    '{"\\ud800": 1}',
    '{"reason": "\\udfff"}',
    '{"code": "\\ud800"}',
    '{"topic": "\\ud800"}',
    '{"sensor": 1e999}',
    '{"sensor": NaN}',
    '{"sensor": ' + "9" * 5000 + "}",
    '{"from": ' + "9" * 400 + "}",
    '{"from": true}',
    '{"to": 1e300}',
    '{"from": {"a": 1}}',
    '{"ids": [' + "9" * 30 + "]}",
    "[" * 100_000,
    "[]",
    '"x"',
    "1",
    "null",
    "{",
    b"\xff",
]


@pytest.mark.parametrize("route", ["replay/", "1/replay/", "dismiss/", "1/dismiss/"])
def test_hostile_bodies_are_a_400(sender: APIClient, reject: Reject, route: str) -> None:
    reject(reading(12))
    for body in HOSTILE:
        answer = post_text(sender, ROUTE + route, body)
        assert answer.status_code == 400, (body[:40], answer.content)
        assert answer.json()
    assert not Job.objects.exists()


def test_it_is_set_aside_with_a_reason(sender: APIClient, reject: Reject, store: BatchStore) -> None:
    (row,) = reject(reading(12))
    path = f"{ROUTE}{row.pk}/dismiss/"
    for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 201}, {"reason": "a\0"}):
        assert "reason" in post(sender, path, **body).json()
    assert post(sender, path, reason="x", payload="y").status_code == 400
    done = post(sender, path, reason="a test of the board")
    assert done.status_code == 200
    shown = done.json()
    assert (shown["state"], shown["outcome"], shown["replayed_by"]) == (
        "dismissed",
        "a test of the board",
        "ana",
    )
    assert shown["replayed_at"]
    for refused in (post(sender, path, reason="x"), post(sender, f"{ROUTE}{row.pk}/replay/")):
        assert refused.status_code == 409
        assert "dismissed" in refused.json()["detail"]
        assert "a test of the board" in refused.json()["detail"]
    require_exact_books(store)


def test_a_fault_of_the_surroundings_is_a_503(sender: APIClient, reject: Reject, store: BatchStore) -> None:
    (row,) = reject(reading(12))
    register(12)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_measurement RENAME COLUMN value TO worth")
    away = post(sender, f"{ROUTE}{row.pk}/replay/")
    assert (away.status_code, list(away.json())) == (503, ["detail"])
    assert "Retry-After" in away
    assert post(sender, ROUTE + "replay/", all=True, dry_run=True).status_code == 503
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_measurement RENAME COLUMN worth TO value")
    assert post(sender, f"{ROUTE}{row.pk}/replay/").json()["outcome"] == "stored"
    require_exact_books(store)


# --- in the books -------------------------------------------------------------------------------


def test_the_books_say_what_became_of_the_rejected(sender: APIClient, reject: Reject) -> None:
    rows = reject(reading(12), reading(13), reading(14))
    register(12)
    post(sender, f"{ROUTE}{rows[0].pk}/replay/")
    post(sender, f"{ROUTE}{rows[1].pk}/dismiss/", reason="x")
    books = sender.get(API + "pipeline/").json()
    assert books["rejected"] == {"waiting": 1, "replayed": 1, "dismissed": 1, "gone": 0}
    assert books["rejected_by_code"]["unknown_sensor"] == {
        "seen": 3,
        "kept": 3,
        "given_way": 0,
        "waiting": 1,
        "replayed": 1,
        "dismissed": 1,
    }


# --- who may -------------------------------------------------------------------------------------


def test_it_is_not_public_where_reading_is(client: APIClient, reject: Reject) -> None:
    (row,) = reject(reading(12))
    assert client.get(API + "sensors/").status_code == 200
    for path in (ROUTE, ROUTE + "groups/", f"{ROUTE}{row.pk}/", JOBS, API + "lobby/", API + "lobby/misfits/"):
        assert client.get(path).status_code == 401, path
        assert client.head(path).status_code == 401, path


def test_changing_needs_its_permission(sender: APIClient, user: User, reject: Reject) -> None:
    (row,) = reject(reading(12))
    group = user.groups.get()
    group.permissions.remove(Permission.objects.get(codename="change_rejectedmessage"))
    job = Job.objects.create(kind="replay")
    for refused in (
        post(sender, f"{ROUTE}{row.pk}/replay/", dry_run=True),
        post(sender, f"{ROUTE}{row.pk}/dismiss/", reason="x"),
        post(sender, ROUTE + "replay/", all=True, dry_run=True),
        post(sender, ROUTE + "dismiss/", all=True, reason="x"),
        sender.delete(f"{JOBS}{job.pk}/"),
    ):
        assert refused.status_code == 403
        assert "monitoring.change_rejectedmessage" in refused.json()["detail"]
    assert sender.get(ROUTE).status_code == 200
    group.permissions.remove(Permission.objects.get(codename="view_rejectedmessage"))
    for path in (ROUTE, JOBS):
        refused = sender.get(path)
        assert refused.status_code == 403
        assert "monitoring.view_rejectedmessage" in refused.json()["detail"]


def test_half_a_character_is_a_400_on_every_route(
    sender: APIClient, sensors: dict[int, Sensor], measure: Callable[..., None]
) -> None:
    for method, path in (("POST", "sensors/"), ("PATCH", "sensors/"), ("PATCH", "sensors/1/")):
        for body in ('{"\\ud800": 1}', '{"name": "\\ud800"}', "[" * 100_000):
            answer = sender.generic(method, API + path, body, content_type="application/json")
            assert answer.status_code == 400, (path, body[:20])
            assert "JSON parse error" in answer.json()["detail"]
