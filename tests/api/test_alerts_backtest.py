"""alerts/rules/backtest/: what a rule would have found, and what cannot be asked."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from monitoring.models import AlertRule, Incident, Measurement, Sensor
from tests.alerts.conftest import too_long
from tests.api.conftest import API

__all__ = ["too_long"]

BACKTEST = API + "alerts/rules/backtest/"
WARM: dict[str, Any] = {"kind": "above", "high": 25, "sensor": 1}

pytestmark = pytest.mark.django_db


@pytest.fixture
def curve(sensors: dict[int, Sensor], noon: datetime) -> Callable[..., None]:
    """curve(1, 20, 26, ...): a value of sensor 1 each minute after noon."""

    def curve(sensor_id: int, *values: float) -> None:
        moments = [noon + timedelta(minutes=n) for n in range(len(values))]
        Measurement.objects.bulk_create(
            Measurement(sensor_id=sensor_id, created_at=at, received_at=at, value=value, unit="°C")
            for at, value in zip(moments, values, strict=True)
        )

    return curve


def tried(sender: APIClient, **said: object) -> Any:
    answer = sender.post(BACKTEST, said, format="json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_it_works(sender: APIClient, curve: Callable[..., None], noon: datetime) -> None:
    curve(1, 20, 26, 28, 24, 24, 30)
    found = tried(sender, **WARM, for_s=60)
    assert found.pop("seconds") >= 0
    begin, end = (datetime.fromisoformat(found.pop(name)) for name in ("from", "to"))
    assert end - begin == timedelta(days=30)

    def at(minutes: int) -> str:
        return f"{noon + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"

    first = {
        "since": at(1),
        "fired_at": at(2),
        "resolved_at": at(3),
        "value": 26.0,
        "peak": 28.0,
        "last": 24.0,
    }
    lasts = {
        "since": at(5),
        "fired_at": at(6),
        "resolved_at": None,
        "value": 30.0,
        "peak": 30.0,
        "last": None,
    }
    assert found == {
        "count": 2,
        "sensors": 1,
        "of": [
            {
                "sensor": 1,
                "count": 2,
                "spans": [first, lasts],
                "readings_from": at(0),
                "is_known": True,
                "truncated": False,
            }
        ],
        "truncated": False,
    }
    assert not AlertRule.objects.exists()
    assert not Incident.objects.exists()


def test_a_span(sender: APIClient, curve: Callable[..., None], noon: datetime) -> None:
    curve(1, 26, 20, 26, 20, 26, 20)
    span = {"from": noon.timestamp() + 90, "to": (noon + timedelta(minutes=4)).isoformat()}
    assert tried(sender, **WARM, **span)["count"] == 1


def test_a_span_from_the_first_year_on(sender: APIClient, curve: Callable[..., None]) -> None:
    curve(1, 26, 20)
    found = tried(sender, **WARM, **{"from": "0001-01-01T00:00:00Z"}, for_s=60)
    assert (found["from"], found["count"]) == ("1971-01-01T00:00:00Z", 1)


def test_of_a_selection(sender: APIClient, curve: Callable[..., None]) -> None:
    curve(1, 26, 20)
    curve(3, 26, 20, 26)
    found = tried(sender, kind="above", high=25)
    assert [(one["sensor"], one["count"]) for one in found["of"]] == [(1, 1), (2, 0), (3, 2)]
    assert (found["sensors"], found["count"], found["truncated"]) == (3, 3, False)
    assert [one["sensor"] for one in tried(sender, kind="above", high=25, sensor_kind="light")["of"]] == [3]


def test_of_what_nothing_is_known(sender: APIClient, sensors: object) -> None:
    (one,) = tried(sender, kind="silence", sensor=2)["of"]
    assert (one["count"], one["is_known"], one["readings_from"]) == (0, False, None)


def test_only_the_last_spans_are_listed(
    sender: APIClient, curve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.api.backtest.MOST_SPANS", 2)
    curve(1, 26, 20, 27, 20, 28, 20)
    (one,) = tried(sender, **WARM)["of"]
    assert (one["count"], [span["value"] for span in one["spans"]]) == (3, [27.0, 28.0])


def test_what_takes_too_long_says_so(sender: APIClient, curve: Callable[..., None], too_long: object) -> None:
    curve(1, 26, 20)
    for said in (WARM, {**WARM, "sensor": None}):
        refused = sender.post(BACKTEST, said, format="json")
        assert refused.status_code == 400, refused.content
        assert "choose fewer days" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({"high": None}, {"high"}),
        ({"high": "25"}, {"high"}),
        ({"kind": None}, {"kind"}),
        ({"kind": "rate"}, {"window_s"}),
        ({"kind": "board", "sensor": None}, {"kind"}),
        ({"kind": "rejected", "high": 0.5, "window_s": 60}, {"kind"}),
        ({"kind": "pipeline", "sensor": None, "high": None, "check_of": "books"}, {"kind"}),
        ({"sensor": 77}, {"sensor"}),
        ({"from": "noon"}, {"from"}),
        ({"from": True}, {"from"}),
        ({"to": ["now"]}, {"to"}),
        ({"from": 200, "to": 200}, {"from"}),
        ({"to": -62_135_596_800}, {"from"}),
        ({"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z"}, {"from"}),
        ({"days": 30}, {"days"}),
    ],
)
def test_errors_are_by_field(
    sender: APIClient, sensors: object, said: dict[str, object], fields: set[str]
) -> None:
    refused = sender.post(BACKTEST, WARM | said, format="json")
    assert refused.status_code == 400, refused.content
    assert set(refused.json()) == fields


@pytest.mark.parametrize("right", ["add_alertrule", "view_measurement"])
def test_it_needs_a_right(sender: APIClient, user: User, sensors: object, right: str) -> None:
    user.groups.get().permissions.remove(Permission.objects.get(codename=right))
    refused = sender.post(BACKTEST, WARM, format="json")
    assert refused.status_code == 403
    assert f"monitoring.{right}" in refused.json()["detail"]


def test_nothing_is_read_there(sender: APIClient, db: None) -> None:
    assert sender.get(BACKTEST).status_code in (403, 405)
