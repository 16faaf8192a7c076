"""A channel that was off is told of what it missed, once it is on again."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from monitoring.alerts import missed, telling
from monitoring.models import AlertChannel, AlertRule, Delivery, Incident, Mute, Notification, Sensor
from tests.alerts.conftest import RESOLVED, MakeIncident, resolve, send
from tests.alerts.receivers import Web
from tests.locks import another

pytestmark = pytest.mark.django_db
LATER = missed.SETTLES + timedelta(seconds=5)


@pytest.fixture
def other(rule: AlertRule, web: Web) -> AlertChannel:
    """A channel of the rule that was never off."""
    channel = AlertChannel.objects.create(name="other", kind="mqtt", settings={"topic": "t"}, group_s=3600)
    rule.channels.add(channel)
    return channel


@pytest.fixture
def told(rule: AlertRule, hook: AlertChannel, other: AlertChannel) -> AlertChannel:
    rule.channels.add(hook)
    return hook


def switch(channel: AlertChannel, on: bool) -> None:
    channel.refresh_from_db()
    channel.switch(on=on)
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
    assert missed.tell(now) == 0
    switch(told, on=True)
    assert missed.tell(now) == 2
    assert missed.tell(now) == 0
    assert send() == (1, 0, 0)
    assert events(web) == [(1, "firing"), (2, "firing")]
    assert missed.tell(now + LATER) == 0
    told.refresh_from_db()
    assert told.missed_since is told.missed_until is None
    assert send() == (0, 0, 0)


def test_the_end_of_what_it_was_told_of_is_told(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    before, ended, again = fires(3), fires(1), fires(2)
    send()
    before.state, before.ended_seen_at = Incident.State.RESOLVED, now - timedelta(days=2)
    before.save()  # while it was muted
    switch(told, on=False)
    for one in (ended, again):
        one.ended_seen_at = datetime.now(now.tzinfo)
        resolve(one, now)
    again.state, again.resolved_at, again.end = Incident.State.FIRING, None, ""
    again.save()
    switch(told, on=True)
    assert missed.tell(now) == 1, "that the other fires it knows"
    send()
    assert events(web) == [(1, "resolved")]
    assert missed.tell(now) == 0


def test_an_end_that_failed_is_told(told: AlertChannel, fires: MakeIncident, web: Web, now: datetime) -> None:
    incident = fires(1)
    send()
    web.answers = [(410, {})]
    incident.ended_seen_at = now - timedelta(hours=3)  # its delivery was tried for so long
    resolve(incident, now)
    assert send() == (0, 1, 0)
    switch(told, on=True)
    missed.tell(now)
    assert send() == (1, 0, 0)
    assert events(web) == [(1, "resolved")]


def test_the_end_of_what_failed_to_reach_it_is_not_told(
    told: AlertChannel, fires: MakeIncident, web: Web, now: datetime
) -> None:
    web.answers = [(400, {})]
    incident = fires(1)
    assert send() == (0, 1, 0)
    resolve(incident, now)
    assert not Notification.objects.filter(channel=told, event=RESOLVED).exists()


def test_it_is_told_of_nothing_that_others_are_not(
    told: AlertChannel, other: AlertChannel, fires: MakeIncident, now: datetime
) -> None:
    switch(told, on=False)
    whole = fires(1)
    Incident.objects.filter(pk=fires(2).pk).update(part_of=whole)
    Incident.objects.filter(pk=fires(3).pk).update(acknowledged_at=now)
    of_others = list(Notification.objects.filter(channel=other).values())
    told_at = list(Incident.objects.order_by("pk").values_list("told_at"))
    switch(told, on=True)
    Mute.objects.create(starts_at=now - timedelta(hours=1), ends_at=now + timedelta(days=1), sensor_id=1)
    assert missed.tell(now + LATER) == 0
    Mute.objects.update(ends_at=now)
    assert missed.tell(now + LATER) == 1, "once it is over"
    assert list(Notification.objects.filter(channel=other).values()) == of_others
    assert list(Incident.objects.order_by("pk").values_list("told_at")) == told_at
    assert [one.incident for one in Notification.objects.filter(channel=told)] == [whole]


def test_what_nobody_was_told_of_is_told_to_all(
    told: AlertChannel, other: AlertChannel, fires: MakeIncident, now: datetime
) -> None:
    switch(told, on=False)
    mute = Mute.objects.create(starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1))
    fires(1)
    switch(told, on=True)
    mute.delete()
    assert missed.tell(now) == 0
    assert telling.tell_held_back(now + telling.HELD_BACK) == 1
    assert Notification.objects.filter(channel=told).count() == 1
    assert Notification.objects.filter(channel=other).count() == 1
    assert missed.tell(now + LATER) == 0


@pytest.mark.django_db(transaction=True)
def test_what_somebody_changes_at_that_moment_waits_for_the_next_time(
    told: AlertChannel, fires: MakeIncident, now: datetime, sensors: dict[int, Sensor]
) -> None:
    switch(told, on=False)
    incident = fires(1)
    switch(told, on=True)
    told_of: list[int] = []
    with another(lambda: told_of.append(missed.tell(now + LATER))) as thread, transaction.atomic():
        Incident.objects.select_for_update().get(pk=incident.pk)
        thread.start()
        thread.join(30)
        assert told_of == [0]
    assert missed.tell(now + LATER) == 1


def test_at_rest_it_asks_nothing(told: AlertChannel, fires: MakeIncident, now: datetime) -> None:
    switch(told, on=False)
    switch(told, on=True)
    missed.tell(now + LATER)
    with CaptureQueriesContext(connection) as asked:
        missed.tell(now)
    assert len(asked) == 1


def by_api(admin_client: Any, channel: AlertChannel, on: bool) -> None:
    client = APIClient()
    client.force_login(admin_client.get(reverse("admin:index")).wsgi_request.user)
    url = f"/api/monitoring/alerts/channels/{channel.pk}/"
    assert client.patch(url, {"enabled": on}, format="json").status_code == 200


def by_dashboard(admin_client: Any, channel: AlertChannel, on: bool) -> None:
    url = reverse("dashboard:channel_switch", args=[channel.pk])
    found = admin_client.post(url, {"enabled": str(int(on))}, follow=True)
    assert ("It will be told of what fires still" in found.content.decode()) == on


def by_admin(admin_client: Any, channel: AlertChannel, on: bool) -> None:
    url = reverse("admin:monitoring_alertchannel_change", args=[channel.pk])
    form = admin_client.get(url).context["adminform"].form
    fields = {name: value for name, value in form.initial.items() if value is not None and name != "enabled"}
    said = {**fields, "webhook_url": channel.settings["url"], **({"enabled": "on"} if on else {})}
    assert admin_client.post(url, said).status_code == 302


@pytest.mark.parametrize("switch", [by_api, by_dashboard, by_admin])
def test_whoever_switches_it_on_has_it_told(
    switch: Any, admin_client: Any, told: AlertChannel, fires: MakeIncident, now: datetime, store: Any
) -> None:
    for _ in range(2):  # switched off twice, it was off since the first time
        switch(admin_client, told, on=False)
        told.refresh_from_db()
        assert not told.enabled
    off_since = told.disabled_at
    fires(1)
    for _ in range(2):
        switch(admin_client, told, on=True)
        told.refresh_from_db()
        assert (told.enabled, told.disabled_at, told.missed_since) == (True, None, off_since)
    outbox_before = Delivery.objects.count()
    assert telling.job(store, telling.TimeShare(5)).sent == 1
    assert Delivery.objects.count() == outbox_before + 1
