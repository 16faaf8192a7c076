"""A sensor goes with all that alerts have of it."""

from datetime import datetime

import pytest

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
from monitoring.upkeep.pieces import TimeShare
from monitoring.upkeep.removal import remove_sensors
from tests.alerts.conftest import MakeIncident, send

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
