"""Boards: which of them say that they are online, since when, and whose sensors are theirs."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.admin import ages
from monitoring.admin.column import column, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin
from monitoring.models import Board, SensorStatus

_SHOWN = 10


@admin.register(Board)
class BoardAdmin(ReadOnlyAdmin):
    """Who may see sensors may see these."""

    list_display = ("name", "state", "since_when", "seen", "sensors")
    list_display_links = None
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Board]:
        sensors = SensorStatus.objects.select_related("sensor").order_by("pk")
        return Board.objects.prefetch_related(Prefetch("standings", sensors))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.has_perm("monitoring.view_sensor"))

    @column(_("status"), label={"online": "success", "offline": "danger"})
    def state(self, board: Board) -> tuple[str, Any]:
        return ("online", gettext("online")) if board.online else ("offline", gettext("offline"))

    @column(ages.in_zone(_("since")))
    def since_when(self, board: Board) -> SafeString:
        return unbroken(ages.to_the_minute(board.since))

    @column(_("last seen"))
    def seen(self, board: Board) -> SafeString | None:
        return unbroken(ages.since(board.last_seen)) if board.last_seen else None

    @column(_("sensors"))
    def sensors(self, board: Board) -> str:
        rows = board.standings.all()
        names = [row.sensor.name for row in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            names.append(gettext("and %d more") % (len(rows) - _SHOWN))
        return ", ".join(names)
