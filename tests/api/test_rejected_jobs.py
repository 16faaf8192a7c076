"""rejected/ and jobs/: many at once, by a job that is asked for, watched and stopped."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from batches.store import BatchStore
from monitoring.models import Job, RejectedMessage
from monitoring.rejected import jobs
from monitoring.upkeep.pieces import TimeShare
from tests.api.test_rejected import JOBS, ROUTE, ids, post, rfc3339
from tests.rejected.conftest import Reject, reading, register, require_exact_books

pytestmark = pytest.mark.django_db


def worked_at(sender: APIClient, answer: Any) -> Any:
    """The job's state once it is through."""
    assert answer.status_code == 202, answer.json()
    assert answer["Location"] == f"http://testserver{JOBS}{answer.json()['job']}/"
    assert sender.get(answer["Location"]).json()["state"] == "waiting"
    jobs.work(TimeShare())
    return sender.get(answer["Location"]).json()


def test_many_are_replayed_by_a_job(
    sender: APIClient, reject: Reject, store: BatchStore, noon: datetime
) -> None:
    ts = noon.timestamp()
    reject(
        *(reading(value=place, ts=ts + place) for place in range(3)),
        *(reading(value=0, ts=ts), reading(unit="F"), reading(13), b"x" * 20_000),
    )
    register(12, unit="°C")
    tried = post(sender, ROUTE + "replay/", code="unknown_sensor", dry_run=True)
    assert tried.status_code == 200
    sums = {"stored": 3, "duplicates": 1, "rejected": {"unit_mismatch": 1, "unknown_sensor": 1}}
    body = tried.json()
    assert body.pop("detail")
    assert body == {"total": 6, "looked_at": 6, "is_complete": True, **sums}
    assert not Job.objects.exists()

    answer = post(sender, ROUTE + "replay/", code="unknown_sensor")
    assert answer.json()["messages"] == 6
    job = worked_at(sender, answer)
    assert job.pop("requested_at")
    assert job.pop("finished_at")
    assert job == {
        "id": answer.json()["job"],
        "kind": "replay",
        "state": "done",
        "selection": {"code": "unknown_sensor"},
        "unit": None,
        "reason": "",
        "requested_by": "ana",
        "stop_requested": False,
        "total": 6,
        "dealt_with": 6,
        "stored": 3,
        "duplicates": 1,
        "rejected": 2,
        "dismissed": 0,
        "codes": {"unit_mismatch": 1, "unknown_sensor": 1},
        "error": "",
    }
    assert len(ids(sender.get(ROUTE, {"state": "waiting"}))) == 3
    require_exact_books(store)


def test_a_dry_run_says_where_it_did_not_look_at_all(
    sender: APIClient, reject: Reject, monkeypatch: pytest.MonkeyPatch
) -> None:
    reject(*(reading(value=place) for place in range(5)))
    monkeypatch.setattr(jobs, "PIECE", 2)
    monkeypatch.setattr(jobs, "LOOKED_AT", 3)
    body = post(sender, ROUTE + "replay/", all=True, dry_run=True).json()
    assert (body["total"], body["looked_at"], body["is_complete"]) == (5, 4, False)
    assert "the first 4" in body["detail"]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"sensor": 12}, [0, 1]),
        ({"code": "unit_mismatch"}, [2]),
        ({"topic": "else/where"}, [3]),
        ({"detail": "there is no sensor 13"}, [3]),
        ({"from": 1, "code": "unknown_sensor"}, [0, 1, 3]),
        ({"all": True}, [0, 1, 2, 3]),
    ],
)
@pytest.mark.parametrize("what", ["replay", "dismiss"])
def test_a_selection_takes_what_meets_all_that_it_says(
    what: str, said: dict[str, object], found: list[int], sender: APIClient, reject: Reject
) -> None:
    rows = reject(reading(12), reading(12, 2), reading(1, unit="F"), reading(13))
    RejectedMessage.objects.filter(pk=rows[3].pk).update(topic="else/where")
    reason = {"reason": "a test"} if what == "dismiss" else {}
    job = worked_at(sender, post(sender, f"{ROUTE}{what}/", **said, **reason))
    assert (job["kind"], job["dealt_with"], job["state"]) == (what, len(found), "done")
    touched = RejectedMessage.objects.exclude(outcome="").order_by("pk").values_list("pk", flat=True)
    assert list(touched) == [rows[place].pk for place in found]
    if what == "dismiss":
        assert (job["dismissed"], job["reason"]) == (len(found), "a test")


