"""rejected/: what was refused; one of them replayed, changed or as it is, or set aside."""

import base64
from datetime import UTC
from typing import Any

from django.db.models import F
from django.db.models.fields.tuple_lookups import TupleLessThan
from django.db.models.lookups import Lookup
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.bodies import (
    CODES,
    MAX_DETAIL_CHARS,
    MAX_TOPIC_CHARS,
    DismissBody,
    ReplayBody,
    selection,
    unit_change,
)
from monitoring.api.errors import ConflictError, unless_passing
from monitoring.api.pages import LINK, Cursor, page
from monitoring.api.permissions import user_of
from monitoring.api.query import SpanQuery, take_none
from monitoring.api.serializers import DetailSerializer
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.details import translated
from monitoring.models import RejectedMessage
from monitoring.models.rejected import RejectedMessageQuerySet
from monitoring.rejected.dismissal import dismiss
from monitoring.rejected.groups import COLUMNS, Group, groups
from monitoring.rejected.replay import CutError, NotWaitingError, Outcome, Verdict, replay_one

VIEW, CHANGE = "monitoring.view_rejectedmessage", "monitoring.change_rejectedmessage"
# A payload of 16 KiB is here as text and as base64: at most 8 MB a page.
MAX_LIMIT = 200
_NONE = _("There is no rejected message with this id.")
_CUT = _(
    "Only the beginning of its payload was kept, so there is nothing to replay: say as `payload` what is to"
    " be stored instead."
)


class WaitingFilter(SpanQuery):
    """`?code=&sensor=&topic=&detail=&from=&to=`; the span is of when it was received."""

    code = serializers.ChoiceField(choices=CODES, required=False)
    sensor = serializers.IntegerField(
        min_value=1, max_value=MAX_SENSOR_ID, required=False, help_text="Those that name it."
    )
    topic = serializers.CharField(max_length=MAX_TOPIC_CHARS, required=False, trim_whitespace=False)
    detail = serializers.CharField(
        max_length=MAX_DETAIL_CHARS, required=False, allow_blank=True, trim_whitespace=False
    )


class RejectedQuery(WaitingFilter):
    state = serializers.ChoiceField(choices=RejectedMessage.State.choices, required=False)
    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=100, help_text="How many rows at most."
    )


class GroupsQuery(WaitingFilter):
    by = serializers.CharField(
        default="code", help_text=f"What they are grouped by, by commas: {', '.join(COLUMNS)}."
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["cursor"]
        return fields

    def validate_by(self, text: str) -> list[str]:
        names = text.split(",")
        if len(set(names)) < len(names) or not set(names) <= set(COLUMNS):
            raise ValidationError(gettext("Give each once, by commas, of %s.") % ", ".join(COLUMNS))
        return names


class BecameSerializer(serializers.Serializer[RejectedMessage]):
    sensor = serializers.IntegerField(source="became_sensor")
    created_at = serializers.DateTimeField(source="became_at", default_timezone=UTC)


class RejectedSerializer(serializers.ModelSerializer[RejectedMessage]):
    received_at = serializers.DateTimeField(default_timezone=UTC)
    payload = serializers.SerializerMethodField(help_text="Null where it is not UTF-8.")
    payload_base64 = serializers.SerializerMethodField()
    length = serializers.IntegerField(help_text="Bytes as it came; where it was cut, more than there are.")
    sensor = serializers.SerializerMethodField(help_text="The first of `sensors`.")
    indexes = serializers.SerializerMethodField(
        help_text="Of an array that was kept whole: which of its elements were refused, by code."
    )
    readings = serializers.IntegerField(
        source="elements", help_text="How many refused readings it stands for."
    )
    replayed_at = serializers.DateTimeField(
        allow_null=True, default_timezone=UTC, help_text="Of the last replay, or of its dismissal."
    )
    replayed_by = serializers.CharField(source="replayed_by.username", allow_null=True)
    became = serializers.SerializerMethodField(help_text="The first measurement that it was stored as.")

    class Meta:
        model = RejectedMessage
        fields = [
            *("id", "received_at", "topic", "payload", "payload_base64", "length", "retained"),
            *("code", "detail", "sensor", "sensors", "state"),
            *("batch", "position", "index", "indexes", "readings"),
            *("outcome", "replayed_at", "replayed_by", "became"),
        ]

    def get_payload(self, row: RejectedMessage) -> str | None:
        try:
            return bytes(row.payload).decode()
        except UnicodeDecodeError:
            return None

    def get_payload_base64(self, row: RejectedMessage) -> str:
        return base64.b64encode(row.payload).decode()

    def get_sensor(self, row: RejectedMessage) -> int | None:
        return next(iter(row.sensors), None)

    def get_indexes(self, row: RejectedMessage) -> dict[str, list[int]] | None:
        if not row.indexes:
            return None
        return {
            code: [index for index in which if index is not None] for code, which in row.refused().items()
        }

    @extend_schema_field(BecameSerializer(allow_null=True))
    def get_became(self, row: RejectedMessage) -> Any:
        return None if row.became_at is None else BecameSerializer(row).data


class GroupSerializer(serializers.Serializer[Any]):
    """Of code, sensor, topic and detail those that they are grouped by."""

    code = serializers.CharField(required=False)
    sensor = serializers.IntegerField(
        required=False,
        allow_null=True,
        help_text="Null: they name none. One that names several is counted for each.",
    )
    topic = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)
    messages = serializers.IntegerField()
    readings = serializers.IntegerField()
    first = serializers.DateTimeField(default_timezone=UTC)
    last = serializers.DateTimeField(default_timezone=UTC)

    def to_representation(self, group: dict[str, Any]) -> dict[str, Any]:
        # What may be null would be so where it is not there at all.
        return {name: said for name, said in super().to_representation(group).items() if name in group}


