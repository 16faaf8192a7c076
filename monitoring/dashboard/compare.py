"""`/compare/?sensor=1&sensor=2`: the curves of several sensors over the same span."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.html import json_script
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from monitoring.dashboard import span
from monitoring.dashboard.access import readable
from monitoring.dashboard.frame import show
from monitoring.dashboard.words import chart_words
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Sensor

PAGE = "monitoring/dashboard/compare.html"
FOUND = "monitoring/dashboard/compare_found.html"
# More curves than that nobody tells apart.
AT_MOST = 8
# Of those that a search finds.
OFFERED = 12


class Chosen(NamedTuple):
    """`number`: its place, from 1, which its colour and dashes go by. `without`: the address without it."""

    sensor: Sensor
    number: int
    without: str


class Offer(NamedTuple):
    sensor: Sensor
    url: str


@require_safe
@readable()
def compare(request: HttpRequest) -> HttpResponseBase:
    """The page, or for htmx what its search finds."""
    now = datetime.now(UTC)
    ids, errors = _ids(request.GET.getlist("sensor"))
    there = Sensor.objects.present().in_bulk(ids)
    if unknown := [str(one) for one in ids if one not in there]:
        errors.append(_("There is no sensor with the number %(ids)s.") % {"ids": ", ".join(unknown)})
    chosen = [there[one] for one in ids if one in there]
    context: dict[str, Any] = {"q": (q := request.GET.get("q", "").replace("\0", "")[:200].strip())}
    context["offers"] = _offers(request, q, chosen) if len(chosen) < AT_MOST else []
    context["is_full"] = len(chosen) >= AT_MOST
    if getattr(request, "htmx", False):
        response = show(request, FOUND, context)
    else:
        shown = span.read(request.GET.dict(), now)
        errors += [shown.error] if shown.error else []
        first = {
            "sensors": [{"id": one.pk, "name": one.name} for one in chosen],
            "preset": shown.preset,
            "now": int(now.timestamp() * 1000),
        }
        context |= {
            "errors": errors,
            "chosen": [
                Chosen(one, number, _address(request, [other for other in chosen if other is not one]))
                for number, one in enumerate(chosen, 1)
            ],
            "kept": [(name, request.GET[name]) for name in ("range", "from", "to") if name in request.GET],
            "shown": shown,
            "presets": span.LENGTHS,
            "data": json_script(first, "first"),
            "words": json_script(chart_words(), "words"),
        }
        response = show(request, PAGE, context, status=400 if errors else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _ids(said: Sequence[str]) -> tuple[list[int], list[str]]:
    """Each once, in the order of the address; and what is wrong with it."""
    errors = []
    good = [one for one in said if one.isascii() and one.isdecimal() and int(one[:20]) <= MAX_SENSOR_ID]
    if bad := [one for one in said if one not in good]:
        errors.append(_("“%(said)s” is no sensor’s number.") % {"said": bad[0][:40]})
    ids = list(dict.fromkeys(map(int, good)))
    if len(ids) > AT_MOST:
        errors.append(_("%(most)s sensors at most are compared: the first are shown.") % {"most": AT_MOST})
    return ids[:AT_MOST], errors


def _offers(request: HttpRequest, q: str, chosen: Sequence[Sensor]) -> list[Offer]:
    found = Sensor.objects.present().found_by(q).exclude(pk__in=[one.pk for one in chosen])
    return [Offer(one, _address(request, [*chosen, one])) for one in found.order_by("name", "pk")[:OFFERED]]


def _address(request: HttpRequest, sensors: Sequence[Sensor]) -> str:
    kept = [(name, request.GET[name]) for name in ("range", "from", "to") if name in request.GET]
    return "?" + urlencode([*(("sensor", one.pk) for one in sensors), *kept], safe=":")
