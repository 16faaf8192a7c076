"""A channel that was off is told of what it missed, once it is on again."""

import json
from datetime import datetime
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from monitoring.alerts import missed
from monitoring.models import AlertChannel, AlertRule, Incident, Mute, Notification
from tests.alerts.conftest import MakeIncident, resolve, send
from tests.alerts.receivers import Web

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(rule: AlertRule, hook: AlertChannel) -> AlertChannel:
    rule.channels.add(hook)
    return hook


def switch(channel: AlertChannel, on: bool) -> None:
    channel.refresh_from_db()
    channel.enabled = on
    channel.save()


def events(web: Web) -> list[tuple[int, str]]:
    said: dict[str, Any] = json.loads(web.seen[-1].body)
    return sorted((one["sensor"]["id"], one["event"]) for one in said["data"]["incidents"])


def test_what_fires_still_is_told_in_one_message_and_once(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    web.answers = [(401, {})]
    fires(1)
    over = fires(3)
    assert send() == (0, 1, 0), "the channel is off"
    fires(2)
    resolve(over, now)
    switch(told, on=True)
    assert missed.tell(told) == 2
    assert missed.tell(told) == 0
    assert send() == (1, 0, 0)
    assert events(web) == [(1, "firing"), (2, "firing")]
    assert missed.tell(told) == 0
    assert send() == (0, 0, 0)


def test_the_end_of_what_it_was_told_of_is_told(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    ended, again = fires(1), fires(2)
    send()
    switch(told, on=False)
    resolve(ended, now)
    resolve(again, now)
    again.state, again.resolved_at, again.end = Incident.State.FIRING, None, ""
    again.save()
    switch(told, on=True)
    assert missed.tell(told) == 1, "that the other fires it knows"
    send()
    assert events(web) == [(1, "resolved")]
    assert missed.tell(told) == 0


def test_it_is_told_of_nothing_that_others_are_not(
    told: AlertChannel, rule: AlertRule, fires: MakeIncident, web: Web, now: datetime
) -> None:
    other = AlertChannel.objects.create(name="other", kind="webhook", settings=told.settings, group_s=0)
    rule.channels.add(other)
    switch(told, on=False)
    whole = fires(1)
    Incident.objects.filter(pk=fires(2).pk).update(part_of=whole)
    Incident.objects.filter(pk=fires(3).pk).update(acknowledged_at=now)
    switch(told, on=True)
    of_others = Notification.objects.filter(channel=other).count()
    Mute.objects.create(starts_at=now, comment="Painters", sensor_id=1)
    assert missed.tell(told) == 0
    Mute.objects.all().delete()
    assert missed.tell(told) == 1
    assert Notification.objects.filter(channel=other).count() == of_others
    assert [one.incident for one in Notification.objects.filter(channel=told)] == [whole]


def by_api(admin_client: Any, channel: AlertChannel, on: bool) -> None:
    client = APIClient()
    client.force_login(admin_client.get(reverse("admin:index")).wsgi_request.user)
    url = f"/api/monitoring/alerts/channels/{channel.pk}/"
    assert client.patch(url, {"enabled": on}, format="json").status_code == 200


def by_dashboard(admin_client: Any, channel: AlertChannel, on: bool) -> None:
    url = reverse("dashboard:channel_switch", args=[channel.pk])
    found = admin_client.post(url, {"enabled": str(int(on))}, follow=True)
    assert ("It is told now of 1 incident that it missed." in found.content.decode()) == on


def by_admin(admin_client: Any, channel: AlertChannel, on: bool) -> None:
    url = reverse("admin:monitoring_alertchannel_change", args=[channel.pk])
    form = admin_client.get(url).context["adminform"].form
    fields = {name: value for name, value in form.initial.items() if value is not None and name != "enabled"}
    said = {**fields, "webhook_url": channel.settings["url"], **({"enabled": "on"} if on else {})}
    assert admin_client.post(url, said).status_code == 302


@pytest.mark.parametrize("switch", [by_api, by_dashboard, by_admin])
def test_whoever_switches_it_on_has_it_told(
    switch: Any, admin_client: Any, told: AlertChannel, fires: MakeIncident
) -> None:
    switch(admin_client, told, on=False)
    told.refresh_from_db()
    assert not told.enabled
    fires(1)
    assert not Notification.objects.exists()
    switch(admin_client, told, on=True)
    assert Notification.objects.filter(channel=told).count() == 1
    switch(admin_client, told, on=True) if switch is not by_dashboard else None
    assert Notification.objects.filter(channel=told).count() == 1
