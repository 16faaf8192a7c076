"""Where a sensor id leads: to the sensor, or to the lobby where nobody has registered it."""

from collections.abc import Iterable
from typing import NamedTuple

from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring.admin import frame
from monitoring.models import Sensor


class SensorLink(NamedTuple):
    text: str
    url: str
    is_known: bool


def sensor_links(ids: Iterable[int]) -> dict[int, SensorLink]:
    """By id, in one query."""
    wanted = set(ids)
    names = dict(Sensor.objects.present().filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}
    return {
        pk: SensorLink(f"{pk} {names[pk]}", reverse(frame.SENSOR, args=[pk]), True)
        if pk in names
        else SensorLink(_("%d (unknown)") % pk, lobby_of(pk), False)
        for pk in wanted
    }


def lobby_of(pk: int) -> str:
    return f"{reverse(frame.LOBBY)}?only={pk}"
