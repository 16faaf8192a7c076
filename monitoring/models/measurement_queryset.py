"""Storing many measurements at once, and classifying those that do not go in."""

import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.db import connection, models, transaction

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


class Outcome(NamedTuple):
    """Places in what was given: each is in exactly one of the three.

    `moved`: where a reading without identity was stored at another moment than it asked for.
    `conflicts` maps a place to the value and unit that stand under its key.
    """

    stored: list[int]
    duplicates: list[int]
    conflicts: dict[int, tuple[float, str]]
    moved: dict[int, datetime]


class MeasurementQuerySet(models.QuerySet["Measurement"]):
    def ingest(self, readings: Sequence[Incoming]) -> Outcome:
        """Inserts each reading once, as its identity (sensor, created_at) has it.

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
        moved: dict[int, datetime] = {}
        for place in again:
            self._store_one(place, readings[place], Outcome(stored, duplicates, conflicts, moved))
        return Outcome(sorted(stored), sorted(duplicates), conflicts, moved)

    def _store_one(self, place: int, reading: Incoming, outcome: Outcome) -> None:
        """One that did not go in at first: tried until it is stored, a duplicate or a conflict."""
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


def _copy(cursor: "object", readings: Sequence[Incoming]) -> None:
    raw = cursor.cursor  # type: ignore[attr-defined]  # psycopg2's own, which knows COPY
    raw.execute(_TEMPORARY)
    raw.execute("DELETE FROM incoming")  # ingest may be called twice in one transaction
    text = io.StringIO(
        "".join(
            f"{place}\t{sensor_id}\t{created_at.isoformat()}\t{received_at.isoformat()}\t{value!r}\t"
            f"{_escaped(unit)}\n"
            for place, (sensor_id, created_at, received_at, value, unit, _timed) in enumerate(readings)
        )
    )
    raw.copy_expert("COPY incoming (place, sensor_id, created_at, received_at, value, unit) FROM STDIN", text)


def _escaped(unit: str) -> str:
    """`unit` in COPY's text format."""
    if unit.isalnum():
        return unit
    return unit.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
