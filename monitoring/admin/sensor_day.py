"""A sensor's last 24 hours as a picture, for its page here; the dashboard has the chart to zoom into."""

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
    """`drawn`: None where nothing was measured within the day. Values as the reader's language has them."""

    drawn: Sparkline | None
    low: str
    high: str
    unit: str
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
    return Day(
        drawn=draw(hours, WIDTH, HEIGHT),
        low=figure(min(hour.min for hour in hours)) if hours else "",
        high=figure(max(hour.max for hour in hours)) if hours else "",
        unit=sensor.unit,
        first=ages.to_the_minute(sparklines.first_hour(now)),
        last=ages.to_the_minute(now),
        zone=ages.zone(),
        status=None if row is None else row.status,
        url=page_of(sensor),
    )


def page_of(sensor: Sensor) -> str:
    """The dashboard's."""
    return reverse("dashboard:sensor", args=[sensor.pk])
