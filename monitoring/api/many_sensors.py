"""Many sensors at once: which of them a query names, and changing them, all or none."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring.api.query import SensorFilter
from monitoring.api.serializers import ListedChangeSerializer, SensorChangeSerializer, SensorSerializer
from monitoring.models import Sensor
from monitoring.models.sensor import SensorQuerySet
from monitoring.numbers import grouped

MOST = 1000
_NAME_THEM = _(
    "Name the sensors: send an array of objects, each with an id, or one object with ?q=, ?kind= or ?active=."
)


def named_by(query: Mapping[str, Any]) -> SensorQuerySet:
    """Those that a SensorFilter names; without any parameter, all."""
    return Sensor.objects.present().found_by(query.get("q", ""), query.get("kind"), query.get("active"))


def change_many(request: Request) -> Response:
    """The answer to PATCH sensors/. Raises ValidationError, and then nothing is changed."""
    query = SensorFilter.read(request)
    if isinstance(request.data, list):
        if query:
            raise ValidationError({"detail": gettext("An array names its sensors: leave the query out.")})
        sensors = _change_listed(request.data)
        return Response(SensorSerializer(sensors, many=True).data)
    if not query:
        raise ValidationError({"detail": _NAME_THEM})
    return Response({"changed": _change_found(query, request.data)})


def _change_listed(data: list[Any]) -> list[Sensor]:
    if not 0 < len(data) <= MOST:
        most = grouped(MOST)
        raise ValidationError({"detail": gettext("1 to %s sensors can be changed at once.") % most})
    changes = _checked(data)
    ids = [change.pop("id", None) for change in changes]
    named = [(number, change) for number, change in zip(ids, changes, strict=True) if number is not None]
    with transaction.atomic():
        Sensor.objects.present().change((Sensor(pk=number, **change), change) for number, change in named)
        # Whoever changes sensors waits for us by now, so that what is seen here stays so.
        present = Sensor.objects.present().select_related("standing")
        there = present.in_bulk([number for number in ids if number is not None])
        _require_each_once(ids, there)
    return [there[number] for number in ids]


def _checked(data: list[Any]) -> list[dict[str, Any]]:
    # Not many=True: how that tells errors is about to change, from a list to an object.
    one = ListedChangeSerializer(partial=True)
    changes: list[dict[str, Any]] = []
    errors: list[Any] = []
    for item in data:
        try:
            changes.append(one.run_validation(item))
            errors.append({})
        except ValidationError as error:
            of_fields = isinstance(error.detail, dict)
            errors.append(error.detail if of_fields else {"non_field_errors": error.detail})
    if any(errors):
        raise ValidationError(errors)
    return changes


def _require_each_once(ids: list[int | None], there: Mapping[int, Sensor]) -> None:
    errors, seen = [], set()
    for number in ids:
        if number is None:
            problem = gettext("This field is required.")
        elif number in seen:
            problem = gettext("Given more than once.")
        else:
            problem = "" if number in there else gettext("There is no sensor with this id.")
        errors.append({"id": [problem]} if problem else {})
        seen.add(number)
    if any(errors):
        raise ValidationError(errors)


def _change_found(query: Mapping[str, Any], data: Any) -> int:
    said = SensorChangeSerializer(data=data, partial=True)
    said.is_valid(raise_exception=True)
    if not said.validated_data:
        raise ValidationError({"detail": gettext("Say what is to change.")})
    return named_by(query).update(**said.validated_data)
