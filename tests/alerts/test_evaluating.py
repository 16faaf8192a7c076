"""Readings in PostgreSQL become incidents, and each of their changes one notification a channel."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.alerts import changing, evaluating
from monitoring.alerts.anew import WorkedOut, work_out
from monitoring.alerts.changing import us
from monitoring.alerts.coverage import as_rule
from monitoring.alerts.evaluating import Known, evaluate
from monitoring.alerts.rule import SECOND, Kind, Rule
from monitoring.alerts.rules import delete, save
from monitoring.alerts.samples import Reading
from monitoring.alerts.telling import tell_held_back
from monitoring.models import (
    AlertChannel,
    AlertRule,
    AlertState,
    Incident,
    Measurement,
    Mute,
    Notification,
    Sensor,
    SensorStatus,
)
from monitoring.models.alert_state import AT_ONCE, Pair
from process.failpoints import FailpointError, _nothing, arm
from tests.alerts import arrivals
from tests.alerts.conftest import Rules, Store, noted, spans
from tests.examples import examples

pytestmark = pytest.mark.django_db
BOTH = ["Ana", "Ben"]


def told(*events: str) -> list[tuple[int, str, str]]:
    return [(place, event, name) for place, event in enumerate(events, 1) for name in BOTH]


def look(rule: AlertRule, began: datetime, second: int | None, until: int = 60, sensor_id: int = 1) -> None:
    """At a pair of which readings came from this second on, a minute after the beginning."""
    changed_from = None if second is None else us(began) + second * SECOND
    known = Known(us(began) + until * SECOND)
    evaluate({Pair(rule.pk, sensor_id): changed_from}, known, began + timedelta(minutes=1))


def test_above_a_value(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules()
    stored([(1, 20.0), (2, 26.0), (3, 27.5), (4, 25.5)])
    look(rule, began, 1)
    assert spans(began) == [("sensor:1", 2, None)]
    incident = Incident.objects.get()
    assert (incident.value, incident.peak, incident.state) == (26.0, 27.5, "firing")
    assert AlertState.objects.get().phase == "firing"
    assert noted() == told("firing")
    stored([(5, 24.0)])
    look(rule, began, 5)
    assert spans(began) == [("sensor:1", 2, 5)]
    incident.refresh_from_db()
    assert (incident.last, incident.state, incident.end) == (24.0, "resolved", "clear")
    assert noted() == told("firing", "resolved")
    look(rule, began, 5)
    look(rule, began, 1)
    assert noted() == told("firing", "resolved")


def test_it_goes_on_firing_where_nothing_has_changed(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules()
    stored([(1, 26.0)])
    look(rule, began, 1)
    assert AlertState.objects.get().check_from is None
    AlertState.objects.update(due_at=AT_ONCE)
    look(rule, began, None)
    state = AlertState.objects.get()
    assert (state.phase, state.since, state.due_at) == ("firing", began + timedelta(seconds=1), None)
    assert spans(began) == [("sensor:1", 1, None)]
    assert noted() == told("firing")


def test_it_fires_by_time_alone_once_that_time_is_known(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules(for_s=10)
    stored([(1, 26.0)])
    look(rule, began, 1, until=5)
    state = AlertState.objects.get()
    assert (state.phase, state.due_at) == ("pending", began + timedelta(seconds=11))
    assert AlertState.objects.due(began + timedelta(seconds=10), 9) == []
    assert AlertState.objects.due(began + timedelta(seconds=11), 9) == [Pair(rule.pk, 1)]
    look(rule, began, None, until=11)
    assert spans(began) == [("sensor:1", 1, None)]


def test_what_opened_and_closed_meanwhile_is_told_as_both(
    rules: Rules, stored: Store, began: datetime
) -> None:
    stored([(1, 26.0), (2, 24.0)])
    look(rules(), began, 1)
    assert noted() == told("firing", "resolved")


def test_nobody_is_told_of_what_is_long_over(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules(active_from=began - timedelta(hours=2))
    stored([(-3600, 26.0), (-3590, 24.0)])
    look(rule, began, -3600)
    assert spans(began) == [("sensor:1", -3600, -3590)]
    assert noted() == []


def test_what_comes_late_withdraws_it(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules(for_s=10)
    stored([(1, 26.0), (20, 26.0)])
    look(rule, began, 1)
    assert noted() == told("firing")
    stored([(5, 20.0), (21, 20.0)])
    look(rule, began, 5)
    assert spans(began) == []
    assert Incident.objects.get().end == "late"
    assert noted() == told("firing", "resolved")


def test_what_fires_again_while_it_is_muted_is_told_once_that_is_over(
    rules: Rules, stored: Store, began: datetime
) -> None:
    rule = rules()
    stored([(1, 26.0), (5, 24.0)])
    look(rule, began, 1)
    assert noted() == told("firing", "resolved")
    mute = Mute.objects.create(rule=rule, starts_at=began)
    Measurement.objects.filter(created_at=began + timedelta(seconds=5)).delete()
    look(rule, began, 5)
    assert Incident.objects.get().state == "firing"
    later = datetime.now(UTC) + timedelta(minutes=10)
    assert tell_held_back(later) == 0
    mute.delete()
    assert tell_held_back(later) == 1
    assert noted() == told("firing", "resolved", "firing")
    assert tell_held_back(later) == 0


def test_a_silence_moves_on_and_is_over_with_the_next_reading(
    rules: Rules, stored: Store, began: datetime
) -> None:
    rule = rules(kind="silence", limit_s=10)
    stored([(second, 20.0) for second in range(0, 50, 5)])
    look(rule, began, None, until=47)
    state = AlertState.objects.get()
    assert (state.phase, state.due_at) == ("normal", began + timedelta(seconds=55))
    look(rule, began, None, until=55)
    assert spans(began) == [("sensor:1", 55, None)]
    stored([(58, 20.0)])
    look(rule, began, 58, until=59)
    assert spans(began) == [("sensor:1", 55, 58)]
    assert noted() == told("firing", "resolved")


def test_a_silence_goes_by_the_sensors_interval_once_that_is_known(
    rules: Rules, stored: Store, began: datetime
) -> None:
    rule = rules(kind="silence", intervals=2)
    stored([(1, 20.0)])
    look(rule, began, None)
    state = AlertState.objects.get()
    assert (state.phase, state.due_at) == ("normal", began + timedelta(minutes=1) + evaluating.LATER)
    SensorStatus.objects.filter(pk=1).update(interval_s=5.0)
    look(rule, began, None)
    assert spans(began) == [("sensor:1", 11, None)]


def test_a_sensor_that_never_sent_is_not_silent(rules: Rules, began: datetime) -> None:
    look(rules(kind="silence", limit_s=10), began, None)
    assert spans(began) == []
    assert AlertState.objects.get().due_at is not None


def test_many_pairs_take_as_many_statements_as_one(
    rules: Rules, stored: Store, began: datetime, django_assert_max_num_queries: object
) -> None:
    several = [rules(sensor_id=number) for number in (1, 2, 3)] + [rules(name="all")]
    pairs = {Pair(rule.pk, rule.sensor_id or 3): us(began) for rule in several}
    for number in (1, 2, 3):
        stored([(1, 26.0)], number)
    known = Known(us(began) + 60 * SECOND)
    with django_assert_max_num_queries(22):  # type: ignore[operator]
        evaluate(pairs, known, began + timedelta(minutes=1))
    assert len(spans(began)) == 4


@pytest.mark.parametrize("change", [{"location": "Roof"}, {"is_active": False}])
def test_it_ends_where_the_rule_holds_for_the_sensor_no_longer(
    change: dict[str, object], rules: Rules, stored: Store, began: datetime
) -> None:
    Sensor.objects.filter(pk=1).update(location="Hall")
    rule = rules(location="Hall")
    stored([(1, 26.0)])
    look(rule, began, 1)
    Sensor.objects.filter(pk=1).update(**change)
    look(rule, began, None)
    incident = Incident.objects.get()
    assert (incident.state, incident.end) == ("resolved", "changed")
    assert noted() == told("firing", "resolved")
    assert not AlertState.objects.exists()


def test_a_changed_rule_ends_what_it_found_and_finds_anew(
    rules: Rules, stored: Store, began: datetime, channels: list[AlertChannel]
) -> None:
    rule = rules()
    stored([(1, 26.0)])
    look(rule, began, 1)
    rule.high = 25.5
    save(rule, channels[:1], None)
    old = Incident.objects.get()
    assert (old.state, old.end) == ("resolved", "changed")
    assert noted() == told("firing", "resolved")
    assert AlertState.objects.get().due_at == AT_ONCE
    changed = us(rule.active_from) - us(began)
    stored([(changed / SECOND + 1, 27.0)])
    evaluate({Pair(rule.pk, 1): None}, Known(), rule.active_from + timedelta(seconds=2))
    assert Incident.objects.open().get().value == 27.0
    assert AlertState.objects.get().version == rule.version == 2


def test_what_stays_the_same_rule_goes_on(
    rules: Rules, stored: Store, began: datetime, channels: list[AlertChannel]
) -> None:
    rule = rules()
    stored([(1, 26.0)])
    look(rule, began, 1)
    rule.name = "Much too warm"
    save(rule, channels, None)
    assert Incident.objects.get().state == "firing"


def test_a_deleted_rule_leaves_what_it_found(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules()
    stored([(1, 26.0)])
    look(rule, began, 1)
    delete(rule)
    incident = Incident.objects.get()
    assert (incident.rule_id, incident.state, incident.end, incident.title) == (
        *(None, "resolved", "changed"),
        "Too warm",
    )
    assert noted() == told("firing", "resolved")


def test_readings_beyond_what_is_fetched_at_once(
    rules: Rules, stored: Store, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "AT_A_TIME", 4)
    monkeypatch.setattr(evaluating, "OF_EACH", 4)
    stored([(second, 26.0 if second % 10 == 5 else 20.0) for second in range(50)])
    look(rules(), began, 0)
    assert spans(began) == [("sensor:1", second, second + 1) for second in range(5, 50, 10)]


def test_the_more_sensors_the_fewer_readings_are_fetched_of_each(
    rules: Rules, stored: Store, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[int] = []

    def since(starts: Mapping[int, int], most: int) -> dict[int, list[tuple[int, float]]]:
        found = since_of_all(starts, most)
        fetched.append(sum(map(len, found.values())))
        return found

    since_of_all = Measurement.objects.since
    monkeypatch.setattr(Measurement.objects, "since", since)
    monkeypatch.setattr(evaluating, "AT_A_TIME", 12)
    monkeypatch.setattr(evaluating, "OF_EACH", 2)
    rule = rules()
    for number in (1, 2, 3):
        stored([(second, 26.0 if second == 15 else 20.0) for second in range(20)], number)
    pairs = {Pair(rule.pk, number): us(began) for number in (1, 2, 3)}
    evaluate(pairs, Known(us(began) + 60 * SECOND), began + timedelta(minutes=1))
    assert spans(began) == [(f"sensor:{number}", 15, 16) for number in (1, 2, 3)]
    assert max(fetched) <= 12


def test_what_is_kept_is_fetched_from_each_pairs_own_beginning_on(
    rules: Rules, stored: Store, began: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = rules(active_from=began - timedelta(hours=2))
    for number in (1, 2):
        stored([(second, 26.0 if second % 10 == 5 else 20.0) for second in range(50)], number)
        look(rule, began, 0, sensor_id=number)
    kept: list[int] = []

    def spy(*args: Any) -> WorkedOut[Incident]:
        kept.append(len(args[4]))
        return work_out(*args)

    monkeypatch.setattr(evaluating, "work_out", spy)
    pairs = {Pair(rule.pk, 1): us(began), Pair(rule.pk, 2): us(began) + 40 * SECOND}
    evaluate(pairs, Known(us(began) + 60 * SECOND), began + timedelta(minutes=1))
    assert kept == [5, 1]


# --- the property: live evaluation ends in what one evaluation over all of it finds ---

FAILPOINTS = ("alerts.held", "alerts.written", "alerts.changed", "alerts.noted", "alerts.evaluated")


def as_row(rule: Rule) -> AlertRule:
    """The same rule of seconds where the pure one has microseconds."""
    per = SECOND if rule.kind == Kind.RATE else 1
    of = {name: getattr(rule, name) for name in ("high", "low", "clear_high", "clear_low")}
    return AlertRule(
        name="a rule",
        kind=rule.kind.value,
        for_s=rule.for_us,
        keep_s=rule.keep_us,
        window_s=rule.window_us,
        limit_s=rule.limit_us or None,
        **{name: None if value is None else value / per for name, value in of.items()},
    )


@contextmanager
def dying(at: str | None) -> Iterator[None]:
    """Whoever evaluates fails at this step, as somebody would who is killed there."""
    passing = _nothing if at is None else arm(f"{at}=raise")
    evaluating.failpoint = changing.failpoint = passing  # type: ignore[assignment]
    try:
        yield
    except FailpointError:
        pass
    finally:
        evaluating.failpoint = changing.failpoint = _nothing  # type: ignore[assignment]


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), arrivals.rules(), arrivals.series(most=15), st.integers(0, 70))
def test_in_any_order_with_deaths_it_ends_in_the_same(
    channels: list[AlertChannel],
    sensors: dict[int, Sensor],
    began: datetime,
    data: st.DataObject,
    rule: Rule,
    series: list[Reading],
    active_from: int,
) -> None:
    with transaction.atomic():
        row = as_row(rule)
        row.active_from = began + timedelta(seconds=active_from)
        row.save()
        row.channels.set(channels)
        order = (
            data.draw(st.permutations(series + data.draw(st.lists(st.sampled_from(series)))))
            if series
            else []
        )
        lost: list[int] = []
        while order:
            size = data.draw(st.integers(1, 6))
            group, order = order[:size], order[size:]
            there = set(Measurement.objects.values_list("created_at", flat=True))
            new = [one for one in group if began + timedelta(seconds=one.at) not in there]
            Measurement.objects.bulk_create(
                [
                    Measurement(
                        sensor_id=1,
                        created_at=began + timedelta(seconds=one.at),
                        received_at=began,
                        value=one.value,
                    )
                    for one in {one.at: one for one in new}.values()
                ]
            )
            if new:
                lost.append(min(one.at for one in new))
            until = data.draw(st.none() | arrivals.moments)
            dies = data.draw(st.none() | st.sampled_from(FAILPOINTS))
            if lost and data.draw(st.booleans()):
                with dying(dies):
                    known = Known(None if until is None else us(began) + until * SECOND)
                    evaluate({Pair(row.pk, 1): us(began) + min(lost) * SECOND}, known, row.active_from)
                if dies is None:
                    lost = []
        pair = Pair(row.pk, 1)
        later = us(began) + 1000 * SECOND
        at = min((us(began) + one * SECOND for one in lost), default=None)
        evaluate({pair: at}, Known(later), row.active_from)
        pure = as_rule(row, None)
        assert pure is not None
        readings = [Reading(us(began) + one.at * SECOND, one.value) for one in series]
        expected = arrivals.at_once(pure, readings, us(row.active_from), later)
        kept = Incident.objects.exclude(state=Incident.State.WITHDRAWN).order_by("since")
        assert [one.span for one in kept] == expected
        for incident in Incident.objects.all():
            events = list(
                Notification.objects.filter(incident=incident)
                .order_by("sequence", "channel")
                .values_list("sequence", "channel", "event")
            )
            assert events == [
                (sequence, channel.pk, "firing" if sequence % 2 else "resolved")
                for sequence in range(1, incident.sequence + 1)
                for channel in channels
            ]
            assert (incident.sequence % 2 == 1) == (incident.state == "firing")
        transaction.set_rollback(True)
