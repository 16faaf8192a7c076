"""alerts/silences/: when nobody wants to be told."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.alerts.mutes import holds
from monitoring.api.alert_bodies import SilenceBody, as_answers, one_of
from monitoring.api.pages import LINK, page_by_id
from monitoring.api.permissions import user_of
from monitoring.api.query import PageQuery, take_none
from monitoring.api.serializers import DetailSerializer
from monitoring.models import Mute

VIEW = "monitoring.view_mute"
_NONE = _("There is no silence with this id.")


class SilenceSerializer(serializers.ModelSerializer[Mute]):
    sensor = serializers.IntegerField(source="sensor_id", allow_null=True)
    rule = serializers.IntegerField(source="rule_id", allow_null=True)
    starts_at = serializers.DateTimeField(default_timezone=UTC)
    ends_at = serializers.DateTimeField(
        allow_null=True, default_timezone=UTC, help_text="Null: until it is ended."
    )
    weekdays = serializers.ListField(child=serializers.IntegerField(), help_text="0 is Monday.")
    created_at = serializers.DateTimeField(default_timezone=UTC)
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)
    holds = serializers.SerializerMethodField(help_text="Whether it does now.")

    class Meta:
        model = Mute
        fields = ["id", *SilenceBody.Meta.fields, "created_at", "created_by", "holds"]

    def get_holds(self, mute: Mute) -> bool:
        return holds(mute, datetime.now(UTC))


def shown() -> QuerySet[Mute]:
    return Mute.objects.select_related("created_by")


class Silences(APIView):
    permissions = {"GET": VIEW, "POST": "monitoring.add_mute"}
    is_private = True

    @extend_schema(
        summary="The silences of alerts, newest first",
        parameters=[PageQuery, LINK],
        responses={200: SilenceSerializer(many=True), 400: DetailSerializer},
        operation_id="alerts_silences_list",
    )
    def get(self, request: Request) -> Response:
        query = PageQuery.read(request)
        return page_by_id(request, query, shown(), SilenceSerializer, newest_first=True)

    @extend_schema(
        summary="Silence alerts",
        description="Nobody is told of what fits all that is given (a sensor, a location, a rule; everything"
        " where none is) while it holds. Incidents are kept and shown all the same.",
        request=SilenceBody,
        responses={201: SilenceSerializer, 400: DetailSerializer},
        operation_id="alerts_silences_create",
    )
    def post(self, request: Request) -> Response:
        take_none(request)
        said = SilenceBody(data=request.data)
        said.is_valid(raise_exception=True)
        values: dict[str, Any] = {"starts_at": datetime.now(UTC), **said.validated_data}
        mute = Mute(**values, created_by=user_of(request))
        with as_answers(), transaction.atomic():
            mute.full_clean()
            mute.save(force_insert=True)
        return Response(
            SilenceSerializer(one_of(shown(), mute.pk, _NONE)).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": request.build_absolute_uri(f"{mute.pk}/")},
        )


class OneSilence(APIView):
    permissions = {"GET": VIEW, "PATCH": "monitoring.change_mute", "DELETE": "monitoring.delete_mute"}
    is_private = True

    @extend_schema(
        summary="One silence",
        responses={200: SilenceSerializer, 404: DetailSerializer},
        operation_id="alerts_silences_retrieve",
    )
    def get(self, request: Request, silence_id: int) -> Response:
        take_none(request)
        return Response(SilenceSerializer(one_of(shown(), silence_id, _NONE)).data)

    @extend_schema(
        summary="Change a silence, or end it",
        description="`ends_at` ends it, and it stays in the list.",
        request=SilenceBody(partial=True),
        responses={200: SilenceSerializer, 400: DetailSerializer, 404: DetailSerializer},
        operation_id="alerts_silences_change",
    )
    def patch(self, request: Request, silence_id: int) -> Response:
        take_none(request)
        said = SilenceBody(data=request.data, partial=True)
        said.is_valid(raise_exception=True)
        values: dict[str, Any] = said.validated_data
        with as_answers(), transaction.atomic():
            mute = one_of(Mute.objects.select_for_update(), silence_id, _NONE)
            for name, value in values.items():
                setattr(mute, name, value)
            mute.full_clean()
            mute.save()
        return self.get(request, silence_id)

    @extend_schema(
        summary="Delete a silence",
        responses={204: None, 404: DetailSerializer},
        operation_id="alerts_silences_delete",
    )
    def delete(self, request: Request, silence_id: int) -> Response:
        take_none(request)
        one_of(Mute.objects.all(), silence_id, _NONE).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
