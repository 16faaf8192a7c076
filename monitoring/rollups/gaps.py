"""Where a series has gaps: neighbours that are further apart than the sensor's pace explains.

The pace is learned from the points themselves: the median of the time from one to the next, by the readings
in it. So a sensor that measures each ten minutes has no gaps where it is drawn in buckets of five, and an
outage, however long, does not move the median.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from monitoring.span import Span

# Past so many intervals nobody takes a missing reading for a late one: then a sensor is called late, too.
INTERVALS = 3


class Stretch(NamedTuple):
    """What a point stands for: a reading (start = end) or a bucket, and how many readings there are in it."""

    start: datetime
    end: datetime
    readings: int


@dataclass(frozen=True)
class Pace:
    """`interval_s`: seconds from one reading to the next, None where too few are known. `gaps`: spans between
    two points in which nothing was measured, in the order of time."""

    interval_s: float | None
    gaps: list[Span]


def find(
    stretches: Sequence[Stretch], interval_s: float | None = None, before: Sequence[datetime] = ()
) -> Pace:
    """`interval_s`: what is known, instead of what would be learned. `before`: moments of readings that the
    pace is learned from too, in the order of time."""
    lengths = [
        (following.start - one.start).total_seconds() / one.readings for one, following in pairwise(stretches)
    ]
    lengths += [(following - one).total_seconds() for one, following in pairwise(before)]
    if not lengths and interval_s is None:
        return Pace(None, [])
    interval = median(lengths) if interval_s is None else interval_s
    longest = timedelta(seconds=INTERVALS * interval)
    gaps = [
        Span(one.end, following.start)
        for one, following in pairwise(stretches)
        if following.start > one.end and following.start - one.start > longest
    ]
    return Pace(round(interval, 6), gaps)


def covered(span: Span, stretches: Sequence[Stretch], pace: Pace, now: datetime) -> float:
    """The share of a span that has no gap in it, from 0 to 1; what lies in the future does not count.

    Before the first point and after the last one a gap begins where one between two points would.
    """
    end = min(span.end, now)
    length = (end - span.start).total_seconds()
    if not stretches or length <= 0:
        return 0.0
    longest = INTERVALS * (pace.interval_s or 0)
    missing = sum((gap.end - gap.start).total_seconds() for gap in pace.gaps)
    for hole in (
        (stretches[0].start - span.start).total_seconds(),
        (end - stretches[-1].end).total_seconds(),
    ):
        if hole > longest:
            missing += hole
    return min(1.0, max(0.0, 1 - missing / length))
