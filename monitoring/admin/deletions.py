"""False readings that somebody deletes: first it is shown what would go, and every deletion is kept."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from monitoring.admin import ages
from monitoring.admin.column import column, grouped, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin
from monitoring.models import Deletion, Sensor
from monitoring.upkeep.deleting import Found, look, request_deletion

CONFIRMED = "_confirmed"


class DeletionForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Deletion
        fields = ("sensor_id", "start", "until", "low", "high")

    def clean_sensor_id(self) -> int:
        sensor_id: int = self.cleaned_data["sensor_id"]
        if not Sensor.objects.present().filter(pk=sensor_id).exists():
            raise forms.ValidationError(gettext("There is no sensor with this id."))
        return sensor_id

    def clean(self) -> dict[str, Any] | None:
        said = super().clean() or self.cleaned_data
        start, until, low, high = (said.get(name) for name in ("start", "until", "low", "high"))
        if start and until and start >= until:
            self.add_error("until", gettext("Must lie after the beginning."))
        if low is not None and high is not None and low > high:
            self.add_error("high", gettext("Must not be below the lowest."))
        return said


@admin.register(Deletion)
class DeletionAdmin(ReadOnlyAdmin):
    """Added and never changed. Whoever may delete measurements may add one."""

    form = DeletionForm
    list_display = ("sensor_id", "span", "values", "deleted", "frozen", "requested_by", "requested", "state")
    list_display_links = ("sensor_id",)
    lookups = ("sensor_id",)
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("monitoring.delete_measurement"))

    def get_fields(self, request: HttpRequest, obj: Deletion | None = None) -> Any:
        said = ["sensor_id", ("start", "until"), ("low", "high")]
        came_of_it = [("deleted", "frozen"), ("first", "last")]
        who = [("requested_by", "requested_at", "finished_at")]
        return [*said, *came_of_it, *who] if obj else said

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method == "POST" and CONFIRMED not in request.POST and self.has_add_permission(request):
            form = self.get_form(request)(request.POST)
            if form.is_valid():
                return self._ask(request, form.instance)
        context = {"title": gettext("Delete false readings"), "show_save_and_add_another": False}
        context |= {"show_save_and_continue": False}
        answer: HttpResponse = super().add_view(request, form_url, context | (extra_context or {}))
        return answer

    def _ask(self, request: HttpRequest, which: Deletion) -> HttpResponse:
        said = [(name, value) for name, value in request.POST.items() if name != "csrfmiddlewaretoken"]
        found = look(which)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Delete false readings"),
            "opts": self.opts,
            "sensor": Sensor.objects.get(pk=which.sensor_id),
            "lines": _in_words(found),
            "found": found,
            "said": [*said, (CONFIRMED, "1")],
        }
        return TemplateResponse(request, "monitoring/admin/deletion.html", context)

    def save_model(self, request: HttpRequest, obj: Deletion, form: Any, change: bool) -> None:
        request_deletion(obj, request.user.get_username())

    @column(ages.in_zone(_("span")))
    def span(self, deletion: Deletion) -> SafeString:
        return unbroken(f"{ages.exact(deletion.start)} – {ages.exact(deletion.until)}")

    @column(_("values"))
    def values(self, deletion: Deletion) -> str:
        if deletion.low is None and deletion.high is None:
            return gettext("all")
        low, high = ("" if end is None else f"{end:g}" for end in (deletion.low, deletion.high))
        return f"{low} … {high}".strip()

    @column(ages.in_zone(_("requested at")))
    def requested(self, deletion: Deletion) -> SafeString:
        return unbroken(ages.to_the_minute(deletion.requested_at))

    @column(_("state"), label={"done": "success", "open": "warning"})
    def state(self, deletion: Deletion) -> tuple[str, str]:
        if deletion.finished_at is None:
            return "open", gettext("under way")
        return "done", gettext("done")


def _in_words(found: Found) -> list[str]:
    if not found.count or found.first is None or found.last is None:
        lines = [gettext("No measurement that was looked at would be deleted.")]
    else:
        lines = [
            ngettext(
                "%(count)s measurement would be deleted.",
                "%(count)s measurements would be deleted.",
                found.count,
            )
            % {"count": grouped(found.count)},
            gettext("The first is of %(first)s, the last of %(last)s (%(zone)s).")
            % {"first": ages.exact(found.first), "last": ages.exact(found.last), "zone": ages.zone()},
            gettext("Their values lie between %(min)g and %(max)g.") % {"min": found.min, "max": found.max},
        ]
    if found.frozen:
        lines.append(
            ngettext(
                "%(frozen)s of them stays in the rollups: retention has taken rows away beside it.",
                "%(frozen)s of them stay in the rollups: retention has taken rows away beside them.",
                found.frozen,
            )
            % {"frozen": grouped(found.frozen)}
        )
    if found.counted_until:
        lines.append(
            gettext("Counted up to %(moment)s (%(zone)s); there are more.")
            % {"moment": ages.exact(found.counted_until), "zone": ages.zone()}
        )
    return lines
