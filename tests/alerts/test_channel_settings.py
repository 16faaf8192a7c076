"""What each kind of channel wants to know."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from monitoring.alerts import channels
from monitoring.alerts.channels import webhook
from tests.alerts.conftest import SECRET

TWO = ["ana@example.org", "ben@example.org"]


def wrong(kind: str, given: dict[str, Any], before: dict[str, Any] | None = None) -> set[str]:
    """Names of the settings that are refused, each with a sentence."""
    with pytest.raises(ValidationError) as raised:
        channels.check(kind, given, before)
    assert all(said for sentences in raised.value.message_dict.values() for said in sentences)
    return set(raised.value.message_dict)


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("webhook", {}, "url"),
        ("webhook", {"url": "ftp://example.org/"}, "url"),
        ("webhook", {"url": "https://"}, "url"),
        ("webhook", {"url": "https://ana:secret@example.org/"}, "url"),
        ("webhook", {"url": "https://example.org:0/"}, "url"),
        ("webhook", {"url": "https://example.org:x/"}, "url"),
        ("webhook", {"url": "https://exämple.org/"}, "url"),
        ("webhook", {"url": "http://localhost/"}, "url"),
        ("webhook", {"url": "http://10.0.0.1/"}, "url"),
        ("webhook", {"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ("webhook", {"url": "https://example.org/", "secret": "short"}, "secret"),
        ("webhook", {"url": "https://example.org/", "secret": "whsec_c2hvcnQ="}, "secret"),
        ("webhook", {"url": "https://example.org/", "colour": "red"}, "colour"),
        ("webhook", {"url": 3}, "url"),
        ("ntfy", {}, "topic"),
        ("ntfy", {"topic": "a/b"}, "topic"),
        ("ntfy", {"topic": "a", "server": "ntfy.sh"}, "server"),
        ("ntfy", {"topic": "a", "token": "with\nline"}, "token"),
        ("telegram", {"token": "123456:" + "x" * 35}, "chat"),
        ("telegram", {"token": "nonsense", "chat": "1"}, "token"),
        ("telegram", {"token": "123456:" + "x" * 35, "chat": "someone"}, "chat"),
        ("mqtt", {"topic": "iot/#"}, "topic"),
        ("mqtt", {"topic": "iot/measurements"}, "topic"),
        ("mqtt", {"topic": "iot/status/board"}, "topic"),
        ("mqtt", {"topic": "$SYS/alerts"}, "topic"),
        ("mqtt", {"topic": "iot/alerts", "retained": "maybe"}, "retained"),
        ("email", {}, "to"),
        ("email", {"to": "nobody"}, "to"),
        ("email", {"to": "ana@example.org\nnobody"}, "to"),
        ("carrier pigeon", {}, "kind"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_field(
    kind: str, given: dict[str, Any], field: str, settings: Any
) -> None:
    settings.MQTT_URL, settings.EMAIL_HOST = "mqtt://127.0.0.1:1", "127.0.0.1"
    settings.MQTT_TOPICS, settings.MQTT_STATUS_TOPICS = ["iot/measurements"], ("iot/status/+",)
    assert wrong(kind, given) == {field}


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("webhook", {"url": " https://example.org/x?y ", "secret": SECRET}, {"secret": SECRET}),
        ("ntfy", {"topic": "t"}, {"server": "https://ntfy.sh", "topic": "t", "token": ""}),
        ("telegram", {"token": "1:" + "x" * 35, "chat": "-10012"}, {"chat": "-10012"}),
        ("mqtt", {"topic": "iot/alerts", "retained": True}, {"topic": "iot/alerts", "retained": True}),
        ("email", {"to": TWO}, {"to": TWO}),
        ("email", {"to": "ana@example.org, ben@example.org\n"}, {"to": TWO}),
    ],
)  # fmt: skip
def test_settings_are_kept_as_they_are_used(
    kind: str, given: dict[str, Any], kept: dict[str, Any], settings: Any
) -> None:
    settings.MQTT_URL, settings.EMAIL_HOST = "mqtt://127.0.0.1:1", "127.0.0.1"
    found = channels.check(kind, given)
    assert {name: found[name] for name in kept} == kept
    assert set(found) == {field.name for field in channels.fields(kind)}


def test_a_secret_stays_where_none_is_given_and_is_not_shown() -> None:
    kept = channels.check("webhook", {"url": "https://example.org/"})
    assert len(webhook._key(kept["secret"]) or b"") == 32
    changed = channels.check("webhook", {"url": "https://example.org", "secret": ""}, kept)
    assert changed == {"url": "https://example.org", "secret": kept["secret"]}
    assert channels.shown("webhook", changed, may_change=True) == {
        "url": "https://example.org",
        "secret": True,
    }
    elsewhere = channels.check("webhook", {"url": "https://example.com/", "secret": ""}, kept)
    assert elsewhere["secret"] != kept["secret"]


def test_kinds_are_offered_where_they_can_be_sent_by(settings: Any) -> None:
    settings.MQTT_URL, settings.EMAIL_HOST = None, ""
    assert channels.offered() == ["webhook", "ntfy", "telegram"]
    assert wrong("email", {"to": "ana@example.org"}) == {"kind"}
    assert wrong("mqtt", {}) == wrong("apprise", {}) == {"kind"}
    settings.MQTT_URL, settings.EMAIL_HOST = "mqtt://127.0.0.1:1", "127.0.0.1"
    assert channels.offered() == ["email", "webhook", "ntfy", "telegram", "mqtt"]
