"""The story of a sensor that somebody deletes.

1. At once it is inactive and bears a tombstone: what it sends is rejected with `inactive_sensor`.
2. A job ends its alerts, and deletes its measurements and its rollups, in pieces, oldest first. It is sent at
   once, and by beat each minute.
3. When nothing is left, and whoever was told of its alerts is told of their end, the sensor is deleted, under
   a lock that waits for whoever was storing for it. From then on it is an unknown sensor like any other.
"""

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from monitoring import locks
from monitoring.alerts import rules
from monitoring.alerts.evaluating import Known, evaluate
from monitoring.alerts.rule import OF_READINGS
from monitoring.models import (
    AlertRule,
    AlertState,
    GoneSpan,
    Incident,
    Measurement,
    Notification,
    RetentionRun,
    Sensor,
)
from monitoring.models.alert_state import Pair
from monitoring.models.sensor import SensorQuerySet
from monitoring.upkeep.expiring import rows_of_sensor
from monitoring.upkeep.partitions import MEASUREMENTS
from monitoring.upkeep.pieces import PIECE, TimeShare, in_pieces
from monitoring.upkeep.schedule import REMOVE_SENSORS
from monitoring.upkeep.sending import send_on_commit
from monitoring.upkeep.tables import TABLES

logger = logging.getLogger(__name__)
COUNTED = 10_000
# For so long it waits for what is to be told of its alerts.
TELL_FOR = timedelta(minutes=5)
_END = datetime.max.replace(tzinfo=UTC)


class Belongings(NamedTuple):
    """What goes with a sensor. Past COUNTED rows a number is PostgreSQL's estimate."""

    measurements: int
    rollups: int
    is_estimate: bool
    first: datetime | None
    last: datetime | None


def belongings(sensor_id: int) -> Belongings:
    """Costs the same however much it is: some look-ups, and at most COUNTED index entries a table."""
    moments = Measurement.objects.filter(sensor_id=sensor_id).order_by("created_at")
    ends = moments.values_list("created_at", flat=True)
    measurements = _how_many(MEASUREMENTS.name, sensor_id)
    rollups = sum(_how_many(table, sensor_id) for table, _ in _rollups())
    return Belongings(measurements, rollups, max(measurements, rollups) > COUNTED, ends.first(), ends.last())


def _how_many(table: str, sensor_id: int) -> int:
    rows = f"SELECT 1 FROM {table} WHERE sensor_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({rows} LIMIT %s) AS counted", [sensor_id, COUNTED + 1])
        count = int(cursor.fetchone()[0])
        if count > COUNTED:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {rows}", [sensor_id])
            count = max(count, int(cursor.fetchone()[0][0]["Plan"]["Plan Rows"]))
    return count


def request_removal(sensors: SensorQuerySet) -> int:
    """Asks for the removal of sensors, and once that is committed sends the job; returns how many are new."""
    count = sensors.request_removal()
    if count:
        send_on_commit(REMOVE_SENSORS)
    return count


def requested(most: int | None = None) -> list[tuple[Sensor, Belongings]]:
    """The sensors that are being removed, first asked first, and what is left of theirs."""
    return [(sensor, belongings(sensor.pk)) for sensor in _leaving()[:most]]


def _leaving() -> QuerySet[Sensor]:
    return Sensor.objects.filter(removal_requested_at__isnull=False).order_by("removal_requested_at", "pk")


def remove_sensors(share: TimeShare) -> dict[str, int]:
    """Goes on with every removal asked for; returns {"rows": ..., "sensors": ...} that it deleted."""
    rows = sensors = 0
    for sensor in _leaving():
        _end_alerts(sensor.pk)
        piece = rows_of_sensor(sensor.pk, _END, RetentionRun.Kind.SENSOR)
        rows += in_pieces(locks.REMOVE, piece, share)
        for table, column in _rollups():
            rows += in_pieces(locks.REMOVE, partial(_piece, table, column, sensor.pk), share)
        if share.is_used:
            break
        if not _has_to_tell(sensor, datetime.now(UTC)):
            sensors += _delete(sensor)
    return {"rows": rows, "sensors": sensors}


def _rollups() -> list[tuple[str, str]]:
    return [(kept.table.name, kept.table.column) for kept in TABLES if kept.table != MEASUREMENTS]


def _piece(table: str, column: str, sensor_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE sensor_id = %s AND {column} <= coalesce((SELECT {column} FROM {table}"
            f" WHERE sensor_id = %s ORDER BY {column} OFFSET %s LIMIT 1), 'infinity')",
            [sensor_id, sensor_id, PIECE - 1],
        )
        return int(cursor.rowcount)


def _end_alerts(sensor_id: int) -> None:
    """Deletes the sensor's own rules, and ends its incidents of other rules as the alerts' job would.

    So whoever was told that one fires is told of its end. Incidents of rules that are not of readings are
    left to that job.
    """
    for rule in AlertRule.objects.filter(sensor=sensor_id).order_by("pk"):
        rules.delete(rule)
    fires = Incident.objects.open().filter(sensor=sensor_id, rule__kind__in=OF_READINGS)
    pairs = [Pair(rule, sensor_id) for rule in fires.values_list("rule", flat=True) if rule is not None]
    if pairs:
        evaluate(dict.fromkeys(pairs), Known())


def _has_to_tell(sensor: Sensor, now: datetime) -> bool:
    """Whether something is still to be told of the sensor: its notifications are deleted with its incidents.

    Those that are not in a delivery yet would be lost. After TELL_FOR the answer is no, even where nobody
    gathers.
    """
    if sensor.removal_requested_at is None or sensor.removal_requested_at <= now - TELL_FOR:
        return False
    waiting = Notification.objects.filter(incident__sensor=sensor.pk, delivery=None, channel__enabled=True)
    fires = Incident.objects.open().filter(sensor=sensor.pk, rule__isnull=False)
    return waiting.exists() or fires.exists()


def _delete(sensor: Sensor) -> bool:
    """Deletes the sensor; False where something of it is left, as what a batch that had begun before has
    stored meanwhile, or a rule that somebody has made for it."""
    with transaction.atomic(), connection.cursor() as cursor:
        # A refresh that has read its rows commits its rollups first; the next one finds no rows.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.REFRESH])
        # An evaluation locks these first, and may then refer to the sensor: so we lock them before that, too.
        states = AlertState.objects.filter(sensor=sensor.pk).order_by("rule", "subject")
        list(states.select_for_update().values_list("pk"))
        # Against the lock that ingest holds: who was storing has committed, who comes finds no sensor.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.SENSORS])
        for table, _ in [(MEASUREMENTS.name, ""), *_rollups()]:
            cursor.execute(f"SELECT 1 FROM {table} WHERE sensor_id = %s LIMIT 1", [sensor.pk])
            if cursor.fetchone():
                return False
        if AlertRule.objects.filter(sensor=sensor.pk).exists():
            return False
        # The database removes what is the sensor's, but not what belongs to that: notifications of its
        # incidents.
        Incident.objects.filter(sensor=sensor.pk).delete()
        # Not the ORM's delete(), which would look for what refers to it in every partition.
        cursor.execute("DELETE FROM monitoring_sensor WHERE id = %s", [sensor.pk])
        if not cursor.rowcount:
            return False
        GoneSpan.objects.filter(pk=sensor.pk).delete()
        RetentionRun.objects.note(RetentionRun.Kind.SENSOR, str(sensor.pk), 0)
    logger.info("sensor %d removed", sensor.pk)
    return True
