"""Storing many measurements at once, and classifying those that do not go in."""

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.db import connection, models, transaction
from django.db.backends.utils import CursorWrapper

from monitoring.models import binary_copy
from monitoring.models.arrays import as_literal

if TYPE_CHECKING:
    from monitoring.models.measurement import Measurement  # noqa: F401

_MICROSECOND = timedelta(microseconds=1)


class Incoming(NamedTuple):
    """A reading that may be stored. `timed`: `created_at` is the device's own time, so it has an identity."""

    sensor_id: int
    created_at: datetime
    received_at: datetime
    value: float
    unit: str
    timed: bool


class Last(NamedTuple):
    """What a sensor measured last."""

    value: float
    unit: str
    created_at: datetime

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}".rstrip()


class Outcome(NamedTuple):
    """What became of the readings given, by their index: each is in exactly one of the first three.

    `conflicts` maps an index to the value and unit that are stored under its key; `moved`, to the moment at
    which a reading without identity was stored, where that is not the one it asked for.
    """

    stored: list[int]
    duplicates: list[int]
    conflicts: dict[int, tuple[float, str]]
    moved: dict[int, datetime]


class MeasurementQuerySet(models.QuerySet["Measurement"]):
    def last_of(self, sensor_ids: Sequence[int]) -> "dict[int, Last]":
        """The newest measurement of each sensor, by its id; a sensor that has none is not there.

        One statement: a look-up a sensor by the index (sensor, created_at), however full the table is.
        """
        # Tuples, not instances: they are asked for a thousand at a time.
        with connection.cursor() as cursor:
            cursor.execute(_LAST_OF, [as_literal(sensor_ids)])
            return {number: Last(*rest) for number, *rest in cursor.fetchall()}

    def since(self, starts: Mapping[int, int], most: int) -> dict[int, list[tuple[int, float]]]:
        """The rows of several sensors from a start on: `starts` is sensor id → microseconds since 1970.

        Returns by sensor id the last row before its start and the first `most` from there on, as
        (microseconds since 1970, value) in the order of time. One statement.
        """
        with connection.cursor() as cursor:
            cursor.execute(_SINCE, [as_literal(starts), as_literal(starts.values()), most])
            found: dict[int, list[tuple[int, float]]] = {sensor_id: [] for sensor_id in starts}
            for sensor_id, at, value in cursor:
                found[sensor_id].append((at, value))
            return found

    def ingest(self, readings: Sequence[Incoming]) -> Outcome:
        """Inserts each reading once, by its natural key (sensor, created_at): idempotent, and no upsert.

        In the order given: a reading whose key is free is stored; a timed one whose key holds the same
        value and unit is a duplicate, with another value or unit a conflict; one that is not timed takes
        the next free microsecond, once all the others have been settled. Whatever is stored already is
        never changed. Partitions must be there (monitoring.upkeep.partitions).

        This is COPY into a temporary table and two statements, rather than two queries a reading: 104,000
        rows a second instead of 2,000 (docs/decisions/0002-sql-behind-the-queryset.md). A test holds it
        against the same told in plain ORM.
        """
        if not readings:
            return Outcome([], [], {}, {})
        with transaction.atomic(), connection.cursor() as cursor:
            _copy(cursor, readings)
            cursor.execute(_INSERT)
            if cursor.rowcount == len(readings):
                return Outcome(list(range(len(readings))), [], {}, {})
            # A statement of its own, with a snapshot of its own: what a worker that races us has
            # committed in between is seen. In one statement with the INSERT it would not be.
            cursor.execute(_CLASSIFY)
            stored, duplicates, conflicts, again = [], [], {}, []
            for place, is_own, there, is_same, value, unit in cursor.fetchall():
                if is_own:
                    stored.append(place)
                elif not there or not readings[place].timed:
                    again.append(place)  # deleted since, or in need of another moment
                elif is_same:
                    duplicates.append(place)
                else:
                    conflicts[place] = (value, unit)
        outcome = Outcome(stored, duplicates, conflicts, {})
        timed = [place for place in again if readings[place].timed]
        crowded = [place for place in again if not readings[place].timed]
        for place in (*timed, *self._store_beside(crowded, readings, outcome)):
            self._store_one(place, readings[place], outcome)
        return Outcome(sorted(stored), sorted(duplicates), conflicts, outcome.moved)

    def _store_beside(
        self, places: Sequence[int], readings: Sequence[Incoming], outcome: Outcome
    ) -> list[int]:
        """Stores readings without identity, each at the next moment that is free.

        Returns the places of those that lost a race for theirs. All at once: an array of six hundred of one
        sensor takes as many microseconds, and so does the message that comes some microseconds after it.
        """
        if not places:
            return []
        free: dict[int, _FreeMoments] = {}
        moments = []
        for place in places:
            reading = readings[place]
            if reading.sensor_id not in free:
                free[reading.sensor_id] = _FreeMoments(self, reading.sensor_id)
            moments.append(free[reading.sensor_id].take(reading.created_at))
        with connection.cursor() as cursor:
            _copy(
                cursor,
                [
                    readings[place]._replace(created_at=moment)
                    for place, moment in zip(places, moments, strict=True)
                ],
            )
            cursor.execute(_INSERT)
            cursor.execute(_CLASSIFY)
            own = [is_own for _, is_own, *_ in cursor.fetchall()]
        late = []
        for place, moment, is_own in zip(places, moments, own, strict=True):
            if not is_own:
                late.append(place)
                continue
            outcome.stored.append(place)
            if moment != readings[place].created_at:
                outcome.moved[place] = moment
        return late

    def _store_one(self, place: int, reading: Incoming, outcome: Outcome) -> None:
        """Retries one reading that did not go in at first, until it is stored, a duplicate or a conflict."""
        created_at = reading.created_at
        while True:
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO monitoring_measurement (sensor_id, created_at, received_at, value, unit)"
                    " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (sensor_id, created_at) DO NOTHING",
                    [reading.sensor_id, created_at, reading.received_at, reading.value, reading.unit],
                )
                if cursor.rowcount:
                    outcome.stored.append(place)
                    if created_at != reading.created_at:
                        outcome.moved[place] = created_at
                    return
            if not reading.timed:
                created_at = self._next_free(reading.sensor_id, created_at)
                continue
            there = self.filter(sensor_id=reading.sensor_id, created_at=created_at).first()
            if there is None:
                continue
            if (there.value, there.unit) == (reading.value, reading.unit):
                outcome.duplicates.append(place)
            else:
                outcome.conflicts[place] = (there.value, there.unit)
            return

    def _next_free(self, sensor_id: int, taken: datetime) -> datetime:
        """The first moment after `taken` that the sensor has no measurement at, as far as can be seen."""
        while True:
            following = list(
                self.filter(sensor_id=sensor_id, created_at__gt=taken)
                .order_by("created_at")
                .values_list("created_at", flat=True)[:1000]
            )
            for moment in following:
                if moment - taken > _MICROSECOND:
                    return taken + _MICROSECOND
                taken = moment
            if len(following) < 1000:
                return taken + _MICROSECOND


