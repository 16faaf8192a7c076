"""While we are behind no sensor is silent, but we are; and what we did not take is nobody's silence."""

from datetime import datetime, timedelta

import pytest

from batches.names import Names
from batches.store import BatchStore
from monitoring.alerts import due, fault
from monitoring.alerts.changing import us
from monitoring.alerts.evaluating import Known, Outcome, evaluate
from monitoring.alerts.rules import save
from monitoring.alerts.samples import Outage
from monitoring.models import Incident
from monitoring.models.alert_state import Pair
from monitoring.models.incident import BEHIND
from monitoring.status.reach import Reach, Why
from monitoring.status.rule import Outage as Gap
from monitoring.upkeep.pieces import TimeShare
from process.heartbeat import beat
from tests.alerts.conftest import Rules, Store, noted, spans

pytestmark = pytest.mark.django_db
BOTH = ["Ana", "Ben"]


def told(*events: str) -> list[tuple[int, str, str]]:
    return [(place, event, name) for place, event in enumerate(events, 1) for name in BOTH]


def at(began: datetime, second: float) -> datetime:
    return began + timedelta(seconds=second)


def gap(began: datetime, start: int, end: int) -> Gap:
    return Gap(at(began, start), at(began, end))


def run(
    began: datetime, second: int, until: int | None, why: Why = Why.BRIDGE, outage: Gap | None = None
) -> Outcome:
    """The job, at this second, all that was sent until then being known."""
    now = at(began, second)
    known = Reach(None if until is None else at(began, until), why, outage)
    done = fault.look(known, now)
    done.add(due.evaluate_due(TimeShare(), fault.known_by(known, now), now))
    return done


def kept(began: datetime) -> list[Outage]:
    return [Outage(start - us(began), end - us(began)) for start, end in fault.outages(at(began, 3600))]


def seconds(start: int, end: int) -> Outage:
    return Outage(start * 1_000_000, end * 1_000_000)


