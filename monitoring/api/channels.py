"""alerts/channels/: whom alerts are told to. What is secret is written and never read."""

from collections.abc import Callable, Mapping
from datetime import UTC
from functools import partial
from typing import Any

from django.conf import settings as site
from django.core.exceptions import ValidationError as ModelError
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.alerts import channels, outbox
from monitoring.api.alert_bodies import StrictSerializer, as_answers, one_of
from monitoring.api.bodies import Body
from monitoring.api.pages import LINK, page_by_id
from monitoring.api.permissions import may_see
from monitoring.api.query import PageQuery, take_none
from monitoring.api.serializers import DetailSerializer
from monitoring.models import AlertChannel, Delivery

VIEW, CHANGE = "monitoring.view_alertchannel", "monitoring.change_alertchannel"
MOST_SECONDS = 3600
_NONE = _("There is no channel with this id.")


class ChannelBody(StrictSerializer[AlertChannel]):
    settings = serializers.DictField(
        required=False,
        help_text="Of its kind: email `to`; webhook `url`, `secret`; ntfy `server`, `topic`, `token`;"
        " telegram `token`, `chat`; mqtt `topic`, `retained`; apprise `url`. All that it is to have, but for"
        " what is secret: that stays where it is left out, unless the address changes.",
    )
    group_s = serializers.IntegerField(min_value=0, max_value=MOST_SECONDS, required=False)
    language = serializers.ChoiceField(
        choices=["", *(code for code, _name in site.LANGUAGES)],
        required=False,
        help_text="Of what it is told; empty: the installation's.",
    )

    class Meta:
        model = AlertChannel
        fields = ["name", "kind", "settings", "enabled", "group_s", "language"]


class ChannelSerializer(serializers.ModelSerializer[AlertChannel]):
    settings = serializers.SerializerMethodField(
        help_text="What is secret is not shown: true where it is set, else false. For who may not change"
        " channels, of an address its host alone, and of ntfy's topic whether it is set."
    )
    disabled_why = serializers.CharField(
        help_text="Where it was switched off since it failed for good: why. Nothing is sent until somebody"
        " enables it."
    )
    disabled_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)
    created_at = serializers.DateTimeField(default_timezone=UTC)

    class Meta:
        model = AlertChannel
        fields = ["id", *ChannelBody.Meta.fields, "disabled_why", "disabled_at", "created_at"]

    def get_settings(self, channel: AlertChannel) -> dict[str, Any]:
        return channels.shown(channel.kind, channel.settings, self.context.get("may_change", False))


def _shows(request: Request) -> Callable[..., ChannelSerializer]:
    """The serializer, for whoever asks."""
    return partial(ChannelSerializer, context={"may_change": may_see(request, CHANGE)})


class ReceiptSerializer(serializers.ModelSerializer[Delivery]):
    id = serializers.UUIDField(help_text="The key that the message carried.")
    error = serializers.CharField(help_text="Where it failed: why.")
    sent_at = serializers.DateTimeField(allow_null=True, default_timezone=UTC)

    class Meta:
        model = Delivery
        fields = ["id", "state", "error", "sent_at"]


class NoBody(Body):
    """{}"""


def _set(channel: AlertChannel, said: Mapping[str, Any]) -> None:
    """Takes over what was said. Raises ValidationError (400) by field, of settings by each of them."""
    is_same_kind = channel.pk is not None and said.get("kind", channel.kind) == channel.kind
    before = channel.settings if is_same_kind else None
    for name in ("name", "kind", "group_s", "language"):
        if name in said:
            setattr(channel, name, said[name])
    if "settings" in said or before is None:
        channel.settings = _settings(channel.kind, said.get("settings", {}), before)
    if said.get("enabled", channel.enabled) != channel.enabled:
        channel.switch(on=said["enabled"])


