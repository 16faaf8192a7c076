"""Many messages at once, those that are marked or all that a filter lets through: what would come of it is
shown first, and then a job does it."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from monitoring.admin import frame, verdicts
from monitoring.admin.column import grouped
from monitoring.admin.rejected_filters import selected
from monitoring.models import Job
from monitoring.rejected import jobs
from monitoring.rejected.selection import Selection

if TYPE_CHECKING:
    from monitoring.admin.inbox import RejectedMessageAdmin

# What a dry run looks at while somebody waits for the page: a few seconds' worth.
LOOKED_AT = 5_000
MARKED, ALL = "marked", "all"


class ManyForm(forms.Form):
    do = forms.ChoiceField(choices=[(name, name) for name in ("look", "replay", "dismiss")])
    scope = forms.ChoiceField(choices=[(name, name) for name in (MARKED, ALL)], required=False)
    confirmed = forms.BooleanField(required=False)
    reason = forms.CharField(required=False, max_length=200)


def page(model_admin: "RejectedMessageAdmin", request: HttpRequest) -> HttpResponse:
    """The query is the list's own, so that the filter is read as the list reads it."""
    frame.require(request, frame.DECIDE)
    back = f"{reverse(frame.INBOX)}?{request.GET.urlencode()}"
    form = ManyForm(request.POST)
    if request.method != "POST" or not form.is_valid():
        return HttpResponseRedirect(back)
    said = form.cleaned_data
    ids = [int(pk) for pk in request.POST.getlist("marked") if pk.isdecimal() and len(pk) < 19]
    try:
        which = selected(model_admin.get_changelist_instance(request))
    except IncorrectLookupParameters:
        return HttpResponseRedirect(reverse(frame.INBOX))
    if said["scope"] != ALL:
        which = Selection(ids=tuple(ids))
        if not ids:
            model_admin.message_user(request, _("Mark some messages first."), "error")
            return HttpResponseRedirect(back)
    by: Any = request.user
    if said["confirmed"] and said["do"] != "look":
        job = jobs.request(Job.Kind(said["do"]), which, by, reason=said["reason"])
        return HttpResponseRedirect(reverse(frame.JOB, args=[job.pk]))
    context = {
        **frame.frame(model_admin.admin_site, request, _title(said["do"]), "messages"),
        "do": said["do"],
        "scope": said["scope"] or MARKED,
        "marked": ids if said["scope"] != ALL else [],
        "back": back,
        **looked_at(which),
    }
    return TemplateResponse(request, "monitoring/admin/inbox/many.html", context)


def _title(do: str) -> str:
    return {
        "look": _("Dry run"),
        "replay": _("Replay many messages"),
        "dismiss": _("Dismiss many messages"),
    }[do]


def looked_at(which: Selection) -> dict[str, Any]:
    """What the page says of a selection."""
    waiting = which.waiting().count()
    sums = jobs.look(which, most=LOOKED_AT)
    cut = waiting - sums.total
    lines = verdicts.of_sums(sums)
    if cut > 0:
        lines.append(
            ngettext(
                "%(count)s message cannot be replayed: only its beginning was kept.",
                "%(count)s messages cannot be replayed: only their beginnings were kept.",
                cut,
            )
            % {"count": grouped(cut)}
        )
    return {
        "waiting": waiting,
        "waiting_shown": grouped(waiting),
        "replayable": sums.total,
        "lines": lines,
        "would_store": sums.stored + sums.duplicates,
    }
