"""What a message says of one incident, and of several."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring.alerts.message import Event, Message, Story, compose, compose_test, one_line, who
from monitoring.models import AlertRule, Incident, Sensor

pytestmark = pytest.mark.django_db
SINCE = datetime(2026, 1, 28, 15, 7, 55, tzinfo=UTC)


@pytest.fixture
def incident(rule: AlertRule) -> Incident:
    Sensor.objects.filter(pk=1).update(location="Salon")
    rule.note = "Open the window."
    rule.save()
    return Incident.objects.create(
        rule=rule,
        title=rule.name,
        kind="above",
        severity="critical",
        sensor_id=1,
        subject="sensor:1",
        since=SINCE,
        fired_at=SINCE + timedelta(minutes=5),
        seen_at=SINCE,
        value=25.25,
        peak=27.9,
    )


def told(*stories: tuple[Incident, Event], language: str = "en") -> Message:
    return compose([Story(one, event, one.sequence) for one, event in stories], "key", language, SINCE)


def test_one_that_fires(incident: Incident, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    settings.SITE_URL = "https://iot.example.org"
    message = told((incident, Event.FIRING))
    assert message.subject == "Firing: Too warm, Capteur Temp Salon"
    assert message.text.splitlines() == [
        "Firing: Too warm",
        "Capteur Temp Salon (Salon)",
        "Rule: above 25 °C",
        "Value: 25.25 °C",
        "Furthest: 27.9 °C",
        "Since 2026-01-28 16:07:55 CET",
        "Fired 2026-01-28 16:12:55 CET",
        "Severity: critical",
        "Open the window.",
        "",
        "https://iot.example.org/sensors/1/",
    ]
    assert (message.is_firing, message.severity) == (True, "critical")
    assert message.link == "https://iot.example.org/sensors/1/"
    [one] = message.payload["data"]["incidents"]
    assert one == {
        "id": incident.pk,
        "sequence": 1,
        "event": "firing",
        "rule": {"id": incident.rule_id, "name": "Too warm", "kind": "above"},
        "severity": "critical",
        "subject": "sensor:1",
        "sensor": {"id": 1, "name": "Capteur Temp Salon", "location": "Salon"},
        "parts": None,
        "unit": "°C",
        "value": 25.25,
        "peak": 27.9,
        "last": None,
        "since": "2026-01-28T15:07:55Z",
        "fired_at": "2026-01-28T15:12:55Z",
        "resolved_at": None,
        "end": None,
        "url": "https://iot.example.org/sensors/1/",
    }


def test_one_that_resolved_and_why(incident: Incident) -> None:
    incident.resolved_at, incident.end = SINCE + timedelta(hours=1), Incident.End.LATE
    message = told((incident, Event.RESOLVED))
    assert message.subject.startswith("Resolved: ")
    assert "Resolved 2026-01-28 16:07:55 UTC\nreadings that came late show that it never was" in message.text
    assert not message.is_firing
    assert message.link == ""


def test_its_rule_may_be_gone(incident: Incident) -> None:
    assert incident.rule is not None
    incident.rule.delete()
    incident.refresh_from_db()
    message = told((incident, Event.RESOLVED))
    assert message.subject == "Resolved: Too warm, Capteur Temp Salon"
    assert message.payload["data"]["incidents"][0]["rule"]["id"] is None


def test_several_are_counted_and_the_worst_counts(incident: Incident, settings: Any) -> None:
    settings.SITE_URL = "https://iot.example.org"
    other = Incident.objects.get()
    other.title, other.severity, other.sensor_id = "Too dry", "info", 2
    message = told((incident, Event.FIRING), (other, Event.FIRING), (other, Event.RESOLVED))
    assert message.subject == "2 firing, 1 resolved"
    assert message.severity == "critical"
    assert message.link == "https://iot.example.org/alerts/"
    message = told((incident, Event.AGAIN), (incident, Event.PASSED))
    assert message.subject == "Too warm: 1 still firing, 1 fired and resolved"


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("board:kitchen", "board kitchen"),
        ("location:Hall A", "Hall A"),
        ("sensor:9", "sensor 9"),
        ("pipeline:behind", "we are behind with storing"),
        ("pipeline:process:worker", "a process is silent: worker"),
        ("pipeline:books", "the books do not balance"),
        ("pipeline:", "the pipeline"),
        ("pipeline:other", "other"),
    ],
)
def test_whom_it_is_about(subject: str, said: str) -> None:
    assert who(Incident(subject=subject)) == said


def test_a_share_is_a_percentage_and_a_rate_is_per_minute(incident: Incident) -> None:
    incident.kind, incident.value = "rejected", 0.125
    assert "Value: 12.5 %" in told((incident, Event.FIRING)).text
    incident.kind = "rate"
    assert "Value: 0.125 °C/min" in told((incident, Event.FIRING)).text


def test_it_has_the_decimal_sign_of_its_language(incident: Incident) -> None:
    assert "25,25 °C" in told((incident, Event.FIRING), language="fr").text
    assert told((incident, Event.FIRING), language="fr").payload["data"]["incidents"][0]["value"] == 25.25


def test_a_name_cannot_break_the_subject() -> None:
    assert one_line("a\r\nBcc: x@example.org\n") == "a Bcc: x@example.org"
    assert len(one_line("x" * 500)) == 200


def test_a_test_says_that_it_is_one() -> None:
    message = compose_test("Ana", "key", "en", SINCE)
    assert "Ana" in message.subject
    assert message.payload == {
        "id": "key",
        "type": "test",
        "timestamp": "2026-01-28T15:07:55Z",
        "data": {"incidents": [], "count": 0},
    }
