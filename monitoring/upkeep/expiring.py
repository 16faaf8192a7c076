"""The story of rows that go before their partition does: of sensors kept for less time, and rejected ones.

Deleted in pieces, for a share of time, oldest first. What is due is read from the tables, so runs are
idempotent: one that was killed, missed or started twice does no harm.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from monitoring import locks
from monitoring.alerts import outbox
from monitoring.models import (
    Measurement,
    RejectedMessage,
    RejectedMinute,
    RejectedTally,
    RetentionRun,
    Sensor,
)
from monitoring.rollups.refresh import freeze, refresh_span
from monitoring.span import Span
from monitoring.upkeep import folding
from monitoring.upkeep.pieces import PIECE, TimeShare, in_pieces

# How long what retention did is remembered.
KEEP_RUNS = timedelta(days=400)
# A picture of the last day, and some.
KEEP_MINUTES_OF_CODES = timedelta(days=2)


class Expired(NamedTuple):
    """Rows that go in pieces."""

    kind: RetentionRun.Kind
    target: str
    rows: int
    first: datetime | None
    last: datetime | None


def expired(now: datetime | None = None) -> list[Expired]:
    """What would go in pieces, counted exactly: reads all of it."""
    now = now or datetime.now(UTC)
    found = [
        _count(
            RetentionRun.Kind.SENSOR_ROWS,
            str(sensor.pk),
            "monitoring_measurement WHERE sensor_id = %s AND created_at < %s",
            "created_at",
            [sensor.pk, edge],
        )
        for sensor, edge in _kept_shorter(now)
    ]
    edge = now - timedelta(days=settings.REJECTED_RETENTION_DAYS)
    rejected = "monitoring_rejectedmessage WHERE received_at < %s"
    found.append(_count(RetentionRun.Kind.REJECTED, "", rejected, "received_at", [edge]))
    found.append(Expired(RetentionRun.Kind.LEDGER, "", *folding.due(now)))
    return [one for one in found if one.rows]


def _count(
    kind: RetentionRun.Kind, target: str, where: str, column: str, parameters: list[int | datetime]
) -> Expired:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), min({column}), max({column}) FROM {where}", parameters)
        return Expired(kind, target, *cursor.fetchone())


def _kept_shorter(now: datetime) -> list[tuple[Sensor, datetime]]:
    """The sensors that are kept for less time than the rest, each with its edge."""
    shorter = Sensor.objects.present().filter(retention_days__lt=settings.RETENTION_DAYS).order_by("pk")
    return [(sensor, now - timedelta(days=sensor.retention_days or 0)) for sensor in shorter]


def delete_expired(share: TimeShare, now: datetime | None = None) -> dict[str, int]:
    """Deletes what is due in pieces; returns how many rows of each kind, such as {"rejected": 5000}."""
    now = now or datetime.now(UTC)
    deleted = {"sensor_rows": 0, "rejected": 0}
    shorter = _with_rows_past(now)
    if shorter:
        # Once for all of them, so that each piece finds little that is pending.
        refresh_span(min(oldest for *_, oldest in shorter), max(edge for _, edge, _ in shorter))
    for sensor_id, edge, _ in shorter:
        if share.is_used:
            break
        deleted["sensor_rows"] += in_pieces(locks.EXPIRE, rows_of_sensor(sensor_id, edge), share)
    edge = now - timedelta(days=settings.REJECTED_RETENTION_DAYS)
    deleted["rejected"] = in_pieces(locks.EXPIRE, lambda: _delete_rejected(edge), share)
    # Not the hour that the edge lies in: rows of it are still held.
    whole = edge - timedelta(hours=1)
    in_pieces(locks.EXPIRE, lambda: RejectedTally.objects.fold(whole, PIECE), share)
    outbox.forget(now)
    RejectedMinute.objects.filter(start__lt=now - KEEP_MINUTES_OF_CODES).delete()
    RetentionRun.objects.filter(last_at__lt=now - KEEP_RUNS).delete()
    return deleted


def _with_rows_past(now: datetime) -> list[tuple[int, datetime, datetime]]:
    """The sensors that have rows past their own retention, each with its edge and its oldest row.

    Whose oldest row is oldest comes first, so that none is passed over for ever where time is short. A
    look-up in the index a sensor.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WITH_ROWS_PAST, {"now": now, "days": settings.RETENTION_DAYS})
        return list(cursor.fetchall())


_WITH_ROWS_PAST = """
SELECT sensor.id, sensor.edge, oldest.created_at FROM (
    SELECT id, %(now)s::timestamptz - retention_days * interval '24 hours' AS edge
    FROM monitoring_sensor
    WHERE retention_days < %(days)s AND removal_requested_at IS NULL
) AS sensor CROSS JOIN LATERAL (
    SELECT created_at FROM monitoring_measurement
    WHERE sensor_id = sensor.id AND created_at < sensor.edge ORDER BY created_at LIMIT 1
) AS oldest
ORDER BY oldest.created_at, sensor.id
"""


def rows_of_sensor(
    sensor_id: int, edge: datetime, kind: RetentionRun.Kind = RetentionRun.Kind.SENSOR_ROWS
) -> Callable[[], int]:
    """A piece: deletes the sensor's oldest measurements before `edge`, and returns how many.

    Each call begins where the one before ended, rather than at index entries of rows just deleted. Where
    the sensor stays, their rollups are brought up to date first and frozen with them.
    """
    done_until: datetime | None = None

    def piece() -> int:
        nonlocal done_until
        rows = Measurement.objects.filter(sensor_id=sensor_id, created_at__lt=edge)
        if done_until is not None:
            rows = rows.filter(created_at__gte=done_until)
        moments = rows.order_by("created_at").values_list("created_at", flat=True)
        first = moments.first()
        if first is None:
            return 0
        until = moments[PIECE : PIECE + 1].first() or edge
        if kind is RetentionRun.Kind.SENSOR_ROWS:
            freeze(sensor_id, Span(first, until))
        # Said with both ends, the partitions before and after are left out.
        deleted, last = _delete_measurements(sensor_id, first, until)
        done_until = until
        RetentionRun.objects.note(kind, str(sensor_id), deleted, first, last)
        return deleted

    return piece


def _delete_measurements(sensor_id: int, start: datetime, end: datetime) -> tuple[int, datetime]:
    """How many, and the last moment of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH piece AS (DELETE FROM monitoring_measurement"
            " WHERE sensor_id = %s AND created_at >= %s AND created_at < %s RETURNING created_at)"
            " SELECT count(*), max(created_at) FROM piece",
            [sensor_id, start, end],
        )
        count, last = cursor.fetchone()
        return int(count), last


def _delete_rejected(edge: datetime) -> int:
    gone = RejectedMessage.objects.delete_oldest("received_at < %s", [edge], PIECE)
    if gone.rows:
        RetentionRun.objects.note(RetentionRun.Kind.REJECTED, "", gone.rows, gone.first, gone.last)
    return gone.rows
