"""Reminders, what a silence held back, acknowledging, and the heartbeat to elsewhere."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from batches.store import BatchStore
from monitoring.alerts import heartbeat, outbox, telling
from monitoring.alerts.incidents import acknowledge
from monitoring.models import AlertChannel, AlertRule, Incident, Mute, Notification
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
