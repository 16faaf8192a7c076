"""alerts/rules/: what somebody wants to be told of, and what a rule would have found."""

from datetime import UTC
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.alerts import rules
from monitoring.api.alert_bodies import RuleBody, as_answers, one_of
from monitoring.api.pages import LINK, page_by_id
from monitoring.api.permissions import may_see, user_of
from monitoring.api.query import PageQuery, take_none
from monitoring.api.serializers import DetailSerializer
from monitoring.models import AlertRule

VIEW = "monitoring.view_alertrule"
_NONE = _("There is no alert rule with this id.")


class RuleSerializer(serializers.ModelSerializer[AlertRule]):
    """Ask for rules with `shown()`. What people wrote, and whom a rule tells, is null for who sees rules only
    because reading is public (`context["is_stranger"]`)."""

    sensor = serializers.IntegerField(source="sensor_id", allow_null=True)
    board = serializers.CharField(source="board.name", allow_null=True, default=None)
    channels = serializers.SerializerMethodField(help_text="The ids of those that it tells.")
    note = serializers.CharField(allow_null=True)
    active_from = serializers.DateTimeField(
        default_timezone=UTC, help_text="What was over before that moment is none of its business."
    )
    version = serializers.IntegerField(help_text="One more with each change of what it says.")
    created_at = serializers.DateTimeField(default_timezone=UTC)
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = AlertRule
        fields = ["id", *RuleBody.Meta.fields, "active_from", "version", "created_at", "created_by"]

    def get_channels(self, rule: AlertRule) -> list[int] | None:
        return [channel.pk for channel in rule.channels.all()]

    def to_representation(self, rule: AlertRule) -> dict[str, Any]:
        said: dict[str, Any] = super().to_representation(rule)
        if self.context.get("is_stranger"):
            said |= {"channels": None, "note": None, "created_by": None}
        return said


def shown() -> QuerySet[AlertRule]:
    return AlertRule.objects.select_related("board", "created_by").prefetch_related("channels")


def _serializer(request: Request) -> partial[RuleSerializer]:
    return partial(RuleSerializer, context={"is_stranger": not may_see(request, VIEW)})


class Rules(APIView):
    permissions = {"GET": VIEW, "POST": "monitoring.add_alertrule"}

    @extend_schema(
        summary="The alert rules, by id",
        parameters=[PageQuery, LINK],
        responses={200: RuleSerializer(many=True), 400: DetailSerializer},
        operation_id="alerts_rules_list",
    )
    def get(self, request: Request) -> Response:
        query = PageQuery.read(request)
        return page_by_id(request, query, shown(), _serializer(request))

    @extend_schema(
        summary="Make a rule",
        description="For one sensor; or for all, those to come too, that fit `sensor_kind`, `location` and"
        " `board`, as far as these are given. It looks at what is measured from now on.",
        request=RuleBody,
        responses={201: RuleSerializer, 400: DetailSerializer},
        operation_id="alerts_rules_create",
    )
    def post(self, request: Request) -> Response:
        take_none(request)
        said = RuleBody(data=request.data)
        said.is_valid(raise_exception=True)
        values: dict[str, Any] = said.validated_data
        channels = values.pop("channels", [])
        rule = AlertRule(**values)
        with as_answers():
            rules.save(rule, channels, user_of(request))
        return Response(
            _serializer(request)(one_of(shown(), rule.pk, _NONE)).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": request.build_absolute_uri(f"{rule.pk}/")},
        )


class OneRule(APIView):
    permissions = {
        "GET": VIEW,
        "PATCH": "monitoring.change_alertrule",
        "DELETE": "monitoring.delete_alertrule",
    }

    @extend_schema(
        summary="One rule",
        responses={200: RuleSerializer, 404: DetailSerializer},
        operation_id="alerts_rules_retrieve",
    )
    def get(self, request: Request, rule_id: int) -> Response:
        take_none(request)
        return Response(_serializer(request)(one_of(shown(), rule_id, _NONE)).data)

    @extend_schema(
        summary="Change a rule, or switch it off",
        description="What says something else from now on (all but the name, the severity, the channels and"
        " what they are told) is looked at anew: its open incidents end.",
        request=RuleBody(partial=True),
        responses={200: RuleSerializer, 400: DetailSerializer, 404: DetailSerializer},
        operation_id="alerts_rules_change",
    )
    def patch(self, request: Request, rule_id: int) -> Response:
        take_none(request)
        said = RuleBody(data=request.data, partial=True)
        said.is_valid(raise_exception=True)
        values: dict[str, Any] = said.validated_data
        with as_answers(), transaction.atomic():
            # Held, so that of two changes at once neither takes the other back.
            rule = one_of(AlertRule.objects.select_for_update(no_key=True), rule_id, _NONE)
            channels = values.pop("channels", None)
            for name, value in values.items():
                setattr(rule, name, value)
            told = list(rule.channels.all()) if channels is None else channels
            rules.save(rule, told, user_of(request))
        return self.get(request, rule_id)

    @extend_schema(
        summary="Delete a rule",
        description="Its open incidents end; what it found stays, under the name that it had.",
        responses={204: None, 404: DetailSerializer},
        operation_id="alerts_rules_delete",
    )
    def delete(self, request: Request, rule_id: int) -> Response:
        take_none(request)
        rules.delete(one_of(AlertRule.objects.all(), rule_id, _NONE))
        return Response(status=status.HTTP_204_NO_CONTENT)