def test_a_selection_has_a_span_and_ids(sender: APIClient, reject: Reject, noon: datetime) -> None:
    rows = [reject(reading(value=hour), at=noon + timedelta(hours=hour))[0] for hour in range(3)]
    span = {"from": rfc3339(noon + timedelta(hours=1)), "to": (noon + timedelta(hours=2)).timestamp()}
    job = worked_at(sender, post(sender, ROUTE + "dismiss/", reason="x", **span))
    assert (job["dealt_with"], job["selection"]) == (
        1,
        {"from": span["from"], "to": rfc3339(noon + timedelta(hours=2))},
    )
    said = post(sender, ROUTE + "dismiss/", reason="x", ids=[rows[0].pk, rows[1].pk, 10**15])
    assert worked_at(sender, said)["dismissed"] == 1
    unit = {"from": "C", "to": "°C"}
    job = worked_at(sender, post(sender, ROUTE + "replay/", ids=[rows[2].pk], unit=unit))
    assert (job["unit"], job["dealt_with"]) == (unit, 1)


@pytest.mark.parametrize("what", ["replay", "dismiss"])
def test_a_selection_that_cannot_be_read_asks_for_nothing(
    what: str, sender: APIClient, reject: Reject
) -> None:
    reject(reading(12))
    more = {"reason": "x"} if what == "dismiss" else {}
    refused: list[tuple[dict[str, object], str]] = [
        ({}, "all"),
        ({"all": False}, "all"),
        ({"all": True, "code": "conflict"}, "all"),
        ({"code": "nothing"}, "code"),
        ({"sensor": 2**63}, "sensor"),
        ({"sensor": "twelve"}, "sensor"),
        ({"topic": "a\0"}, "topic"),
        ({"topic": ""}, "topic"),
        ({"ids": []}, "ids"),
        ({"ids": [2**63]}, "ids"),
        ({"ids": [1] * 1001}, "ids"),
        ({"from": "2026-01-02T00:00:00"}, "from"),
        ({"from": 1_800_000_000, "to": 1_700_000_000}, "from"),
        ({"state": "waiting", "all": True}, "state"),
    ]
    for body, field in refused:
        answer = post(sender, f"{ROUTE}{what}/", **body, **more)
        assert answer.status_code == 400, body
        assert field in answer.json()
    assert not Job.objects.exists()


def test_many_are_dismissed_for_a_reason_alone(sender: APIClient) -> None:
    assert "reason" in post(sender, ROUTE + "dismiss/", all=True).json()
    assert "dry_run" in post(sender, ROUTE + "dismiss/", all=True, reason="x", dry_run=True).json()
    assert not Job.objects.exists()


def test_a_job_is_stopped(sender: APIClient, reject: Reject, monkeypatch: pytest.MonkeyPatch) -> None:
    reject(*(reading(value=place) for place in range(5)))
    monkeypatch.setattr(jobs, "PIECE", 2)
    path = JOBS + str(post(sender, ROUTE + "replay/", all=True).json()["job"]) + "/"
    pieces = jobs._pieces(Job.objects.get().pk, TimeShare())
    next(pieces)
    assert sender.get(path).json()["state"] == "running"
    stopped = sender.delete(path)
    assert (stopped.status_code, stopped.json()["stop_requested"]) == (202, True)
    assert list(pieces) == []
    shown = sender.get(path).json()
    assert (shown["state"], shown["dealt_with"], shown["total"]) == ("stopped", 2, 5)
    again = sender.delete(path)
    assert again.status_code == 409
    assert "stopped" in again.json()["detail"]


def test_jobs_come_in_pages(sender: APIClient) -> None:
    made = [post(sender, ROUTE + "replay/", all=True).json()["job"] for _ in range(3)]
    first = sender.get(JOBS, {"limit": 2})
    assert ids(first) == [made[2], made[1]]
    post(sender, ROUTE + "replay/", all=True)
    following = sender.get(first["Link"].partition(">")[0][1:])
    assert ids(following) == [made[0]]
    assert "Link" not in following
