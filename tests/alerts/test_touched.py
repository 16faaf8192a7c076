"""Whatever the ledger names is evaluated in the end, whoever was killed before."""

import logging
import threading
from copy import copy
from datetime import datetime, timedelta

import pytest
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.alerts import touched
from monitoring.alerts.changing import us
from monitoring.alerts.coverage import as_rule
from monitoring.alerts.due import evaluate_due
from monitoring.alerts.evaluating import Known
from monitoring.alerts.rule import SECOND, Kind, Rule
from monitoring.alerts.samples import Reading
from monitoring.models import AlertState, Board, Incident, Measurement, MinuteRollup, Sensor, SensorStatus
from monitoring.models.alert_state import AT_ONCE
from monitoring.rollups.refresh import _listeners, listen, recompute, recompute_at, refresh
from monitoring.upkeep.pieces import TimeShare
from tests.alerts import arrivals
from tests.alerts.conftest import MakeIncident, Rules, spans
from tests.alerts.test_due import run
from tests.alerts.test_evaluating import as_row
from tests.bridge.scripted_broker import until
from tests.examples import examples
from tests.rollups.rows import store, untaken

pytestmark = pytest.mark.django_db


@pytest.fixture
def began(now: datetime) -> datetime:
    """The beginning of a minute of the day before: readings of it are on time, or late, as tests say."""
    return now.replace(second=0, microsecond=0) - timedelta(days=1)


def arrive(began: datetime, rows: list[tuple[float, float]], sensor_id: int = 1) -> None:
    """Stored, and nobody was told; then the rollups are refreshed."""
    store((sensor_id, began + timedelta(seconds=second), value) for second, value in rows)
    refresh()


def due() -> list[tuple[int, int]]:
    rows = AlertState.objects.filter(due_at=AT_ONCE).order_by("sensor", "rule")
    return [(row.sensor_id or 0, row.rule_id) for row in rows]


def test_it_works(rules: Rules, began: datetime) -> None:
    rule = rules()
    arrive(began, [(1, 20.0), (2, 24.0)])
    assert due() == []
    arrive(began, [(3, 26.0), (70, 26.0)])
    arrive(began, [(3, 24.0)], 2)
    assert due() == [(1, rule.pk)]
    assert AlertState.objects.get().check_from == began
    run(began, 100)
    assert spans(began) == [("sensor:1", 3, None)]
    assert due() == []
    arrive(began, [(75, 20.0)])
    assert due() == [(1, rule.pk)], "it fires"
    run(began, 100)
    assert spans(began) == [("sensor:1", 3, 75)]
    arrive(began, [(150, 20.0)])
    assert due() == []
    arrive(began, [(50, 20.0)])
    assert due() == [(1, rule.pk)], "its incident lies there"
    run(began, 200)
    assert spans(began) == [("sensor:1", 3, 50), ("sensor:1", 70, 75)]


def test_rules_that_do_not_hold_for_the_sensor_are_not_due(rules: Rules, began: datetime) -> None:
    Sensor.objects.filter(pk=2).update(location="Hall")
    rules(sensor_id=2)
    rules(sensor_kind="humidity")
    rules(location="Hall")
    rules(enabled=False)
    rules(kind="below", low=10.0)
    rules(kind="silence", limit_s=10)
    arrive(began, [(1, 26.0)])
    assert due() == []
    arrive(began, [(1, 26.0)], 2)
    assert len(due()) == 3


def test_each_minute_concerns_a_rate(rules: Rules, began: datetime) -> None:
    rules(kind="rate", high=5.0, window_s=60)
    arrive(began, [(1, 20.0), (61, 30.0)])
    run(began, 100)
    assert spans(began) == [("sensor:1", 61, None)]


def test_a_late_reading_puts_a_silence_off(rules: Rules, began: datetime) -> None:
    rules(kind="silence", limit_s=300)
    arrive(began, [(0, 20.0)])
    run(began, 400)
    arrive(began, [(450, 20.0)])
    run(began, 460)
    assert spans(began) == [("sensor:1", 300, 450)]
    arrive(began, [(60, 20.0)])
    run(began, 460)
    assert spans(began) == [("sensor:1", 360, 450)]


