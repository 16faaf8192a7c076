"""Measurements, newest first: read only, and a page costs the same however full the table is."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from monitoring.admin import ages
from monitoring.admin.column import column, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.models import Measurement

SENSOR = "sensor__id__exact"


@admin.register(Measurement)
class MeasurementAdmin(ReadOnlyAdmin):
    """No row has a page of its own: a measurement is addressed by sensor and time, and a look-up by id
    alone would search every partition."""

    list_display = ("sensor", "what", "measured_at", "received")
    list_display_links = None
    list_select_related = ("sensor",)
    list_filter = (("sensor", AutocompleteSelectFilter), ("created_at", TimeRange))
    lookups = (SENSOR, *time_range("created_at"))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """What the primary key (created_at, id) serves; of one sensor, what its identity serves."""
        return ("-created_at", "-sensor_id") if request.GET.get(SENSOR) else ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Measurement]:
        return Measurement.objects.all()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> None:
        """There is no page of one measurement, whatever the address bar asks for."""

    @column(_("value"))
    def what(self, measurement: Measurement) -> str:
        return f"{measurement.value:.10g} {measurement.unit}".rstrip()

    @column(_("measured at (UTC)"))
    def measured_at(self, measurement: Measurement) -> SafeString:
        return unbroken(ages.exact(measurement.created_at))

    @column(_("received at (UTC)"))
    def received(self, measurement: Measurement) -> SafeString:
        return unbroken(ages.exact(measurement.received_at))
