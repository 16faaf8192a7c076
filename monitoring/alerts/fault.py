"""Whose fault it is that nothing comes: while we are behind no sensor is silent, but we are.

What is due by time waits until all that was sent before is known (monitoring.status.reach). Meanwhile, once
that has lasted, one incident says so: of the silence rule that was made first, however many there are. It is
over when we have caught up, and what it leaves behind is when we took nothing. No such time counts as a
sensor's silence, however late that is worked out; so a gap too short for anybody to be told of is kept as
well.
"""

from datetime import datetime, timedelta

from django.db.models import F

from monitoring.alerts.changing import Changes, moment, us
from monitoring.alerts.evaluating import Known, Outcome, kept_outages
from monitoring.alerts.match import Matched, match
from monitoring.alerts.rule import Kind, Span
from monitoring.alerts.samples import Outage
from monitoring.models import AlertRule, Incident
from monitoring.models.incident import BEHIND
from monitoring.status.reach import Reach, Why

# A bridge that is started again is back before; of that nobody needs to hear.
TELL_AFTER = timedelta(minutes=1)


def look(known: Reach, now: datetime) -> Outcome:
    """Opens, keeps or ends the incident that we are behind. Call it in a transaction, one process at a time.

    Of an installation that no bridge was ever seen of nothing is known, and nothing said.
    """
    done = Outcome()
    rule = AlertRule.objects.enabled().filter(kind=Kind.SILENCE).order_by("pk").first()
    if rule is None or known.until is None:
        return done
    changes = Changes(now)
    kept = _kept(rule, changes)
    if kept is not None and kept.rule is not None:
        rule = kept.rule
    span = _span(known, None if kept is None else kept.span, now)
    holds = [] if span is None else [span]
    if span is None and known.outage is not None and not _is_kept(known):
        span = _span_of(known)
        if span.fired_at <= (span.resolved_at or 0):
            holds = [span]
        else:
            _keep(rule, span, now)
    matched: Matched[Incident] = match(holds, [] if kept is None else [kept])
    changes.add(rule, BEHIND, None, matched)
    changes.make()
    done.fired, done.ended = changes.fired, changes.ended
    return done


def _kept(rule: AlertRule, changes: Changes) -> Incident | None:
    """The incident that is open, or None. One whose rule was deleted without ending it becomes this rule's:
    nobody else would end it, and while it is open no sensor is silent."""
    opened = Incident.objects.open().filter(subject=BEHIND).select_related("rule")
    found = list(opened.order_by(F("rule_id").asc(nulls_last=True), "pk"))
    changes.end(found[1:])
    if not found:
        return None
    kept = found[0]
    if kept.rule is None:
        kept.rule = rule
        Incident.objects.filter(pk=kept.pk).update(rule=rule)
    return kept


def known_by(known: Reach, now: datetime) -> Known:
    """What is known of the time, as rules have it: with all outages that may matter."""
    until = None if known.until is None else us(min(known.until, now))
    return Known(until, tuple(outages(now, known)))


def outages(now: datetime, known: Reach | None = None) -> list[Outage]:
    """When we took nothing, in the order of time and apart from each other; of the last one also where no
    job has written it down yet."""
    found = kept_outages(now)
    if known is not None and known.outage is not None:
        found = _merged(found, Outage(us(known.outage.start), us(known.outage.end)))
    return found


def _merged(found: list[Outage], one: Outage) -> list[Outage]:
    apart = [other for other in found if other.end < one.start or one.end < other.start]
    met = [other for other in found if other not in apart]
    whole = Outage(min(each.start for each in [one, *met]), max(each.end for each in [one, *met]))
    return sorted([*apart, whole])


def _span(known: Reach, kept: Span | None, now: datetime) -> Span | None:
    """How the incident is to be from now on; None: there is none. `peak_at`: since when we took nothing."""
    if known.until is None:
        return kept
    since = us(known.until) if kept is None else min(us(known.until), kept.since)
    took_nothing = None if kept is None else kept.peak_at
    if known.is_behind(now):
        end = us(now)
        if known.outage is not None and known.why == Why.CATCHING_UP:
            end = us(known.outage.end)
        if known.why in (Why.CATCHING_UP, Why.BRIDGE):
            took_nothing = min(took_nothing or us(known.until), us(known.until))
        if kept is None and end - since < us_of(TELL_AFTER):
            return None
        return Span(since, since + us_of(TELL_AFTER), None, peak_at=took_nothing)
    if kept is None:
        return None
    end = us(known.until)
    if known.outage is not None and us(known.outage.end) > kept.since:
        start = us(known.outage.start)
        took_nothing = min(took_nothing or start, start)
        # Measured from then on there is something; that it was stored later does not make it less.
        end = us(known.outage.end)
    return kept._replace(resolved_at=max(end, kept.fired_at), peak_at=took_nothing)


def _span_of(known: Reach) -> Span:
    """Of an outage that was over before anybody looked, or that was short."""
    if known.outage is None:
        raise ValueError("there was no outage")
    start = us(known.outage.start)
    return Span(start, start + us_of(TELL_AFTER), us(known.outage.end), peak_at=start)


def _is_kept(known: Reach) -> bool:
    outage = known.outage
    if outage is None:
        return True
    kept = Incident.objects.filter(subject=BEHIND, since__lte=outage.start, peak_at__lte=outage.start)
    return kept.filter(resolved_at__gte=outage.end).exists()


def _keep(rule: AlertRule, span: Span, now: datetime) -> None:
    """Without a word to anybody."""
    Incident.objects.create(
        rule=rule,
        title=rule.name,
        kind=rule.kind,
        severity=rule.severity,
        subject=BEHIND,
        state=Incident.State.RESOLVED,
        end=Incident.End.CLEAR,
        since=moment(span.since),
        fired_at=moment(span.since),
        resolved_at=moment(span.resolved_at or span.since),
        peak_at=moment(span.since),
        seen_at=now,
        ended_seen_at=now,
    )


def us_of(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
