"""`/sensors/<id>/`: one sensor's curve, what it comes to, and the way to its rows."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import json_script
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from rest_framework.utils.encoders import JSONEncoder

from monitoring.api.series import answer
from monitoring.dashboard import span
from monitoring.dashboard.access import REJECTED, readable
from monitoring.dashboard.frame import INBOX, show
from monitoring.dashboard.viewer import Viewer
from monitoring.dashboard.words import chart_words
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Measurement, RejectedMessage, Sensor, SensorStatus
from monitoring.models.measurement_queryset import Last
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
    found = with_last(sensor_id)
    now = datetime.now(UTC)
    shown = span.read(request.GET.dict(), now)
    unit = found.unit or (found.last.unit if found.last else "")
    zone = ZoneInfo(Viewer.of(request).zone)
    series = answer(found, shown.span, shown.points, zone, unit=unit, with_statistics=True)
    first = {
        "sensor": found.pk,
        "name": found.name,
        "unit": unit,
        "preset": shown.preset,
        "from": shown.span.start,
        "to": shown.span.end,
        "last": found.last and {"at": found.last.created_at, "value": found.last.value},
        "series": series,
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
        "files": _files(found.pk, shown),
        "rejected": _rejected(request, found.pk),
        "admin_url": _admin_url(request, found.pk),
        "data": json_script(first, "first", JSONEncoder),
        "words": json_script(chart_words(), "words"),
    }
    return show(request, "monitoring/dashboard/sensor.html", context, status=400 if shown.error else 200)


def with_last(sensor_id: int) -> Sensor:
    """The sensor with its `last`, and its `standing`, in one statement: a few look-ups. Raises Http404."""
    newest = Measurement.objects.filter(sensor=OuterRef("pk")).order_by("-created_at")
    found = (
        Sensor.objects.select_related("standing")
        .filter(pk=min(sensor_id, MAX_SENSOR_ID))
        .annotate(
            **{f"last_{name}": Subquery(newest.values(name)[:1]) for name in ("value", "unit", "created_at")}
        )
        .first()
    )
    if found is None or found.pk != sensor_id:
        raise Http404(_("There is no sensor with the number %(id)s.") % {"id": sensor_id})
    at = getattr(found, "last_created_at")  # noqa: B009 -- an annotation, which the type does not know
    value, unit = (getattr(found, f"last_{name}") for name in ("value", "unit"))
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


def _rejected(request: HttpRequest, sensor_id: int) -> Rejected | None:
    """None for whoever may not see them: payloads are private, though values are public."""
    if not (getattr(request.user, "is_staff", False) and request.user.has_perm(REJECTED)):
        return None
    waiting = RejectedMessage.objects.waiting().filter(sensors__contains=[sensor_id])
    count = waiting[: REJECTED_AT_MOST + 1].count()
    said = {"sensor": sensor_id, "state__exact": RejectedMessage.State.WAITING.value}
    url = f"{reverse(INBOX)}?{urlencode(said)}"
    return Rejected(min(count, REJECTED_AT_MOST), count > REJECTED_AT_MOST, url)


def _admin_url(request: HttpRequest, sensor_id: int) -> str:
    may: Any = getattr(request.user, "is_staff", False) and request.user.has_perm("monitoring.view_sensor")
    return reverse(CHANGE, args=[sensor_id]) if may else ""