class _FreeMoments:
    """The moments at which a sensor has no measurement, as far as can be seen, given out one by one."""

    PAGE = 10_000

    def __init__(self, measurements: MeasurementQuerySet, sensor_id: int) -> None:
        self._of_sensor = measurements.filter(sensor_id=sensor_id).order_by("created_at")
        self._taken: set[datetime] = set()
        # From a taken moment to one before which nothing is free.
        self._onwards: dict[datetime, datetime] = {}
        # What is known of: from the first to the second, which is not part of it; None: to the end.
        self._known: tuple[datetime, datetime | None] | None = None

    def take(self, wanted: datetime) -> datetime:
        """The first moment from `wanted` on that is free; from then on it is taken."""
        passed, moment = [], wanted
        while self._is_taken(moment):
            passed.append(moment)
            moment = self._onwards.get(moment, moment + _MICROSECOND)
        self._taken.add(moment)
        following = moment + _MICROSECOND
        self._onwards |= dict.fromkeys(passed, following)
        return moment

    def _is_taken(self, moment: datetime) -> bool:
        if moment in self._taken:
            return True
        if self._known is None or moment < self._known[0] or (self._known[1] and moment >= self._known[1]):
            page = list(
                self._of_sensor.filter(created_at__gte=moment).values_list("created_at", flat=True)[
                    : self.PAGE
                ]
            )
            self._taken.update(page)
            self._known = moment, page[-1] + _MICROSECOND if len(page) == self.PAGE else None
        return moment in self._taken


