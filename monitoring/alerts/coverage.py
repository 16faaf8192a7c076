"""Which rules hold for which sensors, and what a rule says of one of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q, QuerySet

from monitoring.alerts.rule import OF_READINGS, SECOND, Kind, Rule
from monitoring.models import AlertRule, Sensor
from monitoring.models.arrays import as_literal

# The same as `fits`, of tables that are named so: `standing` is the sensor's status, which may be missing.
FITS = """
sensor.is_active AND sensor.removal_requested_at IS NULL
AND (rule.sensor_id IS NULL OR rule.sensor_id = sensor.id)
AND (rule.sensor_kind = '' OR rule.sensor_kind = sensor.kind)
AND (rule.location = '' OR rule.location = sensor.location)
AND (rule.board_id IS NULL OR rule.board_id = standing.board_id)
"""


# All that fit each other of `rule`, `sensor` and `standing`, which the statement has as such before. Found by
# the first that a rule names: not every sensor is held against every rule.
FITTING = f"""
named AS MATERIALIZED (
    SELECT sensor.id AS sensor_id, unnest(ARRAY[
        'sensor ' || sensor.id, 'in ' || sensor.location, 'on ' || standing.board_id, 'of ' || sensor.kind, ''
    ]) AS by
    FROM sensor LEFT JOIN standing ON standing.sensor_id = sensor.id
), fitting AS MATERIALIZED (
    SELECT rule.id AS rule_id, sensor.id AS sensor_id
    FROM rule
    JOIN named ON named.by = CASE
        WHEN rule.sensor_id IS NOT NULL THEN 'sensor ' || rule.sensor_id
        WHEN rule.location <> '' THEN 'in ' || rule.location
        WHEN rule.board_id IS NOT NULL THEN 'on ' || rule.board_id
        WHEN rule.sensor_kind <> '' THEN 'of ' || rule.sensor_kind
        ELSE '' END
    JOIN sensor ON sensor.id = named.sensor_id
    LEFT JOIN standing ON standing.sensor_id = named.sensor_id
    WHERE {FITS}
)
"""


@contextmanager
def many_at_once(cursor: CursorWrapper) -> Iterator[None]:
    """Forbids nested loops within an open transaction, for statements over many pairs at once.

    The planner has no statistics of intermediate results, takes them for a row or two, and would scan all
    rules, or all their states, for each of their rows.
    """
    cursor.execute("SET LOCAL enable_nestloop = off")
    yield
    cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")


class Covered(NamedTuple):
    """Whether a rule holds for a sensor now, and the sensor's expected interval in seconds, where known."""

    fits: bool
    interval_s: float | None


def fits(rule: AlertRule) -> QuerySet[Sensor]:
    """The sensors that it holds for, saved or not: those that are active and fit all that it names."""
    found = Sensor.objects.present().filter(is_active=True)
    if rule.sensor_id is not None:
        found = found.filter(pk=rule.sensor_id)
    if rule.sensor_kind:
        found = found.filter(kind=rule.sensor_kind)
    if rule.location:
        found = found.filter(location=rule.location)
    return found if rule.board_id is None else found.filter(standing__board=rule.board_id)


def fitting(sensor: Sensor) -> QuerySet[AlertRule]:
    """The rules of sensors that hold for this one, those that are off too."""
    if not sensor.is_active or sensor.removal_requested_at is not None:
        return AlertRule.objects.none()
    standing = getattr(sensor, "standing", None)
    board = Q(board=None) if standing is None else Q(board=None) | Q(board=standing.board_id)
    return AlertRule.objects.filter(
        board,
        Q(sensor=None) | Q(sensor=sensor.pk),
        sensor_kind__in=("", sensor.kind),
        location__in=("", sensor.location),
    ).exclude(kind__in=(Kind.BOARD, Kind.PIPELINE))


_NAMES = ("sensor", "kind", "location", "board", "all")


class Watched(NamedTuple):
    """What a reading is held against of a rule that somebody switched on."""

    id: int
    kind: str
    high: float | None
    low: float | None
    sensor_id: int | None
    sensor_kind: str
    location: str
    board_id: int | None

    @property
    def first_named(self) -> tuple[str, object]:
        """By which its sensors are found, one of _NAMES: not every rule is held against every sensor."""
        if self.sensor_id is not None:
            return "sensor", self.sensor_id
        if self.location:
            return "location", self.location
        if self.board_id is not None:
            return "board", self.board_id
        return ("kind", self.sensor_kind) if self.sensor_kind else ("all", None)

    def concerns(self, sensor_id: int, kind: str, location: str, board_id: int | None) -> bool:
        return (
            self.sensor_id in (None, sensor_id)
            and self.sensor_kind in ("", kind)
            and self.location in ("", location)
            and self.board_id in (None, board_id)
        )


def watched() -> list[Watched]:
    """The rules of readings that are switched on."""
    rows = AlertRule.objects.enabled().filter(kind__in=OF_READINGS).order_by("pk")
    return [Watched(*row) for row in rows.values_list(*Watched._fields)]


def edition() -> tuple[int, int, int]:
    """Another one once a rule was made, changed, switched on or off, or deleted."""
    with connection.cursor() as cursor:
        cursor.execute(_EDITION)
        count, versions, newest = cursor.fetchone()
    return int(count), int(versions), int(newest)


def watched_for(sensor_ids: Iterable[int], rules: Sequence[Watched]) -> dict[int, tuple[Watched, ...]]:
    """Which of these rules hold for each sensor; those that take no readings have none: one statement."""
    ids = list(sensor_ids)
    by_name: dict[tuple[str, object], list[Watched]] = {}
    for rule in rules:
        by_name.setdefault(rule.first_named, []).append(rule)
    found: dict[int, tuple[Watched, ...]] = dict.fromkeys(ids, ())
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [as_literal(ids)])
        for facts in cursor.fetchall():
            names = zip(_NAMES, (*facts, None), strict=True)
            might = chain.from_iterable(by_name.get(name, ()) for name in names)
            found[facts[0]] = tuple(rule for rule in might if rule.concerns(*facts))
    return found


