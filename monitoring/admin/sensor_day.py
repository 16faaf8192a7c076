"""A sensor's last 24 hours, for its page here: drawn by the server, then by the dashboard's chart there
(static/monitoring/dashboard/day.js)."""

from typing import NamedTuple

from django.urls import reverse
from django.utils import timezone

from monitoring.admin import ages
from monitoring.models import Sensor, SensorStatus
from monitoring.rollups import sparklines
from monitoring.rollups.drawing import Sparkline, draw
from monitoring.templatetags.dashboard import figure

# Of the drawing; the page stretches it.
WIDTH, HEIGHT = 720, 160


class Day(NamedTuple):
    """`drawn`: None where nothing was measured within the day. Values as the reader's language has them;
    `start` and `end` for a script, `first` and `last` for a person."""

    sensor: int
    drawn: Sparkline | None
    low: str
    high: str
    unit: str
    start: str
    end: str
    first: str
    last: str
    zone: str
    status: str | None
    url: str


def of(sensor: Sensor) -> Day:
    now = timezone.now()
    # It may have none.
    row: SensorStatus | None = getattr(sensor, "standing", None)
    hours = sparklines.of([sensor.pk], now).get(sensor.pk, [])
    start = sparklines.first_hour(now)
    return Day(
        sensor=sensor.pk,
        drawn=draw(hours, WIDTH, HEIGHT),
        low=figure(min(hour.min for hour in hours)) if hours else "",
        high=figure(max(hour.max for hour in hours)) if hours else "",
        unit=sensor.unit,
        start=start.isoformat(),
        end=now.isoformat(),
        first=ages.to_the_minute(start),
        last=ages.to_the_minute(now),
        zone=ages.zone(),
        status=None if row is None else row.status,
        url=page_of(sensor),
    )


def page_of(sensor: Sensor) -> str:
    """The dashboard's."""
    return reverse("dashboard:sensor", args=[sensor.pk])
