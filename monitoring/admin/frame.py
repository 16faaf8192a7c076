"""What the pages of the inbox have around them: the tabs, who may do what, the messages of others' doing."""

from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring.admin import ages, rejected_filters
from monitoring.models import Job, RejectedMessage

SEE = "monitoring.view_rejectedmessage"
DECIDE = "monitoring.change_rejectedmessage"
ADD_SENSOR = "monitoring.add_sensor"
CHANGE_SENSOR = "monitoring.change_sensor"

INBOX = "admin:monitoring_rejectedmessage_changelist"
MESSAGE = "admin:monitoring_rejectedmessage_change"
MANY = "admin:monitoring_rejectedmessage_many"
LOBBY = "admin:monitoring_rejectedmessage_lobby"
JOBS = "admin:monitoring_job_changelist"
JOB = "admin:monitoring_job_change"
SENSOR = "admin:monitoring_sensor_change"
MEASUREMENTS = "admin:monitoring_measurement_changelist"


class Tab(NamedTuple):
    name: str
    title: str
    url: str
    is_active: bool


def require(request: HttpRequest, *permissions: str) -> None:
    if not all(request.user.has_perm(permission) for permission in permissions):
        raise PermissionDenied


def tabs(active: str) -> list[Tab]:
    waiting = f"{reverse(INBOX)}?{rejected_filters.query()}"
    found = [
        ("groups", _("Groups"), reverse(INBOX)),
        ("messages", _("Messages"), waiting),
        ("lobby", _("Lobby"), reverse(LOBBY)),
        ("jobs", _("Jobs"), reverse(JOBS)),
    ]
    return [Tab(name, title, url, name == active) for name, title, url in found]


def around(request: HttpRequest, active: str) -> dict[str, Any]:
    """`may` and the tabs, for pages that have the admin's own context already."""
    may = {
        name: request.user.has_perm(permission)
        for name, permission in (("decide", DECIDE), ("add", ADD_SENSOR), ("change", CHANGE_SENSOR))
    }
    return {"tabs_of_inbox": tabs(active), "may": may, "zone": ages.zone()}


def frame(site: admin.AdminSite, request: HttpRequest, title: str, active: str) -> dict[str, Any]:
    """The whole context of a page of ours."""
    return {
        **site.each_context(request),
        **around(request, active),
        "title": title,
        "opts": Job._meta if active == "jobs" else RejectedMessage._meta,
    }
