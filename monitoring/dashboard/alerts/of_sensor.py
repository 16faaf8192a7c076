"""A sensor's incidents, as its chart draws them."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
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
    """Of `?from=…&to=…`, or `?range=24h`: {"incidents": see `of`}; 400 where the span cannot be read."""
    shown = span.read(request.GET.dict(), datetime.now(UTC))
    if shown.error:
        return JsonResponse({"detail": shown.error}, status=400)
    sensor = Sensor.objects.filter(pk=sensor_id).first() if sensor_id <= MAX_SENSOR_ID else None
    if sensor is None:
        raise Http404
    response = JsonResponse({"incidents": of(sensor, shown.span)})
    patch_cache_control(response, private=True, no_cache=True)
    return response


def of(sensor: Sensor, within: Span) -> list[dict[str, Any]]:
    """The newest first: those that have a moment of the span, and what fires now whenever it began. Times are
    milliseconds since 1970, `to` None while it lasts. One query."""
    has_moment = Q(since__lt=within.end) & (Q(resolved_at=None) | Q(resolved_at__gt=within.start))
    rows = Incident.objects.filter(sensor=sensor).exclude(state=Incident.State.WITHDRAWN)
    rows = rows.filter(has_moment | Q(state=Incident.State.FIRING)).order_by("-since", "-pk")
    return [
        {
            "id": one.pk,
            "url": reverse("dashboard:incident", args=[one.pk]),
            "title": one.title,
            "severity": one.severity,
            "since": one.since,
            "from": one.since.timestamp() * 1000,
            "to": one.resolved_at and one.resolved_at.timestamp() * 1000,
            "fires": one.state == Incident.State.FIRING,
            "peak": saying.value(one.kind, one.peak, sensor.unit),
        }
        for one in rows[:MOST]
    ]
