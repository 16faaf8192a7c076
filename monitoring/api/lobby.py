"""lobby/: sensors that send and that nobody has registered; and what those that are were refused for."""

from datetime import UTC
from typing import Any

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.bodies import CODES, MAX_DETAIL_CHARS, Body, has_body
from monitoring.api.errors import ConflictError
from monitoring.api.jobs import RequestedSerializer, SumsSerializer, requested, tried
from monitoring.api.pages import LINK, page_by_id
from monitoring.api.permissions import require, user_of
from monitoring.api.query import PageQuery, take_none
from monitoring.api.rejected import CHANGE, VIEW
from monitoring.api.serializers import DetailSerializer, SensorChangeSerializer, SensorSerializer
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import BlockedSensor, Sensor
from monitoring.rejected import lobby
from monitoring.rejected.replay import UnitChange

ADD, CHANGE_SENSOR = "monitoring.add_sensor", "monitoring.change_sensor"
# Of each the newest messages are decoded.
MAX_LIMIT = 200
MOST = 100
_NOTHING = _("Nothing of this sensor waits.")
_THERE = _("There is a sensor with this id, or one is being removed.")
_BLOCKED = _("This sensor is blocked: unblock it first.")
_UNKNOWN_TO_THEM = _("Its messages do not say which {}: there is nothing to set it to.")


