"""The lobby: sensors that send and that nobody has registered, and those that are and do not fit."""

from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from monitoring.admin import ages, frame, misfits_page
from monitoring.admin.column import grouped
from monitoring.admin.payload import as_text
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import BlockedSensor, Job, Sensor
from monitoring.rejected import lobby
from monitoring.rejected.lobby import Guest

# Sensors on the page, and those of the blocked that it names.
MOST, MOST_BLOCKED = 50, 200


class SensorForm(forms.ModelForm):  # type: ignore[type-arg]
    """Its fields are plain inputs in the template: fifty forms of unfold's take a third of a second."""

    class Meta:
        model = Sensor
        fields = ("name", "kind", "unit", "location")


class Line(NamedTuple):
    guest: Guest
    messages: str
    first: str
    first_exact: str
    last: str
    last_exact: str
    topics: list[str]
    said: list[str]
    value: str
    form: SensorForm
    is_open: bool


def page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    refused: dict[int, SensorForm] = {}
    if request.method == "POST":
        do, pk = request.POST.get("do", ""), _id(request.POST.get("sensor", ""))
        if do in misfits_page.DO:
            return misfits_page.page(site, request)
        answer: HttpResponse | None = None
        if do == "approve_many":
            answer = _approve_many(request)
        elif do == "approve" and pk is not None:
            answer = _approve(request, pk, refused)
        elif do == "block" and pk is not None:
            answer = _block(request, pk)
        elif do == "unblock" and pk is not None:
            _unblock(request, pk)
        if not refused:
            return answer or HttpResponseRedirect(reverse(frame.LOBBY))
    only = _id(request.GET.get("only", ""))
    found = lobby.guests(MOST + 1, only)
    blocked = list(BlockedSensor.objects.order_by("-blocked_at")[: MOST_BLOCKED + 1])
    context: dict[str, Any] = {
        **frame.frame(site, request, gettext("Lobby"), "lobby"),
        "lines": [_line(guest, refused.get(guest.sensor_id), only is not None) for guest in found[:MOST]],
        "more": len(found) > MOST,
        "most": MOST,
        "only": only,
        "blocked": [(one, ages.to_the_minute(one.blocked_at)) for one in blocked[:MOST_BLOCKED]],
        "more_blocked": len(blocked) > MOST_BLOCKED,
        "misfits": [] if only is not None else misfits_page.lines(request),
    }
    return TemplateResponse(request, "monitoring/admin/inbox/lobby.html", context)


def _id(text: str) -> int | None:
    is_id = text.isascii() and text.isdecimal() and len(text) < 20 and 0 < int(text) <= MAX_SENSOR_ID
    return int(text) if is_id else None


def _line(guest: Guest, refused: SensorForm | None, is_only: bool) -> Line:
    prefix = f"of{guest.sensor_id}"
    form = refused or SensorForm(initial=guest.suggested, prefix=prefix)
    value = "" if guest.last_value is None else f"{guest.last_value:.6g}"
    return Line(
        guest,
        ngettext("%(count)s message", "%(count)s messages", guest.messages)
        % {"count": grouped(guest.messages)},
        ages.since(guest.first),
        ages.exact(guest.first),
        ages.since(guest.last),
        ages.exact(guest.last),
        [as_text(topic.encode()) or gettext("(no topic)") for topic in guest.topics],
        [as_text(text.encode()) or "" for text in (*guest.kinds[:3], *guest.units[:3])],
        value,
        form,
        refused is not None or is_only,
    )


def _approve(request: HttpRequest, pk: int, refused: dict[int, SensorForm]) -> HttpResponse | None:
    frame.require(request, frame.DECIDE, frame.ADD_SENSOR)
    form = SensorForm(request.POST, prefix=f"of{pk}")
    if not form.is_valid():
        refused[pk] = form
        return None
    sensor: Sensor = form.save(commit=False)
    sensor.pk = pk
    job = _register(request, sensor)
    if job is None:
        return None
    messages.success(request, gettext("Sensor %d is registered; what waited of it is being stored.") % pk)
    return HttpResponseRedirect(reverse(frame.JOB, args=[job.pk]))


def _register(request: HttpRequest, sensor: Sensor) -> Job | None:
    by: Any = request.user
    pk = sensor.pk
    try:
        return lobby.approve(sensor, by)
    except IntegrityError:
        messages.error(request, gettext("There is a sensor %d already, or one is being removed.") % pk)
        return None


def _approve_many(request: HttpRequest) -> HttpResponse | None:
    """Each as it is suggested."""
    frame.require(request, frame.DECIDE, frame.ADD_SENSOR)
    made = 0
    for pk in filter(None, map(_id, request.POST.getlist("marked")[:MOST])):
        for guest in lobby.guests(1, pk):
            form = SensorForm(guest.suggested)
            if not form.is_valid():
                messages.error(
                    request, gettext("Sensor %d has to be looked at: what it says cannot be kept.") % pk
                )
                continue
            sensor: Sensor = form.save(commit=False)
            sensor.pk = pk
            made += _register(request, sensor) is not None
    if not made:
        messages.error(request, gettext("Mark some sensors first."))
        return None
    text = ngettext(
        "%(count)d sensor is registered; what waited of it is being stored.",
        "%(count)d sensors are registered; what waited of them is being stored.",
        made,
    )
    messages.success(request, text % {"count": made})
    return HttpResponseRedirect(reverse(frame.JOBS))


def _block(request: HttpRequest, pk: int) -> HttpResponse:
    frame.require(request, frame.DECIDE)
    by: Any = request.user
    job = lobby.block(pk, by)
    text = gettext("Sensor id %d is blocked: what it sends is counted, and not kept.") % pk
    messages.success(request, text)
    return HttpResponseRedirect(reverse(frame.JOB, args=[job.pk]))


def _unblock(request: HttpRequest, pk: int) -> None:
    frame.require(request, frame.DECIDE)
    if lobby.unblock(pk):
        text = gettext("Sensor id %d is not blocked any more: what it sends waits here again.") % pk
        messages.success(request, text)
