"""A sensor's incidents, as its chart draws them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q
from django.db.models.functions import JSONObject
from django.http import Http404, HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from monitoring.dashboard import span
from monitoring.dashboard.access import INCIDENTS, readable
from monitoring.dashboard.alerts import saying
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Incident, Sensor
from monitoring.span import Span

# More marks than these nobody tells apart; the newest stay.
MOST = 200


@require_safe
@readable(INCIDENTS)
def incidents(request: HttpRequest, sensor_id: int) -> HttpResponseBase:
    """Of `?from=…&to=…`, or `?range=24h`: {"incidents": see `said`}; 400 where the span cannot be read."""
    shown = span.read(request.GET.dict(), datetime.now(UTC))
    if shown.error:
        return JsonResponse({"detail": shown.error}, status=400)
    sensors = Sensor.objects.annotate(incidents_shown=rows(shown.span))
    sensor = sensors.filter(pk=sensor_id).first() if sensor_id <= MAX_SENSOR_ID else None
    if sensor is None:
        raise Http404
    response = JsonResponse({"incidents": said(sensor, getattr(sensor, "incidents_shown", ()))})
    patch_cache_control(response, private=True, no_cache=True)
    return response


def rows(within: Span) -> ArraySubquery:
    """To annotate a sensor with: its incidents, the newest first, those that have a moment of the span, and
    what fires now whenever it began. So the page asks for both in one statement."""
    has_moment = Q(since__lt=within.end) & (Q(resolved_at=None) | Q(resolved_at__gt=within.start))
    found = Incident.objects.filter(sensor=OuterRef("pk")).exclude(state=Incident.State.WITHDRAWN)
    found = found.filter(has_moment | Q(state=Incident.State.FIRING)).order_by("-since", "-pk")
    names = ("id", "title", "severity", "kind", "state", "since", "resolved_at", "peak")
    return ArraySubquery(found.values(one=JSONObject(**{name: name for name in names}))[:MOST])


def said(sensor: Sensor, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """`found`: of `rows`. Times are milliseconds since 1970, `to` None while it lasts."""
    return [
        {
            "id": one["id"],
            "url": reverse("dashboard:incident", args=[one["id"]]),
            "title": one["title"],
            "severity": one["severity"],
            "since": one["since"],
            "from": _ms(one["since"]),
            "to": one["resolved_at"] and _ms(one["resolved_at"]),
            "fires": one["state"] == Incident.State.FIRING,
            "peak": saying.value(one["kind"], one["peak"], sensor.unit),
        }
        for one in found
    ]


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000
