"""`/alerts/`: what fires now and who sees to it, the rules, the silences to come, and what fired before."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from monitoring.alerts.incidents import acknowledge
from monitoring.dashboard.access import INCIDENTS, readable, signed_in
from monitoring.dashboard.alerts import saying
from monitoring.dashboard.alerts.history import History
from monitoring.dashboard.alerts.silences import Silence, coming
from monitoring.dashboard.frame import show
from monitoring.models import AlertRule, Incident, Notification

CHANGE = "monitoring.change_incident"
# More than these nobody reads in one go; the page says that there are more.
MOST_OPEN = 200
MOST_RULES = 12
MAX_COMMENT = 2000
SEVERITIES = (AlertRule.Severity.CRITICAL, AlertRule.Severity.WARNING, AlertRule.Severity.INFO)


class Row(NamedTuple):
    """An incident as a list shows it. `value`, `peak`: in words, with their unit. `parts`: of an outbreak."""

    incident: Incident
    subject: str
    value: str
    peak: str
    lasted: str
    parts: Sequence["Row"] = ()

    @property
    def is_acknowledged(self) -> bool:
        return self.incident.acknowledged_at is not None


class RuleRow(NamedTuple):
    rule: AlertRule
    says: str
    of_whom: str
    last: datetime | None
    open: int


@require_safe
@readable(INCIDENTS)
def alerts(request: HttpRequest) -> HttpResponseBase:
    """The page, or for htmx what fires now."""
    firing, is_more = _firing()
    context: dict[str, Any] = {
        "firing": firing,
        "is_more": is_more,
        "open_incidents": sum(row.incident.part_of_id is None for row in firing),
        **_may(request),
    }
    if is_more:
        del context["open_incidents"]
    if getattr(request, "htmx", False):
        response = show(request, "monitoring/dashboard/alerts/firing.html", context)
    else:
        history = History.read(request.GET)
        rules = rule_rows(MOST_RULES + 1, Counter(one.incident.rule_id for one in firing))
        context |= {
            "here": "incidents",
            "history": history,
            "past": [row(one) for one in history.incidents],
            "is_other_rule": history.asked.rule is not None
            and all(one.rule.pk != history.asked.rule for one in rules[:MOST_RULES]),
            "rules": rules[:MOST_RULES],
            "is_more_rules": len(rules) > MOST_RULES,
            "silences": _silences(request),
        }
        status = 400 if history.errors else 200
        response = show(request, "monitoring/dashboard/alerts/alerts.html", context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
@readable(INCIDENTS)
def incident(request: HttpRequest, incident_id: int) -> HttpResponseBase:
    """One incident: its times, whom it names, and who was told of it."""
    found = get_object_or_404(_shown(), pk=incident_id) if incident_id < 2**63 else None
    if found is None:
        raise Http404
    parts = [row(part) for part in _shown().filter(part_of=found).order_by("since", "pk")[:MOST_OPEN]]
    may = _may(request)
    told: list[Notification] = []
    if may["sees_people"] and request.user.has_perm("monitoring.view_notification"):
        noted = Notification.objects.filter(incident=found).select_related("channel", "delivery")
        told = list(noted.order_by("created_at", "pk")[:MOST_OPEN])
    context = {
        "row": row(found, parts),
        "back": reverse("dashboard:incident", args=[found.pk]),
        "told": told,
        "here": "incidents",
        **may,
    }
    return show(request, "monitoring/dashboard/alerts/incident.html", context)


@require_POST
@signed_in(CHANGE)
def acknowledged(request: HttpRequest, incident_id: int) -> HttpResponseBase:
    """Somebody sees to it; back to the page that said so."""
    if incident_id >= 2**63:
        raise Http404
    found = get_object_or_404(Incident, pk=incident_id)
    comment = request.POST.get("comment", "").replace("\x00", "").strip()[:MAX_COMMENT]
    assert isinstance(request.user, AbstractBaseUser)
    acknowledge(found, request.user, comment)
    messages.success(request, _("“%s” is acknowledged: nobody is reminded of it.") % found.title)
    return HttpResponseRedirect(back_of(request, reverse("dashboard:alerts")))


def row(incident: Incident, parts: Sequence[Row] = ()) -> Row:
    unit = incident.sensor.unit if incident.sensor_id is not None and incident.sensor is not None else ""
    end = incident.resolved_at or datetime.now(UTC)
    return Row(
        incident,
        saying.subject(incident),
        saying.value(incident.kind, incident.value, unit),
        saying.value(incident.kind, incident.peak, unit),
        saying.length((end - incident.since).total_seconds()),
        parts,
    )


def rule_rows(most: int, fires: Mapping[int | None, int]) -> list[RuleRow]:
    """The rules by name, those that fire first; one query. `fires`: how many incidents, by the rule's id."""
    # One look into the index incident_of_rule a rule: incidents are many more than rules.
    newest = Incident.objects.filter(rule=OuterRef("pk")).order_by("-since").values("fired_at")[:1]
    rules = AlertRule.objects.select_related("sensor", "board").annotate(last=Subquery(newest))
    found = [
        RuleRow(
            rule,
            saying.condition(rule, rule.sensor.unit if rule.sensor is not None else ""),
            saying.of_whom(rule),
            getattr(rule, "last", None),
            fires.get(rule.pk, 0),
        )
        for rule in rules.order_by("-enabled", "name", "pk")[:most]
    ]
    return sorted(found, key=lambda one: not one.open)


def back_of(request: HttpRequest, usual: str) -> str:
    """The page of ours that a form names, and else `usual`."""
    url = request.POST.get("next", "")
    return url if url and url_has_allowed_host_and_scheme(url, allowed_hosts=None) else usual


def _shown() -> "QuerySet[Incident]":
    return Incident.objects.select_related("sensor", "rule", "acknowledged_by")


def _firing() -> tuple[list[Row], bool]:
    """What fires, the worst and then the newest first, parts with the incident that names them; one query."""
    found = list(_shown().filter(state=Incident.State.FIRING).order_by("-since", "-pk")[: 10 * MOST_OPEN])
    parts: defaultdict[int, list[Row]] = defaultdict(list)
    ids = {one.pk for one in found}
    for one in found:
        if one.part_of_id in ids:
            parts[one.part_of_id or 0].append(row(one))
    # A part whose incident fires no longer stands by itself.
    own = [one for one in found if one.part_of_id not in ids]
    own.sort(key=lambda one: SEVERITIES.index(AlertRule.Severity(one.severity)))
    rows = [row(one, parts[one.pk]) for one in own[:MOST_OPEN]]
    return rows, len(own) > MOST_OPEN or len(found) == 10 * MOST_OPEN


def _silences(request: HttpRequest) -> list[Silence] | None:
    """None: for who may not see them."""
    return coming(datetime.now(UTC)) if request.user.has_perm("monitoring.view_mute") else None


def _may(request: HttpRequest) -> dict[str, bool]:
    """What people wrote is for those who may see it by a right of their own."""
    user = request.user
    return {
        "sees_people": user.has_perm(INCIDENTS),
        "may_acknowledge": user.has_perm(CHANGE),
        "may_add_rule": user.has_perm("monitoring.add_alertrule"),
        "may_see_silences": user.has_perm("monitoring.view_mute"),
        "may_silence": user.has_perm("monitoring.add_mute"),
        "may_see_channels": user.has_perm("monitoring.view_alertchannel"),
    }
