"""Readings that arrive in any order, more than once, or are deleted, and a memory that keeps spans as the
incidents are kept: the design of alerts without its database."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from monitoring.alerts.anew import begin, work_out
from monitoring.alerts.rule import Kind, Rule, Span, State
from monitoring.alerts.samples import Outage, Reading, evaluate

LATER = 10_000
"""After all that happens: until then all is known."""


def before(rule: Rule, readings: Sequence[Reading], start: int) -> list[Reading]:
    """What `evaluate` wants from `start` on; `readings` in the order of time."""
    place = bisect_left(readings, (start - rule.window_us,))
    return list(readings[max(0, place - 1) :])


def at_once(
    rule: Rule,
    readings: Sequence[Reading],
    active_from: int = 0,
    until: int = LATER,
    outages: Sequence[Outage] = (),
) -> list[Span]:
    """One evaluation over all readings: what all the rest is held against."""
    readings = sorted(readings)
    start = begin(rule, active_from, active_from)
    done = evaluate(rule, State(), before(rule, readings, start), until, start, outages)
    return [span for span in done.spans if span.resolved_at is None or span.resolved_at >= active_from]


@dataclass
class Incident:
    span: Span


def _order(one: Incident) -> int:
    """As the database has it. Two may begin at once, until what came meanwhile is looked at."""
    return one.span.since


@dataclass
class Memory:
    """Of one rule and one sensor."""

    rule: Rule
    active_from: int = 0
    outages: Sequence[Outage] = ()
    readings: dict[int, float] = field(default_factory=dict)
    kept: list[Incident] = field(default_factory=list)
    withdrawn: int = 0
    check_from: int | None = None
    due_at: int | None = None

    @property
    def spans(self) -> list[Span]:
        return [one.span for one in sorted(self.kept, key=_order)]

    def store(self, readings: Sequence[Reading]) -> int | None:
        """Returns the first moment that is new; what is there already is a duplicate and changes nothing."""
        new = [one for one in readings if one.at not in self.readings]
        self.readings.update(new)
        return min((one.at for one in new), default=None)

    def delete(self, moments: Sequence[int]) -> int | None:
        gone = [at for at in moments if self.readings.pop(at, None) is not None]
        return min(gone, default=None)

    def look(self, changed_from: int | None, until: int | None) -> None:
        """Works out again what has changed since then; None: what was left unsettled."""
        known = [at for at in (changed_from, self.check_from) if at is not None]
        if not known:
            return
        start = begin(self.rule, min(known), self.active_from)
        kept = [one for one in self.kept if one.span.resolved_at is None or one.span.resolved_at >= start]
        readings = sorted(Reading(*one) for one in self.readings.items())
        matched, _state, self.due_at, self.check_from = work_out(
            self.rule,
            min(known),
            self.active_from,
            until,
            sorted(kept, key=_order),
            lambda start: before(self.rule, readings, start),
            self.outages,
        )
        for one in matched.gone:
            self.kept.remove(one)
            self.withdrawn += 1
        for one, span in matched.same:
            one.span = span
        self.kept += [Incident(span) for span in matched.new]
        assert sum(one.span.resolved_at is None for one in self.kept) <= 1


# Few values and short times, so that they meet thresholds, windows and each other.
_short = st.sampled_from([0, 1, 2, 3, 5, 8, 13])
_window = st.sampled_from([1, 2, 3, 5, 8, 13])
values = st.sampled_from([float(value) for value in range(-2, 8)])
moments = st.integers(20, 80)


@st.composite
def rules(draw: st.DrawFn, kinds: Sequence[Kind] = tuple(Kind)[:6]) -> Rule:
    kind = draw(st.sampled_from(kinds))
    for_us, keep_us = draw(_short), draw(_short)
    if kind == Kind.SILENCE:
        return Rule(kind, for_us=for_us, keep_us=keep_us, limit_us=draw(st.integers(1, 12)))
    if kind == Kind.STUCK:
        return Rule(
            kind, high=draw(st.sampled_from([0.0, 1.0, 3.0])), for_us=for_us, keep_us=keep_us,
            window_us=draw(_window),
        )  # fmt: skip
    # Per minute, of times in microseconds.
    scale = 60_000_000 if kind == Kind.RATE else 1
    clear = draw(st.sampled_from([None, 1, 2])) if kind != Kind.RATE else draw(st.sampled_from([None, 1]))
    high = low = clear_high = clear_low = None
    if kind in (Kind.ABOVE, Kind.OUTSIDE, Kind.RATE):
        high = 4.0 * scale if kind != Kind.RATE else 1.0 * scale
        clear_high = None if clear is None else high - clear * scale
    if kind in (Kind.BELOW, Kind.OUTSIDE, Kind.RATE):
        low = 0.0 * scale if kind != Kind.RATE else -1.0 * scale
        clear_low = None if clear is None else low + clear * scale
    window_us = draw(_window) if kind == Kind.RATE else 0
    return Rule(kind, high, low, clear_high, clear_low, for_us, keep_us, window_us)


@st.composite
def series(draw: st.DrawFn, most: int = 25) -> list[Reading]:
    """In the order of time, each time once."""
    found = draw(st.dictionaries(moments, values, max_size=most))
    return sorted(Reading(*one) for one in found.items())


@st.composite
def outages(draw: st.DrawFn) -> list[Outage]:
    edges = sorted(draw(st.sets(st.integers(20, 90), max_size=6)))
    return [Outage(*edges[place : place + 2]) for place in range(0, len(edges) // 2 * 2, 2)]
