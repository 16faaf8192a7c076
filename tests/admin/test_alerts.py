"""Alerts in the admin: rules and silences are changed, incidents and deliveries are read."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from batches.store import BatchStore
from monitoring.alerts.channels import webhook
from monitoring.models import AlertChannel, AlertRule, Delivery, Incident, Mute, Notification, Sensor
from tests.admin.conftest import signed_in
from tests.admin.test_pages import page, tile
from tests.alerts.conftest import mail, web
from tests.alerts.receivers import Mail, Web
from tests.plans import plan

__all__ = ["mail", "web"]

SECRET = webhook.new_secret()

RULE: dict[str, Any] = {
    "name": "Too warm",
    "kind": "above",
    "severity": "critical",
    "enabled": "on",
    "high": "25.5",
    "for_s": "60",
    "keep_s": "0",
    "window_s": "0",
    "intervals": "10",
    "sensor": "1",
}


@pytest.fixture
def channel(db: None) -> AlertChannel:
    return AlertChannel.objects.create(name="ops", kind="email", settings={"to": ["ops@example.org"]})


@pytest.fixture
def incident(sensors: dict[int, Sensor], now: datetime) -> Incident:
    rule = AlertRule.objects.create(name="Too warm", kind="above", high=25, severity="critical", sensor_id=1)
    return fire(rule, now)


def fire(rule: AlertRule, since: datetime, **more: Any) -> Incident:
    said = {"title": rule.name, "kind": rule.kind, "severity": rule.severity, "sensor_id": 1}
    times = {"since": since, "fired_at": since, "seen_at": since}
    return Incident.objects.create(
        **{"rule": rule, "subject": "sensor:1", "peak": 27.5, **said, **times} | more
    )


def listed(admin: Client, model: type, **query: object) -> list[Any]:
    return list(admin.get(page(model), query).context["cl"].result_list)


def test_a_rule_is_made_and_changed(admin: Client, sensors: object, channel: AlertChannel) -> None:
    answer = admin.post(page(AlertRule, "add"), RULE | {"channels": [channel.pk]})
    assert answer.status_code == 302, answer.context["errors"]
    rule = AlertRule.objects.get()
    assert (rule.name, rule.high, rule.for_s, rule.sensor_id, rule.version) == ("Too warm", 25.5, 60, 1, 1)
    assert list(rule.channels.all()) == [channel]
    assert rule.created_by is not None
    change = page(AlertRule, "change", rule.pk)
    assert "Capteur Temp Salon" in admin.get(change).content.decode()
    assert admin.post(change, RULE | {"name": "Warm"}).status_code == 302
    rule.refresh_from_db()
    assert (rule.name, rule.version, rule.channels.count()) == ("Warm", 1, 0)
    assert admin.post(change, RULE | {"high": "30"}).status_code == 302
    rule.refresh_from_db()
    assert (rule.high, rule.version) == (30.0, 2)


def test_what_a_rule_cannot_say_is_said_at_its_field(admin: Client, sensors: object) -> None:
    for said, field in (
        ({"high": ""}, "high"),
        ({"kind": "rate"}, "window_s"),
        ({"check_of": "books"}, "check_of"),
    ):
        answer = admin.post(page(AlertRule, "add"), RULE | said)
        assert answer.status_code == 200
        assert set(answer.context["adminform"].form.errors) == {field}
    assert not AlertRule.objects.exists()


def test_the_list_of_rules(admin: Client, sensors: object, channel: AlertChannel) -> None:
    warm = AlertRule.objects.create(name="Warm", kind="above", high=25, sensor_id=1)
    AlertRule.objects.create(name="Silent", kind="silence", enabled=False)
    warm.channels.add(channel)
    html = admin.get(page(AlertRule)).content.decode()
    for said in ("Capteur Temp Salon", "none: shown on the page alone", "above a value", ">all<"):
        assert said in html
    assert listed(admin, AlertRule, q="temp salon") == [warm]
    assert listed(admin, AlertRule, kind__exact="above") == [warm]


def test_a_rule_is_deleted_and_what_it_found_stays(admin: Client, incident: Incident) -> None:
    rule = incident.rule
    assert rule is not None
    assert admin.post(page(AlertRule, "delete", rule.pk), {"post": "yes"}).status_code == 302
    other = AlertRule.objects.create(name="Silent", kind="silence")
    several = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    assert admin.post(page(AlertRule), several).status_code == 302
    assert not AlertRule.objects.exists()
    incident.refresh_from_db()
    assert (incident.rule, incident.title) == (None, "Too warm")


def test_incidents_are_read(admin: Client, incident: Incident) -> None:
    assert incident.rule is not None
    whole = fire(incident.rule, incident.since, sensor_id=None, subject="location:Hall")
    part = fire(incident.rule, incident.since, sensor_id=2, subject="sensor:2", part_of=whole)
    assert listed(admin, Incident) == [whole, incident]
    assert listed(admin, Incident, part_of__id__exact=whole.pk) == [part]
    assert listed(admin, Incident, sensor__id__exact=2) == [part]
    assert listed(admin, Incident, state__exact="resolved") == []
    html = admin.get(page(Incident)).content.decode()
    for said in ("Capteur Temp Salon", "location:Hall", "27.5", "critical", "firing"):
        assert said in html
    shown = admin.get(page(Incident, "change", part.pk)).content.decode()
    assert page(Incident, "change", whole.pk) in shown
    assert "(&#x27;" not in shown, "a badge of a list is no text"
    names = admin.get(page(Incident, "change", whole.pk)).content.decode()
    assert f"part_of__id__exact={whole.pk}" in names
    for refused in (page(Incident, "add"), page(Incident, "delete", part.pk)):
        assert admin.get(refused).status_code == 403
    assert admin.post(page(Incident, "change", part.pk), {"title": "x"}).status_code == 403


def test_a_page_of_incidents_is_read_from_its_index(admin: Client, incident: Incident) -> None:
    with CaptureQueriesContext(connection) as queries:
        admin.get(page(Incident))
    (asked,) = (q["sql"] for q in queries if 'FROM "monitoring_incident"' in q["sql"])
    planned = plan(asked, without=("seqscan", "bitmapscan", "sort"))
    assert "incident_newest" in planned, planned
    assert not re.search(r"^ *(->)? *Sort", planned, re.MULTILINE), planned


def test_a_silence_is_made(admin: Client, sensors: object, now: datetime) -> None:
    at = now.replace(microsecond=0)
    form = {
        "sensor": "3",
        "starts_at_0": f"{at:%Y-%m-%d}",
        "starts_at_1": f"{at:%H:%M:%S}",
        "weekdays": ["6", "5"],
        "from_time": "22:00",
        "to_time": "06:00",
        "zone": "Europe/Paris",
        "comment": "Nights",
    }
    answer = admin.post(page(Mute, "add"), form)
    assert answer.status_code == 302, answer.context["errors"]
    mute = Mute.objects.get()
    assert (mute.sensor_id, sorted(mute.weekdays), mute.zone) == (3, [5, 6], "Europe/Paris")
    assert mute.created_by is not None
    assert (mute.starts_at, mute.ends_at) == (at, None)
    html = admin.get(page(Mute)).content.decode()
    for said in ("Capteur Lumière Salon", "Sat Sun 22:00–06:00 Europe/Paris", "Nights"):
        assert said in html
    change = admin.get(page(Mute, "change", mute.pk)).content.decode()
    assert len(re.findall(r'name="weekdays"[^>]* checked>', change)) == 2
    for wrong, field in (({"zone": "Mars"}, "zone"), ({"to_time": "22:00"}, "to_time")):
        answer = admin.post(page(Mute, "change", mute.pk), form | wrong)
        assert set(answer.context["adminform"].form.errors) == {field}


def test_a_form_for_a_silence_begins_now(admin: Client, sensors: object) -> None:
    begun = datetime.now(UTC).replace(microsecond=0)
    form = admin.get(page(Mute, "add")).context["adminform"].form
    assert form.get_initial_for_field(form.fields["starts_at"], "starts_at") >= begun
    Mute.objects.create(starts_at=datetime.now(UTC) - timedelta(hours=1))
    assert "everything" in admin.get(page(Mute)).content.decode()


def test_a_channel_is_made_and_its_secret_is_never_shown(admin: Client, db: None) -> None:
    kinds = admin.get(page(AlertChannel, "add") + "?_popup=1").content.decode()
    assert 'href="?_popup=1&amp;kind=webhook"' in kinds
    assert "No mail server is set: EMAIL_URL." in kinds
    add = page(AlertChannel, "add") + "?kind=webhook"
    html = admin.get(add).content.decode()
    assert "webhook_url" in html
    assert "telegram_chat" not in html
    form = {"name": "hook", "enabled": "on", "group_s": "10"}
    wrong = admin.post(add, form)
    assert set(wrong.context["adminform"].form.errors) == {"webhook_url"}
    said = form | {"webhook_url": "https://example.org/hook", "webhook_secret": SECRET}
    answer = admin.post(add, said)
    assert answer.status_code == 302, answer.context["errors"]
    channel = AlertChannel.objects.get()
    assert channel.kind == "webhook"
    for no_kind in ("pigeon", "email", ""):
        assert "telegram" in admin.get(page(AlertChannel, "add"), {"kind": no_kind}).content.decode()
    assert channel.settings == {"url": "https://example.org/hook", "secret": SECRET}
    change = page(AlertChannel, "change", channel.pk)
    for shown in (change, page(AlertChannel)):
        assert SECRET not in admin.get(shown).content.decode()
    html = admin.get(change).content.decode()
    assert "It is set, and not shown." in html
    assert 'value="https://example.org/hook"' in html
    assert "telegram_chat" not in html
    kept = form | {"webhook_url": "https://example.org/hook", "group_s": "60"}
    assert admin.post(change, kept).status_code == 302
    channel.refresh_from_db()
    assert (channel.group_s, channel.settings["secret"]) == (60, SECRET)
    assert admin.post(change, kept | {"webhook_url": "https://example.com/"}).status_code == 302
    channel.refresh_from_db()
    assert channel.settings["secret"] != SECRET, "whoever may not read it cannot have it used elsewhere"


@pytest.mark.parametrize(
    ("kind", "settings", "key", "shown"),
    [
        (
            "webhook",
            {"url": "https://hooks.example/services/T0/k3y", "secret": SECRET},
            "k3y",
            "hooks.example/…",
        ),
        ("ntfy", {"server": "https://ntfy.example", "topic": "k3y", "token": ""}, "k3y", "topic: set"),
    ],
)
def test_an_address_that_is_a_key_is_shown_to_those_who_may_change_it(
    admin: Client, kind: str, settings: dict[str, str], key: str, shown: str
) -> None:
    channel = AlertChannel.objects.create(name="chat", kind=kind, settings=settings)
    change = page(AlertChannel, "change", channel.pk)
    assert key in admin.get(change).content.decode()
    operator = signed_in(Client(), "operator")
    seen = operator.get(change).content.decode()
    assert key not in seen
    assert shown in seen
    assert key not in operator.get(page(AlertChannel)).content.decode()


def test_a_channel_of_lines(admin: Client, channel: AlertChannel, mail: Mail) -> None:
    change = page(AlertChannel, "change", channel.pk)
    assert ">ops@example.org<" in re.sub(r"\s+", "", admin.get(change).content.decode())
    form = {"name": "ops", "enabled": "on", "group_s": "10", "email_to": "a@example.org\nb@example.org"}
    answer = admin.post(change, form)
    assert answer.status_code == 302, answer.context["errors"]
    channel.refresh_from_db()
    assert (channel.kind, channel.settings) == ("email", {"to": ["a@example.org", "b@example.org"]})


def test_a_channel_that_failed_is_switched_on_again(admin: Client, now: datetime) -> None:
    channel = AlertChannel.objects.create(
        name="phone",
        kind="ntfy",
        settings={"server": "https://ntfy.example", "topic": "a", "token": ""},
        enabled=False,
        disabled_why="403 Forbidden",
        disabled_at=now,
    )
    change = page(AlertChannel, "change", channel.pk)
    for shown in (page(AlertChannel), change):
        assert "403 Forbidden" in admin.get(shown).content.decode()
    form = {"name": "phone", "group_s": "10", "ntfy_server": "https://ntfy.example", "ntfy_topic": "a"}
    assert admin.post(change, form | {"group_s": "20"}).status_code == 302
    channel.refresh_from_db()
    assert (channel.group_s, channel.disabled_why) == (20, "403 Forbidden")
    assert admin.post(change, form | {"enabled": "on"}).status_code == 302
    channel.refresh_from_db()
    assert (channel.enabled, channel.disabled_why, channel.disabled_at) == (True, "", None)


def test_a_test_is_sent(admin: Client, web: Web) -> None:
    channel = AlertChannel.objects.create(
        name="hook", kind="webhook", settings={"url": web.url, "secret": SECRET}
    )
    asked = {"action": "send_test", "_selected_action": [channel.pk]}
    assert "A test was sent to hook." in admin.post(page(AlertChannel), asked, follow=True).content.decode()
    AlertChannel.objects.update(settings={"url": "http://127.0.0.1:1/", "secret": SECRET})
    failed = admin.post(page(AlertChannel), asked, follow=True).content.decode()
    assert "The test could not be sent to hook: " in failed
    other = AlertChannel.objects.create(name="other", kind="webhook", settings=channel.settings)
    both = asked | {"_selected_action": [channel.pk, other.pk]}
    assert "one channel at a time" in admin.post(page(AlertChannel), both, follow=True).content.decode()
    assert Delivery.objects.count() == 2


def test_deliveries_are_read_with_what_went_wrong(
    admin: Client, incident: Incident, channel: AlertChannel
) -> None:
    failed = Delivery.objects.create(channel=channel, state="failed", tries=3, error="refused <b>550</b>")
    Notification.objects.create(
        incident=incident, sequence=1, event="firing", channel=channel, delivery=failed
    )
    Delivery.objects.create(channel=channel, state="sent", is_test=True)
    html = admin.get(page(Delivery)).content.decode()
    for said in ("refused &lt;b&gt;550", "Too warm: firing", "a test"):
        assert said in html
    assert listed(admin, Delivery, state__exact="failed") == [failed]
    shown = admin.get(page(Delivery, "change", failed.pk)).content.decode()
    assert "refused &lt;b&gt;550" in shown
    assert "(&#x27;" not in shown
    assert admin.get(page(Delivery, "add")).status_code == 403


def test_the_first_page_says_what_fires(admin: Client, incident: Incident, store: BatchStore) -> None:
    assert tile(admin, "Alerts") == ("1", "nobody has acknowledged 1 of them", True)
    Incident.objects.update(acknowledged_at=incident.since)
    assert tile(admin, "Alerts") == ("1", "all are acknowledged", False)
    Incident.objects.update(state="resolved", resolved_at=incident.since)
    assert tile(admin, "Alerts") == ("0", "no rule fires", False)
    assert f"{page(Incident)}?state__exact=firing" in admin.get(reverse("admin:index")).content.decode()


def test_who_may_do_what(client: Client, incident: Incident, channel: AlertChannel) -> None:
    viewer = signed_in(client, "viewer")
    for model in (AlertRule, Incident, Mute):
        assert viewer.get(page(model)).status_code == 200
        assert viewer.get(page(model, "add")).status_code == 403
    for model in (AlertChannel, Delivery):
        assert viewer.get(page(model)).status_code == 403
    sidebar = viewer.get(reverse("admin:index")).content.decode()
    assert page(Incident) in sidebar
    assert page(AlertChannel) not in sidebar
    operator = signed_in(client, "operator")
    for model in (AlertRule, Mute):
        assert operator.get(page(model, "add")).status_code == 200
    for model in (AlertChannel, Delivery):
        assert operator.get(page(model)).status_code == 200
    assert "Send a test" not in operator.get(page(AlertChannel)).content.decode()
    for model in (AlertChannel, Delivery):
        assert operator.get(page(model, "add")).status_code == 403
