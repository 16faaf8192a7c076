"""What the inbox opens with: what waits, in groups. Many messages of one fault are one thing to mend."""

from typing import Any, NamedTuple

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring.admin import ages, frame, rejected_filters
from monitoring.admin.codes import meaning
from monitoring.admin.column import grouped
from monitoring.admin.payload import as_text
from monitoring.admin.sensor_links import SensorLink, sensor_links
from monitoring.rejected.groups import Group, groups

# The page's number; any other parameter asks for messages.
PAGE = "g"
LINES = 50
# Groups that are looked at: a hostile broker can make as many as it sends messages.
MOST = 1000


class Line(NamedTuple):
    url: str
    code: str
    meaning: str
    sensor: SensorLink | None
    topic: str
    messages: str
    readings: str | None
    newest: str
    newest_exact: str


def page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    found = groups(("code", "sensor", "topic"), limit=MOST)
    asked = request.GET.get(PAGE, "")
    number = min(int(asked) if asked.isdecimal() and len(asked) < 6 else 1, 1 + (len(found) - 1) // LINES)
    number = max(number, 1)
    shown = found[(number - 1) * LINES : number * LINES]
    links = sensor_links(group.sensor for group in shown if group.sensor is not None)
    context: dict[str, Any] = {
        **frame.frame(site, request, _("Rejected messages"), "groups"),
        "lines": [_line(group, links) for group in shown],
        "page": number,
        "previous": number - 1,
        "next": number + 1 if len(found) > number * LINES else None,
        "most": grouped(MOST) if len(found) == MOST else None,
    }
    return TemplateResponse(request, "monitoring/admin/inbox/groups.html", context)


def _line(group: Group, links: dict[int, SensorLink]) -> Line:
    sensor = rejected_filters.NO_SENSOR if group.sensor is None else group.sensor
    query = rejected_filters.query(group.code, sensor, group.topic)
    return Line(
        f"{reverse(frame.INBOX)}?{query}",
        group.code or "",
        meaning(group.code or ""),
        None if group.sensor is None else links[group.sensor],
        as_text((group.topic or "").encode()) or _("(no topic)"),
        grouped(group.messages),
        grouped(group.readings) if group.readings != group.messages else None,
        ages.since(group.last),
        ages.exact(group.last),
    )
