"""Jobs over many rejected messages: how far each has come, and a button that stops it."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from monitoring.admin import ages, frame, selections, verdicts
from monitoring.admin.column import column, grouped, unbroken
from monitoring.admin.payload import as_text
from monitoring.admin.read_only import OwnPageAdmin
from monitoring.models import Job
from monitoring.rejected.jobs import request_stop
from monitoring.rejected.selection import Selection

LOOKS = {
    Job.State.WAITING.value: "info",
    Job.State.RUNNING.value: "warning",
    Job.State.STOPPED.value: "danger",
    Job.State.DONE.value: "success",
}


@admin.register(Job)
class JobAdmin(OwnPageAdmin):
    """Whoever sees rejected messages sees what becomes of them."""

    list_display = ("asked", "what", "what_of", "progress", "came_to", "requested_by", "how")
    list_display_links = ("asked",)
    # A job's page is ours; what else its row holds is no matter of a person's.
    fields = ("kind", "reason", "total", "dealt_with", "error")
    ordering = ("-requested_at", "-pk")
    change_list_template = "monitoring/admin/inbox/jobs.html"
    list_before_template = "monitoring/admin/inbox/list_head.html"

    def has_view_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return bool(super().has_view_permission(request, obj) or request.user.has_perm(frame.SEE))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**frame.around(request, "jobs"), "title": gettext("Jobs")}
        answer: HttpResponse = super().changelist_view(request, context | (extra_context or {}))
        return answer

    def page_of(self, request: HttpRequest, job: Job) -> HttpResponse:
        """It asks itself again while the job is under way (static/monitoring/watch.js)."""
        if request.method == "POST":
            frame.require(request, frame.DECIDE)
            if request_stop(job.pk):
                messages.success(request, gettext("It stops after the piece that it is at."))
            return HttpResponseRedirect(request.path)
        context = {
            **frame.frame(self.admin_site, request, gettext("Job %d") % job.pk, "jobs"),
            "job": job,
            "look": LOOKS[job.state],
            "is_open": job.finished_at is None,
            "which": selections.in_words(Selection.from_json(job.selection)),
            "change": job.change,
            "dealt_with": grouped(job.dealt_with),
            "total": grouped(job.total),
            "percent": _percent(job),
            "counts": _counts(job),
            "codes": verdicts.by_code(job.codes),
            "asked_at": ages.exact(job.requested_at),
            "finished_at": job.finished_at and ages.exact(job.finished_at),
            "reason": as_text(job.reason.encode()),
            "error": as_text(job.error.encode()),
        }
        return TemplateResponse(request, "monitoring/admin/inbox/job.html", context)

    @column(ages.in_zone(_("asked for at")))
    def asked(self, job: Job) -> SafeString:
        return unbroken(ages.to_the_minute(job.requested_at))

    @column(_("what"))
    def what(self, job: Job) -> str:
        return capfirst(job.get_kind_display())

    @column(_("which"))
    def what_of(self, job: Job) -> SafeString:
        which = selections.in_words(Selection.from_json(job.selection))
        return format_html('<span class="inbox-anywhere">{}</span>', ", ".join(which))

    @column(_("messages"))
    def progress(self, job: Job) -> str:
        if job.last_id is None:
            return "-"
        return gettext("%(dealt_with)s of %(total)s") % {
            "dealt_with": grouped(job.dealt_with),
            "total": grouped(job.total),
        }

    @column(_("readings"))
    def came_to(self, job: Job) -> str:
        return ", ".join(text for count, text in _counts(job) if count) or "-"

    @column(_("state"), label=LOOKS)
    def how(self, job: Job) -> tuple[str, str]:
        return job.state.value, str(job.state.label)


def _percent(job: Job) -> int:
    if job.finished_at is not None and not job.stop_requested:
        return 100
    return min(100, 100 * job.dealt_with // job.total) if job.total else 0


def _counts(job: Job) -> list[tuple[int, str]]:
    if job.kind == Job.Kind.DISMISS:
        return [(job.dismissed, gettext("%s dismissed") % grouped(job.dismissed))]
    return [
        (job.stored, gettext("%s stored") % grouped(job.stored)),
        (job.duplicates, gettext("%s stored already") % grouped(job.duplicates)),
        (job.rejected, gettext("%s rejected again") % grouped(job.rejected)),
    ]
