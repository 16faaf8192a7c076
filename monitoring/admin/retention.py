"""How long things are kept: every partition and when it goes, what went lately, which sensors are leaving."""

from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.admin import ages
from monitoring.admin.column import column, grouped, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.models import RetentionRun
from monitoring.upkeep import removal
from monitoring.upkeep.tables import TABLES, Partition, State, partitions


class Line(NamedTuple):
    """A partition as the page shows it; `look` as unfold names it."""

    name: str
    span: str
    rows: str
    size: str
    goes: str
    look: str


@admin.register(RetentionRun)
class RetentionRunAdmin(ReadOnlyAdmin):
    list_display = ("when", "kind", "target", "how_many", "given_back", "since", "until", "pieces")
    list_display_links = None
    list_filter = (("last_at", TimeRange),)
    lookups = time_range("last_at")
    ordering = ("-last_at", "-id")
    list_before_template = "monitoring/admin/retention.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        now = timezone.now()
        tables = [partitions(kept) for kept in TABLES]
        context = {
            "title": gettext("Retention"),
            "tables": [
                {
                    "name": kept.table.name.removeprefix("monitoring_"),
                    "setting": kept.setting,
                    "days": kept.days,
                    "lines": [_line(partition, now) for partition in parts],
                    "rows": grouped(sum(part.rows for part in parts)),
                    "size": filesizeformat(sum(part.bytes for part in parts)),
                    "due": sum(part.is_due(now) for part in parts),
                    "due_size": filesizeformat(sum(part.bytes for part in parts if part.is_due(now))),
                }
                for kept, parts in zip(TABLES, tables, strict=True)
            ],
            "leaving": removal.requested(20),
        }
        answer: HttpResponse = super().changelist_view(request, context | (extra_context or {}))
        return answer

    @column(ages.in_zone(_("at")))
    def when(self, run: RetentionRun) -> SafeString:
        return unbroken(ages.to_the_minute(run.last_at))

    @column(_("rows"))
    def how_many(self, run: RetentionRun) -> str:
        return f"{'~' if run.kind == RetentionRun.Kind.PARTITION else ''}{grouped(run.rows)}"

    @column(_("bytes given back"))
    def given_back(self, run: RetentionRun) -> str:
        return filesizeformat(run.freed) if run.freed else "-"

    @column(_("from"))
    def since(self, run: RetentionRun) -> SafeString:
        return unbroken(_day(run.first))

    @column(_("to"))
    def until(self, run: RetentionRun) -> SafeString:
        return unbroken(_day(run.last))


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "-"


def _line(partition: Partition, now: datetime) -> Line:
    if partition.state is not State.ATTACHED:
        goes, look = gettext("leaving, as soon as nobody reads it"), "warning"
    elif partition.goes_at is None:
        goes, look = gettext("never"), "info"
    elif partition.is_due(now):
        goes, look = gettext("with the next run"), "danger"
    else:
        goes = gettext("%(day)s, in %(days)d d") % {
            "day": _day(partition.goes_at),
            "days": (partition.goes_at - now).days,
        }
        look = "info" if partition.span.start > now else "success"
    return Line(
        partition.name,
        f"{_day(partition.span.start)} – {_day(partition.span.end)}",
        f"~{grouped(partition.rows)}",
        filesizeformat(partition.bytes),
        goes,
        look,
    )
