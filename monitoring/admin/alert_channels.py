"""Whom alerts are told to, and what became of each message."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter

from monitoring.admin import ages
from monitoring.admin.column import column, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.models import AlertChannel, Delivery


@admin.register(AlertChannel)
class AlertChannelAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "enabled")
    search_fields = ("name",)
    fields = ("name", "kind", "enabled", "disabled_why")
    ordering = ("name",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("made", "channel", "what", "how", "tries", "next", "sent", "error")
    list_display_links = ("made",)
    list_select_related = ("channel",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("channel", AutocompleteSelectFilter),
        ("created_at", TimeRange),
    )
    lookups = ("state__exact", "channel__id__exact", *time_range("created_at"))
    ordering = ("-created_at", "-id")
    fieldsets = (
        (None, {"fields": ("id", "channel", "what", "how", "error")}),
        (_("Times"), {"fields": (("made", "sent"), ("tries", "next"))}),
    )
    readonly_fields = ("id", "channel", "what", "how", "made", "sent", "next")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return Delivery.objects.select_related("channel").prefetch_related("notifications__incident")

    @column(ages.in_zone(_("made")))
    def made(self, delivery: Delivery) -> SafeString:
        return unbroken(ages.exact(delivery.created_at))

    @column(_("what"))
    def what(self, delivery: Delivery) -> str:
        if delivery.is_test:
            return str(_("a test"))
        told = [f"{one.incident.title}: {one.get_event_display()}" for one in delivery.notifications.all()]
        return ", ".join(told[:3]) + (f", … ({len(told)})" if len(told) > 3 else "")

    @column(_("state"), label={"pending": "info", "sent": "success", "failed": "danger"})
    def how(self, delivery: Delivery) -> tuple[str, Any]:
        return delivery.state, delivery.get_state_display()

    @column(ages.in_zone(_("next try")))
    def next(self, delivery: Delivery) -> SafeString | None:
        return unbroken(ages.exact(delivery.next_at)) if delivery.next_at else None

    @column(ages.in_zone(_("sent")))
    def sent(self, delivery: Delivery) -> SafeString | None:
        return unbroken(ages.exact(delivery.sent_at)) if delivery.sent_at else None
