"""What falls due by time is evaluated by the job, whatever was killed before."""

import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.names import Names
from batches.store import BatchStore
from monitoring import tasks
from monitoring.alerts import due
from monitoring.alerts.changing import us
from monitoring.alerts.due import evaluate_due
from monitoring.alerts.evaluating import Known, Outcome
from monitoring.alerts.fault import known_by
from monitoring.alerts.rule import SECOND
from monitoring.alerts.rules import save
from monitoring.models import AlertState, Incident, Notification, Sensor, SensorStatus
from monitoring.models.alert_state import AT_ONCE
from monitoring.status.reach import Reach, Why
from monitoring.status.rule import Outage
from monitoring.upkeep.pieces import TimeShare
from process.heartbeat import beat
from tests.alerts.conftest import Rules, Store, spans
from tests.elsewhere import elsewhere

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db


def run(began: datetime, second: int | None) -> Outcome:
    """The job, at a moment until which all is known; None: nothing is."""
    if second is None:
        return evaluate_due(TimeShare(), Known(), began + timedelta(minutes=2))
    return evaluate_due(TimeShare(), Known(us(began) + second * SECOND), began + timedelta(seconds=second))


def test_silence_is_a_lease(rules: Rules, stored: Store, began: datetime) -> None:
    """Of readings that come as expected nothing is written, until the lease is over."""
    rules(kind="silence", limit_s=10)
    stored([(second, 20.0) for second in range(9)])
    assert run(began, 8).pairs == 3, "a row of each sensor"
    assert run(began, 9).pairs == 0
    stored([(second, 20.0) for second in range(9, 30)])
    assert run(began, 17).pairs == 0
    assert run(began, 18).pairs == 1
    assert AlertState.objects.get(sensor=1).due_at == began + timedelta(seconds=39)
    assert run(began, 38).pairs == 0
    assert run(began, 39).pairs == 1
    assert spans(began) == [("sensor:1", 39, None)]


def test_a_new_sensor_and_a_new_rule_are_covered(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=10, location="Hall")
    stored([(1, 20.0)])
    run(began, 20)
    assert spans(began) == []
    Sensor.objects.filter(pk=1).update(location="Hall")
    run(began, 20)
    assert spans(began) == [("sensor:1", 11, None)]
    rules(kind="silence", limit_s=5)
    run(began, 20)
    assert spans(began) == [("sensor:1", 6, None), ("sensor:1", 11, None)]


def test_a_sensor_that_comes_to_an_old_rule_is_looked_at_as_it_is_now(
    rules: Rules, stored: Store, began: datetime
) -> None:
    """Not as far back as the rule holds: it may have been silent often, and have come back."""
    rules(kind="silence", limit_s=600, active_from=began - timedelta(days=300))
    hour = 3600
    stored([(second, 20.0) for second in range(-5 * hour, -3 * hour, 300)], 1)
    stored([(second, 20.0) for second in (-5 * hour, -3 * hour, *range(-2 * hour, 100, 300))], 2)
    run(began, 180)
    assert spans(began) == [("sensor:1", -3 * hour + 300, None)]


def test_a_silence_does_not_wait_for_an_interval_that_is_over(
    rules: Rules, stored: Store, began: datetime
) -> None:
    rules(kind="silence", intervals=2, sensor_id=1)
    stored([(1, 20.0)])
    SensorStatus.objects.filter(pk=1).update(interval_s=3600.0, newest_at=began + timedelta(seconds=1))
    run(began, 20)
    assert AlertState.objects.get().due_at == began + timedelta(seconds=7201)
    assert run(began, 21).pairs == 0
    SensorStatus.objects.filter(pk=1).update(interval_s=10.0)
    run(began, 22)
    assert spans(began) == [("sensor:1", 21, None)]
    assert run(began, 23).pairs == 0


def test_while_nothing_is_known_nobody_is_silent(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=10)
    stored([(1, 20.0)])
    run(began, 5)
    assert run(began, None).pairs == 0
    assert run(began, 10).pairs == 0
    assert spans(began) == []
    assert run(began, 11).pairs == 1
    assert spans(began) == [("sensor:1", 11, None)]


def test_what_is_known_of_the_time(now: datetime) -> None:
    gap = Outage(now - timedelta(minutes=9), now - timedelta(minutes=8))
    later = now + timedelta(minutes=1)
    assert known_by(Reach(later, Why.BRIDGE, gap), now) == (us(now), ((us(gap.start), us(gap.end)),))
    assert known_by(Reach(), now) == (None, ())


