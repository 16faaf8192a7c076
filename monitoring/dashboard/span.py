"""The span of time that a page shows, as its address says it: `?range=24h`, or `?from=…&to=…`.

static/monitoring/dashboard/span.js reads and writes the same.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _

from monitoring.decoders.timestamp import moment
from monitoring.span import Span

# Those that end now, by what the address calls them.
LENGTHS = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "1y": timedelta(days=365),
}
USUAL = "24h"
# As a script asks for on a wide screen.
_POINTS = 1000
_MONTHS = timedelta(days=120)
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Shown(NamedTuple):
    """`preset`: one of LENGTHS, or "" where the ends were given. `error`: what of the address could not be
    read; the usual span is shown then."""

    span: Span
    preset: str
    error: str = ""

    @property
    def points(self) -> int:
        """Of the series that comes with the page. Of months at most one a day: halves of days would show
        night and day as a saw."""
        length = self.span.end - self.span.start
        return _POINTS if length <= _MONTHS else min(_POINTS, length // timedelta(days=1) + 2)


def read(said: Mapping[str, str], now: datetime) -> Shown:
    preset, start, end = said.get("range"), said.get("from"), said.get("to")
    if start is None and end is None:
        if preset is None or preset in LENGTHS:
            return _ending_now(preset or USUAL, now)
        known = ", ".join(LENGTHS)
        return _ending_now(
            USUAL,
            now,
            _("“%(range)s” is no range: there are %(known)s.") % {"range": preset[:40], "known": known},
        )
    try:
        first, last = moment(start or ""), moment(end or "")
        if not _EARLIEST <= first < last <= _LATEST:
            raise ValueError
    except ValueError:
        return _ending_now(
            USUAL,
            now,
            _(
                "The address names no span of time: “from” and “to” are moments such as 2026-01-28T15:00:00Z,"
                " the first before the second."
            ),
        )
    return Shown(Span(first, last), "")


def _ending_now(preset: str, now: datetime, error: str = "") -> Shown:
    return Shown(Span(now - LENGTHS[preset], now), preset, error)
