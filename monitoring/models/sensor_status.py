"""How a sensor is doing: one row a sensor, which says until when it holds."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection, models
from django.db.models import Case, Count, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models.arrays import as_literal

# A row that is to be looked at whatever the time is: something of its sensor was changed.
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


class Standing(NamedTuple):
    """A sensor's row, locked by this transaction, with what its sensor says of itself."""

    sensor_id: int
    status: str
    newest_at: datetime | None
    interval_s: float | None
    learn_at: datetime
    is_active: bool
    expected_interval_s: int | None


class Found(NamedTuple):
    """What a look at a sensor came to: its row from now on. `changed`: it has another status than before."""

    sensor_id: int
    status: str
    newest_at: datetime | None
    interval_s: float | None
    learn_at: datetime
    due_at: datetime | None
    changed: bool


class SensorStatusQuerySet(models.QuerySet["SensorStatus"]):
    def counts(self) -> dict[str, int]:
        """How many sensors have each status; each status is there."""
        found = dict(self.order_by().values_list("status").annotate(Count("pk")))
        return {status: found.get(status, 0) for status in SensorStatus.Status.values}

    def add_missing(self) -> int:
        """Makes the rows that a trigger of sensors would have made, where that was switched off."""
        with connection.cursor() as cursor:
            cursor.execute(_ADD_MISSING)
            return int(cursor.rowcount)

    def not_well(self, sensor_ids: Iterable[int]) -> list[int]:
        """Those of these sensors that have been late, silent or never seen: one statement, no lock."""
        with connection.cursor() as cursor:
            cursor.execute(_NOT_WELL, [as_literal(sensor_ids)])
            return [number for (number,) in cursor.fetchall()]

    def hold_due(self, until: datetime, most: int) -> list[Standing]:
        """Locks at most `most` rows that are due, longest due first; skips those that others have locked."""
        return self._hold("status.due_at <= %s ORDER BY status.due_at LIMIT %s", [until, most])

    def hold_ids(self, sensor_ids: Iterable[int]) -> list[Standing]:
        return self._hold("status.sensor_id = ANY(%s::bigint[])", [as_literal(sensor_ids)])

    def _hold(self, which: str, parameters: Sequence[datetime | int | str | None]) -> list[Standing]:
        with connection.cursor() as cursor:
            cursor.execute(f"{_HOLD} {which} FOR UPDATE OF status SKIP LOCKED", parameters)
            return [Standing(*row) for row in cursor.fetchall()]

    def intervals(
        self, sensor_ids: Sequence[int], gaps: int, shortest_s: float
    ) -> dict[int, tuple[int, float]]:
        """Sensor id → how many gaps lie between its last `gaps` + 1 readings, and their median in seconds.

        Gaps shorter than `shortest_s` are ignored; a sensor without any gap is left out. One statement.
        """
        if not sensor_ids:
            return {}
        with connection.cursor() as cursor:
            cursor.execute(_INTERVALS, [as_literal(sensor_ids), gaps + 1, shortest_s])
            return {number: (count, median) for number, count, median in cursor.fetchall()}

    def claim(self, boards: Mapping[int, str]) -> int:
        """Assigns sensors to boards: `boards` is sensor id → the board on whose topic a reading of it came.

        The first board has the sensor; another one gets it once that is offline. Boards that are not known
        get none, and rows that others have locked are left for the next reading. Returns how many changed.
        """
        with connection.cursor() as cursor:
            cursor.execute(_CLAIM, [as_literal(boards), list(boards.values())])
            return int(cursor.rowcount)

    def write(self, found: Sequence[Found], now: datetime) -> None:
        """Writes these rows, in one statement. This transaction must have locked them."""
        columns = [list(column) for column in zip(*found, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [now, *columns])


class SensorStatus(models.Model):
    """A lease rather than a row that each reading rewrites: `due_at` says when the status changes next if
    nothing comes.

    Written by monitoring.status alone; the row comes and goes with its sensor, in the database itself.
    """

    class Status(models.TextChoices):
        OK = "ok", _("OK")
        LATE = "late", _("late")
        SILENT = "silent", _("silent")
        NEVER = "never", _("never seen")
        OFF = "off", _("off")

    sensor = models.OneToOneField(
        "monitoring.Sensor",
        verbose_name=_("sensor"),
        primary_key=True,
        # The database has a foreign key of its own, with ON DELETE CASCADE (migration 0012).
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="standing",
    )
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.NEVER)
    # What needs somebody first.
    rank = models.GeneratedField(
        expression=Case(
            *(
                When(status=status, then=Value(rank))
                for rank, status in enumerate(("silent", "late", "never", "ok"))
            ),
            default=Value(4),
        ),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )
    newest_at = models.DateTimeField(
        _("newest reading"), null=True, help_text=_("When it was measured, as of the last look.")
    )
    interval_s = models.FloatField(
        _("expected interval (s)"),
        null=True,
        help_text=_("Set on the sensor, or learned from its last readings; empty while it is not known."),
    )
    learn_at = models.DateTimeField(db_default=AT_ONCE)
    due_at = models.DateTimeField(_("due"), null=True, db_default=AT_ONCE)
    board = models.ForeignKey(
        "monitoring.Board",
        verbose_name=_("board"),
        null=True,
        # Likewise, with ON DELETE SET NULL (migration 0013).
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="standings",
        help_text=_("On whose topic its readings come."),
    )
    changed_at = models.DateTimeField(_("since"), db_default=Now())

    objects = SensorStatusQuerySet.as_manager()

    class Meta:
        verbose_name = _("sensor's status")
        verbose_name_plural = _("sensors' statuses")
        indexes = [models.Index(fields=["due_at"], name="sensor_status_due")]

    def __str__(self) -> str:
        return f"{self.sensor_id}: {self.status}"


