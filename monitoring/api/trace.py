"""trace/: the way of a message, as long as the ledger has it."""

from datetime import UTC
from typing import Any

from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.query import MomentField, PageQuery
from monitoring.api.serializers import DetailSerializer, MeasurementSerializer, rfc3339
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Measurement
from monitoring.trace import Traced, in_words, trace


class TraceQuery(PageQuery):
    """`?at=` and `topic=`, `sensor=` or both."""

    at = MomentField(
        help_text="The second that begins then: when it was received, or of a sensor when it was measured."
    )
    topic = serializers.CharField(
        required=False, max_length=65_535, trim_whitespace=False, help_text="The topic that it came on."
    )
    sensor = serializers.IntegerField(
        min_value=1, max_value=MAX_SENSOR_ID, required=False, help_text="The sensor that it names."
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["limit"], fields["cursor"]
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "topic" not in attrs and "sensor" not in attrs:
            raise ValidationError({"detail": gettext("Say which: topic, sensor or both.")})
        return attrs


class TracedBatchSerializer(serializers.Serializer[Traced]):
    batch = serializers.UUIDField(source="entry.id")
    first_received_at = serializers.DateTimeField(source="entry.first_received_at", default_timezone=UTC)
    last_received_at = serializers.DateTimeField(source="entry.last_received_at", default_timezone=UTC)
    handed_over_at = serializers.DateTimeField(default_timezone=UTC, help_text="To Redis.")
    claimed_at = serializers.DateTimeField(
        default_timezone=UTC, allow_null=True, help_text="By the worker that stored it."
    )
    committed_at = serializers.DateTimeField(
        default_timezone=UTC, help_text="The beginning of the transaction that stored it, to PostgreSQL."
    )
    messages = serializers.IntegerField(source="entry.messages")
    readings = serializers.IntegerField(source="entry.readings")
    stored = serializers.IntegerField(source="entry.stored")
    duplicates = serializers.IntegerField(source="entry.duplicates")
    rejected = serializers.IntegerField(source="entry.rejected")

    def get_fields(self) -> dict[str, Any]:
        # As an attribute it would hide Field.source.
        source = serializers.CharField(
            source="entry.source", help_text="mqtt:<bridge>, http, import or replay."
        )
        return {**super().get_fields(), "source": source}


class TracedMeasurementSerializer(MeasurementSerializer):
    received_at = serializers.DateTimeField(default_timezone=UTC)

    def to_representation(self, row: Measurement) -> dict[str, Any]:
        return {**super().to_representation(row), "received_at": rfc3339(row.received_at)}


class TracedRejectionSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    received_at = serializers.DateTimeField(default_timezone=UTC)
    topic = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()
    state = serializers.CharField()
    outcome = serializers.CharField()
    batch = serializers.UUIDField()


class TraceSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField(help_text="What was found, in a sentence.")
    batches = TracedBatchSerializer(many=True)
    measurements = TracedMeasurementSerializer(many=True)
    rejected = TracedRejectionSerializer(many=True)


class TraceView(APIView):
    # It shows what was refused.
    is_private = True
    permissions = {"GET": "monitoring.view_ingestbatch"}

    @extend_schema(
        summary="The way of a message: its batch, when that went where, and what came of it",
        description="The ledger keeps batches for seven days, and no topics: of a topic it gives every batch"
        " that was being received at that moment.",
        parameters=[TraceQuery],
        responses={200: TraceSerializer, 400: DetailSerializer},
        operation_id="trace",
    )
    def get(self, request: Request) -> Response:
        query = TraceQuery.read(request)
        found = trace(query["at"], query.get("topic"), query.get("sensor"))
        return Response(TraceSerializer(found._asdict() | {"detail": in_words(found)}).data)
