"""What surrounds each page: navigation, the viewer's choices, and what a browser may load with it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from monitoring import __version__
from monitoring.dashboard.access import BOOKS, INCIDENTS, REJECTED, may_see
from monitoring.dashboard.viewer import Viewer

INBOX = "admin:monitoring_rejectedmessage_changelist"

# Scripts, styles and data from here alone, and none of them within a page.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Link(NamedTuple):
    title: str
    url: str
    icon: str
    is_here: bool


def show(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """A page, or for htmx the part of one that `template` is.

    `open_incidents` of the context: how many the navigation says; a page that does not know leaves it to
    page.js to ask.
    """
    viewer = Viewer.of(request)
    framed = {
        "viewer": viewer,
        "navigation": _navigation(request),
        "version": __version__,
        **(context or {}),
    }
    response = render(request, template, framed, status=status)
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def _navigation(request: HttpRequest) -> list[Link]:
    links = [
        ("dashboard:overview", _("Sensors"), "sensors", True),
        ("dashboard:map", _("Map"), "map", True),
        ("dashboard:alerts", _("Alerts"), "alerts", may_see(request, INCIDENTS)),
        ("dashboard:pipeline", _("Pipeline"), "pipeline", may_see(request, BOOKS)),
        # The inbox is the admin's, and asks for a login by itself.
        (INBOX, _("Rejected"), "rejected", _of_staff(request, REJECTED)),
        ("admin:index", _("Admin"), "admin", True),
    ]
    return [
        Link(title, url := reverse(view), icon, _is_here(request, url))
        for view, title, icon, is_shown in links
        if is_shown
    ]


def _of_staff(request: HttpRequest, permission: str) -> bool:
    return bool(getattr(request.user, "is_staff", False)) and request.user.has_perm(permission)


def _is_here(request: HttpRequest, url: str) -> bool:
    """A sensor's page belongs to the list of them."""
    if url == reverse("dashboard:overview"):
        return request.path == url or request.path.startswith(("/sensors/", "/compare/"))
    return request.path.startswith(url)
