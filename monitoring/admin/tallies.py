"""How many were rejected by hour, and how many of them were kept."""

from django.conf import settings
from django.contrib import admin
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.admin import ages
from monitoring.admin.codes import CodeFilter, meaning
from monitoring.admin.column import column, fixed_width, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.models import RejectedTally


@admin.register(RejectedTally)
class RejectedTallyAdmin(ReadOnlyAdmin):
    list_display = ("from_hour", "reason", "seen", "kept", "size_kept", "cap", "still_there")
    list_display_links = None
    list_filter = (CodeFilter, ("hour", TimeRange))
    lookups = ("code", *time_range("hour"))
    # A row for each code and hour that had any: 20 codes, a year of hours, a few thousand at the most busy.
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
