"""What readings say of a rule: pure, no Django, no database.

A rate and a stuck value are worked out over a window that ends with the reading, a silence between two. So
each sample depends on the readings up to its own, in the order of time, however these arrived.
"""

import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import dropwhile
from typing import NamedTuple

from monitoring.alerts.rule import SECOND, Kind, Rule, Sample, Span, State, Verdict, fold, verdict_of

MINUTE = 60 * SECOND
# A member is looked up in its class as long as a sample takes.
_PAST, _CLEAR = Verdict.PAST, Verdict.CLEAR


class Reading(NamedTuple):
    """`at`: microseconds since 1970, UTC."""

    at: int
    value: float


class Outage(NamedTuple):
    """A span in which we ourselves took nothing: it does not count as a sensor's silence."""

    start: int
    end: int


class Evaluated(NamedTuple):
    """`spans`: see rule.fold. `due_at`: when to look again if no reading comes; None: not before one does.

    `unsettled_from`: from when on time alone may yet change what is said here. Whoever evaluates next begins
    there at the latest, also where what changed is later; None: nothing is open.
    """

    spans: list[Span]
    state: State
    due_at: int | None
    unsettled_from: int | None


def evaluate(
    rule: Rule,
    state: State,
    readings: Iterable[tuple[int, float]],
    until: int,
    start: int,
    outages: Sequence[Outage] = (),
) -> Evaluated:
    """Of a rule of readings: what holds from `start` on, where before it the rule stands at `state`.

    `readings`: in the order of time, each time once, from `start - rule.window_us` on, with the last one that
    is earlier than that. `until`: the watermark, up to which all that was sent is known; readings may be
    later. `outages`: in the order of time, apart from each other.

    A sensor that is silent at `start` has been so since its deadline, however long ago that was.
    """
    silences = _Silences(rule.limit_us, until, start, outages)
    if rule.kind == Kind.SILENCE:
        samples = silences.samples(readings)
    else:
        samples = dropwhile(lambda sample: sample.at < start, _OF[rule.kind](rule, readings))
    spans, after = fold(rule, state, samples, until)
    return Evaluated(
        spans,
        after,
        due_at=_earliest(after.due_at(rule), silences.open_at),
        unsettled_from=_earliest(after.unsettled_from, silences.open_at),
    )


def _earliest(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)


def deadline(last: int, limit_us: int, outages: Sequence[Outage]) -> int:
    """The moment at which a sensor that measured at `last` has been silent for so long, outages left out."""
    end = last + limit_us
    for outage in outages:
        if outage.start >= end:
            break
        if outage.end > last:
            end += outage.end - max(outage.start, last)
    return end


# Readings may be plain tuples here: of half a million, making them is a good part of the whole.
_Readings = Iterable[tuple[int, float]]


def _values(rule: Rule, readings: _Readings) -> Iterator[Sample]:
    for at, value in readings:
        yield Sample(at, verdict_of(rule, value), value)


def _rates(rule: Rule, readings: _Readings) -> Iterator[Sample]:
    """Per minute, since the reading that stands at the window's begin, or is the last one before it; none
    while there is no such reading: between two that lie microseconds apart any noise would be a rate."""
    window: deque[tuple[int, float]] = deque()
    for at, value in readings:
        window.append((at, value))
        begin = at - rule.window_us
        while len(window) > 1 and window[1][0] <= begin:
            window.popleft()
        first, before = window[0]
        if first <= begin and len(window) > 1:
            rate = (value - before) / ((at - first) / MINUTE)
            if math.isinf(rate):  # which is no number that could be sent, or kept
                rate = math.copysign(sys.float_info.max, rate)
            yield Sample(at, verdict_of(rule, rate), rate)
        else:
            yield Sample(at, _CLEAR, None)


def _stuck(rule: Rule, readings: _Readings) -> Iterator[Sample]:
    """Past where all values of a whole window lie within `high` of each other, and there are two at least.

    The window is whole where a reading stands at its begin or before.
    """
    moments: deque[int] = deque()
    # What may yet be the lowest, or the highest: rising values, and falling ones, each with its moment.
    lowest: deque[tuple[int, float]] = deque()
    highest: deque[tuple[int, float]] = deque()
    tolerance = rule.high or 0.0
    for at, value in readings:
        begin = at - rule.window_us
        moments.append(at)
        while lowest and lowest[-1][1] >= value:
            lowest.pop()
        lowest.append((at, value))
        while highest and highest[-1][1] <= value:
            highest.pop()
        highest.append((at, value))
        # One reading at the window's begin or before stays.
        while len(moments) > 1 and moments[1] <= begin:
            moments.popleft()
            if lowest[0][0] < moments[0]:
                lowest.popleft()
            if highest[0][0] < moments[0]:
                highest.popleft()
        is_whole = moments[0] <= begin and len(moments) > 1
        is_stuck = is_whole and highest[0][1] - lowest[0][1] <= tolerance
        yield Sample(at, _PAST if is_stuck else _CLEAR, value)


class _Silences:
    """A reading clears it; where none comes in time it begins at the last one's deadline.

    `open_at`: after all samples, the first deadline past which no reading is known, though one may have been
    sent. Also one between two readings: while what was sent is stored out of order, as after we were away,
    such a gap is ours.
    """

    def __init__(self, limit_us: int, until: int, start: int, outages: Sequence[Outage]) -> None:
        self.open_at: int | None = None
        self._limit_us, self._until, self._start = limit_us, until, start
        self._outages = deque(outages)

    def samples(self, readings: _Readings) -> Iterator[Sample]:
        end = None
        for at, value in readings:
            if at >= self._start:
                if end is not None and end < at and self._is_known(end):
                    yield Sample(end, _PAST, None)
                yield Sample(at, _CLEAR, value)
            while self._outages and self._outages[0].end <= at:
                self._outages.popleft()
            end = deadline(at, self._limit_us, self._outages)
        if end is not None and self._is_known(end):
            yield Sample(end, _PAST, None)

    def _is_known(self, end: int) -> bool:
        if end > self._until and self.open_at is None:
            self.open_at = end
        return end <= self._until


_OF: dict[Kind, Callable[[Rule, _Readings], Iterator[Sample]]] = {
    Kind.ABOVE: _values,
    Kind.BELOW: _values,
    Kind.OUTSIDE: _values,
    Kind.RATE: _rates,
    Kind.STUCK: _stuck,
}
