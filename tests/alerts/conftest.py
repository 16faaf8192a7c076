"""Rules, incidents and channels, readings at chosen seconds, and receivers that take what is sent."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from monitoring.alerts import due, outbox
from monitoring.alerts.changing import us
from monitoring.alerts.channels import webhook
from monitoring.alerts.message import Message
from monitoring.models import (
    AlertChannel,
    AlertRule,
    Delivery,
    Incident,
    Measurement,
    Notification,
    Sensor,
)
from tests.alerts.receivers import Mail, Web

SECRET = webhook.new_secret()
MESSAGE = Message(
    "Zu warm: Küche", "Küche\nValue: 26.5 °C\n", {"id": "k", "data": {"count": 1}}, "critical", True
)
KEY = "0b5f3c52-1f0e-4d83-8a06-6f4dd1a0c3f1"

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


# --- readings ------------------------------------------------------------------------------------

Rules = Callable[..., AlertRule]
Store = Callable[..., None]


@pytest.fixture(autouse=True)
def went_through_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job remembers when it went through all pairs: those of another test."""
    monkeypatch.setattr(due, "_went_through", None)


@pytest.fixture
def began(now: datetime) -> datetime:
    """The second that tests count from: some minutes ago."""
    return now.replace(microsecond=0) - timedelta(minutes=3)


@pytest.fixture
def channels(db: None) -> list[AlertChannel]:
    return [
        AlertChannel.objects.create(name="Ana", kind="email"),
        AlertChannel.objects.create(name="Ben", kind="ntfy"),
    ]


@pytest.fixture
def rules(sensors: dict[int, Sensor], channels: list[AlertChannel], began: datetime) -> Rules:
    """Makes a rule that holds from the beginning on; above 25 where nothing else is said."""

    def make(**fields: object) -> AlertRule:
        fields = {"name": "Too warm", "kind": "above", "active_from": began} | fields
        if fields["kind"] == "above":
            fields.setdefault("high", 25.0)
        rule = AlertRule.objects.create(**fields)
        rule.channels.set(channels)
        return rule

    return make


@pytest.fixture
def stored(began: datetime) -> Store:
    """Stores (second, value) of a sensor; what is there already stays."""

    def store(rows: Iterable[tuple[float, float]], sensor_id: int = 1) -> None:
        Measurement.objects.bulk_create(
            [
                Measurement(
                    sensor_id=sensor_id,
                    created_at=began + timedelta(seconds=second),
                    received_at=datetime.now(UTC),
                    value=value,
                    unit="",
                )
                for second, value in rows
            ],
            ignore_conflicts=True,
        )

    return store


def spans(began: datetime) -> list[tuple[str, int, int | None]]:
    """(subject, second in which it began, in which it ended) of what is not withdrawn."""
    rows = Incident.objects.exclude(state=Incident.State.WITHDRAWN).order_by("since", "subject")
    return [
        (
            row.subject,
            (us(row.since) - us(began)) // 1_000_000,
            None if row.resolved_at is None else (us(row.resolved_at) - us(began)) // 1_000_000,
        )
        for row in rows
    ]


def noted() -> list[tuple[int, str, str]]:
    """(sequence, event, channel), of all incidents."""
    rows = Notification.objects.order_by("incident__since", "incident", "sequence", "channel__name")
    return [(row.sequence, row.event, row.channel.name) for row in rows.select_related("channel")]


@pytest.fixture
def too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a rule is tried on is looked at for a minute, and may be for a moment."""
    slow = "SELECT created_at, value FROM monitoring_measurement, pg_sleep(60)"
    monkeypatch.setattr("monitoring.alerts.backtest._CHANGES", slow)
    monkeypatch.setattr("monitoring.alerts.backtest.MOST_S", 0.2)
