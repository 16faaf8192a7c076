"""alerts/incidents/: that rules fired, when and for whom; acknowledged by somebody."""

from collections.abc import Mapping
from datetime import UTC
from functools import partial
from typing import Any

from django.db.models import Count, F, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.fields.tuple_lookups import TupleLessThan
from django.db.models.functions import Coalesce
from django.db.models.lookups import Lookup
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.alerts.incidents import acknowledge
from monitoring.api.alert_bodies import one_of
from monitoring.api.bodies import Body
from monitoring.api.pages import LINK, Cursor, page
from monitoring.api.permissions import may_see, user_of
from monitoring.api.query import SpanQuery
from monitoring.api.serializers import DetailSerializer
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import AlertRule, Incident

VIEW, CHANGE = "monitoring.view_incident", "monitoring.change_incident"
MAX_COMMENT_CHARS = 2000
_LOOKUPS = {
    "state": "state",
    "sensor": "sensor_id",
    "rule": "rule_id",
    "part_of": "part_of_id",
    "from": "since__gte",
    "to": "since__lt",
}
_NONE = _("There is no incident with this id.")


class IncidentsQuery(SpanQuery):
    """`?state=&sensor=&rule=&part_of=&from=&to=`; the span is of `since`."""

    state = serializers.ChoiceField(choices=Incident.State.choices, required=False)
    sensor = serializers.IntegerField(
        min_value=1, max_value=MAX_SENSOR_ID, required=False, help_text="Only this sensor's."
    )
    rule = serializers.IntegerField(
        min_value=1, max_value=MAX_SENSOR_ID, required=False, help_text="Only what this rule found."
    )
    part_of = serializers.IntegerField(
        min_value=1, max_value=MAX_SENSOR_ID, required=False, help_text="Only those that this one names."
    )


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """Ask for incidents with `shown()`. Who acknowledged it, and what they wrote, is null for who sees
    incidents only because reading is public (`context["is_stranger"]`)."""

    rule = serializers.IntegerField(source="rule_id", allow_null=True, help_text="Null once it is deleted.")
    title = serializers.CharField(help_text="The rule's name when it fired.")
    kind = serializers.ChoiceField(AlertRule.Kind.choices)
    severity = serializers.ChoiceField(AlertRule.Severity.choices)
    sensor = serializers.IntegerField(
        source="sensor_id", allow_null=True, help_text="Null where it is none's alone; `subject` says whose."
    )
    subject = serializers.CharField(help_text="Such as `sensor:3`, `board:kitchen`, `pipeline:behind`.")
    since = serializers.DateTimeField(default_timezone=UTC, help_text="Of the reading that it began with.")
    fired_at = serializers.DateTimeField(default_timezone=UTC)
    resolved_at = serializers.DateTimeField(
        allow_null=True, default_timezone=UTC, help_text="Null while it lasts."
    )
    seen_at = serializers.DateTimeField(
        default_timezone=UTC, help_text="When it was found: later, where readings came late."
    )
    value = serializers.FloatField(allow_null=True, help_text="Of the reading that it began with.")
    peak = serializers.FloatField(allow_null=True, help_text="The value furthest past the threshold.")
    last = serializers.FloatField(allow_null=True, help_text="Of the reading that cleared it.")
    acknowledged_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", allow_null=True, default=None)
    comment = serializers.CharField(allow_null=True)
    part_of = serializers.IntegerField(
        source="part_of_id", allow_null=True, help_text="The incident that names this one, if any."
    )
    parts = serializers.IntegerField(
        source="part_count", help_text="How many incidents this one stands for; `?part_of=` lists them."
    )

    class Meta:
        model = Incident
        fields = [
            *("id", "rule", "title", "kind", "severity", "sensor", "subject", "state"),
            *("since", "fired_at", "resolved_at", "seen_at", "end", "value", "peak", "last"),
            *("acknowledged_at", "acknowledged_by", "comment", "part_of", "parts"),
        ]

    def to_representation(self, incident: Incident) -> dict[str, Any]:
        said: dict[str, Any] = super().to_representation(incident)
        if self.context.get("is_stranger"):
            said |= {"acknowledged_by": None, "comment": None}
        return said


class AcknowledgeBody(Body):
    comment = serializers.CharField(default="", allow_blank=True, max_length=MAX_COMMENT_CHARS)


def shown() -> QuerySet[Incident]:
    """With how many parts each has, looked up for those of the page alone."""
    parts = Incident.objects.filter(part_of=OuterRef("pk")).order_by().values("part_of")
    counted = Subquery(parts.annotate(count=Count("pk")).values("count"), output_field=IntegerField())
    return Incident.objects.select_related("acknowledged_by").annotate(part_count=Coalesce(counted, 0))


def newest(query: Mapping[str, Any]) -> QuerySet[Incident]:
    """One row more than `limit`, by `since`, newest first."""
    rows = shown().order_by("-since", "-id")
    given = {lookup: query[name] for name, lookup in _LOOKUPS.items() if name in query}
    rows = rows.filter(**given)
    if "state" not in query:
        rows = rows.exclude(state=Incident.State.WITHDRAWN)
    if "sensor" not in query and "part_of" not in query:
        rows = rows.filter(part_of__isnull=True)
    if cursor := query.get("cursor"):
        before: Lookup[Any] = TupleLessThan((F("since"), F("id")), (cursor.created_at, cursor.id))
        rows = rows.filter(before)
    return rows[: query["limit"] + 1]


def _serializer(request: Request) -> partial[IncidentSerializer]:
    return partial(IncidentSerializer, context={"is_stranger": not may_see(request, VIEW)})


class Incidents(APIView):
    permissions = {"GET": VIEW}

    @extend_schema(
        summary="Incidents, newest first",
        description="Without those that are part of another, which names them, unless `sensor` or `part_of`"
        " asks for them; without those that never were, as readings that came late have shown, unless"
        " `state=withdrawn` does.",
        parameters=[IncidentsQuery, LINK],
        responses={200: IncidentSerializer(many=True), 400: DetailSerializer},
        operation_id="alerts_incidents_list",
    )
    def get(self, request: Request) -> Response:
        query = IncidentsQuery.read(request)
        shown = {"serializer": _serializer(request), "cursor": lambda row: Cursor(row.since, row.pk)}
        return page(request, list(newest(query)), query["limit"], shown)


class Acknowledge(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Acknowledge an incident: somebody has seen it, and sees to it",
        description="Nobody is reminded of it any more, but told when it is resolved. Done again, who did so"
        " first and when stays, and a comment takes the place of the one before.",
        request=AcknowledgeBody,
        responses={200: IncidentSerializer, 400: DetailSerializer, 404: DetailSerializer},
        operation_id="alerts_incidents_acknowledge",
    )
    def post(self, request: Request, incident_id: int) -> Response:
        said = AcknowledgeBody.read(request)
        incident = one_of(Incident.objects.all(), incident_id, _NONE)
        acknowledge(incident, user_of(request), said["comment"])
        return Response(_serializer(request)(one_of(shown(), incident_id, _NONE)).data)
