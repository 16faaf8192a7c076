"""`/alerts/silences/`: when nobody is told, once or every week by the wall clock."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django import forms
from django.contrib import messages
from django.db.models import F, Q
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from monitoring.alerts.mutes import holds
from monitoring.dashboard.access import signed_in
from monitoring.dashboard.alerts import saying
from monitoring.dashboard.alerts.sensor_field import SensorField
from monitoring.dashboard.frame import show
from monitoring.dashboard.viewer import Viewer
from monitoring.models import Mute

VIEW, ADD, CHANGE = "monitoring.view_mute", "monitoring.add_mute", "monitoring.change_mute"
# How long one lasts that nobody thought about.
USUAL = timedelta(hours=2)
MOST_COMING = 5
MOST_PAST = 30
MOST = 200
LOCAL = "%Y-%m-%dT%H:%M"


class Silence(NamedTuple):
    """`hours`: of every week, in words; "" where it holds throughout. `zone`: of its wall clock, if that is
    told by one."""

    mute: Mute
    of_what: str
    hours: str
    holds: bool
    is_past: bool


def of(mute: Mute, now: datetime) -> Silence:
    """The silence comes with its sensor and rule."""
    return Silence(
        mute, _of_what(mute), _hours(mute), holds(mute, now), bool(mute.ends_at and mute.ends_at <= now)
    )


def coming(now: datetime) -> list[Silence]:
    """Those that hold or are to come, the next first: one query."""
    return [of(mute, now) for mute in _coming(now)[:MOST_COMING]]


class SilenceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Moments and times of day are those of the viewer's zone."""

    sensor = SensorField()
    starts_at = forms.DateTimeField(
        label=gettext_lazy("From"),
        input_formats=[LOCAL, f"{LOCAL}:%S"],
        widget=forms.DateTimeInput(format=LOCAL, attrs={"type": "datetime-local"}),
    )
    ends_at = forms.DateTimeField(
        label=gettext_lazy("To"),
        required=False,
        input_formats=[LOCAL, f"{LOCAL}:%S"],
        widget=forms.DateTimeInput(format=LOCAL, attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("Empty: until somebody ends it."),
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Only on"),
        required=False,
        coerce=int,
        choices=list(enumerate(saying.WEEKDAYS)),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None: on each day."),
    )

    class Meta:
        model = Mute
        fields = (
            "sensor",
            "location",
            "rule",
            "starts_at",
            "ends_at",
            "weekdays",
            "from_time",
            "to_time",
            "comment",
        )
        labels = {
            "location": gettext_lazy("Place"),
            "from_time": gettext_lazy("From, of the day"),
            "to_time": gettext_lazy("To, of the day"),
        }
        widgets = {
            "from_time": forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
            "to_time": forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
            "location": forms.TextInput(attrs={"autocomplete": "off"}),
        }
        help_texts = {
            "location": gettext_lazy("As the sensors have it."),
            "to_time": gettext_lazy("Earlier than the first: it goes on past midnight."),
            "comment": gettext_lazy("Why; those who look at the list see it."),
        }

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.zone = zone
        self.fields["rule"].empty_label = _("Every rule")  # type: ignore[attr-defined]
        for name in ("weekdays", "from_time", "to_time"):
            self.fields[name].group = "week"  # type: ignore[attr-defined]


@require_safe
@signed_in(VIEW)
def silences(request: HttpRequest) -> HttpResponseBase:
    now = datetime.now(UTC)
    past = Mute.objects.select_related("sensor", "rule", "created_by").filter(ends_at__lte=now)
    context = {
        "here": "silences",
        "silences": [of(mute, now) for mute in _coming(now)[:MOST]],
        "past": [of(mute, now) for mute in past.order_by("-ends_at", "-pk")[:MOST_PAST]],
        "may_add": request.user.has_perm(ADD),
        "may_change": request.user.has_perm(CHANGE),
        "may_see_channels": request.user.has_perm("monitoring.view_alertchannel"),
        "may_see_silences": True,
    }
    return show(request, "monitoring/dashboard/alerts/silences.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in(ADD)
def new(request: HttpRequest) -> HttpResponseBase:
    """The form, of `?sensor=3&rule=5` where it begins with some; and what was sent with it."""
    zone = Viewer.of(request).zone
    if request.method == "POST":
        form = SilenceForm(request.POST, instance=Mute(created_by_id=request.user.pk), zone=zone)
        if form.is_valid():
            form.save()
            messages.success(request, _("Nobody is told of that while it holds."))
            return HttpResponseRedirect(reverse("dashboard:silences"))
    else:
        begin = timezone.localtime().replace(second=0, microsecond=0)
        given = {name: request.GET[name] for name in ("sensor", "location", "rule") if name in request.GET}
        # One that nobody ends is forgotten: an end is offered, and taken away by whoever wants none.
        usual = {"starts_at": begin, "ends_at": begin + USUAL}
        form = SilenceForm(initial=usual | given, zone=zone)
    context = {"form": form, "here": "silences", "zone": zone, "may_see_silences": True}
    context["may_see_channels"] = request.user.has_perm("monitoring.view_alertchannel")
    return show(
        request, "monitoring/dashboard/alerts/silence.html", context, status=400 if form.errors else 200
    )


@require_POST
@signed_in(CHANGE)
def end(request: HttpRequest, silence_id: int) -> HttpResponseBase:
    """It holds no longer; one that never held is gone."""
    if silence_id >= 2**63:
        raise Http404
    mute = get_object_or_404(Mute, pk=silence_id)
    now = datetime.now(UTC)
    if mute.starts_at >= now:
        mute.delete()
    elif mute.ends_at is None or mute.ends_at > now:
        mute.ends_at = now
        mute.save(update_fields=["ends_at"])
    messages.success(request, _("It is ended: people are told again."))
    return HttpResponseRedirect(reverse("dashboard:silences"))


def _coming(now: datetime) -> Any:
    found = Mute.objects.select_related("sensor", "rule", "created_by")
    return found.filter(Q(ends_at=None) | Q(ends_at__gt=now)).order_by(
        "starts_at", F("ends_at").asc(nulls_last=True), "pk"
    )


def _of_what(mute: Mute) -> str:
    said: Iterable[str] = (
        mute.rule.name if mute.rule is not None else "",
        mute.sensor.name if mute.sensor_id is not None and mute.sensor is not None else "",
        mute.location,
    )
    return " · ".join(filter(None, said)) or _("everything")


def _hours(mute: Mute) -> str:
    if not mute.weekdays and mute.from_time is None and mute.to_time is None:
        return ""
    days = ", ".join(str(saying.WEEKDAYS[day]) for day in sorted(mute.weekdays)) or _("every day")
    begin, end = (f"{one:%H:%M}" if one else "00:00" for one in (mute.from_time, mute.to_time))
    if mute.from_time is None and mute.to_time is None:
        return days
    return _("%(days)s, %(begin)s to %(end)s") % {"days": days, "begin": begin, "end": end}
