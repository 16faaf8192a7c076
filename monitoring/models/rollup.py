"""What the measurements of a minute, an hour or a day (UTC) come to, per sensor.

One table and one model a resolution, rather than one table with a column for it: each is partitioned
in a width of its own and dropped by a retention of its own, and a query names the one that it reads.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Rollup(models.Model):
    """A bucket: [start, start + its resolution). There is none where there is no measurement.

    Its identity, and PostgreSQL's primary key, is (sensor, start); nothing needs another. Django
    knows it so too, since a single field would let save() write over another sensor's bucket. The
    admin refuses such keys and lists none of these. Written by monitoring.rollups.refresh alone.
    """

    pk = models.CompositePrimaryKey("sensor", "start")
    sensor = models.ForeignKey(
        "monitoring.Sensor",
        verbose_name=_("sensor"),
        # As in Measurement: upkeep of partitions would wait for every reader of sensors.
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    start = models.DateTimeField(_("start"))
    count = models.PositiveBigIntegerField(_("count"))
    # Infinite or NaN where the values are beyond what can be added up: see monitoring.rollups.refresh.
    sum = models.FloatField(_("sum"))
    min = models.FloatField(_("minimum"))
    max = models.FloatField(_("maximum"))
    first = models.FloatField(_("first"))
    last = models.FloatField(_("last"))

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} ({self.count})"


class MinuteRollup(Rollup):
    class Meta:
        db_table = "monitoring_rollup_minute"
        verbose_name = _("minute")
        verbose_name_plural = _("minutes")


class HourRollup(Rollup):
    class Meta:
        db_table = "monitoring_rollup_hour"
        verbose_name = _("hour")
        verbose_name_plural = _("hours")


class DayRollup(Rollup):
    """A day of UTC; days of other zones are put together from hours (monitoring.rollups.series)."""

    class Meta:
        db_table = "monitoring_rollup_day"
        verbose_name = _("day")
        verbose_name_plural = _("days")
