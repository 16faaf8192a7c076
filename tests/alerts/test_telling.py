"""Reminders, what a silence held back, acknowledging, and the heartbeat to elsewhere."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.store import BatchStore
from monitoring.alerts import heartbeat, outbox, telling
from monitoring.alerts.incidents import acknowledge
from monitoring.alerts.mutes import not_muted, without_muted
from monitoring.models import AlertChannel, AlertRule, Delivery, Incident, Mute, Notification, Sensor
from monitoring.tasks import send_alerts
from tests.alerts.conftest import AGAIN, FIRING, RESOLVED, MakeIncident, resolve
from tests.alerts.receivers import Web
from tests.status.conftest import at_work  # noqa: F401 -- a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def channel(rule: AlertRule) -> AlertChannel:
    channel = AlertChannel.objects.create(name="Ana", kind="email")
    rule.channels.add(channel)
    return channel


@pytest.fixture
def hourly(rule: AlertRule, channel: AlertChannel) -> AlertRule:
    rule.renotify_s = 3600
    rule.save()
    return rule


def noted() -> list[tuple[int, str]]:
    return list(Notification.objects.order_by("sequence").values_list("sequence", "event"))


def later(minutes: int) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def test_it_reminds_after_the_interval_and_again_after_the_next(
    hourly: AlertRule, fires: MakeIncident
) -> None:
    incident = fires()
    assert telling.remind(later(59)) == 0
    assert telling.remind(later(61)) == 1
    assert telling.remind(later(61)) == 1, "told_at is the wall clock's, and this is an hour later than it"
    assert noted() == [(1, FIRING), (2, AGAIN), (3, AGAIN)]
    incident.refresh_from_db()
    resolve(incident, datetime.now(UTC))
    assert telling.remind(later(300)) == 0
    assert noted()[-1] == (4, RESOLVED)


def test_a_sequence_that_was_written_back_meanwhile_costs_no_reminder(
    hourly: AlertRule, fires: MakeIncident
) -> None:
    """Whoever evaluates it may have read it before the reminder, and writes it after."""
    fires()
    telling.remind(later(61))
    Incident.objects.update(sequence=1)
    assert telling.remind(later(122)) == 1
    assert noted() == [(1, FIRING), (2, AGAIN), (3, AGAIN)]


def test_it_does_not_remind_of_what_somebody_acknowledged(
    hourly: AlertRule, fires: MakeIncident, django_user_model: type[User]
) -> None:
    incident = fires()
    ana, ben = (django_user_model.objects.create_user(name) for name in ("ana", "ben"))
    acknowledge(incident, ana, " on my way ")
    assert telling.remind(later(61)) == 0
    kept = Incident.objects.get()
    assert (kept.acknowledged_by, kept.comment) == (ana, "on my way")
    assert incident.acknowledged_at == kept.acknowledged_at is not None
    acknowledge(incident, ben, "done")
    kept.refresh_from_db()
    assert (kept.acknowledged_by, kept.comment) == (ana, "done"), "who was first stays"
    with pytest.raises(ValueError, match="2000"):
        acknowledge(incident, ana, "x" * 2001)
    resolve(kept, datetime.now(UTC))
    assert noted()[-1] == (2, RESOLVED), "that it resolved is told all the same"


def test_it_does_not_remind_while_muted_nor_take_a_sequence(
    hourly: AlertRule, fires: MakeIncident, now: datetime
) -> None:
    fires()
    Mute.objects.create(rule=hourly, starts_at=now)
    assert telling.remind(later(61)) == 0
    assert Incident.objects.get().sequence == 1
    AlertChannel.objects.update(enabled=False)
    Mute.objects.all().delete()
    assert telling.remind(later(61)) == 0


def test_what_a_silence_held_back_is_told_once_it_is_over(
    channel: AlertChannel, fires: MakeIncident, now: datetime
) -> None:
    mute = Mute.objects.create(starts_at=now, ends_at=now + timedelta(minutes=30))
    fires()
    assert telling.tell_held_back(later(10)) == 0
    assert noted() == []
    mute.delete()
    assert telling.tell_held_back(later(4)) == 0, "whoever finds it may still tell of it"
    assert telling.tell_held_back(later(10)) == 1
    assert telling.tell_held_back(later(10)) == 0
    assert noted() == [(1, FIRING)]


def test_what_is_muted_takes_no_place_of_what_is_not(
    hourly: AlertRule, fires: MakeIncident, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a piece may be muted for weeks."""
    monkeypatch.setattr(telling, "PIECE", 1)
    fires(1)
    Mute.objects.create(sensor_id=1, starts_at=now)
    other = fires(2)
    Notification.objects.all().delete()
    assert telling.remind(later(61)) == 1
    Incident.objects.update(told_at=None)
    assert telling.tell_held_back(later(10)) == 1
    assert set(Notification.objects.values_list("incident", flat=True)) == {other.pk}


