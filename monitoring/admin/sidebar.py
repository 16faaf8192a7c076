"""What stands at the left of every page."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring.admin import frame

API_DOCS = "/api/docs/"


def _is_of_inbox(request: HttpRequest) -> bool:
    """Its own pages; the lobby, which lies beneath it, is marked as itself."""
    return request.path.startswith(reverse(frame.INBOX)) and request.path != reverse(frame.LOBBY)


def _sees_sensors(request: HttpRequest) -> bool:
    return request.user.has_perm("monitoring.view_sensor")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    def to(model: str, title: str, icon: str) -> dict[str, Any]:
        app, name = model.split(".")
        return {
            "title": title,
            "icon": icon,
            "link": reverse(f"admin:{app}_{name}_changelist"),
            "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
        }

    def of_inbox(view: str, title: str, icon: str) -> dict[str, Any]:
        return {
            "title": title,
            "icon": icon,
            "link": reverse(view),
            "permission": lambda request: request.user.has_perm(frame.SEE),
        }

    return [
        {
            "items": [
                {"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")},
                {
                    "title": _("Dashboard"),
                    "icon": "show_chart",
                    "link": reverse("dashboard:overview"),
                    # Every address begins with its own.
                    "active": lambda request: False,
                },
                to("monitoring.sensor", _("Sensors"), "sensors"),
                to("monitoring.measurement", _("Measurements"), "monitoring"),
                to("monitoring.board", _("Boards"), "developer_board") | {"permission": _sees_sensors},
            ]
        },
        {
            "title": _("Alerts"),
            "separator": True,
            "items": [
                to("monitoring.incident", _("Incidents"), "notification_important"),
                to("monitoring.alertrule", _("Rules"), "rule"),
                to("monitoring.mute", _("Silences"), "notifications_paused"),
                to("monitoring.alertchannel", _("Channels"), "campaign"),
                to("monitoring.delivery", _("Deliveries"), "outgoing_mail"),
            ],
        },
        {
            "title": _("Pipeline"),
            "separator": True,
            "items": [
                of_inbox(frame.INBOX, _("Rejected messages"), "report") | {"active": _is_of_inbox},
                of_inbox(frame.LOBBY, _("Lobby"), "door_open"),
                of_inbox(frame.JOBS, _("Jobs"), "playlist_play"),
                to("monitoring.rejectedtally", _("Rejected by hour"), "bar_chart"),
                to("monitoring.ingestbatch", _("Ledger"), "receipt_long"),
                {
                    "title": _("Trace"),
                    "icon": "conversion_path",
                    "link": reverse("admin:monitoring_ingestbatch_trace"),
                    "permission": lambda request: request.user.has_perm("monitoring.view_ingestbatch"),
                },
                to("monitoring.correction", _("Corrections"), "balance"),
                to("django_celery_beat.periodictask", _("Schedule"), "schedule"),
                to("django_celery_beat.intervalschedule", _("Intervals"), "timer"),
                to("monitoring.retentionrun", _("Retention"), "auto_delete"),
                to("monitoring.deletion", _("Deletions"), "delete_sweep"),
            ],
        },
        {
            "title": _("Access"),
            "separator": True,
            "items": [
                to("auth.user", _("Users"), "person"),
                to("auth.group", _("Groups"), "group"),
                to("monitoring.token", _("API tokens"), "key"),
                {"title": _("API documentation"), "icon": "api", "link": API_DOCS},
            ],
        },
    ]
