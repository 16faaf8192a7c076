"""Whether alerts are silenced at a moment: by the wall clock of a zone, right across its changes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet, prefetch_related_objects

from monitoring.models import Incident, Mute

DAY = timedelta(days=1)


class Hours(NamedTuple):
    """Every week on `weekdays` (0 is Monday; none: on each), from `begin` to `end` of the wall clock, past
    midnight where that is not later."""

    weekdays: frozenset[int]
    begin: time
    end: time
    zone: ZoneInfo

    def hold(self, now: datetime) -> bool:
        """From the first moment at which the clock shows `begin` or later, to the last at which it shows less
        than `end`. So an hour that comes twice holds without a break, and one that is left out is not made
        up for."""
        today = now.astimezone(self.zone).date()
        return any(
            self._begins_on(day) and self._starts(day) <= now < self._stops(day)
            for day in (today, today - DAY)
        )

    def _begins_on(self, day: date) -> bool:
        return not self.weekdays or day.weekday() in self.weekdays

    def _starts(self, day: date) -> datetime:
        return moment(datetime.combine(day, self.begin), self.zone, later=False)

    def _stops(self, day: date) -> datetime:
        last = day if self.begin < self.end else day + DAY
        return moment(datetime.combine(last, self.end), self.zone, later=True)


def moment(wall: datetime, zone: ZoneInfo, later: bool) -> datetime:
    """When a zone's clock first shows `wall`, which has no zone, or more; `later`: until when it shows less.

    The two differ where it shows an hour twice. Where it is put forward past `wall`, both are when it is.
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        # Put back to `wall` itself, it shows nothing less from then on.
        shows_less = (second - timedelta(microseconds=1)).astimezone(zone).replace(tzinfo=None) < wall
        return second if later and shows_less else first
    # No such moment: before `second` the clock shows less, from `first` on it shows more.
    before, after = second, first
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def muted(incident: Incident, now: datetime) -> bool:
    """Whether a silence that holds now covers the incident."""
    return any(covers(mute, incident) for mute in holding(now))


def holding(now: datetime) -> list[Mute]:
    """The silences that hold now."""
    begun = Mute.objects.filter(starts_at__lte=now)
    return [mute for mute in begun.filter(Q(ends_at=None) | Q(ends_at__gt=now)) if holds(mute, now)]


def holds(mute: Mute, now: datetime) -> bool:
    """Between its ends, and of one that comes every week at this time of it."""
    if now < mute.starts_at or (mute.ends_at is not None and now >= mute.ends_at):
        return False
    hours = hours_of(mute)
    return hours is None or hours.hold(now)


def hours_of(mute: Mute) -> Hours | None:
    """None: it does not come every week, but holds throughout."""
    if not mute.weekdays and mute.from_time is None and mute.to_time is None:
        return None
    return Hours(
        frozenset(mute.weekdays), mute.from_time or time.min, mute.to_time or time.min, ZoneInfo(mute.zone)
    )


def covers(mute: Mute, incident: Incident) -> bool:
    """Whether the incident fits all that the silence names.

    One of many sensors is of a location where its subject says so, and of no sensor: a part of it that is
    muted does not mute it.
    """
    if mute.rule_id is not None and mute.rule_id != incident.rule_id:
        return False
    if mute.sensor_id is not None and mute.sensor_id != incident.sensor_id:
        return False
    return not mute.location or mute.location == location_of(incident)


def without_muted(incidents: QuerySet[Incident], now: datetime) -> QuerySet[Incident]:
    """Those of them that people are to be told of now, as `not_muted` has it, found by the database."""
    mutes = holding(now)
    if not mutes:
        return incidents
    covered = Q()
    for mute in mutes:
        fits = Q(pk__isnull=False)
        if mute.rule_id is not None:
            fits &= Q(rule=mute.rule_id)
        if mute.sensor_id is not None:
            fits &= Q(sensor=mute.sensor_id)
        if mute.location:
            of_sensor = Q(sensor__location=mute.location) & ~Q(subject__startswith="location:")
            fits &= Q(subject=f"location:{mute.location}") | of_sensor
        covered |= fits
    return incidents.exclude(covered)


def location_of(incident: Incident) -> str:
    kind, _, name = incident.subject.partition(":")
    if kind == "location":
        return name
    return incident.sensor.location if incident.sensor_id is not None and incident.sensor else ""


def not_muted(incidents: Sequence[Incident], now: datetime) -> list[Incident]:
    """Those of them that people are to be told of now: one look at the silences for all of them."""
    mutes = holding(now)
    if any(mute.location for mute in mutes):
        prefetch_related_objects(incidents, "sensor")
    return [one for one in incidents if not any(covers(mute, one) for mute in mutes)]