class ReadingsSerializer(serializers.Serializer[Verdict]):
    stored = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.DictField(child=serializers.IntegerField(), help_text="How many, by code.")


class VerdictSerializer(serializers.Serializer[Verdict]):
    outcome = serializers.ChoiceField(
        choices=[outcome.value for outcome in Outcome],
        help_text="`rejected` where one of its readings is; it waits on, for those.",
    )
    code = serializers.CharField(allow_null=True)
    detail = serializers.CharField()
    sensor = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    readings = ReadingsSerializer(source="*")


_ROWS: dict[str, Any] = {
    "serializer": RejectedSerializer,
    "cursor": lambda row: Cursor(row.received_at, row.pk),
}


class RejectedMessages(APIView):
    permissions = {"GET": VIEW}
    is_private = True

    @extend_schema(
        summary="Rejected messages, newest first",
        parameters=[RejectedQuery, LINK],
        responses={200: RejectedSerializer(many=True), 400: DetailSerializer},
        operation_id="rejected_list",
    )
    def get(self, request: Request) -> Response:
        query = RejectedQuery.read(request)
        rows = _shown(selection(query).rows())
        if "state" in query:
            rows = rows.filter(state=query["state"])
        if cursor := query.get("cursor"):
            # The plain comparison is what the planner estimates by.
            before: Lookup[Any] = TupleLessThan((F("received_at"), F("id")), (cursor.created_at, cursor.id))
            rows = rows.filter(before, received_at__lte=cursor.created_at)
        found = list(rows.order_by("-received_at", "-id")[: query["limit"] + 1])
        return page(request, found, query["limit"], _ROWS)


class RejectedGroups(APIView):
    permissions = {"GET": VIEW}
    is_private = True

    @extend_schema(
        summary="What waits, in groups, the newest first",
        description="Many messages that have one fault are one thing to mend.",
        parameters=[GroupsQuery],
        responses={200: GroupSerializer(many=True), 400: DetailSerializer},
        examples=[
            OpenApiExample(
                "by=code,sensor",
                {
                    "code": "unknown_sensor",
                    "sensor": 12,
                    "messages": 1204,
                    "readings": 1204,
                    "first": "2026-01-28T15:00:00Z",
                    "last": "2026-01-28T15:07:55Z",
                },
                response_only=True,
            )
        ],
        operation_id="rejected_groups",
    )
    def get(self, request: Request) -> Response:
        query = GroupsQuery.read(request)
        found = groups(query["by"], selection(query), query["limit"])
        return Response(GroupSerializer([_group(one, query["by"]) for one in found], many=True).data)


def _group(group: Group, by: list[str]) -> dict[str, Any]:
    return {name: value for name, value in group._asdict().items() if name in by or name not in COLUMNS}


class OneRejectedMessage(APIView):
    permissions = {"GET": VIEW}
    is_private = True

    @extend_schema(
        summary="One rejected message",
        responses={200: RejectedSerializer, 404: DetailSerializer},
        operation_id="rejected_retrieve",
    )
    def get(self, request: Request, message_id: int) -> Response:
        take_none(request)
        return Response(RejectedSerializer(_message(message_id)).data)


class Replay(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Replay a rejected message",
        description="It goes the ordinary way once more, and once, as of when it came; `payload` in place of"
        " what it holds. What is refused again waits on.",
        request=ReplayBody,
        responses={
            200: VerdictSerializer,
            400: DetailSerializer,
            404: DetailSerializer,
            409: DetailSerializer,
            503: DetailSerializer,
        },
        operation_id="rejected_replay",
    )
    def post(self, request: Request, message_id: int) -> Response:
        said = ReplayBody.read(request)
        _message(message_id)
        try:
            with unless_passing():
                verdict = replay_one(
                    message_id, user_of(request), said.get("bytes"), unit_change(said), said["dry_run"]
                )
        except CutError:
            _require_waiting(message_id)
            raise ConflictError(_CUT) from None
        except NotWaitingError:
            _require_waiting(message_id)
            raise
        return Response(VerdictSerializer(verdict).data)


class Dismiss(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Set a rejected message aside, with a reason",
        description="It stays where it is for as long as the others do, and is not replayed.",
        request=DismissBody,
        responses={
            200: RejectedSerializer,
            400: DetailSerializer,
            404: DetailSerializer,
            409: DetailSerializer,
        },
        operation_id="rejected_dismiss",
    )
    def post(self, request: Request, message_id: int) -> Response:
        said = DismissBody.read(request)
        _message(message_id)
        if not dismiss([message_id], user_of(request), said["reason"]):
            _require_waiting(message_id)
        return Response(RejectedSerializer(_message(message_id)).data)


def _shown(rows: RejectedMessageQuerySet) -> RejectedMessageQuerySet:
    return rows.select_related("replayed_by")


def _message(message_id: int) -> RejectedMessage:
    """Raises NotFound; a number too large for a column is none."""
    rows = RejectedMessage.objects.filter(pk=message_id) if message_id <= MAX_SENSOR_ID else None
    found = None if rows is None else _shown(rows).first()
    if found is None:
        raise NotFound(_NONE)
    return found


def _require_waiting(message_id: int) -> None:
    """Raises ConflictError, which says what has become of it."""
    message = _message(message_id)
    if message.state != RejectedMessage.State.WAITING:
        text = gettext("It does not wait: it was %(state)s (%(outcome)s).")
        said = {"state": message.get_state_display(), "outcome": translated(message.outcome)}
        if message.replayed_at:
            text = gettext("It does not wait: it was %(state)s at %(moment)s (%(outcome)s).")
            said["moment"] = f"{message.replayed_at:%Y-%m-%dT%H:%M:%SZ}"
        raise ConflictError(text % said)
