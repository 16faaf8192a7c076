"""What a channel is told: a subject, a plain text and JSON, of one incident or of many, in one language.

It reads incidents with their rules and sensors, and asks the database for no more than the names of parts.
"""

import enum
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import translation
from django.utils.formats import get_format
from django.utils.translation import gettext, ngettext

from monitoring.alerts.rule import Kind
from monitoring.models import AlertRule, Incident

# Of more, their number is said.
NAMES = 20
# Of more there is no block each, but a sentence a rule.
BLOCKS = 5
# In the JSON; `count` says how many there are.
IN_JSON = 200
SEVERITIES = ("info", "warning", "critical")


class Event(enum.StrEnum):
    FIRING = "firing"
    AGAIN = "again"
    """It fires still, and was told before."""
    RESOLVED = "resolved"
    PASSED = "passed"
    """It fired and resolved before anybody was told."""


@dataclass(frozen=True)
class Message:
    """`is_firing`: something in it fires; `severity`: the worst in it; `link`: "" without SITE_URL."""

    subject: str
    text: str
    payload: dict[str, Any]
    severity: str = "info"
    is_firing: bool = False
    link: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Story(NamedTuple):
    """What is to be told of one incident. `names`: of the first of the `parts` of it, sensors or boards."""

    incident: Incident
    event: Event
    sequence: int
    names: tuple[str, ...] = ()
    parts: int = 0


def compose(stories: Sequence[Story], key: str, language: str, made_at: datetime) -> Message:
    """Stories in the order in which they are to be told; at least one. `key`: the delivery's."""
    with translation.override(language or settings.LANGUAGE_CODE):
        return Message(
            subject=one_line(_subject(stories)),
            text=_text(stories),
            payload=_payload(stories, key, made_at),
            severity=max((one.incident.severity for one in stories), key=_rank),
            is_firing=any(one.event in (Event.FIRING, Event.AGAIN) for one in stories),
            link=link_of([one.incident for one in stories]),
        )


def compose_test(channel: str, key: str, language: str, made_at: datetime) -> Message:
    with translation.override(language or settings.LANGUAGE_CODE):
        text = gettext("This is a test of the channel “%s”. Alerts will arrive like this.") % channel
        return Message(
            subject=one_line(gettext("IoT Monitor: a test of “%s”") % channel),
            text=_with_link([text], link_of([])),
            payload={
                "id": key,
                "type": "test",
                "timestamp": _iso(made_at),
                "data": {"incidents": [], "count": 0},
            },
            link=link_of([]),
        )


def one_line(text: str) -> str:
    """At most 200 characters; a name may hold anything, and a subject is a header."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"


def link_of(incidents: Sequence[Incident]) -> str:
    """To the sensor's page where it is about one, else to that of alerts."""
    if not settings.SITE_URL:
        return ""
    sensors = {one.sensor_id for one in incidents}
    sensor = sensors.pop() if len(sensors) == 1 else None
    return settings.SITE_URL + (f"/sensors/{sensor}/" if sensor is not None else "/alerts/")


def who(incident: Incident) -> str:
    """The sensor's name, or what else the incident is about."""
    if incident.sensor_id is not None and incident.sensor is not None:
        return incident.sensor.name
    kind, _, name = incident.subject.partition(":")
    if kind == "board":
        return gettext("board %s") % name
    if kind == "location":
        return name
    if kind == "sensor":
        return gettext("sensor %s") % name
    return _of_pipeline(name)


def _of_pipeline(name: str) -> str:
    if name == "behind":
        return gettext("we are behind with storing")
    check, _, which = name.partition(":")
    label = dict(AlertRule.Check.choices).get(check)
    if label is None:
        return name or gettext("the pipeline")
    return f"{label}: {which}" if which else str(label)


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


# --- subject ---------------------------------------------------------------------------------------


def _subject(stories: Sequence[Story]) -> str:
    if len(stories) == 1:
        one = stories[0]
        about = gettext("%(title)s, %(who)s") % {"title": one.incident.title, "who": who(one.incident)}
        if one.parts:
            about = f"{about}: {_counted_parts(one)}"
        return _led(one.event) % {"about": about}
    events = Counter(one.event for one in stories)
    said = ", ".join(_counted(event, events[event]) for event in Event if events[event])
    titles = {one.incident.title for one in stories}
    return f"{titles.pop()}: {said}" if len(titles) == 1 else said


def _counted_parts(story: Story) -> str:
    if story.incident.kind == Kind.BOARD:
        return ngettext("%(count)d board", "%(count)d boards", story.parts) % {"count": story.parts}
    return ngettext("%(count)d sensor", "%(count)d sensors", story.parts) % {"count": story.parts}


def _led(event: Event) -> str:
    return {
        Event.FIRING: gettext("Firing: %(about)s"),
        Event.AGAIN: gettext("Still firing: %(about)s"),
        Event.RESOLVED: gettext("Resolved: %(about)s"),
        Event.PASSED: gettext("Fired and resolved: %(about)s"),
    }[event]


def _counted(event: Event, count: int) -> str:
    forms = {
        Event.FIRING: ngettext("%(count)d firing", "%(count)d firing", count),
        Event.AGAIN: ngettext("%(count)d still firing", "%(count)d still firing", count),
        Event.RESOLVED: ngettext("%(count)d resolved", "%(count)d resolved", count),
        Event.PASSED: ngettext("%(count)d fired and resolved", "%(count)d fired and resolved", count),
    }
    return forms[event] % {"count": count}


