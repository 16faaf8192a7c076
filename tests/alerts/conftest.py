"""A rule that two channels are told of, and readings at chosen seconds."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.alerts.changing import us
from monitoring.models import AlertChannel, AlertRule, Incident, Measurement, Notification, Sensor

Rules = Callable[..., AlertRule]
Store = Callable[..., None]


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
