"""The way of a message, step by step: of a sensor or a topic, and a time."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from monitoring.admin import ages
from monitoring.admin.column import grouped
from monitoring.admin.payload import as_text
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.decoders.timestamp import moment
from monitoring.details import translated
from monitoring.models import IngestBatch, Measurement, RejectedMessage
from monitoring.trace import Traced, in_words, trace

ADDRESS = "admin:monitoring_ingestbatch_trace"


class TraceForm(forms.Form):
    at = forms.CharField(label=_("time"), max_length=64, widget=UnfoldAdminTextInputWidget)
    sensor = forms.IntegerField(
        label=_("sensor"),
        min_value=1,
        max_value=MAX_SENSOR_ID,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    topic = forms.CharField(
        label=_("topic"), max_length=65_535, required=False, widget=UnfoldAdminTextInputWidget
    )

    def clean_at(self) -> datetime:
        """As the API takes it; without an offset it is of the zone in which times are shown."""
        text: str = self.cleaned_data["at"]
        try:
            found = datetime.fromisoformat(text)
            return timezone.make_aware(found) if found.tzinfo is None else found
        except ValueError:
            pass
        try:
            return moment(text)
        except ValueError:
            raise forms.ValidationError(gettext("Not a time, such as 2026-01-28 16:07:55.")) from None

    def clean(self) -> dict[str, Any] | None:
        said = super().clean() or self.cleaned_data
        if not (said.get("sensor") or said.get("topic")) and not self.errors:
            raise forms.ValidationError(gettext("Say which: a sensor, a topic or both."))
        return said


class Step(NamedTuple):
    name: str
    at: str
    after: str


class Line(NamedTuple):
    """A batch as the page shows it."""

    id: str
    url: str
    source: str
    steps: list[Step]
    counts: list[tuple[str, str]]


def page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    form = TraceForm(request.GET or None)
    context = {
        **site.each_context(request),
        "title": gettext("Trace"),
        "opts": IngestBatch._meta,
        "form": form,
        "zone": ages.zone(),
    }
    if form.is_valid():
        found = trace(
            form.cleaned_data["at"], form.cleaned_data["topic"] or None, form.cleaned_data["sensor"]
        )
        context |= {
            "found": in_words(found),
            "batches": [_line(one) for one in found.batches],
            "measurements": [_measured(row) for row in found.measurements],
            "rejected": [_rejected(row) for row in found.rejected],
        }
    return TemplateResponse(request, "monitoring/admin/trace.html", context)


def _line(traced: Traced) -> Line:
    entry = traced.entry
    moments = [
        (_("first message received"), entry.first_received_at),
        (_("last message received"), entry.last_received_at),
        (_("handed over to Redis"), traced.handed_over_at),
        (_("claimed by a worker"), traced.claimed_at),
        (_("stored in PostgreSQL"), traced.committed_at),
    ]
    steps, before = [], None
    for name, at in moments:
        if at is not None:
            steps.append(Step(str(name), ages.exact(at), "" if before is None else _after(at - before)))
            before = at
    counts = [
        (str(name), grouped(count))
        for name, count in (
            (_("messages"), entry.messages),
            (_("readings"), entry.readings),
            (_("stored"), entry.stored),
            (_("duplicates"), entry.duplicates),
            (_("rejected"), entry.rejected),
        )
    ]
    url = reverse("admin:monitoring_ingestbatch_change", args=[entry.pk])
    return Line(str(entry.pk), url, entry.source, steps, counts)


def _after(waited: timedelta) -> str:
    # An id is of a millisecond, and may be a part of one before what it stands behind.
    milliseconds = max(0.0, waited.total_seconds() * 1000)
    if milliseconds < 10_000:
        return gettext("%(number)s ms later") % {"number": grouped(round(milliseconds))}
    return gettext("%(number)s s later") % {"number": grouped(round(milliseconds / 1000))}


def _measured(row: Measurement) -> tuple[str, str, str]:
    return ages.exact(row.created_at), ages.exact(row.received_at), str(row)


def _rejected(row: RejectedMessage) -> tuple[str, str, str, str, str]:
    return (
        reverse("admin:monitoring_rejectedmessage_change", args=[row.pk]),
        ages.exact(row.received_at),
        row.code,
        as_text(translated(row.detail).encode()) or "",
        row.get_state_display(),
    )