@pytest.mark.parametrize("by_moment", [True, False])
def test_deleted_readings(rules: Rules, began: datetime, by_moment: bool) -> None:
    rules(kind="silence", limit_s=100)
    arrive(began, [(0, 20.0), (60, 20.0), (120, 20.0)])
    run(began, 130)
    assert spans(began) == []
    moment = began + timedelta(seconds=60)
    Measurement.objects.filter(created_at=moment).delete()
    if by_moment:
        recompute_at(1, [moment])
    else:
        recompute(1, moment, moment + timedelta(seconds=1))
    run(began, 130)
    assert spans(began) == [("sensor:1", 100, 120)]


def test_it_can_fail_no_refresh(
    rules: Rules, began: datetime, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules()
    monkeypatch.setattr(touched, "_KINDS", "SELECT kind::text::integer FROM monitoring_alertrule")
    with caplog.at_level(logging.ERROR):
        arrive(began, [(1, 26.0)])
    assert "a listener failed" in caplog.text
    assert MinuteRollup.objects.get().max == 26.0


def test_tables_that_are_not_yet_those_of_the_code_are_waited_for(rules: Rules, began: datetime) -> None:
    rule = rules()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE monitoring_alertstate RENAME TO elsewhere")
        with pytest.raises(ProgrammingError), transaction.atomic():
            arrive(began, [(1, 26.0)])
        cursor.execute("ALTER TABLE elsewhere RENAME TO monitoring_alertstate")
    assert not MinuteRollup.objects.exists()
    arrive(began, [(1, 26.0)])
    assert due() == [(1, rule.pk)]


def somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_what_it_cannot_note_now_is_taken_by_the_next_refresh(
    rules: Rules, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the row for longer than anybody waits."""
    rule = rules()
    state = AlertState.objects.create(rule=rule, sensor_id=1, subject="sensor:1", version=1)
    monkeypatch.setattr(touched, "PATIENCE_MS", 50)
    store([(1, began, 26.0)])
    failed: list[BaseException] = []

    def refresh_too() -> None:
        try:
            refresh()
        except OperationalError as error:
            failed.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        AlertState.objects.select_for_update().get(pk=state.pk)
        other = threading.Thread(target=refresh_too)
        other.start()
        other.join()
    assert untaken() == 1
    assert not MinuteRollup.objects.exists()
    assert len(failed) == 1
    refresh()
    assert due() == [(1, rule.pk)]


@pytest.mark.django_db(transaction=True)
def test_rows_are_taken_in_the_order_in_which_they_are_evaluated(rules: Rules, began: datetime) -> None:
    """Else either might wait for the other. The first is due by where it stands, the second by values."""
    first, second = rules(high=50.0), rules()
    rows = [
        AlertState.objects.create(rule=rule, sensor_id=1, subject="sensor:1", version=1, phase=phase)
        for rule, phase in ((first, "firing"), (second, "normal"))
    ]
    store([(1, began, 26.0)])

    def refresh_too() -> None:
        try:
            refresh()
        finally:
            connection.close()

    with transaction.atomic():
        AlertState.objects.select_for_update().get(pk=rows[0].pk)
        other = threading.Thread(target=refresh_too)
        other.start()
        try:
            until(somebody_waits_for_us, "the refresh to wait for the first")
            AlertState.objects.select_for_update(nowait=True).get(pk=rows[1].pk)
        finally:
            transaction.set_rollback(True)
    other.join()
    assert due() == [(1, first.pk), (1, second.pk)]


def test_who_listens_no_more_hears_nothing(sensors: dict[int, Sensor], began: datetime) -> None:
    heard: list[bool] = []
    end = listen(lambda cursor, by_hand: heard.append(by_hand))
    arrive(began, [(1, 26.0)])
    recompute(1, began, began + timedelta(minutes=1))
    end()
    arrive(began, [(2, 26.0)])
    assert heard == [False, True]
    assert len(_listeners) == 1


def compared() -> float:
    """Rows that the statement that notes which pairs are due reads or joins, of what is stored."""
    with CaptureQueriesContext(connection) as queries:
        refresh()
    (noting,) = (one["sql"] for one in queries if "INSERT INTO monitoring_alertstate" in one["sql"])
    with connection.cursor() as cursor:  # touched_minute is there until the transaction ends
        for one in queries:
            if one["sql"].startswith("SET LOCAL enable_") and "DEFAULT" not in one["sql"]:
                cursor.execute(one["sql"])
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + noting.replace("%", "%%"), [])
        left = [cursor.fetchone()[0][0]["Plan"]]
    rows = 0.0
    while left:
        node = left.pop()
        left += node.get("Plans", [])
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)
        rows += (node["Actual Rows"] + removed) * node["Actual Loops"]
    return rows


def test_an_old_clock_has_only_its_own_incidents_read(
    rules: Rules, fires: MakeIncident, now: datetime
) -> None:
    rule = rules()
    began = now.replace(second=0, microsecond=0) - timedelta(days=3)
    one = fires(1, rule, since=began, fired_at=began, resolved_at=began, state="resolved", end="clear")
    one.sensor_id, one.subject = 2, "sensor:2"
    others = []
    for minutes in range(1000):
        one.pk, one.since = None, now - timedelta(hours=3, minutes=minutes)
        one.fired_at = one.resolved_at = one.since
        others.append(copy(one))
    Incident.objects.bulk_create(others)
    store([(1, began + timedelta(seconds=1), 20.0)])
    assert compared() < 500
    assert due() == [(1, rule.pk)]


def test_not_every_minute_is_held_against_every_rule(rules: Rules, began: datetime) -> None:
    """But against those that name the sensor, its location, its board or its kind."""
    places = range(100)
    board = Board.objects.create(name="plant", online=True, since=began)
    Sensor.objects.register(
        [
            Sensor(id=10 + n, name=f"{n}", kind=("light", "humidity")[n % 2], location=f"room {n}")
            for n in places
        ]
    )
    SensorStatus.objects.filter(sensor=10).update(board=board)
    for n in places:
        rules(location=f"room {n}")
    store((10 + n, began, 26.0) for n in places)
    assert compared() < len(places) ** 2
    assert len(due()) == len(places)
    for more in ({"board": board}, {"sensor_kind": "humidity"}, {"sensor_id": 11}, {}):
        rules(**more)
    store((10 + n, began + timedelta(minutes=1), 26.0) for n in places)
    refresh()
    assert len(due()) == 2 * len(places) + 1 + 50 + 1


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), arrivals.rules(), arrivals.series(most=12), st.integers(0, 70))
def test_by_the_ledger_alone_it_ends_in_the_same(
    sensors: dict[int, Sensor],
    began: datetime,
    data: st.DataObject,
    rule: Rule,
    series: list[Reading],
    active_from: int,
) -> None:
    """No hook was ever called; a reading every so many seconds, over some minutes."""
    with transaction.atomic():
        row = as_row(rule)
        row.active_from = began + timedelta(seconds=active_from)
        row.save()
        order = list(data.draw(st.permutations(series))) if series else []
        if rule.kind == Kind.SILENCE and order:
            # Nobody looks for a silence before the first reading of all, which a late one would begin.
            order.remove(first := min(order))
            order.insert(0, first)
        while order:
            size = data.draw(st.integers(1, 5))
            group, order = order[:size], order[size:]
            arrive(began, [(one.at, one.value) for one in group])
            if data.draw(st.booleans()):
                until = data.draw(arrivals.moments)
                evaluate_due(TimeShare(), Known(us(began) + until * SECOND), row.active_from)
        later = us(began) + 1000 * SECOND
        evaluate_due(TimeShare(), Known(later), row.active_from)
        pure = as_rule(row, None)
        assert pure is not None
        readings = [Reading(us(began) + one.at * SECOND, one.value) for one in series]
        kept = Incident.objects.exclude(state=Incident.State.WITHDRAWN).order_by("since")
        assert [one.span for one in kept] == arrivals.at_once(pure, readings, us(row.active_from), later)
        transaction.set_rollback(True)
