"""`/alerts/rules/`: what people want to be told of; made, tried on the past, changed, switched off."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.html import json_script
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from monitoring import throttle
from monitoring.alerts import backtest, rules
from monitoring.alerts.backtest import MOST_SPANS
from monitoring.alerts.rule import OF_READINGS, Kind
from monitoring.dashboard import facets
from monitoring.dashboard.access import INCIDENTS, RULES, readable, signed_in
from monitoring.dashboard.alerts import saying
from monitoring.dashboard.alerts.incidents import Row, row, rule_rows
from monitoring.dashboard.alerts.rule_form import LINES, RuleForm
from monitoring.dashboard.frame import show
from monitoring.dashboard.words import chart_words
from monitoring.decoders.limits import MAX_SENSOR_ID
from monitoring.models import AlertRule, Incident, Sensor
from monitoring.span import Span

ADD, CHANGE, DELETE = "monitoring.add_alertrule", "monitoring.change_alertrule", "monitoring.delete_alertrule"
TRIED = timedelta(days=30)
MOST_RULES = 500
MOST_INCIDENTS = 10
# Of a rule of many sensors so many are tried.
TRIED_SENSORS = 20
USUAL: Mapping[Kind, Mapping[str, Any]] = {
    Kind.RATE: {"window_s": 300},
    Kind.STUCK: {"window_s": 6 * 3600},
    Kind.REJECTED: {"window_s": 3600, "high": 0.1},
}


class Found(NamedTuple):
    """What a sensor would have fired: `since`, `lasted` in words of the last of it."""

    sensor: Sensor
    times: int
    lasted: str
    last: datetime | None


class Tried(NamedTuple):
    """What a rule would have found. `why`: nothing can be said, and why not. `is_cut`: there may be more;
    `looked`: at so many of the `sensors` that it holds for. `spans`: for the chart, as a block of data."""

    why: str = ""
    times: int = 0
    found: Sequence[Found] = ()
    looked: int = 0
    sensors: int = 0
    is_cut: bool = False
    spans: str = ""


@require_safe
@readable(RULES)
def listing(request: HttpRequest) -> HttpResponseBase:
    fires: Counter[int | None] = Counter(Incident.objects.open().told().values_list("rule", flat=True))
    found = rule_rows(MOST_RULES + 1, fires)
    context = {
        "here": "rules",
        "rules": found[:MOST_RULES],
        "is_more_rules": len(found) > MOST_RULES,
        "may_change": request.user.has_perm(CHANGE),
        **_tabs(request),
    }
    return show(request, "monitoring/dashboard/alerts/rules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in(ADD)
def new(request: HttpRequest) -> HttpResponseBase:
    """The form, which begins with what the address says: `?sensor=3&above=25`, or `?kind=silence`."""
    if request.method == "POST":
        return _sent(request, AlertRule())
    return _shown(request, RuleForm(initial=_begins_with(request.GET.dict())))


@require_http_methods(["GET", "HEAD", "POST"])
@readable(RULES)
def rule(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    """What it says and what it found; for who may change it, its form."""
    found = _found(rule_id)
    may_change = request.user.has_perm(CHANGE)
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied
        return _sent(request, found)
    if may_change:
        return _shown(request, RuleForm(instance=found))
    unit = found.sensor.unit if found.sensor is not None else ""
    context = {
        "here": "rules",
        "rule": found,
        "says": saying.condition(found, unit),
        "of_whom": saying.of_whom(found),
        "past": _past(found),
        "sees_people": request.user.has_perm(INCIDENTS),
        **_tabs(request),
    }
    return show(request, "monitoring/dashboard/alerts/rule_read.html", context)


@require_POST
@signed_in(CHANGE)
def switch(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    """On or off; what fires by it ends."""
    found = _found(rule_id)
    found.enabled = request.POST.get("enabled") == "1"
    try:
        rules.save(found, found.channels.all(), _user(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        said = _("“%s” is on.") if found.enabled else _("“%s” is off: what fired by it has ended.")
        messages.success(request, said % found.name)
    return HttpResponseRedirect(reverse("dashboard:rule", args=[found.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in(DELETE)
def delete(request: HttpRequest, rule_id: int) -> HttpResponseBase:
    """Asks first."""
    found = _found(rule_id)
    if request.method == "POST":
        rules.delete(found)
        messages.success(request, _("“%s” is deleted; what it found stays in the history.") % found.name)
        return HttpResponseRedirect(reverse("dashboard:rules"))
    context = {"here": "rules", "rule": found, **_tabs(request)}
    return show(request, "monitoring/dashboard/alerts/rule_delete.html", context)


def _begins_with(said: Mapping[str, str]) -> dict[str, Any]:
    """What of the address can be read; the rest is left out, for a person looks at the form anyway."""
    begun: dict[str, Any] = {}
    kind = said.get("kind", "")
    for word, its, field in (("above", Kind.ABOVE, "high"), ("below", Kind.BELOW, "low")):
        try:
            begun[field] = float(said[word])
            kind = its.value
        except (KeyError, ValueError):
            continue
    begun["kind"] = kind if kind in set(Kind) else Kind.ABOVE.value
    begun |= {"severity": AlertRule.Severity.WARNING.value, **USUAL.get(Kind(begun["kind"]), {})}
    number = _number_of(said.get("sensor", ""))
    if number is not None:
        begun["sensor"] = str(number)
    return begun


def _sent(request: HttpRequest, found: AlertRule) -> HttpResponseBase:
    """A form that was sent: to be tried, to show the fields of another kind, or to be saved."""
    wants = next((name for name in ("try", "choose") if name in request.POST), "save")
    # What a form fills in is not what is stored.
    form = RuleForm(request.POST, instance=found)
    if wants == "choose":
        return _shown(request, RuleForm(instance=found, initial=form.as_typed()))
    is_valid = form.is_valid()
    if wants == "try":
        tried = (
            _try_unless_too_often(request, form)
            if is_valid
            else Tried(why=_("First mend what is marked above."))
        )
        if getattr(request, "htmx", False):
            if not is_valid:
                tried = Tried(why=_why(form))
            return show(request, "monitoring/dashboard/alerts/tried.html", {"tried": tried})
        return _shown(request, form, tried)
    if is_valid:
        is_new = found.pk is None
        try:
            rules.save(form.named(), form.cleaned_data["channels"], _user(request))
        except ValidationError as error:  # somebody changed what it names meanwhile
            form.add_error(None, error.messages)
        else:
            said = _("“%s” is saved, and looks at what is measured from now on.")
            messages.success(request, said % found.name)
            url = reverse("dashboard:alerts") if is_new else reverse("dashboard:rule", args=[found.pk])
            return HttpResponseRedirect(url)
    return _shown(request, form)


def _why(form: RuleForm) -> str:
    """The first thing that is wrong, with the name of its field."""
    for name, errors in form.errors.items():
        label = str(form.fields[name].label) if name in form.fields else ""
        return f"{label} – {errors[0]}" if label else str(errors[0])
    return ""


def _shown(request: HttpRequest, form: RuleForm, tried: Tried | None = None) -> HttpResponse:
    """The form, with the chart of the sensor that it is about."""
    found: AlertRule = form.instance
    sensor = _sensor_of(form)
    places = facets.read()
    now = datetime.now(UTC)
    first = {
        "sensor": sensor and sensor.pk,
        "unit": sensor.unit if sensor else "",
        "from": int((now - TRIED).timestamp() * 1000),
        "to": int(now.timestamp() * 1000),
        "lines": LINES,
    }
    context = {
        "here": "rules",
        "form": form,
        "rule": found if found.pk else None,
        "sensor": sensor,
        "kinds": list(places.kinds),
        "places": list(places.places),
        "channels": list(form.fields["channels"].queryset),  # type: ignore[attr-defined]
        "tried": tried,
        "past": _past(found) if found.pk else [],
        "may_delete": request.user.has_perm(DELETE),
        "may_make_channels": request.user.has_perm("monitoring.add_alertchannel"),
        "sees_people": True,
        "public": settings.API_PUBLIC_READ,
        "data": json_script(first, "first"),
        "words": json_script(chart_words(), "words"),
        **_tabs(request),
    }
    response = show(
        request, "monitoring/dashboard/alerts/rule.html", context, status=400 if form.errors else 200
    )
    patch_vary_headers(response, ["HX-Request"])
    return response


def _sensor_of(form: RuleForm) -> Sensor | None:
    text = str(form["sensor"].value() or "")
    rule: AlertRule = form.instance
    if rule.sensor is not None and text == str(rule.sensor.pk):
        return rule.sensor
    number = _number_of(text)
    return None if number is None else Sensor.objects.present().filter(pk=number).first()


def _number_of(text: str) -> int | None:
    """A sensor's number; None for what can be none. Python reads no number of thousands of digits."""
    if not text.isdecimal() or len(text) > 20 or int(text) > MAX_SENSOR_ID:
        return None
    return int(text)