def test_we_are_behind_and_no_sensor_is_silent(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    stored([(second, 20.0) for second in range(0, 100, 10)])
    run(began, 100, until=100)
    run(began, 130, until=100)
    assert spans(began) == [], "for a moment anybody may be behind"
    for second in (160, 170, 400):
        run(began, second, until=100)
        assert spans(began) == [(BEHIND, 100, None)]
    assert noted() == told("firing")
    incident = Incident.objects.get()
    assert (incident.sensor_id, incident.kind) == (None, "silence")
    away = gap(began, 100, 450)
    run(began, 451, until=100, why=Why.CATCHING_UP, outage=away)
    stored([(455, 20.0), (470, 20.0)])
    run(began, 481, until=481, outage=away)
    assert spans(began) == [(BEHIND, 100, 450)]
    assert noted() == told("firing", "resolved")
    assert kept(began) == [seconds(100, 450)]


def test_what_we_did_not_take_is_left_out_of_a_silence(rules: Rules, stored: Store, began: datetime) -> None:
    """Ten of its twenty seconds had passed when we went away."""
    rules(kind="silence", limit_s=20)
    stored([(90, 20.0)])
    away = gap(began, 100, 450)
    run(began, 451, until=100, why=Why.CATCHING_UP, outage=away)
    run(began, 470, until=459, outage=away)
    assert spans(began) == [(BEHIND, 100, 450)]
    run(began, 482, until=482, outage=away)
    assert spans(began) == [(BEHIND, 100, 450), ("sensor:1", 460, None)]


def test_a_worker_that_knows_no_reach_leaves_it_out_too(rules: Rules, stored: Store, began: datetime) -> None:
    rule = rules(kind="silence", limit_s=20)
    stored([(90, 20.0)])
    away = gap(began, 100, 450)
    run(began, 482, until=482, outage=away)
    found = [(BEHIND, 100, 450), ("sensor:1", 460, None)]
    assert spans(began) == found
    stored([(85, 20.0)])
    evaluate({Pair(rule.pk, 1): us(at(began, 85))}, Known(), at(began, 483))
    assert spans(began) == found


def test_a_reading_after_it_shows_no_gap(rules: Rules, stored: Store, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    stored([(95, 20.0), (455, 20.0)])
    away = gap(began, 100, 450)
    run(began, 460, until=460, outage=away)
    # Later on the bridge was away once more, and says that alone.
    again = gap(began, 462, 463)
    run(began, 470, until=470, outage=again)
    assert [one for one in spans(began) if one[0] != BEHIND] == []
    assert kept(began) == [seconds(100, 450), seconds(462, 463)]


def test_of_a_short_one_nobody_is_told_but_it_is_kept(rules: Rules, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    away = gap(began, 100, 110)
    for second in (111, 120, 139):
        run(began, second, until=100, why=Why.CATCHING_UP, outage=away)
    run(began, 141, until=141, outage=away)
    run(began, 146, until=146, outage=away)
    assert spans(began) == [(BEHIND, 100, 110)]
    assert noted() == []
    assert kept(began) == [seconds(100, 110)]


def test_a_long_one_that_was_over_when_we_came_back_is_told_as_both(rules: Rules, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    away = gap(began, -7000, 50)
    run(began, 100, until=100, outage=away)
    run(began, 105, until=105, outage=away)
    assert spans(began) == [(BEHIND, -7000, 50)]
    assert noted() == told("firing", "resolved")


def test_a_backlog_is_no_outage(rules: Rules, stored: Store, began: datetime) -> None:
    """What waits was taken: of a sensor that fell silent meanwhile it is known when."""
    rules(kind="silence", limit_s=20)
    stored([(100, 20.0)])
    run(began, 200, until=110, why=Why.PENDING)
    assert spans(began) == [(BEHIND, 110, None)]
    run(began, 300, until=150, why=Why.PENDING)
    run(began, 310, until=310)
    assert spans(began) == [(BEHIND, 110, 310), ("sensor:1", 120, None)]
    assert kept(began) == []


def test_a_backlog_after_an_outage(rules: Rules, began: datetime) -> None:
    rules(kind="silence", limit_s=20)
    away = gap(began, 100, 200)
    run(began, 190, until=100)
    run(began, 300, until=210, why=Why.PENDING, outage=away)
    assert spans(began) == [(BEHIND, 100, None)]
    run(began, 400, until=400, outage=away)
    assert spans(began) == [(BEHIND, 100, 200)]
    assert kept(began) == [seconds(100, 200)]


def test_it_is_one_of_the_first_silence_that_is_on(rules: Rules, began: datetime) -> None:
    rules(kind="above")
    rules(kind="silence", limit_s=20, enabled=False)
    first = rules(kind="silence", limit_s=20)
    rules(kind="silence", limit_s=30)
    run(began, 100, until=30)
    assert Incident.objects.get().rule_id == first.pk
    first.enabled = False
    save(first, first.channels.all(), None)
    run(began, 105, until=30)
    run(began, 110, until=30)
    assert [one.state for one in Incident.objects.order_by("pk")] == ["resolved", "firing"]


def test_one_whose_rule_is_gone_goes_on_as_one_of_another(
    rules: Rules, stored: Store, began: datetime
) -> None:
    """While it is open no sensor is silent: nobody else would end it."""
    first, second = rules(kind="silence", limit_s=20), rules(kind="silence", limit_s=30)
    stored([(100, 20.0)])
    run(began, 200, until=100)
    first.delete()
    assert Incident.objects.get().rule_id is None
    away = gap(began, 100, 210)
    run(began, 231, until=220, outage=away)
    assert spans(began)[0] == (BEHIND, 100, 210)
    assert Incident.objects.get(subject=BEHIND).rule == second
    assert noted() == told("firing", "resolved")
    run(began, 260, until=260, outage=away)
    assert spans(began) == [(BEHIND, 100, 210), ("sensor:1", 240, None)]


def test_of_two_that_are_open_the_one_without_a_rule_ends(rules: Rules, began: datetime) -> None:
    rule = rules(kind="silence", limit_s=20)
    since = at(began, 50)
    alone = Incident.objects.create(
        title=rule.name, kind="silence", severity="warning", subject=BEHIND,
        since=since, fired_at=since, seen_at=since,
    )  # fmt: skip
    other = Incident.objects.create(
        rule=rule, title=rule.name, kind="silence", severity="warning", subject=BEHIND,
        since=since, fired_at=since, seen_at=since,
    )  # fmt: skip
    run(began, 200, until=100)
    assert Incident.objects.open().get() == other
    alone.refresh_from_db()
    assert (alone.state, alone.end) == ("resolved", "changed")


def test_without_a_silence_nothing_is_said(rules: Rules, began: datetime) -> None:
    rules(kind="above")
    run(began, 500, until=30, outage=gap(began, 10, 20))
    assert not Incident.objects.exists()


def test_where_nothing_is_known_nothing_begins_or_ends(rules: Rules, began: datetime) -> None:
    """Redis is away, or no bridge was ever there."""
    rules(kind="silence", limit_s=20)
    run(began, 500, until=None)
    assert spans(began) == []
    run(began, 510, until=30)
    run(began, 520, until=None)
    assert spans(began) == [(BEHIND, 30, None)]


def test_the_job_finds_it_by_itself(rules: Rules, stored: Store, store: BatchStore, now: datetime) -> None:
    rules(kind="silence", limit_s=20)
    stored([(0, 20.0)])
    beat(store.redis, "bridge")
    beat(store.redis, "worker")
    day = timedelta(days=1)
    Names(store.redis).note_serving(
        "default", (now - day).timestamp(), (now - timedelta(minutes=5)).timestamp()
    )
    due.job(store, TimeShare())
    assert [one.subject for one in Incident.objects.all()] == [BEHIND]
    Names(store.redis).note_serving("default", (now - day).timestamp(), (now + day).timestamp())
    due.job(store, TimeShare())
    assert [(one.subject, one.state) for one in Incident.objects.all()] == [(BEHIND, "resolved")]
