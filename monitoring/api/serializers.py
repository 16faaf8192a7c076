"""The shapes of the answers. They are public: add to them, change none."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Measurement, Sensor, SensorStatus
from monitoring.models.measurement_queryset import Last


def refuse_unknown(fields: Iterable[str], data: Any) -> None:
    """Raises ValidationError for each name in `data` that is none of the fields'."""
    known = list(fields)
    if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(known))):
        text = gettext("Not to be set here; known are %s.") % ", ".join(known)
        raise serializers.ValidationError({name[:100]: [text] for name in unknown})


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A sensor",
            {
                "id": 1,
                "name": "Capteur Temp Salon",
                "kind": "temperature",
                "unit": "°C",
                "is_active": True,
                "location": "",
                "retention_days": None,
                "expected_interval_s": None,
                "status": "ok",
                "interval_s": 60.0,
                "added_at": "2026-01-28T15:00:00Z",
            },
        )
    ]
)
class SensorSerializer(serializers.ModelSerializer[Sensor]):
    """Ask for sensors with `select_related("standing")`."""

    status = serializers.ChoiceField(
        SensorStatus.Status.choices,
        source="standing.status",
        read_only=True,
        default=SensorStatus.Status.NEVER,
        help_text="By the age of its newest reading: past 3 expected intervals it is late, past 10 silent.",
    )
    interval_s = serializers.FloatField(
        source="standing.interval_s",
        read_only=True,
        default=None,
        help_text="The expected interval in seconds: `expected_interval_s`, or the median of its last 50"
        " gaps; null while it is not known.",
    )
    added_at = serializers.DateTimeField(default_timezone=UTC, read_only=True)

    class Meta:
        model = Sensor
        fields = [
            "id",
            "name",
            "kind",
            "unit",
            "is_active",
            "location",
            "retention_days",
            "expected_interval_s",
            "status",
            "interval_s",
            "added_at",
        ]


class LastKnownSerializer(serializers.Serializer[Last]):
    value = serializers.FloatField()
    unit = serializers.CharField()
    created_at = serializers.DateTimeField(default_timezone=UTC)

    def to_representation(self, last: Last) -> dict[str, Any]:
        # Field by field it would be a quarter of the time that a page of a thousand takes.
        return {"value": last.value, "unit": last.unit, "created_at": rfc3339(last.created_at)}


