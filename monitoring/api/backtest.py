"""alerts/rules/backtest/: what a rule would have found, before it is made."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.translation import gettext
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batches.batch import to_datetime
from monitoring.alerts import backtest
from monitoring.alerts.backtest import MOST_SPANS, Backtest, NotOfReadingsError, TooLongError
from monitoring.alerts.rule import Span as Held
from monitoring.api.alert_bodies import RuleBody, as_answers
from monitoring.api.bodies import SaidMomentField
from monitoring.api.errors import BadBodyError
from monitoring.api.permissions import require
from monitoring.api.query import take_none
from monitoring.api.serializers import DetailSerializer
from monitoring.models import AlertRule, Sensor
from monitoring.span import Span

DAYS = timedelta(days=30)
FIRST = datetime(1971, 1, 1, tzinfo=UTC)
# Of a rule that holds for many.
MOST_SENSORS = 20


class BacktestBody(RuleBody):
    """A rule as it would be made, and from when to when."""

    class Meta(RuleBody.Meta):
        extra_kwargs = {"name": {"required": False}}

    def get_fields(self) -> dict[str, Any]:
        return {
            **super().get_fields(),
            "from": SaidMomentField(required=False, help_text="30 days before `to`, where it is left out."),
            "to": SaidMomentField(required=False, help_text="Now, where it is left out."),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        end = attrs.pop("to", None) or datetime.now(UTC)
        try:
            start = attrs.pop("from", None) or end - DAYS
        except OverflowError:
            start = end
        # Nothing was measured before, and a look back from the first year would go past it.
        start = max(start, FIRST)
        if start >= end:
            raise ValidationError({"from": [gettext("Must lie before `to`.")]})
        attrs["span"] = Span(start, end)
        return attrs


class HeldSerializer(serializers.Serializer[Any]):
    """A span in which it would have fired."""

    since = serializers.DateTimeField(default_timezone=UTC)
    fired_at = serializers.DateTimeField(default_timezone=UTC)
    resolved_at = serializers.DateTimeField(
        allow_null=True, default_timezone=UTC, help_text="Null: not before the end of what was looked at."
    )
    value = serializers.FloatField(allow_null=True)
    peak = serializers.FloatField(allow_null=True)
    last = serializers.FloatField(allow_null=True)


class OfSensorSerializer(serializers.Serializer[Any]):
    sensor = serializers.IntegerField()
    count = serializers.IntegerField(help_text="How many times it would have fired.")
    spans = HeldSerializer(many=True, help_text=f"When: the last {MOST_SPANS:,} of them, oldest first.")
    readings_from = serializers.DateTimeField(
        allow_null=True, default_timezone=UTC, help_text="From when on there are readings; null: none at all."
    )
    is_known = serializers.BooleanField(
        help_text="False where the rule goes by the sensor's interval, and that is not known yet."
    )
    truncated = serializers.BooleanField(help_text="Whether older readings are too many to be looked at.")


class BacktestSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="How many times it would have fired.")
    sensors = serializers.IntegerField(help_text="For how many sensors it holds.")
    of = OfSensorSerializer(many=True, help_text=f"By id: {MOST_SENSORS} sensors at most.")
    truncated = serializers.BooleanField(help_text="Whether there is more than what was looked at.")
    seconds = serializers.FloatField(help_text="How long it took.")

    def get_fields(self) -> dict[str, Any]:
        moment: dict[str, Any] = {"default_timezone": UTC}
        return {
            "from": serializers.DateTimeField(source="start", **moment),
            "to": serializers.DateTimeField(source="end", **moment),
            **super().get_fields(),
        }


class BacktestRule(APIView):
    permissions = {"POST": "monitoring.add_alertrule"}

    @extend_schema(
        summary="What a rule would have found",
        description="Works it out by what is stored, by the same function that looks for it when it is made;"
        " nothing is kept, and nobody is told. For rules of readings alone.",
        request=BacktestBody,
        responses={200: BacktestSerializer, 400: DetailSerializer, 403: DetailSerializer},
        operation_id="alerts_rules_backtest",
    )
    def post(self, request: Request) -> Response:
        take_none(request)
        require(request, "monitoring.view_measurement")
        said = BacktestBody(data=request.data)
        said.is_valid(raise_exception=True)
        values: dict[str, Any] = said.validated_data
        span: Span = values.pop("span")
        values.pop("channels", None)
        rule = AlertRule(**{"name": "-", **values})
        with as_answers():
            rule.full_clean()
        return Response(BacktestSerializer(_tried(rule, span)).data)


def _tried(rule: AlertRule, span: Span) -> dict[str, Any]:
    """Raises ValidationError (400) for a rule of which no past is kept, BadBodyError (400) where it takes too
    long."""
    began = time.perf_counter()
    try:
        if rule.sensor is not None:
            one = backtest.run(rule, rule.sensor, span)
            found, sensors, truncated = [(rule.sensor, one)], 1, one.truncated
        else:
            found, sensors, truncated = backtest.run_many(rule, span, MOST_SENSORS)
    except NotOfReadingsError as error:
        raise ValidationError({"kind": [str(error)]}) from error
    except TooLongError as error:
        raise BadBodyError(str(error)) from error
    of = [_of(sensor, one) for sensor, one in found]
    return {
        "start": span.start,
        "end": span.end,
        "count": sum(one["count"] for one in of),
        "sensors": sensors,
        "of": of,
        "truncated": truncated,
        "seconds": round(time.perf_counter() - began, 3),
    }


def _of(sensor: Sensor, one: Backtest) -> dict[str, Any]:
    return {
        "sensor": sensor.pk,
        "count": len(one.spans),
        "spans": [_shown(held) for held in one.spans[-MOST_SPANS:]],
        "readings_from": one.readings_from,
        "is_known": one.is_known,
        "truncated": one.truncated,
    }


def _shown(held: Held) -> dict[str, Any]:
    ends = {"resolved_at": None if held.resolved_at is None else to_datetime(held.resolved_at)}
    return held._asdict() | {"since": to_datetime(held.since), "fired_at": to_datetime(held.fired_at)} | ends