_SINCE = """
SELECT wanted.sensor_id, (extract(epoch FROM found.created_at) * 1000000)::bigint, found.value
FROM (
    SELECT sensor_id, timestamptz 'epoch' + start * interval '1 microsecond' AS start
    FROM unnest(%s::bigint[], %s::bigint[]) AS given (sensor_id, start)
) AS wanted CROSS JOIN LATERAL (
    (
        SELECT created_at, value FROM monitoring_measurement
        WHERE sensor_id = wanted.sensor_id AND created_at < wanted.start
        ORDER BY created_at DESC LIMIT 1
    ) UNION ALL (
        SELECT created_at, value FROM monitoring_measurement
        WHERE sensor_id = wanted.sensor_id AND created_at >= wanted.start
        ORDER BY created_at LIMIT %s
    )
) AS found
ORDER BY 1, 2
"""

_LAST_OF = """
SELECT wanted.sensor_id, last.* FROM unnest(%s::bigint[]) AS wanted (sensor_id) CROSS JOIN LATERAL (
    SELECT value, unit, created_at FROM monitoring_measurement
    WHERE sensor_id = wanted.sensor_id ORDER BY created_at DESC LIMIT 1
) AS last
"""

# Made once a connection; its rows go with the transaction. The id is given here, so that afterwards
# a row can be told from another's row under the same key.
_TEMPORARY = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    place integer NOT NULL,
    id bigint NOT NULL DEFAULT nextval('monitoring_measurement_id_seq'),
    sensor_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    value double precision NOT NULL,
    unit varchar(32) NOT NULL
) ON COMMIT DELETE ROWS
"""

# Ordered by key: two batches that insert the same keys in opposite orders would deadlock.
_INSERT = """
INSERT INTO monitoring_measurement (id, sensor_id, created_at, received_at, value, unit)
SELECT id, sensor_id, created_at, received_at, value, unit FROM incoming
ORDER BY sensor_id, created_at, place
ON CONFLICT (sensor_id, created_at) DO NOTHING
"""

# LATERAL with LIMIT: a look-up in the index for each row, whatever the planner believes of `incoming`.
_CLASSIFY = """
SELECT incoming.place,
       there.id IS NOT DISTINCT FROM incoming.id AS is_own,
       there.id IS NOT NULL AS there,
       there.value = incoming.value AND there.unit = incoming.unit AS is_same,
       there.value, there.unit
FROM incoming LEFT JOIN LATERAL (
    SELECT id, value, unit FROM monitoring_measurement
    WHERE sensor_id = incoming.sensor_id AND created_at = incoming.created_at LIMIT 1
) AS there ON true
ORDER BY incoming.place
"""


# How many columns, then for each its length and what is in it; the unit, which varies, is behind it.
_pack = struct.Struct(">hiiiqiqiqid").pack
_INTO = "incoming (place, sensor_id, created_at, received_at, value, unit)"


def _copy(cursor: CursorWrapper, readings: Sequence[Incoming]) -> None:
    cursor.execute(_TEMPORARY)
    cursor.execute("DELETE FROM incoming")  # ingest may be called twice in one transaction
    when = binary_copy.timestamp
    binary_copy.copy(
        _INTO,
        [
            _pack(6, 4, place, 8, sensor_id, 8, when(created_at), 8, when(received_at), 8, value)
            + binary_copy.field(unit.encode())
            for place, (sensor_id, created_at, received_at, value, unit, _timed) in enumerate(readings)
        ],
    )
