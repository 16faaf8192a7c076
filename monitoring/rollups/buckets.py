"""Where the buckets of a series lie: minutes, hours or days or multiples of them, counted from midnight of a
time zone.

Worked out here and not in SQL, which has time zone data of its own, of another age.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple

from monitoring.span import Span

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Each divides a day, so that buckets begin at midnight again.
_STEPS = [minutes * MINUTE for minutes in (1, 2, 5, 10, 15, 20, 30)] + [
    hours * HOUR for hours in (1, 2, 3, 4, 6, 8, 12)
]


class Buckets(NamedTuple):
    """Each lasts `step` (a day on which the clocks change: 23 or 25 hours), the first and the last may be
    cut; `starts` in the order of time, `end` is that of the last."""

    step: timedelta
    starts: list[datetime]
    end: datetime

    def cut(self, length: timedelta) -> list[datetime]:
        """The hours or days (UTC) that a bucket, or the whole, begins or ends within."""
        return sorted({floor(at, length) for at in (*self.starts, self.end) if floor(at, length) != at})

    @property
    def resolution(self) -> str:
        """The step as it is written: a number and m, h or d."""
        for unit, letter in ((DAY, "d"), (HOUR, "h")):
            if self.step % unit == timedelta():
                return f"{self.step // unit}{letter}"
        return f"{self.step // MINUTE}m"


def whole_minutes(span: Span) -> Span:
    """The span widened to whole minutes."""
    return Span(floor(span.start, MINUTE), EPOCH - (EPOCH - span.end) // MINUTE * MINUTE)


def lay(span: Span, points: int, zone: tzinfo, narrowest: timedelta) -> Buckets:
    """The narrowest buckets, none narrower than `narrowest`, of which at most `points` cover the span."""
    length = span.end - span.start
    for step in _STEPS:
        if length <= step * points and step >= narrowest:
            starts = _cut(span, _times_of_day(span, step, zone))
            if len(starts) <= points:
                return Buckets(step, starts, span.end)
    days = max(1, math.ceil(length / DAY / points))
    while len(starts := _cut(span, _midnights(span, days, zone))) > points:
        days += 1
    return Buckets(days * DAY, starts, span.end)


def floor(moment: datetime, step: timedelta) -> datetime:
    """The last multiple of `step` since 1970 that is not after the moment."""
    return EPOCH + (moment - EPOCH) // step * step


def _cut(span: Span, grid: Iterable[datetime]) -> list[datetime]:
    """The start of the span, and the moments of the grid within it."""
    return sorted({span.start, *(moment for moment in grid if span.start < moment < span.end)})


def _times_of_day(span: Span, step: timedelta, zone: tzinfo) -> Iterator[datetime]:
    """Every `step` from each midnight to the next."""
    for midnight, following in pairwise(_midnights(span, 1, zone)):
        moment = midnight
        while moment < following:
            yield moment
            moment += step


def _midnights(span: Span, days: int, zone: tzinfo) -> Iterator[datetime]:
    """Every so many days from the day that the span begins in, until past its end."""
    day = span.start.astimezone(zone).date()
    while (moment := _midnight(day, zone)) < span.end:
        yield moment
        day += days * DAY
    yield moment


def _midnight(day: date, zone: tzinfo) -> datetime:
    """The beginning of a day: where the clocks skip midnight, the moment that they do."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
