"""What readings say of a rule: pure, no Django, no database.

A rate and a stuck value are worked out over a window that ends with the reading, a silence between two. So
each sample depends on the readings up to its own, in the order of time, however these arrived.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from monitoring.alerts.rule import SECOND, Kind, Rule, Sample, Span, State, Verdict, fold, verdict_of

MINUTE = 60 * SECOND


class Reading(NamedTuple):
    """`at`: microseconds since 1970, UTC."""

    at: int
    value: float


class Outage(NamedTuple):
    """A span in which we ourselves took nothing: it does not count as a sensor's silence."""

    start: int
    end: int


class Evaluated(NamedTuple):
    """`spans`: see rule.fold. `due_at`: when to look again if no reading comes; None: not before one does."""

    spans: list[Span]
    state: State
    due_at: int | None


def evaluate(
    rule: Rule,
    state: State,
    readings: Iterable[Reading],
    until: int,
    start: int,
    outages: Sequence[Outage] = (),
) -> Evaluated:
    """Of a rule of readings: what holds from `start` on, where before it the rule stands at `state`.

    `readings`: in the order of time, each time once, from `start - rule.window_us` on; of a silence with the
    last one before `start`. `until`: up to then all that was sent is known; readings may be later.
    `outages`: in the order of time, apart from each other.
    """
    last = 0

    def noted() -> Iterator[Reading]:
        nonlocal last
        for reading in readings:
            last = reading.at
            yield reading

    if rule.kind == Kind.SILENCE:
        samples = _silences(rule, noted(), until, outages)
    else:
        samples = _OF[rule.kind](rule, noted())
    spans, after = fold(rule, state, (sample for sample in samples if sample.at >= start), until)
    due_at = after.due_at(rule)
    if due_at is None and rule.kind == Kind.SILENCE and last and after.span is None:
        due_at = deadline(last, rule.limit_us, outages)
    return Evaluated(spans, after, due_at)


def deadline(last: int, limit_us: int, outages: Sequence[Outage]) -> int:
    """The moment at which a sensor that measured at `last` has been silent for so long, outages left out."""
    end = last + limit_us
    for outage in outages:
        if outage.end > last and outage.start < end:
            end += outage.end - max(outage.start, last)
    return end


def _values(rule: Rule, readings: Iterable[Reading]) -> Iterator[Sample]:
    for at, value in readings:
        yield Sample(at, verdict_of(rule, value), value)


def _rates(rule: Rule, readings: Iterable[Reading]) -> Iterator[Sample]:
    """Per minute, since the earliest reading within the window; none where that is the reading itself."""
    window: deque[Reading] = deque()
    for reading in readings:
        while window and window[0].at < reading.at - rule.window_us:
            window.popleft()
        window.append(reading)
        first = window[0]
        if first.at < reading.at:
            rate = (reading.value - first.value) * MINUTE / (reading.at - first.at)
            yield Sample(reading.at, verdict_of(rule, rate), rate)
        else:
            yield Sample(reading.at, Verdict.CLEAR, 0.0)


def _stuck(rule: Rule, readings: Iterable[Reading]) -> Iterator[Sample]:
    """Past where all values of a whole window lie within `high` of each other, and there are two at least.

    The window is whole where a reading stands at its begin or before.
    """
    window: deque[Reading] = deque()
    lowest: deque[Reading] = deque()
    highest: deque[Reading] = deque()
    for reading in readings:
        window.append(reading)
        while lowest and lowest[-1].value >= reading.value:
            lowest.pop()
        lowest.append(reading)
        while highest and highest[-1].value <= reading.value:
            highest.pop()
        highest.append(reading)
        # One reading at the window's begin or before stays.
        while len(window) > 1 and window[1].at <= reading.at - rule.window_us:
            gone = window.popleft()
            if lowest[0] is gone:
                lowest.popleft()
            if highest[0] is gone:
                highest.popleft()
        is_whole = len(window) > 1 and window[0].at <= reading.at - rule.window_us
        is_stuck = is_whole and highest[0].value - lowest[0].value <= (rule.high or 0.0)
        yield Sample(reading.at, Verdict.PAST if is_stuck else Verdict.CLEAR, reading.value)


def _silences(
    rule: Rule, readings: Iterable[Reading], until: int, outages: Sequence[Outage]
) -> Iterator[Sample]:
    """A reading clears it; between two that lie too far apart it begins at the first one's deadline."""
    end = None
    for at, value in readings:
        if end is not None and end < at:
            yield Sample(end, Verdict.PAST, None)
        yield Sample(at, Verdict.CLEAR, value)
        end = deadline(at, rule.limit_us, outages)
    if end is not None and end <= until:
        yield Sample(end, Verdict.PAST, None)


_OF: dict[Kind, Callable[[Rule, Iterable[Reading]], Iterator[Sample]]] = {
    Kind.ABOVE: _values,
    Kind.BELOW: _values,
    Kind.OUTSIDE: _values,
    Kind.RATE: _rates,
    Kind.STUCK: _stuck,
}
