"""The routes that read."""

from collections.abc import Mapping
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.fields.tuple_lookups import TupleLessThan
from django.db.models.lookups import Lookup
from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring import books
from monitoring.api.deletions import DeletionQuery, FoundSerializer, delete_measurements
from monitoring.api.pages import LINK, Cursor, page
from monitoring.api.query import MeasurementsQuery, SpanQuery, take_none
from monitoring.api.serializers import (
    BooksSerializer,
    DetailSerializer,
    LastSerializer,
    MeasurementSerializer,
)
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Measurement, Sensor
from monitoring.store import batch_store

_MEASUREMENTS = {"serializer": MeasurementSerializer, "cursor": lambda row: Cursor(row.created_at, row.id)}
# Tuples of what is shown: instances would be a fifth of the time that a page takes.
_COLUMNS = "id", "sensor_id", "value", "unit", "created_at"


def _shown(query: Mapping[str, Any]) -> "QuerySet[Measurement, Any]":
    rows = Measurement.objects.values_list(*_COLUMNS, named=True)
    if "from" in query:
        rows = rows.filter(created_at__gte=query["from"])
    if "to" in query:
        rows = rows.filter(created_at__lt=query["to"])
    return rows


def newest(query: Mapping[str, Any]) -> "QuerySet[Measurement, Any]":
    """One row more than `limit`, newest first, of all sensors: the primary key read backwards."""
    rows = _shown(query).order_by("-created_at", "-id")
    if cursor := query.get("cursor"):
        # The row comparison places the start in the index; the plain one lets whole partitions be left out.
        before: Lookup[Any] = TupleLessThan((F("created_at"), F("id")), (cursor.created_at, cursor.id))
        rows = rows.filter(before, created_at__lte=cursor.created_at)
    return rows[: query["limit"] + 1]


def newest_of(sensor_id: int, query: Mapping[str, Any]) -> "QuerySet[Measurement, Any]":
    """One row more than `limit`, newest first, of one sensor: its identity index read backwards."""
    rows = _shown(query).filter(sensor_id=sensor_id).order_by("-created_at")
    if cursor := query.get("cursor"):
        rows = rows.filter(created_at__lt=cursor.created_at)
    return rows[: query["limit"] + 1]


def _require_sensor(sensor_id: int) -> None:
    if sensor_id > MAX_SENSOR_ID or not Sensor.objects.filter(pk=sensor_id).exists():
        raise NotFound(gettext("There is no sensor with this id."))


class MeasurementsOfSensor(APIView):
    permissions = {"GET": "monitoring.view_measurement", "DELETE": "monitoring.delete_measurement"}

    @extend_schema(
        summary="One sensor's measurements, newest first",
        parameters=[SpanQuery, LINK],
        responses={200: MeasurementSerializer(many=True), 404: DetailSerializer},
        operation_id="sensors_measurements_list",
    )
    def get(self, request: Request, sensor_id: int) -> Response:
        query = SpanQuery.read(request)
        rows = list(newest_of(sensor_id, query)) if sensor_id <= MAX_SENSOR_ID else []
        if not rows:
            _require_sensor(sensor_id)
        return page(request, rows, query["limit"], _MEASUREMENTS)

    @extend_schema(
        summary="Delete a span of a sensor's measurements: false readings",
        description="Of the span, those with a value from `min` to `max`. With `dry_run=1` the answer says"
        " what would go, and nothing does. Else 202: a job deletes them piece by piece, each with its"
        " rollups, so that a series never shows what is gone. There is no way back: a device that sends one"
        " of them again, in a new message, has it stored again.",
        parameters=[DeletionQuery],
        responses={
            200: FoundSerializer,
            202: FoundSerializer,
            400: DetailSerializer,
            403: DetailSerializer,
            404: DetailSerializer,
        },
        operation_id="sensors_measurements_delete",
    )
    def delete(self, request: Request, sensor_id: int) -> Response:
        return delete_measurements(request, sensor_id)


class LastOfSensor(APIView):
    permissions = {"GET": "monitoring.view_measurement"}

    @extend_schema(
        summary="One sensor's last measurement",
        description="404 where the sensor is unknown or nothing was measured; `detail` says which.",
        responses={200: LastSerializer, 404: DetailSerializer},
    )
    def get(self, request: Request, sensor_id: int) -> Response:
        take_none(request)
        last = Sensor(pk=sensor_id).latest() if sensor_id <= MAX_SENSOR_ID else None
        if last is None:
            _require_sensor(sensor_id)
            raise NotFound(gettext("This sensor has no measurement yet."))
        return Response(LastSerializer(Measurement(sensor_id=sensor_id, **last._asdict())).data)


def list_measurements(request: Request) -> Response:
    query = MeasurementsQuery.read(request)
    rows = newest_of(query["sensor"], query) if "sensor" in query else newest(query)
    return page(request, list(rows), query["limit"], _MEASUREMENTS)


class Pipeline(APIView):
    permissions = {"GET": "monitoring.view_ingestbatch"}

    @extend_schema(
        summary="The books: what was handed over, what is pending, what became of the rest",
        responses={200: BooksSerializer, 503: DetailSerializer},
    )
    def get(self, request: Request) -> Response:
        take_none(request)
        return Response(books.read(batch_store()))
