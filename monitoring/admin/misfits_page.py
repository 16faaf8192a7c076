"""Sensors that are registered and refused again and again: what would mend that, shown before it is done."""

from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.admin import ages, frame, rejected_filters, verdicts
from monitoring.admin.codes import meaning
from monitoring.admin.column import grouped
from monitoring.admin.many_messages import LOOKED_AT
from monitoring.admin.payload import as_text
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.details import translated
from monitoring.rejected import jobs, lobby
from monitoring.rejected.lobby import Misfit
from monitoring.rejected.replay import UnitChange

DO = ("remedy", "remedy_confirmed")
MOST = 50
# Of the messages alone; all others change the sensor.
READ_UNIT_AS = "read_unit_as"


class Remedy(NamedTuple):
    name: str
    title: str


class Line(NamedTuple):
    misfit: Misfit
    meaning: str
    detail: str
    messages: str
    last: str
    last_exact: str
    url: str
    sensor_url: str
    remedies: list[Remedy]


def lines(request: HttpRequest) -> list[Line]:
    return [
        Line(
            misfit,
            meaning(misfit.code),
            as_text(translated(misfit.detail).encode()) or "",
            ngettext("%(count)s message", "%(count)s messages", misfit.messages)
            % {"count": grouped(misfit.messages)},
            ages.since(misfit.last),
            ages.exact(misfit.last),
            f"{reverse(frame.INBOX)}?{rejected_filters.query(misfit.code, misfit.sensor.pk)}",
            reverse(frame.SENSOR, args=[misfit.sensor.pk]),
            _remedies(request, misfit),
        )
        for misfit in lobby.misfits(MOST)
    ]


def page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    """What a remedy would come to, and once that is confirmed the remedy."""
    asked = request.POST
    name = asked.get("remedy", "")
    frame.require(request, frame.DECIDE)
    misfit = _find(asked.get("code", ""), asked.get("sensor", ""), asked.get("detail", ""))
    if misfit is None or name not in misfit.remedies:
        messages.error(request, _("That does not wait any more."))
        return HttpResponseRedirect(reverse(frame.LOBBY))
    if name != READ_UNIT_AS:
        frame.require(request, frame.CHANGE_SENSOR)
    by: Any = request.user
    if asked.get("do") == "remedy_confirmed":
        job = lobby.remedy(misfit, name, by)
        return HttpResponseRedirect(reverse(frame.JOB, args=[job.pk]))
    context = {
        **frame.frame(site, request, _title(misfit, name), "lobby"),
        "misfit": misfit,
        "remedy": name,
        "detail": as_text(translated(misfit.detail).encode()),
        "lines": _what_would_come(misfit, name),
        "back": reverse(frame.LOBBY),
    }
    return TemplateResponse(request, "monitoring/admin/inbox/remedy.html", context)


def _find(code: str, sensor: str, detail: str) -> Misfit | None:
    is_id = sensor.isascii() and sensor.isdecimal() and len(sensor) < 20 and int(sensor) <= MAX_SENSOR_ID
    found = lobby.misfits(1, (code, int(sensor), detail.replace("\0", ""))) if is_id else []
    return found[0] if found else None


def _remedies(request: HttpRequest, misfit: Misfit) -> list[Remedy]:
    """Those that fit, and that this user may do. Where the messages do not say which unit or type they mean,
    there is nothing to change it into."""
    return [
        Remedy(name, _title(misfit, name))
        for name in misfit.remedies
        if request.user.has_perm(frame.DECIDE)
        and (name == READ_UNIT_AS or request.user.has_perm(frame.CHANGE_SENSOR))
        and (name == "activate" or misfit.said)
    ]


def _title(misfit: Misfit, name: str) -> str:
    said = as_text(misfit.said.encode())
    match name:
        case "activate":
            return _("Switch the sensor on, and replay")
        case "change_unit":
            return _("Give the sensor the unit “%(said)s”, and replay") % {"said": said}
        case "change_kind":
            return _("Give the sensor the type “%(said)s”, and replay") % {"said": said}
        case "read_unit_as":
            return _("Read “%(said)s” as “%(unit)s”, values unchanged, and replay") % {
                "said": said,
                "unit": misfit.sensor.unit,
            }
    return name


def _what_would_come(misfit: Misfit, name: str) -> list[str]:
    if name == READ_UNIT_AS:
        change = UnitChange(misfit.said, misfit.sensor.unit)
        return verdicts.of_sums(jobs.look(misfit.selection, change, LOOKED_AT))
    count = misfit.selection.replayable().count()
    replayed = ngettext(
        "%(count)s message would be replayed.", "%(count)s messages would be replayed.", count
    ) % {"count": grouped(count)}
    changes = {
        "activate": _("From then on what sensor %(sensor)d sends is stored."),
        "change_unit": _("From then on sensor %(sensor)d takes readings in “%(said)s”, and no others."),
        "change_kind": _("From then on sensor %(sensor)d takes readings of type “%(said)s”, and no others."),
    }
    return [
        changes[name] % {"sensor": misfit.sensor.pk, "said": as_text(misfit.said.encode())},
        replayed,
    ]