def _settings(kind: str, given: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    # As it was shown: whoever sends back what was read changes nothing.
    hidden = channels.secrets(kind)
    written = {
        name: value for name, value in given.items() if name not in hidden or not isinstance(value, bool)
    }
    try:
        return channels.check(kind, written, before)
    except ModelError as error:
        wrong = error.message_dict
        above = {name: wrong.pop(name) for name in ("kind", "settings") if name in wrong}
        raise ValidationError(above | ({"settings": wrong} if wrong else {})) from error


class Channels(APIView):
    permissions = {"GET": VIEW, "POST": "monitoring.add_alertchannel"}
    is_private = is_of_managing = True

    @extend_schema(
        summary="The channels, by id",
        description="With a token whose scope is `manage` alone.",
        parameters=[PageQuery, LINK],
        responses={200: ChannelSerializer(many=True), 400: DetailSerializer},
        operation_id="alerts_channels_list",
    )
    def get(self, request: Request) -> Response:
        query = PageQuery.read(request)
        return page_by_id(request, query, AlertChannel.objects.all(), _shows(request))

    @extend_schema(
        summary="Make a channel",
        description="It tells nobody anything until a rule names it; `test/` tries it.",
        request=ChannelBody,
        responses={201: ChannelSerializer, 400: DetailSerializer},
        operation_id="alerts_channels_create",
    )
    def post(self, request: Request) -> Response:
        take_none(request)
        said = ChannelBody(data=request.data)
        said.is_valid(raise_exception=True)
        channel = AlertChannel()
        _set(channel, said.validated_data)
        with as_answers(), transaction.atomic():
            channel.save(force_insert=True)
        return Response(
            _shows(request)(channel).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": request.build_absolute_uri(f"{channel.pk}/")},
        )


class OneChannel(APIView):
    permissions = {"GET": VIEW, "PATCH": CHANGE, "DELETE": "monitoring.delete_alertchannel"}
    is_private = is_of_managing = True

    @extend_schema(
        summary="One channel",
        responses={200: ChannelSerializer, 404: DetailSerializer},
        operation_id="alerts_channels_retrieve",
    )
    def get(self, request: Request, channel_id: int) -> Response:
        take_none(request)
        return Response(_shows(request)(one_of(AlertChannel.objects.all(), channel_id, _NONE)).data)

    @extend_schema(
        summary="Change a channel, or switch it on again",
        description="Switched on again, it is told of what fires still and never reached it, and of the end "
        "of what it was told of.",
        request=ChannelBody(partial=True),
        responses={200: ChannelSerializer, 400: DetailSerializer, 404: DetailSerializer},
        operation_id="alerts_channels_change",
    )
    def patch(self, request: Request, channel_id: int) -> Response:
        take_none(request)
        with as_answers(), transaction.atomic():
            channel = one_of(AlertChannel.objects.select_for_update(no_key=True), channel_id, _NONE)
            said = ChannelBody(channel, data=request.data, partial=True)
            said.is_valid(raise_exception=True)
            _set(channel, said.validated_data)
            channel.save()
        return self.get(request, channel_id)

    @extend_schema(
        summary="Delete a channel",
        description="With what it was told, and what it was still to be told. The rules stay.",
        responses={204: None, 404: DetailSerializer},
        operation_id="alerts_channels_delete",
    )
    def delete(self, request: Request, channel_id: int) -> Response:
        take_none(request)
        one_of(AlertChannel.objects.all(), channel_id, _NONE).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class TestChannel(APIView):
    """`state` says whether it was sent: that it was not is no error of the request's."""

    permissions = {"POST": CHANGE}
    is_private = is_of_managing = True

    @extend_schema(
        summary="Send a test at once",
        description="The answer comes once it is sent, or has failed: after 25 seconds at most.",
        request=None,
        responses={200: ReceiptSerializer, 400: DetailSerializer, 404: DetailSerializer},
        operation_id="alerts_channels_test",
    )
    def post(self, request: Request, channel_id: int) -> Response:
        NoBody.read(request)
        channel = one_of(AlertChannel.objects.all(), channel_id, _NONE)
        return Response(ReceiptSerializer(outbox.send_test(channel)).data)
