"""series/: what a chart draws, of one sensor or of several."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.query import SpanQuery
from monitoring.api.serializers import DetailSerializer
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Sensor
from monitoring.rollups import series
from monitoring.span import Span

DEFAULT_POINTS = 500
MAX_POINTS = 2000
DEFAULT_SPAN = timedelta(days=1)
MAX_SENSORS = 20
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@extend_schema_field({"type": "string", "example": "Europe/Paris"})
class ZoneField(serializers.Field[ZoneInfo, str, str, Any]):
    """An IANA time zone by its name."""

    def to_internal_value(self, data: str) -> ZoneInfo:
        try:
            if len(data) > 64 or not data.isascii():
                raise ValueError
            return ZoneInfo(data)
        # A name such as ".." or "Europe" is refused as a path, in one of several ways.
        except (KeyError, ValueError, OSError):
            text = gettext("Not a time zone: send an IANA name such as Europe/Paris.")
            raise ValidationError(text) from None

    def to_representation(self, value: ZoneInfo) -> str:
        return value.key


class SeriesQuery(SpanQuery):
    """`?from=&to=&points=&tz=`; `read` gives all of them, with a span of 24 hours where none was said."""

    points = serializers.IntegerField(
        min_value=1, max_value=MAX_POINTS, default=DEFAULT_POINTS, help_text="How many points at most."
    )
    tz = ZoneField(
        required=False, help_text="Whose days the buckets are counted by: an IANA name; UTC if left out."
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["limit"], fields["cursor"]
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("from", "to"):
            if name in attrs and not _EARLIEST <= attrs[name] <= _LATEST:
                raise ValidationError({name: [gettext("Must lie between 1970 and 2200.")]})
        end = attrs.setdefault("to", datetime.now(UTC))
        attrs.setdefault("from", max(end - DEFAULT_SPAN, _EARLIEST))
        return super().validate(attrs)


class SeriesOfSeveralQuery(SeriesQuery):
    """`?sensor=1&sensor=2&from=&to=&points=&tz=`."""

    repeatable = ("sensor",)

    sensor = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MAX_SENSOR_ID),
        max_length=MAX_SENSORS,
        help_text=f"Given once for each sensor, {MAX_SENSORS} times at most.",
    )


class PointSerializer(serializers.Serializer[series.Point]):
    start = serializers.DateTimeField(default_timezone=UTC)
    count = serializers.IntegerField()
    avg = serializers.FloatField(
        allow_null=True, help_text="Null where the values are too large to be added up."
    )
    min = serializers.FloatField()
    max = serializers.FloatField()
    first = serializers.FloatField(help_text="The bucket's earliest value.")
    last = serializers.FloatField(help_text="The bucket's latest value.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A day by hours",
            {
                "sensor": 3,
                "resolution": "1h",
                "unit": "V",
                "points": [
                    {
                        "start": "2026-01-28T15:00:00Z",
                        "count": 60,
                        "avg": 2.5,
                        "min": 2.25,
                        "max": 2.75,
                        "first": 2.5,
                        "last": 2.75,
                    }
                ],
                "coverage": 0.0417,
            },
        )
    ]
)
class SeriesSerializer(serializers.Serializer[series.Series]):
    sensor = serializers.IntegerField()
    resolution = serializers.CharField(
        help_text="`raw`: a point is a measurement. Else how long a bucket is: `5m`, `1h`, `7d`."
    )
    unit = serializers.CharField(help_text="The sensor's; where it has none, that of its last measurement.")
    points = PointSerializer(many=True)
    coverage = serializers.FloatField(
        help_text="The share of the span's buckets that hold data; those that hold none are left out of"
        " `points`. Where it is raw: of the span's minutes."
    )


_DESCRIPTION = (
    "At most `points` points, the oldest first, in the finest resolution that allows it: single measurements,"
    " or buckets of whole minutes, hours or days that count from midnight in `tz`. The first and the last"
    " bucket are cut to the minutes of the span. Without `from` and `to`: the last 24 hours."
)


class SeriesOfSensor(APIView):
    permissions = {"GET": "monitoring.view_measurement"}

    @extend_schema(
        summary="One sensor's series, for a chart",
        description=_DESCRIPTION,
        parameters=[SeriesQuery],
        responses={200: SeriesSerializer, 400: DetailSerializer, 404: DetailSerializer},
        operation_id="sensors_series",
    )
    def get(self, request: Request, sensor_id: int) -> Response:
        query = SeriesQuery.read(request)
        (one,) = _read([sensor_id], query)
        return Response(one)


class SeriesOfSensors(APIView):
    permissions = {"GET": "monitoring.view_measurement"}

    @extend_schema(
        summary="The series of several sensors, in the order asked for",
        description=_DESCRIPTION,
        parameters=[SeriesOfSeveralQuery],
        responses={200: SeriesSerializer(many=True), 400: DetailSerializer, 404: DetailSerializer},
        operation_id="series_list",
    )
    def get(self, request: Request) -> Response:
        query = SeriesOfSeveralQuery.read(request)
        return Response(_read(query["sensor"], query))


def _read(ids: Sequence[int], query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As SeriesSerializer says, put together by hand: through it, 500 points cost more than their query."""
    there = Sensor.objects.in_bulk([one for one in ids if one <= MAX_SENSOR_ID])
    if missing := [str(one) for one in ids if one not in there]:
        raise NotFound(gettext("There is no sensor %s.") % ", ".join(missing))
    span = Span(query["from"], query["to"])
    found = [
        series.read(there[one], span, query["points"], query.get("tz", UTC)) for one in dict.fromkeys(ids)
    ]
    return [vars(one) | {"points": [vars(point) for point in one.points]} for one in found]
