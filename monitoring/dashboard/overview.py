"""`/`: what comes in, what does not, and each sensor with its last value."""

import time
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from monitoring import status
from monitoring.dashboard import facets, first, listing, summary
from monitoring.dashboard.access import REJECTED, readable
from monitoring.dashboard.frame import INBOX, show
from monitoring.dashboard.listing import STATES, Asked
from monitoring.models import Measurement
from monitoring.templatetags.dashboard import figure

PAGE = "monitoring/dashboard/overview.html"
LIST = "monitoring/dashboard/list.html"
START = "monitoring/dashboard/start.html"
NEWS = "monitoring/dashboard/news.html"


class Count(NamedTuple):
    status: str
    sensors: int
    url: str
    is_chosen: bool


class Tile(NamedTuple):
    title: str
    figure: str
    alarm: bool
    url: str


class PageLink(NamedTuple):
    """`url`: "" for pages that are left out."""

    number: int | None
    url: str
    is_here: bool


@require_safe
@readable()
def overview(request: HttpRequest) -> HttpResponseBase:
    """The page, or for htmx what is in it. Before the first measurement: how to send one."""
    found = facets.read()
    seen = found.sensors - found.states["never"] - found.states["off"]
    # A list that somebody searches is a list, and one that has been full stays one.
    if not seen and not request.GET and not _has_stored():
        return _shown(request, START, {**start_context(request), "waits": True})
    return _shown(request, LIST, _list_context(request, found))


@require_safe
@readable()
def start(request: HttpRequest) -> HttpResponseBase:
    """`/start/`: how to send a first message, whatever is there already."""
    return _shown(request, START, start_context(request))


@require_safe
@readable()
def news(request: HttpRequest) -> HttpResponseBase:
    """What the page of a first message asks for each second; once a value is stored, the list."""
    if "waits" not in request.GET or not _has_stored():
        return show(request, NEWS, start_context(request))
    response = _shown(request, LIST, _list_context(request, facets.read()))
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#content", "innerHTML"
    return response


def start_context(request: HttpRequest) -> dict[str, Any]:
    newest = Measurement.objects.select_related("sensor").order_by("-created_at").first()
    return {
        "lamps": first.lamps(),
        "way": first.way(request),
        "refused": first.refused(request),
        "last": newest,
    }


def _has_stored() -> bool:
    return Measurement.objects.exists()


def _shown(request: HttpRequest, content: str, context: dict[str, Any]) -> HttpResponseBase:
    is_part = bool(getattr(request, "htmx", False))
    response = show(request, content if is_part else PAGE, {"content": content, **context})
    patch_vary_headers(response, ["HX-Request"])
    return response


def _list_context(request: HttpRequest, found: facets.Facets) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000  # before anything is read: what is new since comes by the stream
    asked = Asked.read(request.GET)
    narrowed = asked.q or asked.kind or asked.location
    sensors = asked.sensors().count() if narrowed else found.states.get(asked.status, found.sensors)
    page = listing.page(asked, sensors)
    return {
        "now": now,
        "asked": asked,
        "is_filtered": asked.is_filtered,
        "here": asked.url(page=page.number),
        "counts": [
            Count(
                one,
                found.states[one],
                asked.url(status="" if asked.status == one else one),
                asked.status == one,
            )
            for one in STATES
        ],
        "tiles": _tiles(request),
        "kinds": list(found.kinds),
        "places": list(found.places),
        "orders": [("state", _("What needs a look first")), ("name", _("By name")), ("place", _("By place"))],
        "rows": sum(len(group.rows) for group in page.groups),
        "groups": page.groups,
        "said": page.said,
        "pages": [
            PageLink(number, asked.url(page=number) if number else "", number == page.number)
            for number in listing.pages_around(page.number, page.of)
        ],
        "state_names": STATES,
        "behind": status.behind(),
    }


def _tiles(request: HttpRequest) -> list[Tile]:
    found = summary.read()
    may_look = request.user.is_staff and request.user.has_perm(REJECTED) if request.user.pk else False
    inbox = reverse(INBOX) if may_look else ""
    return [
        Tile(_("Rejected today"), figure(found.rejected), False, inbox),
        Tile(
            _("Pending"), "?" if found.pending is None else figure(found.pending), found.pending is None, ""
        ),
        Tile(
            _("Missing"),
            "…" if found.missing is None else figure(abs(found.missing)),
            bool(found.missing),
            "",
        ),
    ]
