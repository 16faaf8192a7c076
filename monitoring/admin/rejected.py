"""What was refused, why, and what it was."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from monitoring.admin import ages
from monitoring.admin.column import column, fixed_width, unbroken
from monitoring.admin.payload import as_escaped, as_hex, as_text, preview
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.decoders.codes import MEANINGS, Code
from monitoring.models import RejectedMessage, RejectedTally

BLOCK = (
    '<pre class="bg-base-50 border border-base-200 rounded-default p-3 text-xs leading-5'
    ' overflow-auto dark:bg-base-800 dark:border-base-700"'
    ' style="max-height: 28rem; max-width: 100%; {}">{}</pre>'
)


def meaning(code: str) -> str:
    return gettext(MEANINGS[Code(code)]) if code in MEANINGS else ""


class CodeFilter(DropdownFilter):  # type: ignore[misc]
    title = _("code")
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(code.value, code.value) for code in Code]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(code=self.value()) if self.value() else queryset


@admin.register(RejectedMessage)
class RejectedMessageAdmin(ReadOnlyAdmin):
    list_display = ("received", "why", "detail", "topic", "beginning", "state")
    list_display_links = ("received",)
    list_filter = (CodeFilter, ("received_at", TimeRange), ("state", ChoicesDropdownFilter))
    lookups = ("code", "state__exact", *time_range("received_at"))
    ordering = ("-received_at", "-id")
    fieldsets = (
        (None, {"fields": ("why_in_full", "detail")}),
        (_("Payload"), {"fields": ("payload_shown", "payload_dumped", "size")}),
        (_("Where from"), {"fields": ("topic", "received", "retained", "ledger_entry", "place")}),
        (_("Replay"), {"fields": ("state", "replayed_by", "replayed_at", "outcome")}),
    )
    readonly_fields = (
        *("why_in_full", "payload_shown", "payload_dumped", "size"),
        *("received", "ledger_entry", "place"),
    )
    compressed_fields = False

    @column(ages.in_zone(_("received at")))
    def received(self, message: RejectedMessage) -> SafeString:
        return unbroken(ages.exact(message.received_at))

    @column(_("code"))
    def why(self, message: RejectedMessage) -> SafeString:
        return fixed_width(message.code, meaning(message.code))

    @column(_("why"))
    def why_in_full(self, message: RejectedMessage) -> SafeString:
        return format_html("{}: {}", fixed_width(message.code), meaning(message.code))

    @column(_("payload"))
    def beginning(self, message: RejectedMessage) -> SafeString:
        return format_html(
            '<span style="font-family: monospace; font-size: .75rem; overflow-wrap: anywhere">{}</span>',
            preview(bytes(message.payload)),
        )

    @column(_("text"))
    def payload_shown(self, message: RejectedMessage) -> SafeString | str:
        payload = bytes(message.payload)
        if not payload:
            return gettext("(no bytes)")
        text = as_text(payload)
        shown = text if text is not None else as_escaped(payload)
        return format_html(BLOCK, "white-space: pre-wrap; overflow-wrap: anywhere", shown)

    @column(_("bytes"))
    def payload_dumped(self, message: RejectedMessage) -> SafeString | str:
        """Of text only where something in it cannot be seen."""
        payload = bytes(message.payload)
        text = as_text(payload)
        if not payload or (text is not None and text.encode() == payload):
            return "-"
        return format_html(BLOCK, "white-space: pre", as_hex(payload))

    @column(_("size"))
    def size(self, message: RejectedMessage) -> str:
        kept = len(message.payload)
        if kept < message.length:
            return _("%(length)d bytes, of which the first %(kept)d were kept") % {
                "length": message.length,
                "kept": kept,
            }
        return _("%d bytes") % message.length

    @column(_("ledger"))
    def ledger_entry(self, message: RejectedMessage) -> SafeString:
        url = reverse("admin:monitoring_ingestbatch_change", args=[message.batch])
        return format_html(
            '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, message.batch
        )

    @column(_("place"))
    def place(self, message: RejectedMessage) -> str:
        if message.indexes:
            return _("message %(position)d of the batch, and of its elements: %(indexes)s; all from 0") % {
                "position": message.position,
                "indexes": message.indexes.replace("\n", "; "),
            }
        if message.index is None:
            return _("message %d of the batch, from 0") % message.position
        return _("message %(position)d of the batch, its element %(index)d, both from 0") % {
            "position": message.position,
            "index": message.index,
        }


@admin.register(RejectedTally)
class RejectedTallyAdmin(ReadOnlyAdmin):
    list_display = ("from_hour", "reason", "seen", "kept", "size_kept", "cap", "still_there")
    list_display_links = None
    list_filter = (CodeFilter, ("hour", TimeRange))
    lookups = ("code", *time_range("hour"))
    # A row for each code and hour that had any: 19 codes, a year of hours, a few thousand at the most busy.
    ordering = ("-hour", "code")

    @column(ages.in_zone(_("hour")))
    def from_hour(self, tally: RejectedTally) -> SafeString:
        return unbroken(ages.to_the_minute(tally.hour))

    @column(_("code"))
    def reason(self, tally: RejectedTally) -> SafeString:
        return format_html("{} {}", fixed_width(tally.code), meaning(tally.code))

    @column(_("bytes kept"))
    def size_kept(self, tally: RejectedTally) -> str:
        most = filesizeformat(settings.REJECTED_MAX_BYTES_PER_HOUR)
        return _("%(kept)s of %(most)s") % {"kept": filesizeformat(tally.kept_bytes), "most": most}

    @column(_("cap"), label={"past": "danger", "under": "success"})
    def cap(self, tally: RejectedTally) -> tuple[str, str]:
        if tally.seen > tally.kept:
            return "past", gettext("past the cap: %d only counted") % (tally.seen - tally.kept)
        return "under", gettext("all kept")

    @column(_("still there"))
    def still_there(self, tally: RejectedTally) -> str:
        held = filesizeformat(tally.held_bytes)
        if tally.given_way:
            return gettext("%(held)s; %(count)d gave way to newer ones") % {
                "held": held,
                "count": tally.given_way,
            }
        return held
