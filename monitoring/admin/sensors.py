"""Sensors: what they are, and whether they still send."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList as DjangoChangeList
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from monitoring.admin import ages, exports, sensor_day, sensors_file
from monitoring.admin.column import column, grouped
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import Measurement, Sensor, SensorStatus
from monitoring.models.sensor import SensorQuerySet
from monitoring.templatetags.dashboard import figure
from monitoring.upkeep.removal import Belongings, belongings, request_removal

_TAKEN = _("There is a sensor with this id, or one is being removed.")
# The sign that the dashboard has too.
STATE = "monitoring/dashboard/state.html"
# Sensors that a confirmation says in detail what goes with.
MOST_SHOWN = 50


def _what_goes(sensor: Sensor, going: Belongings) -> str:
    about = gettext("about ") if going.is_estimate else ""
    text = gettext("%(sensor)s (%(id)d): %(about)s%(measurements)s measurements, %(rollups)s rollups") % {
        "sensor": sensor,
        "id": sensor.pk,
        "about": about,
        "measurements": grouped(going.measurements),
        "rollups": grouped(going.rollups),
    }
    if going.first and going.last:
        text += f", {going.first:%Y-%m-%d} – {going.last:%Y-%m-%d}"
    return text


class KindFilter(DropdownFilter):  # type: ignore[misc]
    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        kinds = Sensor.objects.order_by("kind").values_list("kind", flat=True).distinct()
        return [(kind, kind) for kind in kinds if kind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Sensor]) -> QuerySet[Sensor]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class StatusFilter(DropdownFilter):  # type: ignore[misc]
    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [(status.value, status.label) for status in SensorStatus.Status]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Sensor]) -> QuerySet[Sensor]:
        return queryset.filter(standing__status=self.value()) if self.value() else queryset


def _standing(sensor: Sensor) -> SensorStatus | None:
    row: SensorStatus | None = getattr(sensor, "standing", None)
    return row


class WithLatest(ChangeList):  # type: ignore[misc]
    """Looks the last values up once it is known which sensors are on the page."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        last = Measurement.objects.last_of([sensor.pk for sensor in self.result_list])
        for sensor in self.result_list:
            sensor.last = last.get(sensor.pk)


class NewSensorForm(forms.ModelForm):  # type: ignore[type-arg]
    """With the id, which can be chosen once: when the sensor is added."""

    id = forms.IntegerField(
        label=capfirst(_("id")),
        required=False,
        min_value=1,
        max_value=MAX_SENSOR_ID,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("What messages name as `sensor_id`; left empty, it is the next free one."),
    )

    def clean_id(self) -> int | None:
        number: int | None = self.cleaned_data["id"]
        if number is not None and Sensor.objects.filter(pk=number).exists():
            raise forms.ValidationError(_TAKEN)
        return number


