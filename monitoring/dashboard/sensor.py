"""`/sensors/<id>/`: one sensor's curve, what it comes to, and the way to its rows."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import Count, OuterRef, Subquery
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import json_script
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from rest_framework.utils.encoders import JSONEncoder

from monitoring.api.series import answer
from monitoring.dashboard import span
from monitoring.dashboard.access import INCIDENTS, REJECTED, may_see, readable
from monitoring.dashboard.alerts import counting, of_sensor
from monitoring.dashboard.frame import INBOX, show
from monitoring.dashboard.viewer import Viewer
from monitoring.dashboard.words import chart_words
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Measurement, RejectedMessage, Sensor, SensorStatus
from monitoring.models.measurement_queryset import Last
from monitoring.span import Span
from monitoring.transfer.formats import Format
from monitoring.transfer.sheet import Sheet

# Nobody reads a larger number of them, and counting them all takes long.
REJECTED_AT_MOST = 1000
CHANGE = "admin:monitoring_sensor_change"


class File(NamedTuple):
    """A way to take the span home: `form` is the API's `format`."""

    title: str
    form: str
    url: str


class Rejected(NamedTuple):
    """How many messages wait that name the sensor; where `is_more`, more than that."""

    waiting: int
    is_more: bool
    url: str


@require_safe
@readable()
def sensor(request: HttpRequest, sensor_id: int) -> HttpResponseBase:
    may_see_rejected = _may_see_rejected(request)
    may_see_incidents = may_see(request, INCIDENTS)
    now = datetime.now(UTC)
    shown = span.read(request.GET.dict(), now)
    found = _found(
        sensor_id, with_rejected=may_see_rejected, incidents_of=shown.span if may_see_incidents else None
    )
    unit = found.unit or (found.last.unit if found.last else "")
    zone = ZoneInfo(Viewer.of(request).zone)
    series = answer(found, shown.span, shown.points, zone, unit=unit, with_statistics=True)
    incidents = of_sensor.said(found, getattr(found, "incidents_shown", ()))
    first = {
        "sensor": found.pk,
        "name": found.name,
        "unit": unit,
        "preset": shown.preset,
        "from": shown.span.start,
        "to": shown.span.end,
        "last": found.last and {"at": found.last.created_at, "value": found.last.value},
        "series": series,
        "incidents": incidents,
        "now": int(now.timestamp() * 1000),  # what is new since comes by the stream
    }
    context = {
        "sensor": found,
        "state": getattr(found, "standing", None),  # it may have none
        "state_names": SensorStatus.Status.values,
        "unit": unit,
        "shown": shown,
        "statistics": series["statistics"],
        "covered": series["covered"],
        "presets": span.LENGTHS,
        "open_incidents": getattr(found, "open_incidents", None) or 0,
        "firing": [one for one in incidents if one["fires"]],
        "may_add_rule": request.user.has_perm("monitoring.add_alertrule"),
        "files": _files(found.pk, shown),
        "rejected": _rejected(found) if may_see_rejected else None,
        "admin_url": _admin_url(request, found.pk),
        "data": json_script(first, "first", JSONEncoder),
        "words": json_script(chart_words(), "words"),
    }
    return show(request, "monitoring/dashboard/sensor.html", context, status=400 if shown.error else 200)


def _found(sensor_id: int, *, with_rejected: bool, incidents_of: Span | None) -> Sensor:
    """The sensor with its `last`, its `standing`, how many rejected messages wait that name it, its incidents
    of a span, and how many are open in all: one statement, a few look-ups. Raises Http404."""
    newest = Measurement.objects.filter(sensor=OuterRef("pk")).order_by("-created_at")
    more: dict[str, Any] = {
        f"last_{name}": Subquery(newest.values(name)[:1]) for name in ("value", "unit", "created_at")
    }
    if with_rejected:
        waiting = RejectedMessage.objects.waiting().filter(sensors__contains=[sensor_id])
        some = RejectedMessage.objects.filter(pk__in=waiting.values("pk")[: REJECTED_AT_MOST + 1])
        more["rejected"] = Subquery(some.values("state").annotate(count=Count("pk")).values("count"))
    if incidents_of is not None:
        more |= {"incidents_shown": of_sensor.rows(incidents_of), "open_incidents": counting.counted()}
    sensors = Sensor.objects.select_related("standing").annotate(**more)
    found = sensors.filter(pk=sensor_id).first() if sensor_id <= MAX_SENSOR_ID else None
    if found is None:
        raise Http404(_("There is no sensor with the number %(id)s.") % {"id": sensor_id})
    value, unit, at = (getattr(found, f"last_{name}") for name in ("value", "unit", "created_at"))
    found.last = Last(value, unit, at) if at else None
    return found


def _files(sensor_id: int, shown: span.Shown) -> list[File]:
    address = reverse("export", args=[sensor_id])
    said = {"from": shown.span.start.isoformat(), "to": shown.span.end.isoformat()}
    return [
        File(title, str(form), f"{address}?{urlencode({'format': str(form), **said})}")
        for title, form in (
            ("CSV", Format.CSV),
            (_("CSV for French Excel"), Sheet.CSV_FR),
            ("NDJSON", Format.NDJSON),
        )
    ]


def _may_see_rejected(request: HttpRequest) -> bool:
    """Payloads are private, though values are public."""
    return bool(getattr(request.user, "is_staff", False)) and request.user.has_perm(REJECTED)


def _rejected(sensor: Sensor) -> Rejected:
    waiting: int = getattr(sensor, "rejected", None) or 0
    said = {"sensor": sensor.pk, "state__exact": RejectedMessage.State.WAITING.value}
    url = f"{reverse(INBOX)}?{urlencode(said)}"
    return Rejected(min(waiting, REJECTED_AT_MOST), waiting > REJECTED_AT_MOST, url)


def _admin_url(request: HttpRequest, sensor_id: int) -> str:
    may: Any = getattr(request.user, "is_staff", False) and request.user.has_perm("monitoring.view_sensor")
    return reverse(CHANGE, args=[sensor_id]) if may else ""
