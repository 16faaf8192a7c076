"""What may stand in the body of a request about alerts, read and checked once."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as ModelError
from django.db import IntegrityError, models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError

from monitoring.api.bodies import SaidMomentField
from monitoring.api.errors import ConflictError
from monitoring.api.serializers import refuse_unknown
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import AlertChannel, AlertRule, Board, Mute, Sensor

AnyModel = TypeVar("AnyModel", bound=models.Model)


class NumberField(serializers.FloatField):
    """As in a reading: neither text nor true, which Python would take for a number, nor an infinity."""

    default_error_messages = {"invalid": _("Must be a finite number.")}

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        try:
            value = float(data)
        except OverflowError:
            self.fail("invalid")
        if not math.isfinite(value):
            self.fail("invalid")
        return value


@extend_schema_field({"type": "integer", "nullable": True})
class IdField(serializers.PrimaryKeyRelatedField[Any]):
    """An id, as a whole number; a number too large for a column is none that there is."""

    def __init__(self, **how: Any) -> None:
        number = serializers.IntegerField(min_value=1, max_value=MAX_SENSOR_ID)
        super().__init__(pk_field=number, **how)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("incorrect_type", data_type=type(data).__name__)
        return super().to_internal_value(data)


class StrictSerializer(serializers.ModelSerializer[AnyModel]):
    """A field that is unknown is refused rather than ignored."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.FloatField: NumberField,
    }

    def to_internal_value(self, data: Any) -> Any:
        refuse_unknown(self.fields, data)
        return super().to_internal_value(data)


class RuleBody(StrictSerializer[AlertRule]):
    sensor = IdField(queryset=Sensor.objects.present(), allow_null=True, required=False)
    board = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Board.objects.all(),
        allow_null=True,
        required=False,
        help_text="Its name.",
    )
    channels = serializers.ListField(
        child=IdField(queryset=AlertChannel.objects.all()),
        required=False,
        max_length=20,
        help_text="The ids of those that it tells; none: it is shown on the page alone.",
    )

    class Meta:
        model = AlertRule
        fields = [
            *("name", "kind", "enabled", "severity", "sensor", "sensor_kind", "location", "board"),
            *("high", "low", "clear_high", "clear_low", "for_s", "keep_s", "window_s"),
            *("limit_s", "intervals", "check_of", "channels", "renotify_s", "note"),
        ]


class SilenceBody(StrictSerializer[Mute]):
    sensor = IdField(queryset=Sensor.objects.present(), allow_null=True, required=False)
    rule = IdField(queryset=AlertRule.objects.all(), allow_null=True, required=False)
    starts_at = SaidMomentField(required=False, help_text="Now, where it is left out.")
    ends_at = SaidMomentField(required=False, allow_null=True, help_text="Null: until it is ended.")
    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=6),
        required=False,
        max_length=7,
        help_text="Every week on these, 0 is Monday; from `from_time` to `to_time` of the zone's wall clock.",
    )

    class Meta:
        model = Mute
        fields = [
            *("sensor", "location", "rule", "starts_at", "ends_at"),
            *("weekdays", "from_time", "to_time", "zone", "comment"),
        ]


@contextmanager
def as_answers() -> Iterator[None]:
    """What a model says of its fields becomes a 400 that names them; a row that went meanwhile, a 409."""
    try:
        yield
    except ModelError as error:
        raise ValidationError(_by_field(error)) from error
    except IntegrityError as error:
        raise ConflictError(gettext("What it names has changed meanwhile; look, and try again.")) from error


def _by_field(error: ModelError) -> dict[str, list[str]]:
    if not hasattr(error, "error_dict"):
        return {"non_field_errors": error.messages}
    found = error.message_dict
    return {("non_field_errors" if name == NON_FIELD_ERRORS else name): said for name, said in found.items()}


def one_of(rows: "models.QuerySet[AnyModel]", identity: int, none: Any) -> AnyModel:
    """Raises NotFound; a number too large for a column is none."""
    row = rows.filter(pk=identity).first() if identity <= MAX_SENSOR_ID else None
    if row is None:
        raise NotFound(none)
    return row