@admin.register(Sensor)
class SensorAdmin(ModelAdmin):  # type: ignore[misc]
    """Deleting one says what goes with it, and leaves the work to a job (monitoring.upkeep.removal)."""

    list_display = ("name", "id", "state", "last_value", "last_seen", "kind", "unit", "location")
    list_display_links = ("name",)
    list_select_related = ("standing",)
    list_filter = (StatusFilter, KindFilter, "is_active")
    list_per_page = 50
    list_fullwidth = True
    search_fields = ("name", "location", "=id")
    search_help_text = _("Name, location or id")
    sortable_by = ("name", "id", "state", "kind", "unit", "location")
    change_form_outer_before_template = "monitoring/admin/sensor_day.html"
    actions = ("activate", "deactivate")
    actions_list = ("import_file",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DjangoChangeList]:
        return WithLatest

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sensor]:
        return Sensor.objects.present().select_related("standing")

    def get_form(self, request: HttpRequest, obj: Sensor | None = None, **more: Any) -> Any:
        return super().get_form(request, obj, **({"form": NewSensorForm} if obj is None else {}) | more)

    def add_view(self, request: HttpRequest, *args: Any, **more: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().add_view(request, *args, **more)
        except IntegrityError:
            # Between the form's look and the row another came, as from a worker that registers sensors.
            self.message_user(request, _TAKEN, messages.ERROR)
            answer = HttpResponseRedirect(request.get_full_path())
        return answer

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        sensor = self.get_object(request, object_id)
        may = request.user.has_perm("monitoring.view_measurement")
        context = {"day": sensor_day.of(sensor) if sensor and may else None} | (extra_context or {})
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def view_on_site(self, sensor: Sensor) -> str:
        return sensor_day.page_of(sensor)

    def save_model(self, request: HttpRequest, obj: Sensor, form: Any, change: bool) -> None:
        """What was changed and no more: a removal that somebody asks for meanwhile stands."""
        if change:
            obj.save(update_fields=form.changed_data)
            return
        # A primary key is no field that a form sets by itself.
        obj.pk = form.cleaned_data["id"]
        if obj.pk:
            Sensor.objects.hold_ids()
        obj.save(force_insert=True)
        if form.cleaned_data["id"]:
            # Moves the sequence past it.
            Sensor.objects.register([])

    def response_add(self, request: HttpRequest, obj: Sensor, post_url_continue: str | None = None) -> Any:
        text = gettext("Its id is %(id)d: messages name it as `sensor_id`.") % {"id": obj.pk}
        answer = super().response_add(request, obj, post_url_continue)
        self.message_user(request, text)
        return answer

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """For the page that asks for confirmation: (lines, count by kind, missing rights, protected)."""
        shown = list(objs[:MOST_SHOWN])
        lines = [_what_goes(sensor, belongings(sensor.pk)) for sensor in shown]
        count = len(objs)
        if count > len(shown):
            lines.append(gettext("and %d more") % (count - len(shown)))
        missing = set() if self.has_delete_permission(request) else {gettext("sensor")}
        return lines, {gettext("sensors"): count}, missing, []

    def delete_model(self, request: HttpRequest, obj: Sensor) -> None:
        self.delete_queryset(request, Sensor.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Sensor]) -> None:
        request_removal(cast(SensorQuerySet, queryset))
        text = gettext("Nothing more comes in for it. A job removes what was measured, piece by piece.")
        self.message_user(request, text)

    def get_fieldsets(self, request: HttpRequest, obj: Sensor | None = None) -> Any:
        what: dict[str, Any] = {"fields": ("name", ("kind", "unit"), "location")}
        how = {"fields": ("is_active", "retention_days", "expected_interval_s")}
        if obj is None:
            what["fields"] = ("id", *what["fields"])
            return [(None, what), (_("Keeping"), how)]
        return [
            (None, what),
            (_("Keeping"), how),
            (_("Seen"), {"fields": (("id", "added_at"), "status_since", "last", "export")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Sensor | None = None) -> tuple[str, ...]:
        return ("id", "added_at", "status_since", "last", "export") if obj else ()

    def has_import_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_add_permission(request) and self.has_change_permission(request))

    @action(description=_("Import a CSV"), url_path="import", permissions=["import"])  # type: ignore[untyped-decorator]
    def import_file(self, request: HttpRequest) -> HttpResponse:
        return sensors_file.page(self.admin_site, request)

    @column(_("status"), order="standing__rank")
    def state(self, sensor: Sensor) -> SafeString | None:
        row = _standing(sensor)
        return None if row is None else render_to_string(STATE, {"name": row.status})

    @column(_("last value"))
    def last_value(self, sensor: Sensor) -> str | None:
        if (last := sensor.last) is None:
            return None
        url = reverse("admin:monitoring_measurement_changelist")
        value = f"{figure(last.value)} {last.unit}".rstrip()
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500 whitespace-nowrap" href="{}">{}</a>',
            f"{url}?sensor__id__exact={sensor.pk}",
            value,
        )

    @column(_("last seen"))
    def last_seen(self, sensor: Sensor) -> str:
        return ages.seen(sensor.last and sensor.last.created_at)

    @column(_("status"))
    def status_since(self, sensor: Sensor) -> str:
        if (row := _standing(sensor)) is None:
            return "-"
        since = gettext("%(status)s since %(moment)s (%(zone)s)") % {
            "status": row.get_status_display(),
            "moment": ages.to_the_minute(row.changed_at),
            "zone": ages.zone(),
        }
        if row.interval_s is None:
            return since
        every = gettext("a reading is expected every %(seconds)s s") % {"seconds": f"{row.interval_s:g}"}
        return f"{since}; {every}"

    @column(_("last measurement"))
    def last(self, sensor: Sensor) -> str:
        measurement = sensor.latest()
        if measurement is None:
            return "-"
        return f"{measurement}, {ages.since(measurement.created_at)}"

    @column(_("measurements as a file"))
    def export(self, sensor: Sensor) -> SafeString:
        return exports.links(sensor.pk)

    @admin.action(description=_("Activate"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Sensor]) -> None:
        count = queryset.update(is_active=True)
        text = ngettext("%d sensor is active", "%d sensors are active", count) % count
        self.message_user(request, text)

    @admin.action(
        description=_("Deactivate: measurements of them are rejected from now on"), permissions=["change"]
    )
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Sensor]) -> None:
        count = queryset.update(is_active=False)
        text = ngettext("%d sensor is not active", "%d sensors are not active", count) % count
        self.message_user(request, text)
