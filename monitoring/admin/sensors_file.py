"""Sensors from a CSV: the file is chosen, what would come of it is shown, and then it is carried out."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget

from monitoring.admin.column import grouped
from monitoring.details import translated
from monitoring.transfer.lines_in import FileError
from monitoring.transfer.sensors_in import COLUMNS, MAX_BYTES, Change, Plan, carry_out, decoded, plan

# Lines of each kind that the page shows; all of them are counted.
MOST_SHOWN = 100
TEXT = "text"


class FileForm(forms.Form):
    file = forms.FileField(label=_("CSV file"), widget=UnfoldAdminFileFieldWidget)

    def clean_file(self) -> str:
        file: UploadedFile[Any] = self.cleaned_data["file"]
        try:
            return decoded(file.read(MAX_BYTES + 1))
        except FileError as error:
            raise forms.ValidationError(translated(str(error))) from None


def page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    """`request.POST` holds the text of a file that was looked at, `request.FILES` one that was not."""
    text, planned = request.POST.get(TEXT), None
    form = FileForm(request.POST, request.FILES) if request.method == "POST" and text is None else FileForm()
    try:
        if text is not None:
            planned = carry_out(text)
            if not planned.refused:
                messages.success(
                    request,
                    gettext("%(added)d sensors were added, %(changed)d changed.")
                    % {"added": len(planned.added), "changed": len(planned.changed)},
                )
                return HttpResponseRedirect(reverse("admin:monitoring_sensor_changelist"))
        elif form.is_valid():
            text = form.cleaned_data["file"]
            planned = plan(text)
    except FileError as error:
        form.add_error("file", str(error)) if form.is_bound else messages.error(request, str(error))
    context = {
        **site.each_context(request),
        "title": gettext("Import sensors"),
        "columns": ", ".join(COLUMNS),
        "form": form,
        "text": text,
        **(_shown(planned) if planned else {}),
    }
    return TemplateResponse(request, "monitoring/admin/sensors_file.html", context)


def _shown(planned: Plan) -> dict[str, Any]:
    refused = [(fault.line, f"{fault.reason}: {translated(fault.detail)}") for fault in planned.refused]
    changed = [(change.sensor.pk, _in_words(change)) for change in planned.changed]
    added = [(sensor.pk or gettext("next free"), sensor.name) for sensor in planned.added]
    kinds: list[tuple[str, str, list[Any]]] = [
        (gettext("Refused: while there are any, nothing is done"), gettext("line"), refused),
        (gettext("To be changed"), "id", changed),
        (gettext("To be added"), "id", added),
    ]
    return {
        "plan": planned,
        "kinds": [
            (what, of, grouped(len(rows)), rows[:MOST_SHOWN], max(0, len(rows) - MOST_SHOWN))
            for what, of, rows in kinds
            if rows
        ],
    }


def _in_words(change: Change) -> str:
    return "; ".join(f"{name}: {was!r} → {to!r}" for name, (was, to) in change.fields.items())
