"""False readings: how many there are, deleted by a job, and what came of it."""

import math
from datetime import UTC
from typing import Any

from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.pages import LINK, page_by_id
from monitoring.api.query import PageQuery, SpanQuery
from monitoring.api.serializers import DetailSerializer
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Deletion, Sensor
from monitoring.upkeep.deleting import LOOKED_AT, look, request_deletion


class DeletionQuery(SpanQuery):
    """`?from=&to=[&min=&max=][&dry_run=1]`; `from` and `to` must be there."""

    min = serializers.FloatField(required=False, help_text="Only values from this on.")
    max = serializers.FloatField(required=False, help_text="Only values up to this one.")
    dry_run = serializers.BooleanField(default=False, help_text="`1`: only say what would go.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["limit"], fields["cursor"]
        for name in ("from", "to"):
            fields[name].required = True
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        for name in ("min", "max"):
            if not math.isfinite(attrs.get(name, 0)):
                raise ValidationError({name: [gettext("Must be a finite number.")]})
        if "min" in attrs and "max" in attrs and attrs["min"] > attrs["max"]:
            raise ValidationError({"min": [gettext("Must not be above `max`.")]})
        return super().validate(attrs)


class FoundSerializer(serializers.Serializer[Any]):
    """What a deletion would take, or takes: how many, from when to when, from which value to which."""

    detail = serializers.CharField()
    sensor = serializers.IntegerField()
    deletion = serializers.IntegerField(
        allow_null=True, help_text="Its id in `sensors/<id>/deletions/`; null where it was a dry run."
    )
    count = serializers.IntegerField()
    first = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    last = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    frozen = serializers.IntegerField(
        help_text="Of how many the rollups stay, since retention has taken rows away beside them."
    )
    counted_until = serializers.DateTimeField(
        allow_null=True,
        default_timezone=UTC,
        help_text=f"Null where all were counted. Past {LOOKED_AT:,} measurements looked at: up to when.",
    )


class DeletionSerializer(serializers.ModelSerializer[Deletion]):
    sensor = serializers.IntegerField(source="sensor_id")
    min = serializers.FloatField(source="low", allow_null=True)
    max = serializers.FloatField(source="high", allow_null=True)
    requested_at = serializers.DateTimeField(default_timezone=UTC)
    finished_at = serializers.DateTimeField(
        allow_null=True, default_timezone=UTC, help_text="Null: under way."
    )

    class Meta:
        model = Deletion
        fields = ["id", "sensor", "min", "max", "requested_at", "deleted", "frozen", "finished_at"]

    def get_fields(self) -> dict[str, Any]:
        moment: dict[str, Any] = {"default_timezone": UTC}
        return {
            **super().get_fields(),
            "from": serializers.DateTimeField(source="start", **moment),
            "to": serializers.DateTimeField(source="until", **moment),
        }


def delete_measurements(request: Request, sensor_id: int) -> Response:
    """The answer to DELETE sensors/<id>/measurements/."""
    if sensor_id > MAX_SENSOR_ID or not Sensor.objects.present().filter(pk=sensor_id).exists():
        raise NotFound(gettext("There is no sensor with this id."))
    query = DeletionQuery.read(request)
    which = Deletion(
        sensor_id=sensor_id,
        start=query["from"],
        until=query["to"],
        low=query.get("min"),
        high=query.get("max"),
    )
    found = look(which)
    if query["dry_run"]:
        detail = gettext("Nothing was deleted: this is what would be.")
    else:
        request_deletion(which, request.user.get_username())
        detail = gettext("A job deletes them, and computes their rollups again.")
    answer = {"detail": detail, "sensor": sensor_id, "deletion": which.pk, **vars(found)}
    code = status.HTTP_200_OK if query["dry_run"] else status.HTTP_202_ACCEPTED
    return Response(FoundSerializer(answer).data, status=code)


class DeletionsOfSensor(APIView):
    permissions = {"GET": "monitoring.view_deletion"}

    @extend_schema(
        summary="What was deleted of a sensor's measurements, newest first",
        description="It stays when the sensor goes. Who asked for it is shown in the admin.",
        parameters=[PageQuery, LINK],
        responses={200: DeletionSerializer(many=True), 400: DetailSerializer},
        operation_id="sensors_deletions_list",
    )
    def get(self, request: Request, sensor_id: int) -> Response:
        query = PageQuery.read(request)
        everything = Deletion.objects.all() if sensor_id <= MAX_SENSOR_ID else Deletion.objects.none()
        rows = everything.filter(sensor_id=sensor_id)
        return page_by_id(request, query, rows, DeletionSerializer, newest_first=True)
