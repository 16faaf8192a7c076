"""One message: what it was, why it was refused, what it would become, and the decision on it."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.admin import ages, fault, frame, inbox_facts, verdicts
from monitoring.admin.codes import meaning
from monitoring.admin.payload import as_hex, as_text
from monitoring.admin.sensor_links import sensor_links
from monitoring.details import translated
from monitoring.ingest.passing import is_passing
from monitoring.models import RejectedMessage
from monitoring.rejected.dismissal import dismiss
from monitoring.rejected.replay import CutError, NotWaitingError, Outcome, Verdict, replay_one

# Beyond that it is too large anyway, and nobody types it.
MOST_TYPED = 256 * 1024


class PayloadForm(forms.Form):
    """Without a class of its own for the field: what is typed goes through as it is, blanks included."""

    payload = forms.CharField(required=False, strip=False, max_length=MOST_TYPED)


class DismissForm(forms.Form):
    reason = forms.CharField(label=_("reason"), required=False, max_length=200)


def page(site: admin.AdminSite, request: HttpRequest, row: RejectedMessage) -> HttpResponse:
    typed = request.POST.get("payload")
    trial: Verdict | None = None
    if request.method == "POST":
        frame.require(request, frame.DECIDE)
        match request.POST.get("do"):
            case "dismiss":
                return _dismiss(request, row)
            case "look":
                trial = _replay(request, row, dry_run=True)
            case "replay" if (verdict := _replay(request, row, dry_run=False)) is not None:
                level = messages.WARNING if verdict.outcome is Outcome.REJECTED else messages.SUCCESS
                messages.add_message(request, level, " ".join(verdicts.of_replay(verdict)))
                if verdict.outcome is not Outcome.REJECTED:
                    return HttpResponseRedirect(request.path)
        row.refresh_from_db()
    return TemplateResponse(
        request, "monitoring/admin/inbox/message.html", _context(site, request, row, typed, trial)
    )


def as_typed(payload: bytes) -> str | None:
    """The text as a form gives it back unchanged; None where it is no text."""
    try:
        return _normal(payload.decode())
    except UnicodeDecodeError:
        return None


def _normal(text: str) -> str:
    """Browsers send any end of a line as CRLF, and know no NUL."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def _replay(request: HttpRequest, row: RejectedMessage, dry_run: bool) -> Verdict | None:
    """None where it cannot be; then the page says why."""
    form = PayloadForm(request.POST)
    if not form.is_valid():
        for errors in form.errors.values():
            messages.error(request, " ".join(map(str, errors)))
        return None
    typed = _normal(form.cleaned_data["payload"])
    # As it came, to the byte, where nobody changed it.
    shown = as_typed(bytes(row.payload))
    payload = None if typed == (shown or "") else typed.encode()
    by: Any = request.user
    try:
        return replay_one(row.pk, by, payload, dry_run=dry_run)
    except NotWaitingError:
        messages.error(request, gettext("It does not wait any more: somebody has decided on it meanwhile."))
    except CutError:
        messages.error(
            request,
            gettext("Only its beginning was kept: write down what is to be stored, and replay that."),
        )
    except Exception as error:
        if not is_passing(error):
            raise
        messages.error(request, gettext("That cannot be done right now; try again in a minute."))
    return None


def _dismiss(request: HttpRequest, row: RejectedMessage) -> HttpResponse:
    form = DismissForm(request.POST)
    by: Any = request.user
    if not form.is_valid():
        messages.error(request, gettext("A reason has at most 200 characters."))
    elif dismiss([row.pk], by, form.cleaned_data["reason"]):
        messages.success(request, gettext("It is dismissed."))
    else:
        messages.error(request, gettext("It does not wait any more: somebody has decided on it meanwhile."))
    return HttpResponseRedirect(request.path)


def _context(
    site: admin.AdminSite,
    request: HttpRequest,
    row: RejectedMessage,
    typed: str | None,
    trial: Verdict | None,
) -> dict[str, Any]:
    payload = bytes(row.payload)
    text = as_text(payload)
    refused = [index for which in row.refused().values() for index in which if index is not None]
    links = sensor_links(row.sensors[: inbox_facts.SENSORS_SHOWN])
    is_waiting = row.state == RejectedMessage.State.WAITING
    as_it_came = as_typed(payload)
    return {
        **frame.frame(site, request, gettext("Rejected message"), "messages"),
        "row": row,
        "meaning": meaning(row.code),
        "detail": as_text(translated(row.detail).encode()),
        "shown": fault.show(payload, row.code, row.detail, refused if row.indexes else ()),
        # Of text only where something in it cannot be seen.
        "dump": as_hex(payload) if payload and (text is None or text.encode() != payload) else None,
        "facts": inbox_facts.facts(row),
        "sensors": [links[pk] for pk in row.sensors[: inbox_facts.SENSORS_SHOWN]],
        "more_sensors": max(0, len(row.sensors) - inbox_facts.SENSORS_SHOWN),
        "is_waiting": is_waiting,
        "is_text": as_it_came is not None,
        "typed": as_it_came or "" if typed is None else typed,
        "is_edited": typed is not None and _normal(typed) != (as_it_came or ""),
        "trial": verdicts.of_trial(trial) if trial else None,
        "trial_is_good": trial is not None and trial.outcome is not Outcome.REJECTED,
        "became": _became(row),
        "changed": as_text(bytes(row.changed_payload)) if row.changed_payload is not None else None,
        **_neighbours(row),
    }


def _became(row: RejectedMessage) -> dict[str, str] | None:
    """Its measurement, in the list of those of its sensor."""
    if row.became_sensor is None or row.became_at is None:
        return None
    start = timezone.localtime(row.became_at).replace(microsecond=0)
    span = {"from": start, "to": start + timedelta(seconds=1)}
    query: dict[str, Any] = {"sensor__id__exact": row.became_sensor}
    for end, moment in span.items():
        query |= {f"created_at_{end}_0": f"{moment:%Y-%m-%d}", f"created_at_{end}_1": f"{moment:%H:%M:%S}"}
    text = gettext("sensor %(sensor)d at %(moment)s (%(zone)s)") % {
        "sensor": row.became_sensor,
        "moment": ages.exact(row.became_at),
        "zone": ages.zone(),
    }
    return {"text": text, "url": f"{reverse(frame.MEASUREMENTS)}?{urlencode(query)}"}


def _neighbours(row: RejectedMessage) -> dict[str, str | None]:
    """The next older and the next newer that wait for the same reason, in the order of the list."""
    alike = RejectedMessage.objects.waiting().filter(code=row.code)
    beside = (row.received_at, row.pk)
    older = alike.filter(received_at__lte=beside[0]).exclude(received_at=beside[0], pk__gte=beside[1])
    newer = alike.filter(received_at__gte=beside[0]).exclude(received_at=beside[0], pk__lte=beside[1])
    found = {
        "older": older.order_by("-received_at", "-pk").values_list("pk", flat=True).first(),
        "newer": newer.order_by("received_at", "pk").values_list("pk", flat=True).first(),
    }
    return {name: reverse(frame.MESSAGE, args=[pk]) if pk else None for name, pk in found.items()}
