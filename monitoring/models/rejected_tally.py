"""How many were rejected, by code and hour, and what has become of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypedDict, cast

from django.db import connection, models
from django.utils.translation import gettext_lazy as _


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


class Seen(TypedDict):
    """Readings. `kept`: with their payload, at first. `given_way`: of those, deleted to make room."""

    seen: int
    kept: int
    given_way: int
    waiting: int
    replayed: int
    dismissed: int


_COUNTS = tuple(Seen.__annotations__)
# By code and hour: {"waiting": -1, "replayed": 1}.
Changes = Mapping[tuple[str, datetime], Mapping[str, int]]


class RejectedTallyQuerySet(models.QuerySet["RejectedTally"]):
    def by_code(self) -> dict[str, Seen]:
        """Since the first day, by code: {"unknown_sensor": {"seen": 3, "kept": 2, "given_way": 0, ...}}."""
        with connection.cursor() as cursor:
            cursor.execute(_BY_CODE)
            return {
                code: cast(Seen, dict(zip(_COUNTS, map(int, counts), strict=True)))
                for code, *counts in cursor.fetchall()
            }

    def change(self, changes: Changes) -> None:
        """Adds to the counts of codes and hours; holds their rows until the transaction ends.

        Of an hour that has been folded the code's total is changed.
        """
        with connection.cursor() as cursor:
            for (code, hour), change in sorted(changes.items()):
                counts = {name: count for name, count in change.items() if count}
                if not counts:
                    continue
                cursor.execute(
                    _added("monitoring_rejectedtally", counts, "hour"), [*counts.values(), code, hour]
                )
                if cursor.rowcount:
                    continue
                of_total = {name: count for name, count in counts.items() if name in _COUNTS}
                values = list(of_total.values())
                if of_total:
                    cursor.execute(_added("monitoring_rejectedtotal", of_total), [*values, code])
                if not (of_total and cursor.rowcount) and min(values, default=0) >= 0:
                    names, marks = ", ".join(counts), ", ".join(["%s"] * len(counts))
                    cursor.execute(
                        f"INSERT INTO monitoring_rejectedtally (code, hour, {names})"
                        f" VALUES (%s, %s, {marks})",
                        [code, hour, *counts.values()],
                    )

    def held_bytes(self) -> int:
        """What all rejected messages take in the database."""
        return int(self.aggregate(sum=models.Sum("held_bytes"))["sum"] or 0)

    def fold(self, before: datetime, limit: int) -> int:
        """Adds the oldest hours before `before`, so many rows at most, to their code's total, and deletes
        them; returns how many. One statement, so that the sums never change."""
        with connection.cursor() as cursor:
            cursor.execute(_FOLD, [before, limit])
            return int(cursor.fetchone()[0])


def _added(table: str, counts: Iterable[str], *keys: str) -> str:
    added = ", ".join(f"{name} = GREATEST(0, {name} + %s)" for name in counts)
    return f"UPDATE {table} SET {added} WHERE " + " AND ".join(f"{key} = %s" for key in ("code", *keys))


_NAMES = ", ".join(_COUNTS)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _COUNTS)

_ADDED = ", ".join(f"{name} = total.{name} + EXCLUDED.{name}" for name in _COUNTS)

_BY_CODE = f"""
SELECT code, {_SUMS} FROM (
    SELECT code, {_NAMES} FROM monitoring_rejectedtally
    UNION ALL SELECT code, {_NAMES} FROM monitoring_rejectedtotal
) AS both_sides GROUP BY code ORDER BY code
"""

_FOLD = f"""
WITH piece AS (
    DELETE FROM monitoring_rejectedtally WHERE id IN (
        SELECT id FROM monitoring_rejectedtally WHERE hour < %s
        ORDER BY hour, id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING code, {_NAMES}
), added AS (
    INSERT INTO monitoring_rejectedtotal AS total (code, {_NAMES})
    SELECT code, {_SUMS} FROM piece GROUP BY code
    ON CONFLICT (code) DO UPDATE SET {_ADDED}
)
SELECT count(*) FROM piece
"""


class RejectedTally(models.Model):
    """How many were rejected with a code in an hour, and how many of them were kept with their payload.

    What is kept for one code and hour is capped (REJECTED_MAX_BYTES_PER_HOUR), so that a flood of garbage
    from a public broker does not fill the disk; past the cap it is counted here. What all of them hold is
    too (REJECTED_MAX_BYTES, monitoring.upkeep.giving_way). Bytes are what rows cost in the database. Kept for
    as long as rejected messages are, and then added to RejectedTotal.
    """

    code = models.CharField(_("code"), max_length=32)
    hour = models.DateTimeField(_("hour"))
    seen = models.PositiveBigIntegerField(_("seen"), default=0, db_default=0)
    kept = models.PositiveBigIntegerField(_("kept"), default=0, db_default=0)
    kept_bytes = models.PositiveBigIntegerField(_("bytes kept"), default=0, db_default=0)
    held_bytes = models.PositiveBigIntegerField(
        _("bytes held"), default=0, db_default=0, help_text=_("What is still there of the bytes kept.")
    )
    given_way = models.PositiveBigIntegerField(
        _("given way"),
        default=0,
        db_default=0,
        help_text=_("Kept at first, and deleted since all rejected messages together took too much."),
    )
    # Readings of the rows that wait, by the code that a row as a whole has, and what was decided of others.
    waiting = models.PositiveBigIntegerField(_("waiting"), default=0, db_default=0)
    replayed = models.PositiveBigIntegerField(_("replayed"), default=0, db_default=0)
    dismissed = models.PositiveBigIntegerField(_("dismissed"), default=0, db_default=0)

    objects = RejectedTallyQuerySet.as_manager()

    class Meta:
        verbose_name = _("rejected by hour")
        verbose_name_plural = _("rejected by hour")
        constraints = [models.UniqueConstraint(fields=["code", "hour"], name="rejected_tally_of_hour")]

    def __str__(self) -> str:
        return f"{self.code} {self.hour:%Y-%m-%d %H}h: {self.seen}"


class RejectedTotal(models.Model):
    """What the hours that are no longer kept one by one come to, so that the sums hold for ever."""

    code = models.CharField(_("code"), max_length=32, primary_key=True)
    seen = models.PositiveBigIntegerField(_("seen"))
    kept = models.PositiveBigIntegerField(_("kept"))
    given_way = models.PositiveBigIntegerField(_("given way"), default=0, db_default=0)
    waiting = models.PositiveBigIntegerField(_("waiting"), default=0, db_default=0)
    replayed = models.PositiveBigIntegerField(_("replayed"), default=0, db_default=0)
    dismissed = models.PositiveBigIntegerField(_("dismissed"), default=0, db_default=0)

    class Meta:
        verbose_name = _("rejected in all hours before")
        verbose_name_plural = _("rejected in all hours before")

    def __str__(self) -> str:
        return f"{self.code}: {self.seen}"


class RejectedMinute(models.Model):
    """How many readings were refused with a code by the batches that were ingested within a minute.

    For the picture of the last hours: kept for two days. `start` counts as IngestTotal's does, so a minute's
    codes come to what the ledger's batches of that minute say was rejected.
    """

    start = models.DateTimeField(_("start"))
    code = models.CharField(_("code"), max_length=32)
    seen = models.PositiveBigIntegerField(_("seen"))

    class Meta:
        verbose_name = _("rejected by minute")
        verbose_name_plural = _("rejected by minute")
        constraints = [models.UniqueConstraint(fields=["start", "code"], name="rejected_minute_of_code")]

    def __str__(self) -> str:
        return f"{self.code} {self.start:%Y-%m-%d %H:%M}: {self.seen}"
