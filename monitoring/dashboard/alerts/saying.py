"""Rules and incidents in words: what a rule looks for, in whom, and what an incident's figures mean."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from monitoring.alerts.rule import Kind
from monitoring.models import AlertRule, Incident
from monitoring.templatetags.dashboard import figure

# Of a value that is shown: what a number without a unit of its own means.
_NO_VALUE = (Kind.SILENCE, Kind.BOARD)
WEEKDAYS = (
    gettext_lazy("Monday"),
    gettext_lazy("Tuesday"),
    gettext_lazy("Wednesday"),
    gettext_lazy("Thursday"),
    gettext_lazy("Friday"),
    gettext_lazy("Saturday"),
    gettext_lazy("Sunday"),
)


def value(kind: str, number: float | None, unit: str) -> str:
    """With its unit, of a rate per minute; "" where this kind has none, or nothing is known."""
    if number is None or kind in _NO_VALUE:
        return ""
    if kind == Kind.REJECTED:
        return _("%s %%") % figure(round(100 * number, 1))
    if kind == Kind.RATE:
        return _("%s per minute") % _with_unit(number, unit)
    return figure(number) if kind == Kind.PIPELINE else _with_unit(number, unit)


def condition(rule: AlertRule, unit: str = "") -> str:
    """Such as "above 25 °C for 5 min": without whom it holds for."""
    said = _what(rule, unit)
    if rule.for_s:
        said = _("%(what)s for %(long)s") % {"what": said, "long": length(rule.for_s)}
    return said


def _what(rule: AlertRule, unit: str) -> str:
    high, low = value(rule.kind, rule.high, unit), value(rule.kind, rule.low, unit)
    long = length(rule.window_s)
    match rule.kind:
        case Kind.ABOVE:
            return _("above %s") % high
        case Kind.BELOW:
            return _("below %s") % low
        case Kind.OUTSIDE:
            return _("outside %(low)s to %(high)s") % {"low": low, "high": high}
        case Kind.RATE:
            bounds = [_("faster than %s") % one for one in (high, low) if one]
            return _("changes %(bounds)s, over %(long)s") % {"bounds": _(" or ").join(bounds), "long": long}
        case Kind.STUCK:
            if rule.high:
                return _("moves by no more than %(high)s in %(long)s") % {"high": high, "long": long}
            return _("the same value for %s") % long
        case Kind.SILENCE:
            if rule.limit_s:
                return _("silent for %s") % length(rule.limit_s)
            return (
                ngettext(
                    "silent for %d expected interval", "silent for %d expected intervals", rule.intervals
                )
                % rule.intervals
            )
        case Kind.REJECTED:
            return _("more than %(share)s rejected in %(long)s") % {"share": high, "long": long}
        case Kind.BOARD:
            return rule.get_kind_display()
        case _:
            return rule.get_check_of_display()


def of_whom(rule: AlertRule) -> str:
    """Whom it holds for. The rule comes with its sensor and board."""
    if rule.kind == Kind.PIPELINE:
        return _("the pipeline")
    if rule.sensor is not None:
        return rule.sensor.name
    said = [
        part
        for part in (
            rule.sensor_kind,
            rule.location,
            _("board %s") % rule.board.name if rule.board is not None else "",
        )
        if part
    ]
    if said:
        return _("all of %s") % ", ".join(said)
    return _("all boards") if rule.kind == Kind.BOARD else _("all sensors")


def subject(incident: Incident) -> str:
    """Whom it is about. The incident comes with its sensor."""
    if incident.sensor_id is not None and incident.sensor is not None:
        return incident.sensor.name
    kind, _colon, name = incident.subject.partition(":")
    if kind == "board":
        return _("Board %s") % name
    if kind == "location":
        return _("Place %s") % name
    if kind == "sensor":
        return _("Sensor %s, which is gone") % name
    if name == "behind":
        return _("We are behind")
    checks = {str(one): label for one, label in AlertRule.Check.choices}
    check, _colon, which = name.partition(":")
    label = str(checks.get(check, check))
    return f"{label[:1].upper()}{label[1:]}" + (f" · {which}" if which else "")


def length(seconds: float) -> str:
    """Of time, in the largest units that say it: 45 s, 5 min, 1 h 30 min, 3 d 4 h."""
    whole = max(0, round(seconds))
    units = ((_("%d d"), 86_400), (_("%d h"), 3_600), (_("%d min"), 60), (_("%d s"), 1))
    said = []
    for text, size in units:
        if whole >= size:
            said.append(text % (whole // size))
            whole %= size
    return " ".join(said[:2]) or _("%d s") % 0


def _with_unit(number: float, unit: str) -> str:
    return f"{figure(number)}\u00a0{unit}" if unit else figure(number)