# --- text ------------------------------------------------------------------------------------------


def _text(stories: Sequence[Story]) -> str:
    if len(stories) <= BLOCKS:
        parts = [_block(one) for one in stories]
    else:
        together: dict[tuple[int | None, str, Event], list[Story]] = defaultdict(list)
        for one in stories:
            together[one.incident.rule_id, one.incident.title, one.event].append(one)
        parts = [_block(some[0]) if len(some) == 1 else _sentence(some) for some in together.values()]
    return _with_link(parts, link_of([one.incident for one in stories]))


def _with_link(parts: list[str], link: str) -> str:
    return "\n\n".join([*parts, link] if link else parts) + "\n"


def _sentence(stories: Sequence[Story]) -> str:
    first = min(one.incident.since for one in stories)
    lines = [_led(stories[0].event) % {"about": stories[0].incident.title}]
    lines.append(_names([who(one.incident) for one in stories], len(stories)))
    lines.append(gettext("Since %s") % _moment(first))
    return "\n".join([*lines, *_note(stories[0].incident)])


def _names(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names[:NAMES])
    left = count - min(len(names), NAMES)
    if left <= 0:
        return shown
    return ngettext("%(names)s and %(left)d more", "%(names)s and %(left)d more", left) % {
        "names": shown,
        "left": left,
    }


def _block(story: Story) -> str:
    one = story.incident
    lines = [_led(story.event) % {"about": one.title}]
    place = one.sensor.location if one.sensor_id is not None and one.sensor is not None else ""
    lines.append(f"{who(one)} ({place})" if place else who(one))
    if story.parts:
        lines.append(f"{_counted_parts(story)}: {_names(story.names, story.parts)}")
    if limits := _limits(one):
        lines.append(limits)
    if one.value is not None:
        lines.append(gettext("Value: %s") % _with_unit(one, one.value))
    if one.peak is not None and one.peak != one.value:
        lines.append(gettext("Furthest: %s") % _with_unit(one, one.peak))
    lines.append(gettext("Since %s") % _moment(one.since))
    if one.fired_at != one.since:
        lines.append(gettext("Fired %s") % _moment(one.fired_at))
    if story.event in (Event.RESOLVED, Event.PASSED) and one.resolved_at is not None:
        lines.append(gettext("Resolved %s") % _moment(one.resolved_at))
        if one.end and one.end != Incident.End.CLEAR:
            lines.append(str(Incident.End(one.end).label))
    lines.append(gettext("Severity: %s") % dict(AlertRule.Severity.choices).get(one.severity, one.severity))
    return "\n".join([*lines, *_note(one)])


def _note(incident: Incident) -> list[str]:
    return [incident.rule.note.strip()] if incident.rule is not None and incident.rule.note.strip() else []


def _limits(incident: Incident) -> str:
    """What the rule says now; "" where it is gone, or says no value."""
    rule = incident.rule
    if rule is None:
        return ""
    low, high = (None if one is None else _with_unit(incident, one) for one in (rule.low, rule.high))
    if rule.kind == Kind.ABOVE and high is not None:
        return gettext("Rule: above %s") % high
    if rule.kind == Kind.BELOW and low is not None:
        return gettext("Rule: below %s") % low
    if rule.kind == Kind.OUTSIDE and low is not None and high is not None:
        return gettext("Rule: outside %(low)s to %(high)s") % {"low": low, "high": high}
    return ""


def _with_unit(incident: Incident, value: float) -> str:
    if incident.kind == Kind.REJECTED:
        return f"{_number(value * 100, 3)} %"
    unit = unit_of(incident)
    return f"{_number(value)} {unit}" if unit else _number(value)


def _number(value: float, digits: int = 6) -> str:
    """With the decimal sign of the language."""
    return f"{value:.{digits}g}".replace(".", get_format("DECIMAL_SEPARATOR"))


def unit_of(incident: Incident) -> str:
    """Of its values; of a rate they are per minute."""
    if incident.sensor_id is None or incident.sensor is None:
        return ""
    unit = incident.sensor.unit
    return f"{unit}/min" if incident.kind == Kind.RATE else unit


def _moment(at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(settings.TIME_ZONE)):%Y-%m-%d %H:%M:%S %Z}"


# --- JSON ------------------------------------------------------------------------------------------


def _payload(stories: Sequence[Story], key: str, made_at: datetime) -> dict[str, Any]:
    return {
        "id": key,
        "type": "alerts",
        "timestamp": _iso(made_at),
        "data": {"incidents": [_as_json(one) for one in stories[:IN_JSON]], "count": len(stories)},
    }


def _as_json(story: Story) -> dict[str, Any]:
    one = story.incident
    sensor = one.sensor if one.sensor_id is not None else None
    return {
        "id": one.pk,
        "sequence": story.sequence,
        "event": story.event.value,
        "rule": {"id": one.rule_id, "name": one.title, "kind": one.kind},
        "severity": one.severity,
        "subject": one.subject,
        "sensor": {"id": sensor.pk, "name": sensor.name, "location": sensor.location} if sensor else None,
        "parts": {"count": story.parts, "names": list(story.names)} if story.parts else None,
        "unit": unit_of(one),
        "value": one.value,
        "peak": one.peak,
        "last": one.last,
        "since": _iso(one.since),
        "fired_at": _iso(one.fired_at),
        "resolved_at": _iso(one.resolved_at) if one.resolved_at is not None else None,
        "end": one.end or None,
        "url": link_of([one]) or None,
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
