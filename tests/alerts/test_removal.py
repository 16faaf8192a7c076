"""A sensor goes with all that alerts have of it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from monitoring.models import (
    AlertChannel,
    AlertRule,
    AlertState,
    Delivery,
    Incident,
    Mute,
    Notification,
    Sensor,
)
from monitoring.models.incident import BEHIND
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import _delete, remove_sensors
from tests.alerts.conftest import MakeIncident, send
from tests.alerts.receivers import Web
from tests.locks import another, until_somebody_waits_for_us

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_sensor_with_rules_incidents_and_notifications_can_be_removed(
    rule: AlertRule, hook: AlertChannel, fires: MakeIncident, now: datetime
) -> None:
    own = AlertRule.objects.create(name="Of this one", kind="above", high=1.0, sensor_id=1)
    for one in (rule, own):
        one.channels.add(hook)
        Mute.objects.create(rule=one, starts_at=now, weekdays=[7])
        AlertState.objects.create(rule=one, sensor_id=1, subject="sensor:1")
    whole = fires(sensor_id=None, subject="location:Hall")
    fires(1, part_of=whole)
    fires(1, of=own)
    other = fires(2)
    # One that others are parts of may be of a sensor too.
    Incident.objects.filter(pk=other.pk).update(part_of=Incident.objects.get(rule=own))
    send()
    Mute.objects.create(sensor_id=1, starts_at=now)
    Sensor.objects.filter(pk=1).request_removal()
    assert remove_sensors(TimeShare())["sensors"] == 1
    assert set(Incident.objects.values_list("sensor", flat=True)) == {None, 2}
    assert AlertRule.objects.get() == rule
    assert Notification.objects.count() == 2
    assert Delivery.objects.count() == 1
    assert Mute.objects.count() == 1
    assert not AlertState.objects.exists()
    other.refresh_from_db()
    assert other.part_of is None


def ask_for_removal(ago: timedelta = timedelta(0)) -> None:
    """Of a sensor whose rules held before anything fired."""
    AlertRule.objects.update(active_from=datetime.now(UTC) - timedelta(hours=1))
    asked = Sensor.objects.filter(pk=1)
    asked.request_removal()
    asked.update(removal_requested_at=asked.get().removal_requested_at - ago)


def test_whoever_was_told_of_its_alerts_is_told_of_their_end(
    rule: AlertRule, hook: AlertChannel, fires: MakeIncident, web: Web
) -> None:
    own = AlertRule.objects.create(name="Of this one", kind="above", high=1.0, sensor_id=1)
    for one in (rule, own):
        one.channels.add(hook)
        fires(1, of=one)
    send()
    ask_for_removal()
    for _ in range(2):
        assert remove_sensors(TimeShare())["sensors"] == 0, "nobody was told yet"
        assert [one.end for one in Incident.objects.all()] == ["changed", "changed"]
    assert send() == (1, 0, 0)
    told = json.loads(web.seen[-1].body)["data"]["incidents"]
    assert sorted((one["rule"]["name"], one["event"]) for one in told) == [
        ("Of this one", "resolved"),
        ("Too warm", "resolved"),
    ]
    assert remove_sensors(TimeShare())["sensors"] == 1


@pytest.mark.parametrize("way", ["off", "late"])
def test_it_does_not_wait_for_ever(
    way: str, rule: AlertRule, hook: AlertChannel, fires: MakeIncident
) -> None:
    """For a channel that is off, or where nobody gathers."""
    rule.channels.add(hook)
    fires(1)
    AlertChannel.objects.update(enabled=way != "off")
    ask_for_removal(timedelta(minutes=5 if way == "late" else 0))
    assert remove_sensors(TimeShare())["sensors"] == 1


def test_what_we_are_behind_with_ends_with_its_own_silence(
    sensors: dict[int, Sensor], fires: MakeIncident
) -> None:
    own = AlertRule.objects.create(name="Silent", kind="silence", limit_s=20, sensor_id=1)
    fires(of=own, sensor_id=None, subject=BEHIND)
    ask_for_removal()
    assert remove_sensors(TimeShare())["sensors"] == 1
    assert not AlertRule.objects.filter(pk=own.pk).exists()
    assert [one.end for one in Incident.objects.all()] == ["changed"]


def test_whoever_evaluates_it_is_waited_for(rule: AlertRule, fires: MakeIncident) -> None:
    """He holds a row, and what he finds is an incident of the sensor: each would wait for the other."""
    AlertState.objects.create(rule=rule, sensor_id=1, subject="sensor:1")
    ask_for_removal()
    done: list[bool] = []

    def remove() -> None:
        done.append(_delete(Sensor.objects.get(pk=1)))

    with another(remove) as remover, transaction.atomic(), connection.cursor() as cursor:
        AlertState.objects.select_for_update().get()
        remover.start()
        until_somebody_waits_for_us()
        fires(1)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert done == [True]
    assert not Incident.objects.exists()