_ADD_MISSING = """
INSERT INTO monitoring_sensorstatus (sensor_id, status)
SELECT id, CASE WHEN is_active THEN 'never' ELSE 'off' END FROM monitoring_sensor AS sensor
WHERE NOT EXISTS (SELECT FROM monitoring_sensorstatus WHERE sensor_id = sensor.id)
ON CONFLICT DO NOTHING
"""

_NOT_WELL = """
SELECT sensor_id FROM monitoring_sensorstatus
WHERE sensor_id = ANY(%s::bigint[]) AND status IN ('late', 'silent', 'never')
"""

_HOLD = """
SELECT sensor_id, status, newest_at, interval_s, learn_at, is_active, expected_interval_s
FROM monitoring_sensorstatus AS status JOIN monitoring_sensor AS sensor ON sensor.id = status.sensor_id
WHERE
"""

_INTERVALS = """
SELECT wanted.sensor_id, found.gaps, found.median
FROM unnest(%s::bigint[]) AS wanted (sensor_id) CROSS JOIN LATERAL (
    SELECT count(*) AS gaps, percentile_cont(0.5) WITHIN GROUP (ORDER BY gap) AS median FROM (
        SELECT extract(epoch FROM created_at - lead(created_at) OVER (ORDER BY created_at DESC))
               ::double precision AS gap
        FROM (
            SELECT created_at FROM monitoring_measurement WHERE sensor_id = wanted.sensor_id
            ORDER BY created_at DESC LIMIT %s
        ) AS newest
    ) AS between WHERE gap >= %s
) AS found WHERE found.gaps > 0
"""

_CLAIM = """
WITH held AS (
    SELECT row.sensor_id, board.id AS board_id
    FROM unnest(%s::bigint[], %s::text[]) AS said (sensor_id, name)
    JOIN monitoring_board AS board ON board.name = said.name
    JOIN monitoring_sensorstatus AS row ON row.sensor_id = said.sensor_id
    WHERE row.board_id IS DISTINCT FROM board.id AND NOT EXISTS (
        SELECT FROM monitoring_board AS holder WHERE holder.id = row.board_id AND holder.online
    )
    FOR UPDATE OF row SKIP LOCKED
)
UPDATE monitoring_sensorstatus AS row SET board_id = held.board_id FROM held
WHERE row.sensor_id = held.sensor_id
"""

_WRITE = """
UPDATE monitoring_sensorstatus AS row SET
    status = found.status, newest_at = found.newest_at, interval_s = found.interval_s,
    learn_at = found.learn_at, due_at = found.due_at,
    changed_at = CASE WHEN found.changed THEN %s ELSE row.changed_at END
FROM unnest(
    %s::bigint[], %s::text[], %s::timestamptz[], %s::double precision[], %s::timestamptz[], %s::timestamptz[],
    %s::boolean[]
) AS found (sensor_id, status, newest_at, interval_s, learn_at, due_at, changed)
WHERE row.sensor_id = found.sensor_id
"""
