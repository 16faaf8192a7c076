"""`/map/`: every sensor as a cell by its place, on one canvas. `/wall/`: what a screen on a wall shows."""

import time
from itertools import groupby
from typing import Any

from django.db.models import F
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from monitoring import status
from monitoring.dashboard import facets, summary
from monitoring.dashboard.access import readable
from monitoring.dashboard.frame import show
from monitoring.dashboard.listing import STATES
from monitoring.models import Sensor, SensorStatus

LONGEST_SILENT = 12


@require_safe
@readable()
def map_of_cells(request: HttpRequest) -> HttpResponseBase:
    return show(request, "monitoring/dashboard/map.html", _states())


@require_safe
@readable()
def wall(request: HttpRequest) -> HttpResponseBase:
    """The page, or for htmx its figures."""
    found = summary.read()
    context = _states() | {
        "silent": Sensor.objects.present()
        .filter(standing__status=SensorStatus.Status.SILENT)
        .select_related("standing")
        .order_by(F("standing__newest_at").asc(nulls_last=True), "pk")[:LONGEST_SILENT],
        "summary": found,
        "behind": status.behind(),
    }
    part = "wall_figures" if getattr(request, "htmx", False) else "wall"
    return show(request, f"monitoring/dashboard/{part}.html", context)


@require_safe
@readable()
def cells(request: HttpRequest) -> HttpResponseBase:
    """{"now": 1796000000000, "places": [{"title": "Hall", "ids": [1, 2], "states": "30"}]}: a digit a sensor,
    its place in STATES, so that ten thousand of them are 20 KB on the wire. `now`: milliseconds since 1970,
    up to when nothing is missing in it; what is new since comes by the stream."""
    now = time.time_ns() // 1_000_000
    rows = (
        Sensor.objects.present()
        .order_by("location_key", "location", "name_key", "pk")
        .values_list("location", "pk", "standing__status")
    )
    places: list[dict[str, Any]] = []
    for title, of_place in groupby(rows, key=lambda row: row[0]):
        found = list(of_place)
        places.append(
            {
                "title": title,
                "ids": [number for _, number, _ in found],
                "states": "".join(_DIGITS[state] for _, _, state in found),
            }
        )
    response = JsonResponse({"now": now, "places": places})
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _states() -> dict[str, Any]:
    found = facets.read()
    return {"counts": [(name, found.states[name]) for name in STATES], "sensors": found.sensors}


_DIGITS = {name: str(place) for place, name in enumerate(STATES)}
