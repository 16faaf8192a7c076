"""The ledger: every batch that was dealt with, and what became of it; and how the books were corrected."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from monitoring.admin import ages, trace_page
from monitoring.admin.column import column, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.models import Correction, IngestBatch


@admin.register(IngestBatch)
class IngestBatchAdmin(ReadOnlyAdmin):
    list_display = (
        *("ingested", "source", "messages", "readings", "stored", "duplicates", "rejected"),
        *("waited", "id"),
    )
    list_display_links = ("ingested",)
    list_filter = (("ingested_at", TimeRange),)
    lookups = time_range("ingested_at")
    ordering = ("-ingested_at", "-id")
    fieldsets = (
        (None, {"fields": ("id", "source")}),
        (_("Counts"), {"fields": (("messages", "readings"), ("stored", "duplicates", "rejected"))}),
        (
            _("Times"),
            {"fields": (("first_received_at", "last_received_at", "claimed_at", "ingested_at"), "waited")},
        ),
    )
    readonly_fields = ("waited", "ingested_at")

    def get_urls(self) -> list[URLPattern]:
        def view(request: HttpRequest) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return trace_page.page(self.admin_site, request)

        own = path("trace/", self.admin_site.admin_view(view), name="monitoring_ingestbatch_trace")
        return [own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[IngestBatch]:
        """Without the touched pairs: a thousand a row, and nothing that a person would read."""
        return IngestBatch.objects.defer("touched_sensors", "touched_minutes")

    @column(ages.in_zone(_("ingested at")))
    def ingested(self, batch: IngestBatch) -> SafeString:
        return unbroken(ages.exact(batch.ingested_at))

    @column(_("from receipt to row"))
    def waited(self, batch: IngestBatch) -> str:
        seconds = (batch.ingested_at - batch.first_received_at).total_seconds()
        return f"{seconds:.3f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@admin.register(Correction)
class CorrectionAdmin(ReadOnlyAdmin):
    list_display = ("made", "messages", "reason")
    list_display_links = None
    ordering = ("-made_at", "-id")

    @column(ages.in_zone(_("made at")))
    def made(self, correction: Correction) -> SafeString:
        return unbroken(ages.exact(correction.made_at))
