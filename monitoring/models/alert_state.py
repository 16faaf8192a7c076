"""Where a rule stands with whom it holds for, and when that is to be looked at."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.rule import Phase
from monitoring.models.arrays import as_literal

# A row that is to be looked at whatever is known: readings came, or its rule was changed.
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


class Pair(NamedTuple):
    """A rule and a sensor that it holds for."""

    rule_id: int
    sensor_id: int


class Held(NamedTuple):
    """The row of a pair, locked by this transaction. `version`: of the rule when it was last evaluated."""

    id: int
    rule_id: int
    sensor_id: int
    phase: str
    check_from: datetime | None
    version: int

    @property
    def pair(self) -> Pair:
        return Pair(self.rule_id, self.sensor_id)


class Busy(NamedTuple):
    """A pair that is not normal; `fires_at`: when it fires, or fired, in microseconds since 1970."""

    pair: Pair
    phase: str
    fires_at: int


class Reckoned(NamedTuple):
    """A row as it is from now on."""

    id: int
    phase: str
    since: datetime | None
    fired_at: datetime | None
    value: float | None
    peak: float | None
    last: float | None
    clear_since: datetime | None
    due_at: datetime | None
    check_from: datetime | None
    version: int


class AlertStateQuerySet(models.QuerySet["AlertState"]):
    def hold(self, pairs: Iterable[Pair]) -> list[Held]:
        """Locks the rows of these pairs, making those that are missing: two statements.

        Every transaction locks them in one order, and makes missing ones before it locks any, so none
        deadlock. A pair whose rule or sensor is gone has no row.
        """
        rules, sensors = _columns(pairs)
        with connection.cursor() as cursor:
            cursor.execute(_MAKE, [rules, sensors])
            cursor.execute(_HOLD, [rules, sensors])
            return [Held(*row) for row in cursor.fetchall()]

    def due(self, until: datetime, most: int) -> list[Pair]:
        """Pairs that are due, at most so many (by the index alert_state_due); locks nothing.

        Half of them are due by time, longest due first, and half at once, as far as there are so many of
        both: of rates and stuck values there may always be more that are due at once than anybody evaluates.
        """
        with connection.cursor() as cursor:
            cursor.execute(_DUE, [AT_ONCE, most, AT_ONCE, until, most])
            found = [(due_at, Pair(rule, sensor)) for due_at, rule, sensor in cursor.fetchall()]
        at_once = [pair for due_at, pair in found if due_at <= AT_ONCE]
        by_time = [pair for due_at, pair in sorted(found) if due_at > AT_ONCE]
        at_once = at_once[: max(most - most // 2, most - len(by_time))]
        return at_once + by_time[: most - len(at_once)]

    def busy(self, sensor_ids: Iterable[int]) -> list[Busy]:
        """Those of these sensors' pairs that are not normal (by the index alert_state_busy)."""
        with connection.cursor() as cursor:
            cursor.execute(_BUSY, [as_literal(sensor_ids)])
            return [Busy(Pair(*row[:2]), *row[2:]) for row in cursor.fetchall()]

    def write(self, rows: Sequence[Reckoned]) -> None:
        """Writes these rows, in one statement. This transaction must have locked them (`hold`)."""
        if rows:
            with connection.cursor() as cursor:
                cursor.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])


def _columns(pairs: Iterable[Pair]) -> tuple[str | None, str | None]:
    pairs = pairs if isinstance(pairs, Collection) else list(pairs)
    return as_literal(pair.rule_id for pair in pairs), as_literal(pair.sensor_id for pair in pairs)


class AlertState(models.Model):
    """One row a rule and subject that was ever past a threshold, or falls due by time; whoever evaluates the
    two holds it. A subject without one is normal. Written by monitoring.alerts alone.

    `subject`: "sensor:3", "board:kitchen", "location:Hall", "pipeline:pending". `check_from`: readings
    came, or went, from this moment on, that nobody may have evaluated, or what was found there may yet change
    by time. `version`: the rule's when it was evaluated; where the rule has another one, what was found is
    not of this rule. What it began with, and its values, are there to be shown.
    """

    rule = models.ForeignKey("monitoring.AlertRule", on_delete=models.CASCADE, related_name="states")
    sensor = models.ForeignKey(
        "monitoring.Sensor", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    subject = models.CharField(max_length=220)
    phase = models.CharField(
        max_length=8, choices=[(one.value, one.value) for one in Phase], default=Phase.NORMAL.value
    )
    since = models.DateTimeField(null=True)
    fired_at = models.DateTimeField(null=True)
    value = models.FloatField(null=True)
    peak = models.FloatField(null=True)
    last = models.FloatField(null=True)
    clear_since = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    check_from = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=0)

    objects = AlertStateQuerySet.as_manager()

    class Meta:
        verbose_name = _("state of an alert rule")
        verbose_name_plural = _("states of alert rules")
        constraints = [models.UniqueConstraint(fields=["rule", "subject"], name="alert_state_once")]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="alert_state_due"),
            models.Index(fields=["sensor"], name="alert_state_sensor"),
            models.Index(
                fields=["sensor", "rule"], condition=~models.Q(phase="normal"), name="alert_state_busy"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.subject}: {self.phase}"


_MAKE = """
INSERT INTO monitoring_alertstate (rule_id, sensor_id, subject, phase, version)
SELECT rule.id, sensor.id, 'sensor:' || sensor.id, 'normal', rule.version
FROM unnest(%s::bigint[], %s::bigint[]) AS pair (rule_id, sensor_id)
JOIN monitoring_alertrule AS rule ON rule.id = pair.rule_id
JOIN monitoring_sensor AS sensor ON sensor.id = pair.sensor_id
WHERE NOT EXISTS (
    SELECT FROM monitoring_alertstate WHERE rule_id = rule.id AND subject = 'sensor:' || sensor.id
)
ORDER BY rule.id, 3
ON CONFLICT DO NOTHING
"""

_DUE = """
(
    SELECT due_at, rule_id, sensor_id FROM monitoring_alertstate
    WHERE due_at <= %s AND sensor_id IS NOT NULL ORDER BY due_at LIMIT %s
) UNION ALL (
    SELECT due_at, rule_id, sensor_id FROM monitoring_alertstate
    WHERE due_at > %s AND due_at <= %s AND sensor_id IS NOT NULL ORDER BY due_at LIMIT %s
)
"""

_HOLD = """
SELECT state.id, state.rule_id, state.sensor_id, state.phase, state.check_from, state.version
FROM unnest(%s::bigint[], %s::bigint[]) AS pair (rule_id, sensor_id)
JOIN monitoring_alertstate AS state
  ON state.rule_id = pair.rule_id AND state.subject = 'sensor:' || pair.sensor_id
ORDER BY state.rule_id, state.subject
FOR UPDATE OF state
"""

_BUSY = """
SELECT rule_id, sensor_id, phase, coalesce((extract(epoch FROM fired_at) * 1000000)::bigint, 0)
FROM monitoring_alertstate WHERE phase <> 'normal' AND sensor_id = ANY(%s::bigint[])
"""

_WRITE = """
UPDATE monitoring_alertstate AS row SET
    phase = found.phase, since = found.since, fired_at = found.fired_at, value = found.value,
    peak = found.peak, last = found.last, clear_since = found.clear_since, due_at = found.due_at,
    check_from = found.check_from, version = found.version
FROM unnest(
    %s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::double precision[],
    %s::double precision[], %s::double precision[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[],
    %s::integer[]
) AS found (id, phase, since, fired_at, value, peak, last, clear_since, due_at, check_from, version)
WHERE row.id = found.id
"""
