"""What stands at the left of every page."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

API_DOCS = "/api/docs/"


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    def to(model: str, title: str, icon: str) -> dict[str, Any]:
        app, name = model.split(".")
        return {
            "title": title,
            "icon": icon,
            "link": reverse(f"admin:{app}_{name}_changelist"),
            "permission": lambda request: request.user.has_perm(f"{app}.view_{name}"),
        }

    return [
        {
            "items": [
                {"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")},
                to("monitoring.measurement", _("Measurements"), "monitoring"),
                to("monitoring.sensor", _("Sensors"), "sensors"),
            ]
        },
        {
            "title": _("Pipeline"),
            "separator": True,
            "items": [
                to("monitoring.rejectedmessage", _("Rejected messages"), "report"),
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
