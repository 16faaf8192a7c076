"""What may stand in the body of a request, read and checked once; of rejected messages above all."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from monitoring.api.query import MomentField, take_none
from monitoring.api.serializers import refuse_unknown
from monitoring.decoders import MAX_PAYLOAD_BYTES, Code
from monitoring.decoders.limits import MAX_SENSOR_ID, MAX_UNIT_CHARS
from monitoring.numbers import grouped
from monitoring.rejected.replay import UnitChange
from monitoring.rejected.selection import Selection

MAX_TOPIC_CHARS = 65_535
MAX_DETAIL_CHARS = 500
MAX_REASON_CHARS = 200
MOST_IDS = 1000
CODES = [code.value for code in Code]

Checked = TypeVar("Checked", bound="Body")


class Body(serializers.Serializer[Any]):
    """A field that is unknown is refused rather than ignored. No body is as good as an empty one."""

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """Raises ValidationError (400), also for a parameter behind the question mark."""
        take_none(request)
        said = cls(data=request.data if has_body(request) else {})
        said.is_valid(raise_exception=True)
        checked: dict[str, Any] = said.validated_data
        return checked

    def to_internal_value(self, data: Any) -> Any:
        refuse_unknown(self.fields, data)
        return super().to_internal_value(data)


def has_body(request: Request) -> bool:
    return request.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in request.headers


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "number"}], "example": "2026-01-28T15:00:00Z"})
class SaidMomentField(MomentField):
    """As behind a question mark, and numbers may be numbers."""

    def to_internal_value(self, data: Any) -> datetime:
        if isinstance(data, str):
            return super().to_internal_value(data)
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise ValidationError(gettext("Must be an RFC 3339 time with an offset, or Unix seconds."))
        return self._moment(data)


class ChangedUnit(Body):
    """{"from": "C", "to": "°C"}"""

    def get_fields(self) -> dict[str, Any]:
        # "from" is no name that Python allows for an attribute.
        return {
            "from": serializers.CharField(
                max_length=MAX_UNIT_CHARS, help_text="Readings that name this unit ..."
            ),
            "to": serializers.CharField(
                max_length=MAX_UNIT_CHARS, help_text="... are read as if they named this one."
            ),
        }


def unit_change(said: Mapping[str, Any]) -> UnitChange | None:
    unit = said.get("unit")
    return UnitChange(unit["from"], unit["to"]) if unit else None


class ReplayBody(Body):
    payload = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        help_text="To be stored instead of the payload as it came, all of it or nothing.",
    )
    payload_base64 = serializers.CharField(
        required=False, allow_blank=True, help_text="The same, where it is no text."
    )
    unit = ChangedUnit(required=False)
    dry_run = serializers.BooleanField(
        default=False, help_text="Only say what would come of it: nothing is changed."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "payload" in attrs and "payload_base64" in attrs:
            raise ValidationError({"payload_base64": [gettext("Give it, or `payload`, and not both.")]})
        for name, read in (("payload", str.encode), ("payload_base64", _from_base64)):
            if name in attrs:
                attrs["bytes"] = read(attrs[name])
                if len(attrs["bytes"]) > MAX_PAYLOAD_BYTES:
                    most = grouped(MAX_PAYLOAD_BYTES)
                    raise ValidationError({name: [gettext("At most %s bytes are taken.") % most]})
        return attrs


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValidationError({"payload_base64": [gettext("Not base64.")]}) from None


class SelectionBody(Body):
    """Those that meet all that is said; without anything that would be all, and that must be said too."""

    code = serializers.ChoiceField(choices=CODES, required=False)
    sensor = serializers.IntegerField(
        min_value=1, max_value=MAX_SENSOR_ID, required=False, help_text="Those that name it."
    )
    topic = serializers.CharField(max_length=MAX_TOPIC_CHARS, required=False, trim_whitespace=False)
    detail = serializers.CharField(
        max_length=MAX_DETAIL_CHARS, required=False, allow_blank=True, trim_whitespace=False
    )
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MAX_SENSOR_ID),
        required=False,
        min_length=1,
        max_length=MOST_IDS,
    )
    all = serializers.BooleanField(default=False, help_text="All that wait; then nothing else is said.")

    def get_fields(self) -> dict[str, Any]:
        about = "RFC 3339 with an offset, or Unix seconds."
        return {
            **super().get_fields(),
            "from": SaidMomentField(required=False, help_text=f"Received from then on: {about}"),
            "to": SaidMomentField(required=False, help_text=f"Received before then: {about}"),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "from" in attrs and "to" in attrs and attrs["from"] >= attrs["to"]:
            raise ValidationError({"from": [gettext("Must lie before `to`.")]})
        attrs["which"] = selection(attrs)
        if bool(attrs["which"]) == attrs["all"]:
            names = "code, sensor, topic, detail, ids, from, to"
            text = gettext('Say which (%s); or {"all": true} and none of these.') % names
            raise ValidationError({"all": [text]})
        return attrs


def selection(said: Mapping[str, Any]) -> Selection:
    """Of a body, or of what stands behind a question mark."""
    return Selection(
        code=said.get("code"),
        sensor=said.get("sensor"),
        topic=said.get("topic"),
        detail=said.get("detail"),
        start=said.get("from"),
        until=said.get("to"),
        ids=tuple(said["ids"]) if "ids" in said else None,
    )


class ReplayManyBody(SelectionBody):
    unit = ChangedUnit(required=False)
    dry_run = serializers.BooleanField(
        default=False, help_text="Only say what would come of it: nothing is changed."
    )


class DismissBody(Body):
    reason = serializers.CharField(max_length=MAX_REASON_CHARS)


class DismissManyBody(SelectionBody):
    reason = serializers.CharField(max_length=MAX_REASON_CHARS)