class LobbyQuery(PageQuery):
    """`?limit=`."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=50, help_text="How many at most, the newest first."
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["cursor"]
        return fields


class SuggestedSerializer(serializers.Serializer[dict[str, str]]):
    name = serializers.CharField()
    kind = serializers.CharField()
    unit = serializers.CharField()
    location = serializers.CharField()


class GuestSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="sensor_id")
    messages = serializers.IntegerField(help_text="How many of them wait.")
    first = serializers.DateTimeField(default_timezone=UTC)
    last = serializers.DateTimeField(default_timezone=UTC)
    topics = serializers.ListField(child=serializers.CharField(), help_text="Up to five.")
    kinds = serializers.ListField(
        child=serializers.CharField(), help_text="What its newest messages say; the most frequent first."
    )
    units = serializers.ListField(child=serializers.CharField())
    last_value = serializers.FloatField(allow_null=True)
    suggested = SuggestedSerializer(help_text="What it is registered as, unless you say otherwise.")


class ApprovalSerializer(SensorChangeSerializer):
    class Meta(SensorChangeSerializer.Meta):
        fields = ["name", "kind", "unit", "location"]


class ApprovedSerializer(serializers.Serializer[Any]):
    sensor = SensorSerializer()
    job = serializers.IntegerField(help_text="It replays what waits of this sensor.")


class ManyToApprove(Body):
    sensors = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MAX_SENSOR_ID), min_length=1, max_length=MOST
    )


class ManyApprovedSerializer(serializers.Serializer[Any]):
    approved = ApprovedSerializer(many=True)


class BlockedJobSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()
    job = serializers.IntegerField(help_text="It sets aside what waits of this sensor.")


class BlockedSerializer(serializers.ModelSerializer[BlockedSensor]):
    id = serializers.IntegerField(source="sensor_id")
    blocked_at = serializers.DateTimeField(default_timezone=UTC)

    class Meta:
        model = BlockedSensor
        fields = ["id", "blocked_by", "blocked_at"]


class MisfitSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    sensor = SensorSerializer()
    detail = serializers.CharField()
    messages = serializers.IntegerField()
    first = serializers.DateTimeField(default_timezone=UTC)
    last = serializers.DateTimeField(default_timezone=UTC)
    said = serializers.CharField(help_text="The unit, or the type, that its messages name.")
    remedies = serializers.ListField(child=serializers.CharField())


class RemedyBody(Body):
    """`code`, `sensor` and `detail` as `GET` gives them."""

    code = serializers.ChoiceField(choices=CODES)
    sensor = serializers.IntegerField(min_value=1, max_value=MAX_SENSOR_ID)
    detail = serializers.CharField(max_length=MAX_DETAIL_CHARS, trim_whitespace=False)
    remedy = serializers.ChoiceField(
        choices=["activate", "change_unit", "change_kind", "read_unit_as"],
        help_text="`activate`, `change_unit`, `change_kind`: of the sensor; `read_unit_as`: the messages that"
        " wait are read as if they named the sensor's unit.",
    )
    dry_run = serializers.BooleanField(
        default=False, help_text="Of `read_unit_as` alone: say what would come of it; nothing is changed."
    )


class Lobby(APIView):
    permissions = {"GET": VIEW}
    is_private = True

    @extend_schema(
        summary="Sensors that send and that nobody has registered, the newest first",
        parameters=[LobbyQuery],
        responses={200: GuestSerializer(many=True), 400: DetailSerializer},
        operation_id="lobby_list",
    )
    def get(self, request: Request) -> Response:
        query = LobbyQuery.read(request)
        return Response(GuestSerializer(lobby.guests(query["limit"]), many=True).data)


class Approve(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Register a sensor that waits, and replay its messages",
        description="Fields that are left out are as `suggested` says. It needs monitoring.add_sensor too.",
        request=ApprovalSerializer(partial=True),
        responses={
            201: ApprovedSerializer,
            400: DetailSerializer,
            404: DetailSerializer,
            409: DetailSerializer,
        },
        operation_id="lobby_approve",
    )
    def post(self, request: Request, sensor_id: int) -> Response:
        require(request, ADD)
        take_none(request)
        said = ApprovalSerializer(data=request.data if has_body(request) else {}, partial=True)
        said.is_valid(raise_exception=True)
        guest = _guest(sensor_id)
        sensor = Sensor(pk=sensor_id, **guest.suggested | said.validated_data)
        try:
            job = lobby.approve(sensor, user_of(request))
        except IntegrityError:
            raise ConflictError(_THERE) from None
        return Response(
            ApprovedSerializer({"sensor": sensor, "job": job.pk}).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": request.build_absolute_uri(reverse("sensor", args=[sensor_id]))},
        )


class ApproveMany(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Register sensors that wait, as they are suggested",
        description="All or none. It needs monitoring.add_sensor too.",
        request=ManyToApprove,
        responses={201: ManyApprovedSerializer, 400: DetailSerializer, 409: DetailSerializer},
        operation_id="lobby_approve_many",
    )
    def post(self, request: Request) -> Response:
        require(request, ADD)
        asked = sorted(set(ManyToApprove.read(request)["sensors"]))
        guests, errors = [], []
        for sensor_id in asked:
            try:
                guests.append(_guest(sensor_id))
            except (NotFound, ConflictError) as error:
                errors.append(f"{sensor_id}: {error.detail}")
        if errors:
            raise ValidationError({"sensors": errors})
        try:
            with transaction.atomic():
                sensors = [Sensor(pk=guest.sensor_id, **guest.suggested) for guest in guests]
                approved = [
                    {"sensor": sensor, "job": lobby.approve(sensor, user_of(request)).pk}
                    for sensor in sensors
                ]
        except IntegrityError:
            raise ConflictError(gettext("Somebody else has registered one of them meanwhile.")) from None
        return Response(ManyApprovedSerializer({"approved": approved}).data, status=status.HTTP_201_CREATED)


class Block(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Block a sensor that waits",
        description="What waits of it alone is set aside; what comes from now on is counted, and not kept.",
        request=None,
        responses={
            200: BlockedJobSerializer,
            400: DetailSerializer,
            404: DetailSerializer,
            409: DetailSerializer,
        },
        operation_id="lobby_block",
    )
    def post(self, request: Request, sensor_id: int) -> Response:
        Body.read(request)
        if not (sensor_id <= MAX_SENSOR_ID and BlockedSensor.objects.filter(pk=sensor_id).exists()):
            # One that is blocked may have been blocked by this very request, whose answer was lost.
            _guest(sensor_id)
        job = lobby.block(sensor_id, user_of(request))
        detail = gettext("It is blocked, and a job sets aside what waits of it.")
        return Response({"detail": detail, "job": job.pk})


class Unblock(APIView):
    permissions = {"POST": CHANGE}

    @extend_schema(
        summary="Unblock a sensor",
        description="What comes from now on is kept, and shown in the lobby. What was set aside stays so.",
        request=None,
        responses={200: DetailSerializer, 400: DetailSerializer, 404: DetailSerializer},
        operation_id="lobby_unblock",
    )
    def post(self, request: Request, sensor_id: int) -> Response:
        Body.read(request)
        if sensor_id > MAX_SENSOR_ID or not lobby.unblock(sensor_id):
            raise NotFound(gettext("This sensor is not blocked."))
        return Response({"detail": gettext("It is not blocked any more.")})


class Blocked(APIView):
    permissions = {"GET": VIEW}
    is_private = True

    @extend_schema(
        summary="The sensors that are blocked, by id",
        parameters=[PageQuery, LINK],
        responses={200: BlockedSerializer(many=True), 400: DetailSerializer},
        operation_id="lobby_blocked",
    )
    def get(self, request: Request) -> Response:
        query = PageQuery.read(request)
        return page_by_id(request, query, BlockedSensor.objects.all(), BlockedSerializer)


class Misfits(APIView):
    permissions = {"GET": VIEW, "POST": CHANGE}
    is_private = True

    @extend_schema(
        summary="What sensors that are registered are refused for, again and again",
        description="They are switched off, or their messages name another type or unit than they have.",
        parameters=[LobbyQuery],
        responses={200: MisfitSerializer(many=True), 400: DetailSerializer},
        operation_id="lobby_misfits",
    )
    def get(self, request: Request) -> Response:
        query = LobbyQuery.read(request)
        return Response(MisfitSerializer(lobby.misfits(query["limit"]), many=True).data)

    @extend_schema(
        summary="Mend one of them, and replay what waits for that",
        description="What changes the sensor needs monitoring.change_sensor too.",
        request=RemedyBody,
        responses={
            200: SumsSerializer,
            202: RequestedSerializer,
            400: DetailSerializer,
            404: DetailSerializer,
            409: DetailSerializer,
            503: DetailSerializer,
        },
        operation_id="lobby_remedy",
    )
    def post(self, request: Request) -> Response:
        said = RemedyBody.read(request)
        name, is_of_messages = said["remedy"], said["remedy"] == "read_unit_as"
        if not is_of_messages:
            require(request, CHANGE_SENSOR)
            if said["dry_run"]:
                detail = gettext("Of read_unit_as alone: the others change the sensor.")
                raise ValidationError({"dry_run": [detail]})
        misfit = next(iter(lobby.misfits(1, (said["code"], said["sensor"], said["detail"]))), None)
        if misfit is None:
            raise NotFound(gettext("Nothing waits with this code, sensor and detail."))
        if name not in misfit.remedies:
            known = {"code": misfit.code, "remedies": ", ".join(misfit.remedies)}
            raise ValidationError({"remedy": [gettext("For %(code)s: %(remedies)s.") % known]})
        if name != "activate" and not misfit.said:
            raise ConflictError(_UNKNOWN_TO_THEM.format("type" if name == "change_kind" else "unit"))
        if said["dry_run"]:
            return tried(misfit.selection, UnitChange(misfit.said, misfit.sensor.unit))
        return requested(request, lobby.remedy(misfit, name, user_of(request)), misfit.messages)


def _guest(sensor_id: int) -> lobby.Guest:
    """Raises ConflictError where there is a sensor, or it is blocked; NotFound where nothing of it waits."""
    if sensor_id > MAX_SENSOR_ID:
        raise NotFound(_NOTHING)
    # First, so that whoever registers or blocks it meanwhile is found by the looks that follow.
    guest = next(iter(lobby.guests(1, sensor_id)), None)
    if Sensor.objects.filter(pk=sensor_id).exists():
        raise ConflictError(_THERE)
    if BlockedSensor.objects.filter(pk=sensor_id).exists():
        raise ConflictError(_BLOCKED)
    if guest is None:
        raise NotFound(_NOTHING)
    return guest