def _try_unless_too_often(request: HttpRequest, form: RuleForm) -> Tried:
    """Counted as what is sent to the API is. A refusal stands where the answer would."""
    try:
        throttle.take("post", str(request.user.pk), throttle.Rate.read(settings.THROTTLE_POST))
        return _try(form.named())
    except throttle.TooOftenError as error:
        return Tried(why=_("Too many attempts: try again in %d s.") % error.wait)
    except backtest.TooLongError:
        return Tried(why=_("It takes too long to look at so many readings: try it on one sensor, or later."))


def _try(found: AlertRule) -> Tried:
    """On the last days, as if it had been there. Raises backtest.TooLongError."""
    if found.kind not in OF_READINGS:
        return Tried(why=_("This kind of rule looks at what is now, and cannot be tried on the past."))
    now = datetime.now(UTC)
    span = Span(now - TRIED, now)
    if found.sensor is not None:
        outcomes = [(found.sensor, backtest.run(found, found.sensor, span))]
        is_cut, sensors = outcomes[0][1].truncated, 1
        if not outcomes[0][1].is_known:
            return Tried(
                why=_("How often this sensor sends is not known yet: say after how long it is silent.")
            )
        if outcomes[0][1].readings_from is None:
            return Tried(why=_("Nothing was measured in these days."))
    else:
        many = backtest.run_many(found, span, TRIED_SENSORS)
        outcomes, is_cut, sensors = many.of, many.truncated, many.sensors
    rows = []
    for sensor, outcome in outcomes:
        last = outcome.spans[-1] if outcome.spans else None
        lasted = ""
        if last is not None:
            end = last.resolved_at if last.resolved_at is not None else int(now.timestamp() * 1_000_000)
            lasted = saying.length((end - last.since) / 1_000_000)
        since = datetime.fromtimestamp(last.since / 1_000_000, UTC) if last is not None else None
        rows.append(Found(sensor, len(outcome.spans), lasted, since))
    spans = [
        {
            "from": one.since / 1000,
            "to": None if one.resolved_at is None else one.resolved_at / 1000,
            "title": found.name,
            "severity": found.severity,
        }
        for _sensor, outcome in outcomes[:1]
        for one in outcome.spans[-MOST_SPANS:]
    ]
    return Tried(
        times=sum(one.times for one in rows),
        found=[one for one in rows if one.times] if found.sensor is None else rows,
        is_cut=is_cut,
        looked=len(outcomes),
        sensors=sensors,
        spans=json_script(spans if found.sensor is not None else [], "tried-spans"),
    )


def _found(rule_id: int) -> AlertRule:
    rules_ = AlertRule.objects.select_related("sensor", "board", "created_by").prefetch_related("channels")
    found = rules_.filter(pk=rule_id).first() if rule_id <= MAX_SENSOR_ID else None
    if found is None:
        raise Http404(_("There is no alert rule with this number."))
    return found


def _past(found: AlertRule) -> list[Row]:
    rows = Incident.objects.select_related("sensor", "acknowledged_by").filter(rule=found)
    rows = rows.exclude(state=Incident.State.WITHDRAWN)
    return [row(one) for one in rows.order_by("-since", "-pk")[:MOST_INCIDENTS]]


def _user(request: HttpRequest) -> AbstractBaseUser:
    assert isinstance(request.user, AbstractBaseUser)
    return request.user


def _tabs(request: HttpRequest) -> dict[str, bool]:
    return {
        "may_see_silences": request.user.has_perm("monitoring.view_mute"),
        "may_see_channels": request.user.has_perm("monitoring.view_alertchannel"),
        "may_add_rule": request.user.has_perm(ADD),
    }
