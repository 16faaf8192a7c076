"""series/: what a chart draws, of one sensor or of several."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
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
from monitoring.rollups import series, statistics
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
    statistics = serializers.BooleanField(
        default=False, help_text="Adds `statistics` of exactly the readings from `from` to `to`."
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


class GapSerializer(serializers.Serializer[Span]):
    start = serializers.DateTimeField(default_timezone=UTC)
    end = serializers.DateTimeField(default_timezone=UTC)


class StatisticsSerializer(serializers.Serializer[statistics.Statistics]):
    """All but `count` null where there is none. `min_at` and `max_at`: the earliest with that value; where
    the row has gone, its minute, hour or day."""

    count = serializers.IntegerField()
    avg = serializers.FloatField(allow_null=True)
    min = serializers.FloatField(allow_null=True)
    min_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    max = serializers.FloatField(allow_null=True)
    max_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    first = serializers.FloatField(allow_null=True)
    first_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    last = serializers.FloatField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)


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
                "step_s": 3600,
                "interval_s": 60,
                "gaps": [],
                "covered": 0.0417,
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
    step_s = serializers.FloatField(
        allow_null=True, help_text="Seconds that a bucket lasts (a day: 86400); null where it is raw."
    )
    interval_s = serializers.FloatField(
        allow_null=True,
        help_text="Seconds from one reading to the next, as the points have it (the median); null where"
        " there are too few of them.",
    )
    gaps = GapSerializer(
        many=True,
        help_text="Spans between two points, of more than three intervals, in which nothing was measured:"
        " where a chart's line ends.",
    )
    covered = serializers.FloatField(
        help_text="The share of the span's time, as far as it is past, that has no gap in it."
    )
    statistics = StatisticsSerializer(required=False, help_text="Where `statistics=true` was asked for.")


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
    there = Sensor.objects.select_related("standing").in_bulk([one for one in ids if one <= MAX_SENSOR_ID])
    if missing := [str(one) for one in ids if one not in there]:
        raise NotFound(gettext("There is no sensor %s.") % ", ".join(missing))
    span, zone = Span(query["from"], query["to"]), query.get("tz", UTC)
    return [
        answer(there[one], span, query["points"], zone, with_statistics=query["statistics"])
        for one in dict.fromkeys(ids)
    ]


def answer(
    sensor: Sensor,
    span: Span,
    points: int,
    zone: tzinfo = UTC,
    *,
    unit: str | None = None,
    with_statistics: bool = False,
) -> dict[str, Any]:
    """As SeriesSerializer says, put together by hand: through it, 500 points cost more than their query."""
    found = series.read(sensor, span, points, zone, unit)
    parts: dict[str, Any] = {
        "points": [vars(point) for point in found.points],
        "gaps": [vars(gap) for gap in found.gaps],
    }
    if with_statistics:
        parts["statistics"] = vars(statistics.read(sensor, span))
    return vars(found) | parts
