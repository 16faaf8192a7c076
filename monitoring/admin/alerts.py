"""Alerts: the rules, what they found, and when nobody wants to be told of it."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import dates, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from monitoring.admin import ages
from monitoring.admin.column import column, grouped, unbroken
from monitoring.admin.read_only import ReadOnlyAdmin, TimeRange, time_range
from monitoring.alerts import mutes, rules
from monitoring.models import AlertRule, Incident, Mute

INCIDENTS = "admin:monitoring_incident_changelist"
INCIDENT = "admin:monitoring_incident_change"
STATE, SENSOR, RULE, WHOLE = "state__exact", "sensor__id__exact", "rule__id__exact", "part_of__id__exact"
SEVERITIES = {"info": "info", "warning": "warning", "critical": "danger"}
LOOKS = {"firing": "danger", "resolved": "success", "withdrawn": "info"}


@admin.register(AlertRule)
class AlertRuleAdmin(ModelAdmin):  # type: ignore[misc]
    """Saved and deleted by monitoring.alerts.rules, which ends what a changed rule had found."""

    list_display = ("name", "kind", "of_whom", "how_severe", "is_on", "tells")
    list_display_links = ("name",)
    list_select_related = ("sensor", "board")
    list_filter = (("kind", ChoicesDropdownFilter), ("severity", ChoicesDropdownFilter), "enabled")
    list_filter_submit = True
    list_per_page = 50
    list_fullwidth = True
    search_fields = ("name", "location", "sensor__name")
    search_help_text = _("Name, location, or the sensor's name")
    sortable_by = ("name", "kind")
    ordering = ("name", "id")
    autocomplete_fields = ("sensor", "channels")
    fieldsets = (
        (None, {"fields": ("name", ("kind", "severity"), "enabled")}),
        (_("Whom it holds for"), {"fields": ("sensor", ("sensor_kind", "location"), "board")}),
        (
            _("When it fires"),
            {
                "fields": (
                    ("high", "clear_high"),
                    ("low", "clear_low"),
                    ("for_s", "keep_s"),
                    "window_s",
                    ("limit_s", "intervals"),
                    "check_of",
                )
            },
        ),
        (_("Who is told"), {"fields": ("channels", "renotify_s", "note")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        return AlertRule.objects.annotate(told=Count("channels"))

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        rules.save(obj, form.cleaned_data["channels"], cast(User, request.user))

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        rules.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        for rule in AlertRule.objects.filter(pk__in=[rule.pk for rule in queryset]):
            rules.delete(rule)

    @column(_("for"))
    def of_whom(self, rule: AlertRule) -> str:
        sensor = rule.sensor.name if rule.sensor_id and rule.sensor else ""
        board = rule.board.name if rule.board else ""
        return ", ".join(
            part for part in (sensor, rule.sensor_kind, rule.location, board) if part
        ) or gettext("all")

    @column(_("severity"), label=SEVERITIES)
    def how_severe(self, rule: AlertRule) -> tuple[str, Any]:
        return rule.severity, rule.get_severity_display()

    @column(_("state"), label={"on": "success", "off": "info"})
    def is_on(self, rule: AlertRule) -> tuple[str, str]:
        return ("on", gettext("on")) if rule.enabled else ("off", gettext("off"))

    @column(_("channels"))
    def tells(self, rule: AlertRule) -> str:
        count: int = rule.told  # type: ignore[attr-defined]
        return str(count) if count else gettext("none: shown on the page alone")


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    """Those that are part of another are listed where one asks for them, or for a sensor's."""

    list_display = ("began", "title", "whose", "how_severe", "how", "ended", "furthest", "acknowledged")
    list_display_links = ("began",)
    list_select_related = ("sensor", "acknowledged_by")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("sensor", AutocompleteSelectFilter),
        ("rule", AutocompleteSelectFilter),
        ("since", TimeRange),
    )
    lookups = (STATE, SENSOR, RULE, WHOLE, *time_range("since"))
    ordering = ("-since", "-id")
    fieldsets = (
        (None, {"fields": ("title", "whose", ("severity_shown", "state_shown"), "part", "names")}),
        (_("Times"), {"fields": (("since_shown", "fired"), ("resolved", "found"))}),
        (_("Values"), {"fields": (("value", "peak", "last"),)}),
        (_("Acknowledged"), {"fields": ("acknowledged", "comment")}),
    )
    readonly_fields = (
        *("whose", "severity_shown", "state_shown", "part", "names"),
        *("since_shown", "fired", "resolved", "found", "acknowledged"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        rows = Incident.objects.select_related("sensor", "acknowledged_by", "part_of")
        match = request.resolver_match
        is_list = match is not None and match.view_name == INCIDENTS
        if is_list and not {SENSOR, WHOLE} & request.GET.keys():
            return rows.filter(part_of__isnull=True)
        return rows

    @column(ages.in_zone(_("since")))
    def began(self, incident: Incident) -> SafeString:
        return unbroken(ages.to_the_minute(incident.since))

    @column(ages.in_zone(_("since")))
    def since_shown(self, incident: Incident) -> str:
        return ages.exact(incident.since)

    @column(ages.in_zone(_("resolved")))
    def resolved(self, incident: Incident) -> str | None:
        if incident.resolved_at is None:
            return None
        at = ages.exact(incident.resolved_at)
        return f"{at}: {incident.get_end_display()}" if incident.end else at

    @column(_("severity"))
    def severity_shown(self, incident: Incident) -> str:
        return str(self.how_severe(incident)[1])

    @column(_("state"))
    def state_shown(self, incident: Incident) -> str:
        return incident.get_state_display()

    @column(ages.in_zone(_("fired")))
    def fired(self, incident: Incident) -> SafeString:
        return unbroken(ages.exact(incident.fired_at))

    @column(ages.in_zone(_("resolved")))
    def ended(self, incident: Incident) -> SafeString | None:
        return unbroken(ages.to_the_minute(incident.resolved_at)) if incident.resolved_at else None

    @column(ages.in_zone(_("seen")))
    def found(self, incident: Incident) -> SafeString:
        return unbroken(ages.exact(incident.seen_at))

    @column(_("for"))
    def whose(self, incident: Incident) -> str:
        sensor = incident.sensor if incident.sensor_id else None
        return sensor.name if sensor else incident.subject

    @column(_("severity"), label=SEVERITIES)
    def how_severe(self, incident: Incident) -> tuple[str, Any]:
        return incident.severity, AlertRule.Severity(incident.severity).label

    @column(_("state"), label=LOOKS)
    def how(self, incident: Incident) -> tuple[str, str]:
        return incident.state, incident.get_state_display()

    @column(_("peak"))
    def furthest(self, incident: Incident) -> str | None:
        return None if incident.peak is None else f"{incident.peak:g}"

    @column(_("acknowledged"))
    def acknowledged(self, incident: Incident) -> str | None:
        if incident.acknowledged_at is None:
            return None
        who = incident.acknowledged_by
        at = ages.to_the_minute(incident.acknowledged_at)
        return f"{who.get_username()}, {at}" if who else at

    @column(_("part of"))
    def part(self, incident: Incident) -> SafeString | None:
        if incident.part_of is None:
            return None
        return _link(reverse(INCIDENT, args=[incident.part_of.pk]), str(incident.part_of))

    @column(_("names"))
    def names(self, incident: Incident) -> SafeString | None:
        count = incident.parts.count()
        if not count:
            return None
        return _link(f"{reverse(INCIDENTS)}?{WHOLE}={incident.pk}", grouped(count))


def _link(url: str, text: str) -> SafeString:
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, text)


class MuteForm(forms.ModelForm):  # type: ignore[type-arg]
    weekdays = forms.TypedMultipleChoiceField(
        label=capfirst(_("on weekdays")),
        # Names of days are Django's, and translated there.
        choices=tuple(dates.WEEKDAYS.items()),
        coerce=int,
        empty_value=[],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("None: without a break, or every day where times of day are given."),
    )


@admin.register(Mute)
class MuteAdmin(ModelAdmin):  # type: ignore[misc]
    form = MuteForm
    list_display = ("begins", "ends", "of_what", "weekly", "state", "comment", "by")
    list_display_links = ("begins",)
    list_select_related = ("sensor", "rule", "created_by")
    list_per_page = 50
    list_fullwidth = True
    sortable_by = ()
    ordering = ("-starts_at", "-id")
    autocomplete_fields = ("sensor", "rule")
    fieldsets = (
        (_("Of what nobody is told"), {"fields": ("sensor", "location", "rule")}),
        (_("When"), {"fields": ("starts_at", "ends_at")}),
        (_("Every week"), {"fields": ("weekdays", ("from_time", "to_time"), "zone")}),
        (None, {"fields": ("comment",)}),
    )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        return {"starts_at": timezone.now(), "zone": timezone.get_current_timezone_name()} | initial

    def save_model(self, request: HttpRequest, obj: Mute, form: Any, change: bool) -> None:
        if not change:
            obj.created_by_id = request.user.pk
        obj.save()

    @column(ages.in_zone(_("from")))
    def begins(self, mute: Mute) -> SafeString:
        return unbroken(ages.to_the_minute(mute.starts_at))

    @column(ages.in_zone(_("to")))
    def ends(self, mute: Mute) -> SafeString | None:
        return unbroken(ages.to_the_minute(mute.ends_at)) if mute.ends_at else None

    @column(_("for"))
    def of_what(self, mute: Mute) -> str:
        sensor = mute.sensor.name if mute.sensor_id and mute.sensor else ""
        rule = mute.rule.name if mute.rule else ""
        return ", ".join(part for part in (sensor, mute.location, rule) if part) or gettext("everything")

    @column(_("every week"))
    def weekly(self, mute: Mute) -> str | None:
        if mutes.hours_of(mute) is None:
            return None
        return " ".join([*_days(mute.weekdays), *_hours(mute), mute.zone])

    @column(_("state"), label={"holds": "warning", "rests": "info"})
    def state(self, mute: Mute) -> tuple[str, str]:
        if mutes.holds(mute, timezone.now()):
            return "holds", gettext("holds")
        return "rests", gettext("does not hold now")

    @column(_("by"))
    def by(self, mute: Mute) -> str | None:
        return mute.created_by.get_username() if mute.created_by else None


def _days(weekdays: Iterable[int]) -> Iterable[str]:
    return [str(dates.WEEKDAYS_ABBR[day]) for day in sorted(weekdays)]


def _hours(mute: Mute) -> Iterable[str]:
    if mute.from_time is None and mute.to_time is None:
        return []
    ends = (mute.from_time, mute.to_time)
    return ["–".join("00:00" if end is None else f"{end:%H:%M}" for end in ends)]
