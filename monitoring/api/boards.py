"""boards/: what says online and offline of itself, and whose sensors are its."""

from datetime import UTC, datetime

from django.db.models import Max, Prefetch
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monitoring.api.pages import LINK, page_by_id
from monitoring.api.query import PageQuery
from monitoring.models import Board, SensorStatus


class BoardSerializer(serializers.Serializer[Board]):
    """`online_since` or `offline_since`: one of the two is null."""

    name = serializers.CharField(help_text="The last level of its status topic.")
    online = serializers.BooleanField()
    online_since = serializers.SerializerMethodField()
    offline_since = serializers.SerializerMethodField(
        help_text="Since when that is known: its last will comes when the broker has missed it for a while."
    )
    last_seen = serializers.SerializerMethodField(
        help_text="When it said last that it is online, or the newest reading of its sensors was measured."
    )
    sensors = serializers.SerializerMethodField(
        help_text="The ids of those whose readings come on its topic."
    )

    def get_online_since(self, board: Board) -> datetime | None:
        return board.since.astimezone(UTC) if board.online else None

    def get_offline_since(self, board: Board) -> datetime | None:
        return None if board.online else board.since.astimezone(UTC)

    def get_last_seen(self, board: Board) -> datetime | None:
        newest: datetime | None = getattr(board, "newest_at", None)
        seen = [one for one in (board.last_seen, newest) if one is not None]
        return max(seen).astimezone(UTC) if seen else None

    def get_sensors(self, board: Board) -> list[int]:
        return [row.pk for row in board.standings.all()]


class Boards(APIView):
    permissions = {"GET": "monitoring.view_sensor"}

    @extend_schema(
        summary="The boards that say how they are, in the order in which they were first heard of",
        parameters=[PageQuery, LINK],
        responses=BoardSerializer(many=True),
        operation_id="boards_list",
    )
    def get(self, request: Request) -> Response:
        query = PageQuery.read(request)
        sensors = Prefetch("standings", SensorStatus.objects.only("pk", "board").order_by("pk"))
        rows = Board.objects.annotate(newest_at=Max("standings__newest_at")).prefetch_related(sensors)
        return page_by_id(request, query, rows, BoardSerializer)