def test_readings_that_no_worker_evaluated(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules()
    stored([(1, 26.0)])
    AlertState.objects.create(
        rule=rule, sensor_id=1, subject="sensor:1", check_from=began, due_at=AT_ONCE, version=1
    )
    assert len(run(began, None).fired) == 1
    assert spans(began) == [("sensor:1", 1, None)]
    assert run(began, None).pairs == 0


@pytest.mark.parametrize(
    ("by_time", "at_once", "found"),
    [(9, 9, (2, 3)), (1, 9, (1, 4)), (9, 1, (4, 1)), (1, 1, (1, 1)), (0, 9, (0, 5)), (9, 0, (5, 0))],
)
def test_what_is_due_at_once_leaves_room_for_what_is_due_by_time(
    by_time: int, at_once: int, found: tuple[int, int], rules: Rules, began: datetime
) -> None:
    """However many a refresh has made due."""
    for number in range(18):
        due_at = began + timedelta(seconds=number) if number < by_time else AT_ONCE
        if number < by_time + at_once:
            AlertState.objects.create(
                rule=rules(name=f"{number}"), sensor_id=1, subject="sensor:1", due_at=due_at
            )
    pairs = AlertState.objects.due(began + timedelta(minutes=1), 5)
    held = AlertState.objects.filter(rule__in=[pair.rule_id for pair in pairs])
    assert (held.exclude(due_at=AT_ONCE).count(), held.filter(due_at=AT_ONCE).count()) == found
    longest = AlertState.objects.exclude(due_at=AT_ONCE).order_by("due_at")[: found[0]]
    assert set(longest) == set(held.exclude(due_at=AT_ONCE))


def test_a_sensor_that_is_switched_off_is_not_silent(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=10)
    stored([(1, 20.0)])
    run(began, 20)
    Sensor.objects.filter(pk=1).update(is_active=False)
    assert len(run(began, 21).ended) == 1
    assert run(began, 22).pairs == 0
    Sensor.objects.filter(pk=1).update(is_active=True)
    assert len(run(began, 23).fired) == 1


@pytest.mark.parametrize("change", [{"enabled": False}, {"kind": "pipeline", "check_of": "books"}])
def test_a_rule_that_is_switched_off_or_is_another(
    change: dict[str, object], rules: Rules, stored: Store, began: datetime
) -> None:
    rule = rules(kind="silence", limit_s=10)
    stored([(1, 20.0)])
    run(began, 20)
    for name, value in change.items():
        setattr(rule, name, value)
    save(rule, [], None)
    run(began, 20)
    assert Incident.objects.get().end == "changed"
    assert not AlertState.objects.exists()
    assert run(began, 21).pairs == 0


def test_it_costs_a_few_statements_where_nothing_is_due(rules: Rules, stored: Store, began: datetime) -> None:
    with CaptureQueriesContext(connection) as queries:
        run(began, 1)
    assert len(queries) == 1, "without a rule"
    rules(kind="silence", limit_s=10)
    stored([(1, 20.0)], 1)
    run(began, 1)
    with CaptureQueriesContext(connection) as queries:
        run(began, 2)
    asks_nothing = ("SAVEPOINT", "RELEASE", "SET LOCAL")
    assert len([one for one in queries if not one["sql"].startswith(asks_nothing)]) <= 8


@pytest.mark.django_db(transaction=True)
def test_a_job_that_is_killed_leaves_nothing_half_done(
    rules: Rules, stored: Store, store: BatchStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat(store.redis, "bridge")
    beat(store.redis, "worker")
    later = now + timedelta(hours=1)
    Names(store.redis).note_serving("default", (now - timedelta(days=1)).timestamp(), later.timestamp())
    Sensor.objects.register([Sensor(id=number, name=f"{number}") for number in range(4, 8)])
    rules(kind="silence", limit_s=10)
    for number in range(1, 8):
        stored([(0, 20.0)], number)

    def run(failpoints: str = "") -> int:
        return elsewhere(lambda: due.job(store, TimeShare()), failpoints).code

    monkeypatch.setattr(due, "PIECE", 3)
    assert run("alerts.looked=kill@2") == -signal.SIGKILL
    assert (Incident.objects.count(), Notification.objects.count()) == (3, 6)
    assert run() == 0
    assert (Incident.objects.open().count(), Notification.objects.count()) == (7, 14)


def test_the_task(rules: Rules, store: BatchStore) -> None:
    rules(kind="silence", limit_s=10)
    assert tasks.evaluate_alerts() == {"evaluated": 3, "fired": 0, "ended": 0}
    assert tasks.evaluate_alerts() == {"evaluated": 0, "fired": 0, "ended": 0}
