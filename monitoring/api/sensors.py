"""sensors/: listed, registered, changed; and deleted, which a job does."""

from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.errors import ConflictError
from monitoring.api.many_sensors import change_many, named_by
from monitoring.api.pages import LINK, Cursor, page
from monitoring.api.query import SensorFilter, SensorsQuery, take_none
from monitoring.api.serializers import (
    ChangedSerializer,
    DetailSerializer,
    ListedChangeSerializer,
    ListedSensorSerializer,
    NewSensorSerializer,
    RemovalSerializer,
    SensorChangeSerializer,
    SensorSerializer,
)
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Measurement, Sensor
from monitoring.models.sensor import SensorQuerySet
from monitoring.upkeep.removal import belongings, request_removal

_SENSORS: dict[str, Any] = {"serializer": SensorSerializer, "cursor": lambda sensor: Cursor.by_id(sensor.pk)}
_NONE = _("There is no sensor with this id.")


class Sensors(APIView):
    permissions = {
        "GET": "monitoring.view_sensor",
        "POST": "monitoring.add_sensor",
        "PATCH": "monitoring.change_sensor",
    }

    @extend_schema(
        summary="The sensors, by id",
        parameters=[SensorsQuery, LINK],
        responses=ListedSensorSerializer(many=True),
        operation_id="sensors_list",
    )
    def get(self, request: Request) -> Response:
        query = SensorsQuery.read(request)
        rows = named_by(query).select_related("standing").order_by("pk")
        if cursor := query.get("cursor"):
            rows = rows.filter(pk__gt=cursor.id)
        found = list(rows[: query["limit"] + 1])
        if "with" not in query:
            return page(request, found, query["limit"], _SENSORS)
        if not (settings.API_PUBLIC_READ or request.user.has_perm("monitoring.view_measurement")):
            needed = "monitoring.view_measurement"
            raise PermissionDenied(gettext("with=last needs the permission %s.") % needed)
        last = Measurement.objects.last_of([sensor.pk for sensor in found])
        for sensor in found:
            sensor.last = last.get(sensor.pk)
        return page(request, found, query["limit"], _SENSORS | {"serializer": ListedSensorSerializer})

    @extend_schema(
        summary="Change many sensors",
        description="All or none. Either an array of at most 1,000 objects, each with the `id` of a sensor"
        " and what is to change of it: the answer is the sensors, or an array of the errors of each. Or one"
        " object, for all sensors that the query names.",
        parameters=[SensorFilter],
        request=PolymorphicProxySerializer(
            "ManyChanges",
            [ListedChangeSerializer(many=True, partial=True), SensorChangeSerializer(partial=True)],
            None,
            many=False,
        ),
        responses={
            200: PolymorphicProxySerializer(
                "ManyChanged", [SensorSerializer(many=True), ChangedSerializer], None, many=False
            ),
            400: DetailSerializer,
        },
        operation_id="sensors_change_many",
    )
    def patch(self, request: Request) -> Response:
        return change_many(request)

    @extend_schema(
        summary="Register a sensor",
        description="Under the id that its messages name already, or the next free one.",
        request=NewSensorSerializer,
        responses={201: SensorSerializer, 400: DetailSerializer, 409: DetailSerializer},
        operation_id="sensors_register",
    )
    def post(self, request: Request) -> Response:
        take_none(request)
        said = NewSensorSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        try:
            with transaction.atomic():
                sensor = Sensor.objects.create(**said.validated_data)
        except IntegrityError:
            detail = gettext("There is a sensor with this id, or one is being removed.")
            raise ConflictError(detail) from None
        if "id" in said.validated_data:
            # Moves the sequence past it.
            Sensor.objects.register([])
        return Response(
            SensorSerializer(sensor).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": request.build_absolute_uri(f"{sensor.pk}/")},
        )


class OneSensor(APIView):
    permissions = {
        "GET": "monitoring.view_sensor",
        "PATCH": "monitoring.change_sensor",
        "DELETE": "monitoring.delete_sensor",
    }

    @extend_schema(summary="One sensor", responses={200: SensorSerializer, 404: DetailSerializer})
    def get(self, request: Request, sensor_id: int) -> Response:
        take_none(request)
        sensor = _present(sensor_id).select_related("standing").first()
        if sensor is None:
            raise NotFound(_NONE)
        return Response(SensorSerializer(sensor).data)

    @extend_schema(
        summary="Change a sensor",
        request=SensorChangeSerializer(partial=True),
        responses={200: SensorSerializer, 400: DetailSerializer, 404: DetailSerializer},
    )
    def patch(self, request: Request, sensor_id: int) -> Response:
        take_none(request)
        said = SensorChangeSerializer(data=request.data, partial=True)
        said.is_valid(raise_exception=True)
        changes: dict[str, Any] = said.validated_data
        # These columns alone: a removal that somebody asks for meanwhile stands.
        if changes and not _present(sensor_id).update(**changes):
            raise NotFound(_NONE)
        return self.get(request, sensor_id)

    @extend_schema(
        summary="Delete a sensor and all that belongs to it",
        description="202: it takes no more measurements from now on, and a job removes it with its"
        " measurements and rollups, piece by piece. Until then they can be read. There is no way back.",
        responses={202: RemovalSerializer, 404: DetailSerializer},
    )
    def delete(self, request: Request, sensor_id: int) -> Response:
        take_none(request)
        sensors = _with_id(sensor_id)
        if not sensors.exists():
            raise NotFound(_NONE)
        going = belongings(sensor_id)
        request_removal(sensors)
        detail = gettext("It takes no more measurements, and is being removed with all that belongs to it.")
        answer = {"detail": detail, "sensor": sensor_id, **going._asdict()}
        return Response(RemovalSerializer(answer).data, status=status.HTTP_202_ACCEPTED)


def _with_id(sensor_id: int) -> SensorQuerySet:
    """The sensor, if there is one; a number too large for a column is none."""
    return Sensor.objects.filter(pk=sensor_id) if sensor_id <= MAX_SENSOR_ID else Sensor.objects.none()


def _present(sensor_id: int) -> SensorQuerySet:
    return _with_id(sensor_id).present()
