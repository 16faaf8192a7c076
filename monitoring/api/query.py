"""What may stand behind the question mark, read and checked once."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.http import QueryDict
from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from monitoring.api.pages import DEFAULT_LIMIT, MAX_LIMIT, Cursor
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.decoders.timestamp import moment
from monitoring.details import translated

_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
# In a query a "+" stands for a space, and hardly anybody writes %2B.
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}(?::?[0-9]{2})?\Z)")


@extend_schema_field({"type": "string", "example": "2026-01-28T15:00:00Z"})
class MomentField(serializers.Field[datetime, str, str, Any]):
    """RFC 3339 with an offset, or Unix seconds; gives an aware datetime in UTC."""

    def to_internal_value(self, data: str) -> datetime:
        if _NUMBER.fullmatch(data):
            return self._moment(float(data))
        if "T" in data.upper():
            data = _LOST_PLUS.sub("+", data)
        return self._moment(data)

    def _moment(self, ts: float | str) -> datetime:
        try:
            return moment(ts)
        except ValueError as error:
            text = translated(str(error))
            raise ValidationError(f"{text[:1].upper()}{text[1:]}.") from None

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


@extend_schema_field({"type": "string"})
class CursorField(serializers.Field[Cursor, str, str, Any]):
    def to_internal_value(self, data: str) -> Cursor:
        try:
            return Cursor.decode(data)
        except ValueError:
            text = gettext("Not a cursor: follow the Link header of the page before.")
            raise ValidationError(text) from None

    def to_representation(self, value: Cursor) -> str:
        return value.encode()


def take_none(request: Request) -> None:
    """For a route or a method without parameters. Raises ValidationError (400)."""
    for name in request.query_params:
        raise ValidationError({"detail": gettext("Unknown parameter %r; this takes none.") % name[:100]})


class PageQuery(serializers.Serializer[Any]):
    """`?limit=&cursor=`. A parameter that is unknown, or comes twice, is refused rather than ignored.

    `repeatable`: the list fields, whose parameters may come more than once.
    """

    repeatable: ClassVar[tuple[str, ...]] = ()

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="How many rows at most."
    )
    cursor = CursorField(
        required=False, help_text="Where the page before ended: the next page's address is in `Link`."
    )

    @classmethod
    def read(cls, request: Request) -> Mapping[str, Any]:
        """Raises ValidationError (400)."""
        params: QueryDict = request.query_params
        lists = {name: params.getlist(name) for name in cls.repeatable if name in params}
        query = cls(data=params.dict() | lists)
        for name, values in params.lists():
            if name not in query.fields:
                text = gettext("Unknown parameter %(name)r; known are %(known)s.")
                said = {"name": name[:100], "known": ", ".join(query.fields)}
                raise ValidationError({"detail": text % said})
            if len(values) > 1 and name not in cls.repeatable:
                raise ValidationError({name: [gettext("Given more than once.")]})
        query.is_valid(raise_exception=True)
        checked: Mapping[str, Any] = query.validated_data
        return checked


class SensorFilter(PageQuery):
    """`?q=&kind=&active=`."""

    q = serializers.CharField(
        required=False,
        max_length=200,
        help_text="Only sensors whose name or location holds this, whatever its case, or whose id it is.",
    )
    kind = serializers.CharField(
        required=False, allow_blank=True, max_length=64, help_text="Only of this kind; empty: of none."
    )
    active = serializers.BooleanField(required=False, help_text="Only those that are active, or are not.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["limit"], fields["cursor"]
        return fields


class SensorsQuery(SensorFilter):
    """`?q=&kind=&active=&with=last&limit=&cursor=`."""

    def get_fields(self) -> dict[str, Any]:
        paging = PageQuery().get_fields()
        # "with" is no name that Python allows for an attribute.
        more = serializers.ChoiceField(
            choices=["last"], required=False, help_text="`last`: each with its last measurement."
        )
        return {**super().get_fields(), "with": more, **paging}


class SpanQuery(PageQuery):
    """`?from=&to=&limit=&cursor=`: from is included, to is not."""

    def get_fields(self) -> dict[str, Any]:
        return {
            **super().get_fields(),
            # "from" is no name that Python allows for an attribute.
            "from": MomentField(
                required=False,
                help_text="The first moment, included: RFC 3339 with an offset, or Unix seconds.",
            ),
            "to": MomentField(
                required=False,
                help_text="The last moment, not included: RFC 3339 with an offset, or Unix seconds.",
            ),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "from" in attrs and "to" in attrs and attrs["from"] >= attrs["to"]:
            raise ValidationError({"from": [gettext("Must lie before `to`.")]})
        return attrs


class MeasurementsQuery(SpanQuery):
    """`?sensor=&from=&to=&limit=&cursor=`."""

    sensor = serializers.IntegerField(
        min_value=1, max_value=MAX_SENSOR_ID, required=False, help_text="Only this sensor's."
    )
