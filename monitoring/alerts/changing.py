"""Incidents are made equal to the spans that hold, and people are told of what that changed: in the
transaction that is open, and once for each change."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from monitoring.alerts import outbox
from monitoring.alerts.match import Matched
from monitoring.alerts.rule import Span
from monitoring.models import AlertRule, Incident, Notification
from process.failpoints import failpoint

# An incident that was over for so long when it was found is kept and shown, and nobody is told.
LONG_OVER = timedelta(minutes=15)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OF_SPAN = ("since", "fired_at", "resolved_at", "value", "peak", "peak_at", "last")

Gather = Callable[[Sequence[Incident], datetime], None]


def us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    return _EPOCH + at * _MICROSECOND


class Changes:
    """What is to become of incidents: gathered with `add` and `end`, then made with `make`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.fired: list[Incident] = []
        self.ended: list[Incident] = []
        self._new: list[Incident] = []
        self._closed: list[Incident] = []
        self._opened: list[Incident] = []
        self._altered: list[Incident] = []

    def add(self, rule: AlertRule, subject: str, sensor_id: int | None, matched: Matched[Incident]) -> None:
        """Makes the incidents kept of a subject equal to the spans that hold."""
        for incident in matched.gone:
            was_open = incident.state == Incident.State.FIRING
            self._end(incident, Incident.State.WITHDRAWN, Incident.End.LATE)
            if was_open:
                self._tell_the_end(incident)
        for incident, span in matched.same:
            self._become(incident, span)
        for span in matched.new:
            self._begin(rule, subject, sensor_id, span)

    def end(self, incidents: Iterable[Incident]) -> None:
        """Ends the open ones among them: their rule was changed, or holds for their sensor no longer."""
        for incident in incidents:
            if incident.state == Incident.State.FIRING:
                incident.resolved_at = max(self.now, incident.since)
                self._end(incident, Incident.State.RESOLVED, Incident.End.CHANGED)
                self._tell_the_end(incident)

    def make(self, gather: Gather | None = None) -> None:
        """Writes it all to the database, notifications included.

        `gather` may make those that have just fired part of others, before anybody is told of them.
        """
        # At most one of a pair is open, at each moment: what ends does so before another one begins.
        for incidents in (self._closed, self._altered):
            _update(incidents)
        _update(self._opened, "told_at")
        Incident.objects.bulk_create(self._new)
        failpoint("alerts.changed")
        self.fired += (one for one in self._new if self._is_news(one))
        self.fired += self._opened
        if gather is not None:
            gather(self.fired, self.now)
        outbox.note(self.fired, Notification.Event.FIRING)
        # What began and ended since anybody looked is told as both; whoever sends it makes one message of it.
        both = [one for one in self._new if self._is_news(one) and one.resolved_at is not None]
        for incident in both:
            incident.sequence += 1
        Incident.objects.bulk_update(both, ["sequence"])
        self.ended += both
        outbox.note(self.ended, Notification.Event.RESOLVED)

    def _is_news(self, new: Incident) -> bool:
        return new.resolved_at is None or new.resolved_at > self.now - LONG_OVER

    def _begin(self, rule: AlertRule, subject: str, sensor_id: int | None, span: Span) -> None:
        incident = Incident(
            rule=rule,
            title=rule.name,
            kind=rule.kind,
            severity=rule.severity,
            sensor_id=sensor_id,
            subject=subject,
            # Never before the rule began to hold: by that it is known for one of the rule as it is.
            seen_at=max(self.now, rule.active_from),
        )
        _take(incident, span)
        if span.resolved_at is not None:
            incident.state, incident.end = Incident.State.RESOLVED, Incident.End.CLEAR
            incident.ended_seen_at = self.now
        self._new.append(incident)

    def _become(self, incident: Incident, span: Span) -> None:
        if span == incident.span:
            return
        was_open = incident.state == Incident.State.FIRING
        _take(incident, span)
        if was_open and span.resolved_at is not None:
            self._end(incident, Incident.State.RESOLVED, Incident.End.CLEAR)
            self._tell_the_end(incident)
        elif not was_open and span.resolved_at is None:
            incident.state, incident.end, incident.ended_seen_at = Incident.State.FIRING, "", None
            incident.sequence += 1
            # Nobody was told of that yet: what holds it back now is told later.
            incident.told_at = None
            self._opened.append(incident)
        else:
            self._altered.append(incident)

    def _end(self, incident: Incident, state: Incident.State, end: Incident.End) -> None:
        incident.state, incident.end, incident.ended_seen_at = state, end, self.now
        self._closed.append(incident)

    def _tell_the_end(self, incident: Incident) -> None:
        incident.sequence += 1
        self.ended.append(incident)


def _take(incident: Incident, span: Span) -> None:
    incident.since, incident.fired_at = moment(span.since), moment(span.fired_at)
    incident.resolved_at = None if span.resolved_at is None else moment(span.resolved_at)
    incident.value, incident.peak, incident.last = span.value, span.peak, span.last
    incident.peak_at = None if span.peak_at is None else moment(span.peak_at)


def _update(incidents: Sequence[Incident], *more: str) -> None:
    if incidents:
        fields = [*_OF_SPAN, "state", "end", "ended_seen_at", "sequence", *more]
        Incident.objects.bulk_update(incidents, fields, batch_size=500)
