"""The inbox of what was refused: it opens on groups; a group leads to its messages, and each has its page."""

from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from monitoring.admin import (
    ages,
    frame,
    groups_page,
    lobby_page,
    many_messages,
    message_page,
    rejected_filters,
)
from monitoring.admin.codes import meaning
from monitoring.admin.payload import as_text, preview
from monitoring.admin.read_only import FixedChangeList, OwnPageAdmin, TimeRange
from monitoring.admin.sensor_links import SensorLink, sensor_links
from monitoring.details import translated
from monitoring.models import RejectedMessage

# Characters of a payload that a list shows: on the line, and once the line is opened.
BEGINNING, MORE = 120, 1200
# Of an array that names many.
SENSORS_SHOWN = 3
LOOKS = {
    RejectedMessage.State.WAITING.value: "warning",
    RejectedMessage.State.REPLAYED.value: "success",
    RejectedMessage.State.DISMISSED.value: "info",
}


class Line(NamedTuple):
    """A message as the list shows it."""

    row: RejectedMessage
    meaning: str
    detail: str
    topic: str
    sensors: list[SensorLink]
    more_sensors: int
    received: str
    received_exact: str
    beginning: str
    more: str
    state: str
    look: str


class Messages(FixedChangeList):
    lines: list[Line]
    active: list[str]
    state: str | None

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[RejectedMessage] = list(self.result_list)
        links = sensor_links(pk for row in rows for pk in row.sensors[:SENSORS_SHOWN])
        self.lines = [_line(row, links) for row in rows]
        # Where all are of one state, no line repeats it.
        self.state = request.GET.get(rejected_filters.STATE)
        # What the list is narrowed down to, for its head.
        self.active = [text for spec in self.filter_specs if (text := _said(spec))]


def _said(spec: Any) -> str:
    """What a filter is set to; empty where it lets everything through."""
    if isinstance(spec, TimeRange):
        start, last = ("" if end is None else ages.to_the_minute(end) for end in spec.bounds)
        value = f"{start} – {last}" if start or last else ""
    else:
        value = str(spec.value() or "")
        if isinstance(spec, rejected_filters.StateFilter):
            value = str(dict(spec.lookup_choices).get(value, value))
        elif isinstance(spec, rejected_filters.SensorFilter) and spec.is_none:
            value = gettext("none")
    if not value:
        return ""
    return gettext("%(filter)s: %(value)s") % {"filter": spec.title, "value": as_text(value.encode())}


def _line(row: RejectedMessage, links: dict[int, SensorLink]) -> Line:
    payload = bytes(row.payload)
    return Line(
        row,
        meaning(row.code),
        as_text(translated(row.detail).encode()) or "",
        as_text(row.topic.encode()) or gettext("(no topic)"),
        [links[pk] for pk in row.sensors[:SENSORS_SHOWN]],
        max(0, len(row.sensors) - SENSORS_SHOWN),
        ages.since(row.received_at),
        ages.exact(row.received_at),
        preview(payload, BEGINNING) or gettext("(no bytes)"),
        preview(payload, MORE),
        row.get_state_display(),
        LOOKS.get(row.state, "info"),
    )


@admin.register(RejectedMessage)
class RejectedMessageAdmin(OwnPageAdmin):
    list_display = ("received_at",)
    list_filter = rejected_filters.FILTERS
    lookups = rejected_filters.LOOKUPS
    ordering = ("-received_at", "-id")
    change_list_template = "monitoring/admin/inbox/messages.html"
    list_before_template = "monitoring/admin/inbox/list_head.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FixedChangeList]:
        return Messages

    def get_urls(self) -> list[URLPattern]:
        def to(view: Any) -> Any:
            def guarded(request: HttpRequest, *args: Any, **more: Any) -> HttpResponse:
                if not self.has_view_permission(request):
                    raise PermissionDenied
                answer: HttpResponse = view(request, *args, **more)
                return answer

            return self.admin_site.admin_view(guarded)

        site = self.admin_site
        own = [
            path(
                "lobby/",
                to(lambda request: lobby_page.page(site, request)),
                name="monitoring_rejectedmessage_lobby",
            ),
            path(
                "many/",
                to(lambda request: many_messages.page(self, request)),
                name="monitoring_rejectedmessage_many",
            ),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not set(request.GET) - {groups_page.PAGE}:
            return groups_page.page(self.admin_site, request)
        context = {
            **frame.around(request, "messages"),
            "title": gettext("Rejected messages"),
            "query": request.GET.urlencode(),
        }
        answer: HttpResponse = super().changelist_view(request, context | (extra_context or {}))
        return answer

    def page_of(self, request: HttpRequest, row: RejectedMessage) -> HttpResponse:
        return message_page.page(self.admin_site, request, row)