def covered(states: Sequence[int]) -> dict[int, Covered]:
    """Of rows of AlertState, by their ids, as things are now: one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_COVERED, [as_literal(states)])
        return {number: Covered(*rest) for number, *rest in cursor.fetchall()}


def add_missing_silences(now: datetime) -> int:
    """Makes the missing rows of silences, one for each sensor that such a rule holds for; returns how many.

    They must be there beforehand, since a sensor that never sends again brings nothing that would make one. A
    new row is due at once, and looks back an hour at most: a rule may be years old, and what was silent then
    is nobody's business now.
    """
    with transaction.atomic(), connection.cursor() as cursor, many_at_once(cursor):
        cursor.execute(_ADD_MISSING, [now])
        return int(cursor.rowcount)


def look_at_what_fits_no_more() -> int:
    """Makes due at once the pairs whose rule was changed or switched off, or whose sensor was changed.

    So are silences by the sensor's interval whose deadline is of an interval that it no longer has: those due
    later than after a reading that comes this minute. Returns how many.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NO_MORE)
        return int(cursor.rowcount)


def as_rule(rule: AlertRule, interval_s: float | None) -> Rule | None:
    """What it says of a sensor with this expected interval in seconds (None: not known), saved or not.

    None where it says nothing: of a silence that goes by an interval which is not known.
    """
    kind = Kind(rule.kind)
    limit_us = 0
    if kind == Kind.SILENCE:
        if rule.limit_s is not None:
            limit_us = rule.limit_s * SECOND
        elif interval_s is not None:
            limit_us = round(rule.intervals * interval_s * SECOND)
        else:
            return None
    return Rule(
        kind=kind,
        high=rule.high,
        low=rule.low,
        clear_high=rule.clear_high,
        clear_low=rule.clear_low,
        for_us=rule.for_s * SECOND,
        keep_us=rule.keep_s * SECOND,
        # What somebody left in the field when he chose another kind is not read.
        window_us=rule.window_s * SECOND if kind in (Kind.RATE, Kind.STUCK, Kind.REJECTED) else 0,
        limit_us=limit_us,
    )


_EDITION = """
SELECT count(*), coalesce(sum(version), 0), coalesce(max(id), 0) FROM monitoring_alertrule
"""

_FACTS = """
SELECT sensor.id, sensor.kind, sensor.location, standing.board_id FROM monitoring_sensor AS sensor
LEFT JOIN monitoring_sensorstatus AS standing ON standing.sensor_id = sensor.id
WHERE sensor.id = ANY(%s::bigint[]) AND sensor.is_active AND sensor.removal_requested_at IS NULL
"""

_COVERED = f"""
SELECT state.id, coalesce(rule.enabled AND {FITS}, false),
       coalesce(sensor.expected_interval_s, standing.interval_s)
FROM monitoring_alertstate AS state
JOIN monitoring_alertrule AS rule ON rule.id = state.rule_id
JOIN monitoring_sensor AS sensor ON sensor.id = state.sensor_id
LEFT JOIN monitoring_sensorstatus AS standing ON standing.sensor_id = sensor.id
WHERE state.id = ANY(%s::bigint[])
"""

_ADD_MISSING = f"""
WITH rule AS (SELECT * FROM monitoring_alertrule WHERE enabled AND kind = 'silence'),
sensor AS (SELECT * FROM monitoring_sensor),
standing AS (SELECT * FROM monitoring_sensorstatus),
{FITTING}
INSERT INTO monitoring_alertstate (rule_id, sensor_id, subject, phase, version, check_from, due_at)
SELECT rule.id, missing.sensor_id, 'sensor:' || missing.sensor_id, 'normal', rule.version,
       greatest(rule.active_from, %s::timestamptz - interval '1 hour'), 'epoch'
FROM (
    SELECT rule_id, sensor_id FROM fitting EXCEPT SELECT rule_id, sensor_id FROM monitoring_alertstate
) AS missing
JOIN rule ON rule.id = missing.rule_id
ORDER BY rule.id, 3
ON CONFLICT DO NOTHING
"""

# A clock that is ahead puts a deadline off too. One that never sent has none: it is due to be looked at.
_IS_TOO_LATE = """(
    rule.kind = 'silence' AND rule.limit_s IS NULL AND standing.newest_at IS NOT NULL
    AND state.due_at > greatest(now(), standing.newest_at) + interval '1 minute'
        + interval '1 second' * rule.intervals * coalesce(sensor.expected_interval_s, standing.interval_s)
)"""

# Whoever holds a row is at it. Of a pair that stays, what is due has to be worked out again.
_NO_MORE = f"""
UPDATE monitoring_alertstate AS row
SET due_at = 'epoch', check_from = least(row.check_from, now()) WHERE id IN (
    SELECT state.id FROM monitoring_alertstate AS state
    JOIN monitoring_alertrule AS rule ON rule.id = state.rule_id
    JOIN monitoring_sensor AS sensor ON sensor.id = state.sensor_id
    LEFT JOIN monitoring_sensorstatus AS standing ON standing.sensor_id = sensor.id
    WHERE state.due_at IS DISTINCT FROM 'epoch'::timestamptz
      AND (state.version <> rule.version OR NOT coalesce(rule.enabled AND {FITS}, false) OR {_IS_TOO_LATE})
    ORDER BY state.rule_id, state.subject FOR UPDATE OF state SKIP LOCKED
)
"""
