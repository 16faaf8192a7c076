"""Whom a rule holds for is said in four ways: of one rule, and of many at once in SQL and in the worker."""

from datetime import datetime
from itertools import product

import pytest

from monitoring.alerts.coverage import add_missing_silences, fits, watched, watched_for
from monitoring.models import AlertRule, AlertState, Board, Sensor, SensorStatus
from tests.alerts.conftest import Rules

pytestmark = pytest.mark.django_db


def test_each_way_finds_the_same(rules: Rules, now: datetime) -> None:
    """Whatever a rule names: a sensor, a location, a board, a kind, or some of them."""
    board = Board.objects.create(name="plant", online=True, since=now)
    Sensor.objects.filter(pk=1).update(location="Hall")
    Sensor.objects.filter(pk=2).update(location="Hall", kind="light")
    Sensor.objects.register([Sensor(id=4, name="off", kind="light", location="Hall", is_active=False)])
    SensorStatus.objects.filter(sensor__in=(1, 3)).update(board=board)
    for sensor_id, location, of, kind in product((None, 1), ("", "Hall"), (None, board), ("", "light")):
        named = {"sensor_id": sensor_id, "location": location, "board": of, "sensor_kind": kind}
        rules(kind="silence", limit_s=10, **named)
    found = {(rule.pk, sensor.pk) for rule in AlertRule.objects.all() for sensor in fits(rule)}
    assert len(found) == 16
    by_sensor = watched_for(range(1, 5), watched())
    assert {(rule.id, sensor) for sensor, of_it in by_sensor.items() for rule in of_it} == found
    assert add_missing_silences(now) == len(found)
    assert set(AlertState.objects.values_list("rule", "sensor")) == found
    assert add_missing_silences(now) == 0
