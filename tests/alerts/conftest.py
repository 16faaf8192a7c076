"""Rules, incidents and channels, and receivers that take what is sent."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from monitoring.alerts import outbox
from monitoring.alerts.channels import webhook
from monitoring.models import AlertChannel, AlertRule, Delivery, Incident, Notification, Sensor
from tests.alerts.receivers import Mail, Web

SECRET = webhook.new_secret()
FIRING, RESOLVED, AGAIN = Notification.Event.FIRING, Notification.Event.RESOLVED, Notification.Event.AGAIN
MakeIncident = Callable[..., Incident]


@pytest.fixture
def web(settings: Any) -> Iterator[Web]:
    """On this machine, which channels may reach in this test."""
    settings.ALERTS_ALLOW_PRIVATE = True
    web = Web()
    web.start()
    yield web
    web.stop()


@pytest.fixture
def mail(settings: Any) -> Iterator[Mail]:
    mail = Mail()
    mail.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail.port
    yield mail
    mail.stop()


@pytest.fixture
def hook(db: None, web: Web) -> AlertChannel:
    """A webhook that gathers nothing."""
    settings = {"url": web.url, "secret": SECRET}
    return AlertChannel.objects.create(name="hook", kind="webhook", settings=settings, group_s=0)


@pytest.fixture
def rule(sensors: dict[int, Sensor]) -> AlertRule:
    return AlertRule.objects.create(name="Too warm", kind="above", high=25.0)


@pytest.fixture
def fires(rule: AlertRule, now: datetime) -> MakeIncident:
    """An incident of a sensor, which fired a minute ago, and is noted."""

    def fires(sensor_id: int = 1, of: AlertRule | None = None, **more: Any) -> Incident:
        of = of or rule
        since = now - timedelta(minutes=1)
        values: dict[str, Any] = {
            "rule": of, "title": of.name, "kind": of.kind, "severity": of.severity, "sensor_id": sensor_id,
            "subject": f"sensor:{sensor_id}", "since": since, "fired_at": since, "seen_at": now,
            "value": 26.5, "peak": 27.25,
        }  # fmt: skip
        with transaction.atomic():
            incident = Incident.objects.create(**(values | more))
            outbox.note([incident], FIRING)
        return incident

    return fires


def resolve(incident: Incident, at: datetime) -> None:
    incident.state, incident.resolved_at, incident.end = Incident.State.RESOLVED, at, Incident.End.CLEAR
    incident.sequence += 1
    incident.save()
    outbox.note([incident], RESOLVED)


def send(at: datetime | None = None) -> tuple[int, int, int]:
    """One round: gathers, and sends what is due; how many were sent, failed, and wait."""
    done = outbox.Sent()
    outbox.gather(at)
    outbox.send_due(done, at)
    return done.sent, done.failed, done.later


def only_delivery() -> Delivery:
    return Delivery.objects.get()
