"""What is to be told of a change, and to whom: noted in the change's own transaction."""

from datetime import UTC, datetime, timedelta

import pytest

from monitoring.alerts.outbox import note
from monitoring.models import AlertChannel, AlertRule, Incident, Mute, Notification, Sensor

pytestmark = pytest.mark.django_db
FIRING, RESOLVED, AGAIN = Notification.Event.FIRING, Notification.Event.RESOLVED, Notification.Event.AGAIN


@pytest.fixture
def rule(sensors: dict[int, Sensor]) -> AlertRule:
    rule = AlertRule.objects.create(name="Too warm", kind="above", high=25.0)
    rule.channels.set(
        [
            AlertChannel.objects.create(name="Ana", kind="email"),
            AlertChannel.objects.create(name="Ben", kind="ntfy"),
        ]
    )
    AlertChannel.objects.create(name="nobody's", kind="mqtt")
    return rule


@pytest.fixture
def incident(rule: AlertRule, now: datetime) -> Incident:
    return Incident.objects.create(
        rule=rule, title=rule.name, kind=rule.kind, severity=rule.severity, sensor_id=1, subject="sensor:1",
        since=now, fired_at=now, seen_at=now, value=26.0, peak=26.0,
    )  # fmt: skip


def noted() -> list[tuple[int, str, str]]:
    rows = Notification.objects.order_by("sequence", "channel__name")
    return [(row.sequence, row.event, row.channel.name) for row in rows]


def test_each_channel_of_the_rule_is_told_once(incident: Incident, now: datetime) -> None:
    note([incident], FIRING)
    note([incident], FIRING)
    assert noted() == [(1, "firing", "Ana"), (1, "firing", "Ben")]
    incident.refresh_from_db()
    assert incident.told_at is not None
    assert incident.told_at >= now


def test_a_part_is_not_told_nor_one_without_a_rule(incident: Incident, now: datetime) -> None:
    whole = Incident.objects.create(
        title="away", kind="silence", severity="warning", subject="location:Hall", since=now,
        fired_at=now, seen_at=now,
    )  # fmt: skip
    incident.part_of = whole
    note([incident, whole], FIRING)
    assert noted() == []


def test_a_channel_that_is_off_is_not_told(incident: Incident) -> None:
    AlertChannel.objects.filter(name="Ana").update(enabled=False)
    note([incident], FIRING)
    assert noted() == [(1, "firing", "Ben")]


def test_that_it_resolved_is_told_to_those_who_know_that_it_fired(
    incident: Incident, rule: AlertRule
) -> None:
    note([incident], FIRING)
    rule.channels.add(AlertChannel.objects.create(name="Cem", kind="email"))
    incident.sequence = 2
    note([incident], RESOLVED)
    assert noted()[2:] == [(2, "resolved", "Ana"), (2, "resolved", "Ben")]


def test_of_what_nobody_was_told_nobody_is_told_the_end(incident: Incident) -> None:
    incident.sequence = 2
    note([incident], RESOLVED)
    assert noted() == []


def test_a_sequence_that_a_reminder_took_meanwhile_is_not_taken_twice(incident: Incident) -> None:
    note([incident], FIRING)
    reminded = Incident.objects.get()
    reminded.sequence = 2
    note([reminded], AGAIN)
    incident.sequence = 2
    note([incident], RESOLVED)
    assert [row[:2] for row in noted()[::2]] == [(1, "firing"), (2, "again"), (3, "resolved")]
    assert incident.sequence == Incident.objects.get().sequence == 3


@pytest.mark.parametrize(
    ("covers", "is_told"),
    [
        ({}, False),
        ({"sensor_id": 1}, False),
        ({"sensor_id": 2}, True),
        ({"location": "Hall"}, False),
        ({"location": "Roof"}, True),
        ({"sensor_id": 1, "location": "Roof"}, True),
        ({"ends": -1}, True),
        ({"starts": 1}, True),
        ({"weekdays": [0, 1, 2, 3, 4, 5, 6]}, False),
        ({"weekdays": [7]}, True),
    ],
)
def test_what_is_muted_is_not_told(
    covers: dict[str, object], is_told: bool, incident: Incident, now: datetime
) -> None:
    Sensor.objects.filter(pk=1).update(location="Hall")
    hours = {name: covers.pop(name, default) for name, default in (("starts", -2), ("ends", 2))}
    Mute.objects.create(
        starts_at=now + timedelta(hours=hours["starts"]),  # type: ignore[arg-type]
        ends_at=now + timedelta(hours=hours["ends"]),  # type: ignore[arg-type]
        **covers,
    )
    note([Incident.objects.get()], FIRING)
    assert bool(noted()) is is_told


def test_a_silence_of_the_rule_mutes_it(incident: Incident, rule: AlertRule) -> None:
    mute = Mute.objects.create(rule=rule, starts_at=datetime(2020, 1, 1, tzinfo=UTC))
    note([incident], FIRING)
    assert noted() == []
    mute.delete()
    note([incident], FIRING)
    assert len(noted()) == 2