def rfc3339(moment: datetime) -> str:
    """As the fields here write it, at a fourth of the time."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class ListedSensorSerializer(SensorSerializer):
    """`last` is there with `?with=last` alone."""

    last = LastKnownSerializer(
        required=False,
        allow_null=True,
        help_text="With `?with=last`: its last measurement; null where there is none.",
    )

    class Meta(SensorSerializer.Meta):
        fields = [*SensorSerializer.Meta.fields, "last"]


class SensorChangeSerializer(serializers.ModelSerializer[Sensor]):
    """What may be said of a sensor. A field that is unknown is refused rather than ignored."""

    class Meta:
        model = Sensor
        fields = ["name", "kind", "unit", "is_active", "location", "retention_days", "expected_interval_s"]

    def to_internal_value(self, data: Any) -> Any:
        refuse_unknown(self.fields, data)
        return super().to_internal_value(data)


class NewSensorSerializer(SensorChangeSerializer):
    id = serializers.IntegerField(
        min_value=1,
        max_value=MAX_SENSOR_ID,
        required=False,
        help_text="The `sensor_id` that its messages name; the next free one where it is left out.",
    )

    class Meta(SensorChangeSerializer.Meta):
        fields = ["id", *SensorChangeSerializer.Meta.fields]


class ListedChangeSerializer(SensorChangeSerializer):
    """One of many changes: the sensor by its `id`, and what is to change of it."""

    id = serializers.IntegerField(min_value=1, max_value=MAX_SENSOR_ID)

    class Meta(SensorChangeSerializer.Meta):
        fields = ["id", *SensorChangeSerializer.Meta.fields]


class ChangedSerializer(serializers.Serializer[Any]):
    changed = serializers.IntegerField(help_text="How many sensors the query named.")


class RemovalSerializer(serializers.Serializer[Any]):
    """What goes with a sensor."""

    detail = serializers.CharField()
    sensor = serializers.IntegerField()
    measurements = serializers.IntegerField()
    rollups = serializers.IntegerField()
    is_estimate = serializers.BooleanField(help_text="Whether there are too many to have been counted.")

    def get_fields(self) -> dict[str, Any]:
        moment: dict[str, Any] = {"allow_null": True, "default_timezone": UTC}
        return {
            **super().get_fields(),
            "from": serializers.DateTimeField(source="first", **moment),
            "to": serializers.DateTimeField(source="last", **moment),
        }


class LastSerializer(serializers.Serializer[Measurement]):
    """{"sensor": 3, "value": 2.57, "unit": "V", "created_at": "2026-01-28T15:07:55Z"}"""

    sensor = serializers.IntegerField(source="sensor_id")
    value = serializers.FloatField()
    unit = serializers.CharField()
    created_at = serializers.DateTimeField(
        default_timezone=UTC, help_text="The device's time where it sent one, else when it was received; UTC."
    )

    def to_representation(self, row: Measurement) -> dict[str, Any]:
        # Field by field it would be a third of the time that a page takes.
        created_at = rfc3339(row.created_at)
        return {"sensor": row.sensor_id, "value": row.value, "unit": row.unit, "created_at": created_at}


class MeasurementSerializer(LastSerializer):
    def get_fields(self) -> dict[str, Any]:
        return {"id": serializers.IntegerField(), **super().get_fields()}

    def to_representation(self, row: Measurement) -> dict[str, Any]:
        return {"id": row.id, **super().to_representation(row)}


class AcceptedSerializer(serializers.Serializer[Any]):
    batch = serializers.UUIDField(help_text="The batch that carries it; the ledger will name it.")


class DetailSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()


class RefusedReadingSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(
        allow_null=True, help_text="Its place in the array; null for one object."
    )
    code = serializers.CharField(help_text="The reason code, such as missing_field.")
    detail = serializers.CharField()


class RefusedSerializer(DetailSerializer):
    def get_fields(self) -> dict[str, Any]:
        # As an attribute it would hide Serializer.errors.
        return {**super().get_fields(), "errors": RefusedReadingSerializer(many=True)}


class PendingSerializer(serializers.Serializer[Any]):
    messages = serializers.IntegerField()
    batches = serializers.IntegerField()
    bytes = serializers.IntegerField()
    oldest_age_s = serializers.FloatField(allow_null=True, help_text="Null where nothing is pending.")


class LedgerSumsSerializer(serializers.Serializer[Any]):
    batches = serializers.IntegerField()
    messages = serializers.IntegerField()
    readings = serializers.IntegerField()
    stored = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()


class RejectedSumsSerializer(serializers.Serializer[Any]):
    """Readings; together as many as the ledger's `rejected`."""

    waiting = serializers.IntegerField(help_text="They can be replayed.")
    replayed = serializers.IntegerField(help_text="Stored since, or there already.")
    dismissed = serializers.IntegerField(help_text="Set aside by somebody, with a reason.")
    gone = serializers.IntegerField(help_text="Never kept, or deleted while they waited.")


class RejectedTotalsSerializer(serializers.Serializer[Any]):
    seen = serializers.IntegerField()
    kept = serializers.IntegerField(
        help_text="Those whose payload was kept, until its own retention ends; a cap per code and hour."
    )
    given_way = serializers.IntegerField(
        help_text="Of those kept: deleted while they waited, since all together took too much."
    )
    waiting = serializers.IntegerField()
    replayed = serializers.IntegerField()
    dismissed = serializers.IntegerField()


class BooksSerializer(serializers.Serializer[Any]):
    handed_over = serializers.IntegerField(help_text="Messages that Redis was given, ever.")
    redelivered = serializers.IntegerField(help_text="Messages that the broker sent again, dropped.")
    pending = PendingSerializer()
    ledger = LedgerSumsSerializer()
    corrected = serializers.IntegerField(
        help_text="Messages that `manage.py correct_books` noted as missing in the ledger (in Redis: < 0)."
    )
    missing = serializers.IntegerField(
        allow_null=True,
        help_text="Messages handed over that are neither pending, in the ledger nor corrected (unknown to"
        " Redis: < 0). Exact while messages come; null where too much is pending to say.",
    )
    balanced = serializers.BooleanField(
        help_text="handed_over = pending.messages + ledger.messages + corrected, and readings = stored"
        " + duplicates + rejected. Exact at rest; false for moments while batches are being ingested."
    )
    rejected = RejectedSumsSerializer()
    rejected_by_code = serializers.DictField(
        child=RejectedTotalsSerializer(), help_text="Since the first day; `seen` adds up to ledger.rejected."
    )
    processes = serializers.DictField(child=serializers.BooleanField())
