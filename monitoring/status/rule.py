"""What a sensor's status is, by the times alone: pure, no Django, no database.

A sensor is `off` where it is not active, `never` where it has no reading. Else its age decides: how long ago
its newest reading was measured. Up to 3 of its expected intervals it is `ok`, past them `late`, past 10
`silent`. While its interval is not known, as with a sensor of a few readings, an hour is assumed.

Time in which we ourselves took nothing (an `Outage`) does not count. `until` is the watermark, up to which
all that was sent is known to be stored: no status gets worse by what we cannot know.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

OK, LATE, SILENT, NEVER, OFF = "ok", "late", "silent", "never", "off"
LATE_AFTER, SILENT_AFTER = 3, 10

# An interval is the median of so many gaps, and is not known from fewer than so few.
GAPS, FEWEST_GAPS = 50, 5
# Readings of one message that have no time of their own stand microseconds apart: that is no interval.
SHORTEST_GAP_S = 0.001
SHORTEST_INTERVAL_S = 1.0
ASSUMED_INTERVAL_S = 3600.0

# Between two looks at a sensor: at least, and at one of which a reading is awaited that nobody announces.
SHORTEST_LEASE = timedelta(seconds=10)
RECHECK = timedelta(minutes=5)
# An interval is learned anew after ten of it, within these bounds.
LEARN_AT_LEAST, LEARN_AT_MOST = timedelta(minutes=2), timedelta(hours=1)

_WORSE = {OK: 0, LATE: 1, SILENT: 2}


class Outage(NamedTuple):
    """A span in which we took nothing."""

    start: datetime
    end: datetime


class Facts(NamedTuple):
    """What is known of a sensor. `interval_s`: what is expected of it; None while that is not known."""

    is_active: bool
    newest_at: datetime | None
    interval_s: float | None


class Verdict(NamedTuple):
    """`due_at`: when to look again if nothing comes; None where nothing is awaited.

    `held_back`: it seems to be worse, but that is not known.
    """

    status: str
    due_at: datetime | None
    held_back: bool = False


def learned(gaps: int, median_s: float | None) -> float | None:
    """The expected interval in seconds, from so many gaps with this median; None where they are too few."""
    if gaps < FEWEST_GAPS or median_s is None:
        return None
    return round(max(median_s, SHORTEST_INTERVAL_S), 3)


def learn_again_after(interval_s: float | None) -> timedelta:
    if interval_s is None:
        return LEARN_AT_LEAST
    return min(max(timedelta(seconds=10 * interval_s), LEARN_AT_LEAST), LEARN_AT_MOST)


def deadline(
    newest_at: datetime, interval_s: float | None, intervals: int, outage: Outage | None
) -> datetime:
    """The last moment at which the age is so many intervals at most."""
    interval_s = max(ASSUMED_INTERVAL_S if interval_s is None else interval_s, SHORTEST_INTERVAL_S)
    end = newest_at + timedelta(seconds=intervals * interval_s)
    if outage is None or end <= outage.start or newest_at >= outage.end:
        return end
    return end + (outage.end - max(newest_at, outage.start))


def status_at(moment: datetime, facts: Facts, outage: Outage | None = None) -> str:
    """The status if all that was sent until then were known."""
    if not facts.is_active:
        return OFF
    if facts.newest_at is None:
        return NEVER
    for status, intervals in ((SILENT, SILENT_AFTER), (LATE, LATE_AFTER)):
        if moment > deadline(facts.newest_at, facts.interval_s, intervals, outage):
            return status
    return OK


def judge(
    now: datetime, until: datetime | None, before: str, facts: Facts, outage: Outage | None = None
) -> Verdict:
    """The status now, where it was `before`; `until` None: nothing is known of what was sent."""
    seems = status_at(now, facts, outage)
    if seems == OFF:
        return Verdict(OFF, None)
    if seems == NEVER or facts.newest_at is None:
        return Verdict(NEVER, now + RECHECK)
    # What was not judged before is held to be well until something is known.
    standing = before if before in _WORSE else OK
    status = seems
    if _WORSE[seems] > _WORSE[standing]:
        known = OK if until is None else status_at(min(until, now), facts, outage)
        status = known if _WORSE[known] > _WORSE[standing] else standing
    if status != seems:
        return Verdict(status, now + SHORTEST_LEASE, held_back=True)
    if status == SILENT:
        due_at = now + RECHECK
    else:
        intervals = LATE_AFTER if status == OK else SILENT_AFTER
        due_at = max(deadline(facts.newest_at, facts.interval_s, intervals, outage), now + SHORTEST_LEASE)
    if _WORSE[status] > _WORSE[standing]:
        # A reading that was stored while we looked is seen soon, whoever announces it.
        due_at = min(due_at, now + SHORTEST_LEASE)
    return Verdict(status, due_at)
