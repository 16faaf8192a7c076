"""Measurements, newest first: read only, and a page costs the same however full the table is."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from monitoring.admin import ages, exports
from monitoring.admin.column import column, unbroken
from monitoring.admin.read_only import FixedChangeList, ReadOnlyAdmin, TimeRange, time_range
from monitoring.models import Measurement

SENSOR = "sensor__id__exact"


class WithExports(FixedChangeList):
    """Of one sensor, links to the files that hold what the list's filters let through."""

    exports = ""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        sensor = request.GET.get(SENSOR)
        if sensor:
            (bounds,) = (one.bounds for one in self.filter_specs if isinstance(one, TimeRange))
            self.exports = exports.links(int(sensor), *bounds)


@admin.register(Measurement)
class MeasurementAdmin(ReadOnlyAdmin):
    """No row has a page of its own: a measurement is addressed by sensor and time, and a look-up by id
    alone would search every partition."""

    list_display = ("sensor", "what", "measured_at", "received")
    list_display_links = None
    list_select_related = ("sensor",)
    list_filter = (("sensor", AutocompleteSelectFilter), ("created_at", TimeRange))
    lookups = (SENSOR, *time_range("created_at"))
    list_before_template = "monitoring/admin/export.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FixedChangeList]:
        return WithExports

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

    @column(ages.in_zone(_("measured at")))
    def measured_at(self, measurement: Measurement) -> SafeString:
        return unbroken(ages.exact(measurement.created_at))

    @column(ages.in_zone(_("received at")))
    def received(self, measurement: Measurement) -> SafeString:
        return unbroken(ages.exact(measurement.received_at))
