"""How the list of rejected messages is narrowed down, and that as a selection that a job can keep."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, TextFilter

from monitoring.admin.codes import CodeFilter
from monitoring.admin.read_only import TimeRange, time_range
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import RejectedMessage
from monitoring.rejected.selection import Selection

STATE = "state__exact"
LOOKUPS = ("code", "sensor", "topic", STATE, *time_range("received_at"))
# A field that is left empty filters nothing, and what came over HTTP may have no topic.
NO_TOPIC = "(none)"
# Those that name no sensor.
NO_SENSOR = "none"
# What no sensor has: nothing is found by what is no id.
NOBODY = -1


class SensorFilter(TextFilter):  # type: ignore[misc]
    title = _("sensor")
    parameter_name = "sensor"

    @property
    def sensor(self) -> int | None:
        text = (self.value() or "").strip()
        if not text or self.is_none:
            return None
        is_id = text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_SENSOR_ID
        return int(text) if is_id else NOBODY

    @property
    def is_none(self) -> bool:
        return bool((self.value() or "").strip() == NO_SENSOR)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.is_none:
            return queryset.filter(sensors=[])
        return queryset if self.sensor is None else queryset.filter(sensors__contains=[self.sensor])


class TopicFilter(TextFilter):  # type: ignore[misc]
    title = _("topic")
    parameter_name = "topic"

    @property
    def topic(self) -> str | None:
        text = str(self.value() or "")
        # PostgreSQL takes no NUL, and no topic has one.
        return "" if text == NO_TOPIC else text.replace("\0", "\ufffd") or None

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.topic is None else queryset.filter(topic=self.topic)


class StateFilter(DropdownFilter):  # type: ignore[misc]
    title = _("state")
    parameter_name = STATE

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return RejectedMessage.State.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


FILTERS = (CodeFilter, SensorFilter, TopicFilter, ("received_at", TimeRange), StateFilter)


def selected(changelist: ChangeList) -> Selection:
    """The selection for a job: of the messages that the list's filters let through, those that wait."""
    said: dict[str, Any] = {}
    for spec in changelist.filter_specs:
        match spec:
            case CodeFilter():
                said["code"] = spec.value() or None
            case SensorFilter():
                said["sensor"], said["without_sensor"] = spec.sensor, spec.is_none or None
            case TopicFilter():
                said["topic"] = spec.topic
            case TimeRange():
                start, last = spec.bounds
                # A selection ends before its end, a filter with it.
                said["start"], said["until"] = start, last and last + timedelta(microseconds=1)
            case StateFilter() if spec.value() not in (None, "", RejectedMessage.State.WAITING.value):
                said["ids"] = ()
    return Selection(**said)


def query(code: str | None = None, sensor: int | str | None = None, topic: str | None = None) -> str:
    """Of the list's address, for those that wait. `sensor`: an id, or NO_SENSOR."""
    said: Mapping[str, Any] = {
        "code": code,
        "sensor": sensor,
        "topic": NO_TOPIC if topic == "" else topic,
        STATE: RejectedMessage.State.WAITING.value,
    }
    return urlencode({name: value for name, value in said.items() if value is not None})
