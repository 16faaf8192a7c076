"""What is too old to be taken in, and what retention has taken away, and where."""

from datetime import datetime, timedelta

from django.db import connection, models
from django.utils.translation import gettext_lazy as _


def oldest_taken(days: int, now: datetime) -> datetime:
    """Where readings are kept for so many days, the oldest `created_at` that is not `too_old`.

    A day before retention would drop it: it would hardly have come before it went.
    """
    return now - timedelta(days=days - 1)


class RetentionRunQuerySet(models.QuerySet["RetentionRun"]):
    def note(
        self,
        kind: "RetentionRun.Kind",
        target: str,
        rows: int,
        first: datetime | None = None,
        last: datetime | None = None,
        freed: int = 0,
    ) -> None:
        """An upsert: adds to today's row of this kind and target. Call it in the transaction that deletes.

        `freed`: bytes given back to the file system.
        """
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, [kind.value, target, rows, freed, first, last])


# LEAST and GREATEST pass over NULL.
_NOTE = """
INSERT INTO monitoring_retentionrun AS run (day, kind, target, rows, freed, first, last, pieces, last_at)
VALUES ((now() AT TIME ZONE 'UTC')::date, %s, %s, %s, %s, %s, %s, 1, now())
ON CONFLICT (day, kind, target) DO UPDATE SET
    rows = run.rows + EXCLUDED.rows, freed = run.freed + EXCLUDED.freed,
    first = LEAST(run.first, EXCLUDED.first), last = GREATEST(run.last, EXCLUDED.last),
    pieces = run.pieces + 1, last_at = EXCLUDED.last_at
"""


class RetentionRun(models.Model):
    """What went on one day of one kind: a partition as a whole, or rows in pieces."""

    class Kind(models.TextChoices):
        PARTITION = "partition", _("partition dropped")
        SENSOR_ROWS = "sensor_rows", _("sensor's own retention")
        SENSOR = "sensor", _("sensor removed")
        REJECTED = "rejected", _("rejected messages")
        GAVE_WAY = "gave_way", _("rejected messages past REJECTED_MAX_BYTES")
        LEDGER = "ledger", _("ledger folded")

    day = models.DateField(_("day"))
    kind = models.CharField(_("what"), max_length=16, choices=Kind.choices)
    target = models.CharField(_("of"), max_length=200, blank=True)
    rows = models.PositiveBigIntegerField(
        _("rows"), help_text=_("Of a partition, what PostgreSQL's statistics say.")
    )
    freed = models.PositiveBigIntegerField(
        _("bytes given back"),
        help_text=_("To the file system. Where rows go in pieces, their space is used again instead."),
    )
    first = models.DateTimeField(_("from"), null=True)
    last = models.DateTimeField(_("to"), null=True)
    pieces = models.PositiveIntegerField(_("pieces"))
    last_at = models.DateTimeField(_("at"))

    objects = RetentionRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retention")
        constraints = [models.UniqueConstraint(fields=["day", "kind", "target"], name="retention_of_day")]
        indexes = [
            # Newest first, in the admin.
            models.Index(fields=["last_at", "id"], name="retention_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.target}".rstrip()


class GoneSpanQuerySet(models.QuerySet["GoneSpan"]):
    def widen(self, sensor_id: int, start: datetime, until: datetime) -> None:
        """Adds [start, until) to what has gone of a sensor, or of all (0).

        Call it in the transaction that takes the rows away, or before it, once a refresh has taken what
        is pending there (monitoring.rollups.refresh.refresh_span) and while that keeps other refreshes out.
        """
        with connection.cursor() as cursor:
            cursor.execute(_WIDEN, [sensor_id, start, until])


_WIDEN = """
INSERT INTO monitoring_gonespan AS gone (sensor_id, start, until) VALUES (%s, %s, %s)
ON CONFLICT (sensor_id) DO UPDATE SET
    start = LEAST(gone.start, EXCLUDED.start), until = GREATEST(gone.until, EXCLUDED.until)
"""


class GoneSpan(models.Model):
    """A tombstone of what retention took away: from the first to the last moment of those measurements.

    In it rows may be missing that the rollups have seen, so no bucket there is computed again, and a
    series reads the buckets rather than the rows. It only ever grows: a retention that is lengthened
    brings no row back.
    """

    sensor_id = models.PositiveBigIntegerField(
        _("sensor"), primary_key=True, help_text=_("0: all of them, as whole partitions.")
    )
    start = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("to"))

    objects = GoneSpanQuerySet.as_manager()

    class Meta:
        verbose_name = _("span whose rows have gone")
        verbose_name_plural = _("spans whose rows have gone")

    def __str__(self) -> str:
        return f"{self.sensor_id or 'all'}: {self.start:%Y-%m-%d} - {self.until:%Y-%m-%d}"