def test_the_database_finds_the_same_that_is_muted(
    rule: AlertRule, fires: MakeIncident, now: datetime
) -> None:
    other = AlertRule.objects.create(name="Too cold", kind="below", low=1.0)
    Sensor.objects.filter(pk__in=[1, 2]).update(location="Hall")
    Sensor.objects.filter(pk=3).update(location="Attic")
    for number in (1, 2, 3):
        fires(number)
    fires(1, of=other)
    fires(None, subject="location:Hall")
    fires(None, subject="location:Attic", of=other)
    # One of a place is of that place alone, whatever sensor it names.
    fires(3, subject="location:Hall", of=other)
    fires(None, subject="pipeline:behind")
    every = list(Incident.objects.order_by("pk"))
    for wanted, values in (
        (8, {"ends_at": now}),
        (8, {"weekdays": [(now.weekday() + 3) % 7]}),
        (0, {}),
        (3, {"rule": rule}),
        (6, {"sensor_id": 1}),
        (3, {"location": "Hall"}),
        (7, {"location": "Hall", "rule": rule, "sensor_id": 2}),
        (6, {"location": "Attic"}),
        (8, {"location": "hall"}),
    ):
        mute = Mute.objects.create(**{"starts_at": now - timedelta(hours=1)} | values)
        found = list(without_muted(Incident.objects.order_by("pk"), now))
        assert found == not_muted(every, now), values
        assert len(found) == wanted, values
        mute.delete()
    Mute.objects.create(starts_at=now, sensor_id=3)
    Mute.objects.create(starts_at=now, location="Hall")
    assert list(without_muted(Incident.objects.order_by("pk"), now)) == not_muted(every, now)


def test_what_ended_while_it_was_muted_is_not_told(
    channel: AlertChannel, fires: MakeIncident, now: datetime
) -> None:
    mute = Mute.objects.create(starts_at=now)
    resolve(fires(), now)
    mute.delete()
    assert telling.tell_held_back(later(10)) == 0
    assert noted() == []


@pytest.fixture
def watcher(web: Web, settings: Any) -> Web:
    settings.ALERTS_ALLOW_PRIVATE = False
    settings.ALERTS_HEARTBEAT_URL = f"http://127.0.0.1:{web.port}/ping"
    return web


def test_the_heartbeat_is_asked_for_once_a_minute(at_work: BatchStore, watcher: Web) -> None:  # noqa: F811
    assert heartbeat.beat(at_work, datetime.now(UTC))
    assert not heartbeat.beat(at_work, datetime.now(UTC))
    [request] = watcher.seen
    assert (request.method, request.path) == ("GET", "/ping")
    assert 0 < int(at_work.redis.ttl("iot:alerts:heartbeat")) <= 55  # type: ignore[arg-type]


def test_it_is_not_while_what_is_sent_is_not_stored(
    store: BatchStore,
    at_work: BatchStore,  # noqa: F811
    watcher: Web,
) -> None:
    store.redis.flushdb()
    assert not heartbeat.beat(store, datetime.now(UTC))
    assert watcher.seen == []


def test_a_watcher_that_is_down_fails_nothing(
    at_work: BatchStore,  # noqa: F811
    watcher: Web,
    caplog: pytest.LogCaptureFixture,
) -> None:
    watcher.stop()
    assert not heartbeat.beat(at_work, datetime.now(UTC))
    assert "ALERTS_HEARTBEAT_URL" in caplog.text


def test_the_task_does_all_of_it(
    hourly: AlertRule, hook: AlertChannel, fires: MakeIncident, web: Web, store: BatchStore
) -> None:
    hourly.channels.set([hook])
    fires()
    Incident.objects.update(told_at=datetime.now(UTC) - timedelta(hours=2))
    assert send_alerts() == {"sent": 1, "failed": 0, "later": 0}
    assert noted() == [(1, FIRING), (2, AGAIN)]
    assert outbox.gather() == 0


def test_where_there_is_nothing_to_tell_little_is_asked(
    hook: AlertChannel, rule: AlertRule, store: BatchStore
) -> None:
    hook.enabled = False
    hook.save()
    with CaptureQueriesContext(connection) as without_channel:
        send_alerts()
    assert len(without_channel) == 1
    AlertChannel.objects.update(enabled=True)
    with CaptureQueriesContext(connection) as with_channel:
        send_alerts()
    assert len(with_channel) == 4


def test_what_waits_for_its_next_try_is_tried_by_the_job(
    rule: AlertRule, hook: AlertChannel, fires: MakeIncident, web: Web, store: BatchStore
) -> None:
    """Nothing but a delivery is left: the incident is over, and all of it is gathered."""
    rule.channels.set([hook])
    web.answers.append((503, {}))
    fires()
    assert send_alerts() == {"sent": 0, "failed": 0, "later": 1}
    Incident.objects.update(state=Incident.State.RESOLVED)
    Delivery.objects.update(next_at=datetime.now(UTC))
    assert send_alerts() == {"sent": 1, "failed": 0, "later": 0}


@pytest.mark.parametrize(("group_s", "calls"), [(0, [None]), (5, [5]), (10, []), (60, [])])
def test_the_job_is_called_where_beat_would_come_too_late(
    rule: AlertRule,
    hook: AlertChannel,
    fires: MakeIncident,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
    group_s: int,
    calls: list[int | None],
) -> None:
    called: list[int | None] = []
    monkeypatch.setattr(
        outbox.current_app, "send_task", lambda name, *, countdown, **more: called.append(countdown)
    )
    monkeypatch.setattr(outbox, "_called_at", -1.0)
    hook.group_s = group_s
    hook.save()
    rule.channels.set([hook])
    with django_capture_on_commit_callbacks(execute=True):
        fires()
    assert called == calls
