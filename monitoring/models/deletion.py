"""What somebody asked to delete of a sensor's measurements, and what came of it."""

from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _


class DeletionQuerySet(models.QuerySet["Deletion"]):
    def open(self) -> Self:
        """Those that are not through, first asked first."""
        return self.filter(finished_at__isnull=True).order_by("requested_at", "pk")


class Deletion(models.Model):
    """False readings of one sensor: those of [start, until), of them those with a value from `low` to `high`.

    It stays for good, whatever becomes of the sensor and of who asked: so both stand here by themselves,
    and not as references. Written by monitoring.upkeep.deleting alone.
    """

    sensor_id = models.PositiveBigIntegerField(_("sensor"))
    start = models.DateTimeField(_("from"))
    until = models.DateTimeField(_("to"), help_text=_("Not included."))
    low = models.FloatField(
        _("lowest value"), null=True, blank=True, help_text=_("Included; empty: however low.")
    )
    high = models.FloatField(
        _("highest value"), null=True, blank=True, help_text=_("Included; empty: however high.")
    )
    requested_by = models.CharField(_("requested by"), max_length=150, editable=False)
    requested_at = models.DateTimeField(_("requested at"), auto_now_add=True)
    # Where the job goes on; null before its first piece.
    position = models.DateTimeField(null=True, editable=False)
    deleted = models.PositiveBigIntegerField(_("deleted"), default=0, editable=False)
    first = models.DateTimeField(_("first"), null=True, editable=False)
    last = models.DateTimeField(_("last"), null=True, editable=False)
    frozen = models.PositiveBigIntegerField(
        _("still in the rollups"),
        default=0,
        editable=False,
        help_text=_("Of those deleted. Where retention has taken rows away, no rollup is computed again."),
    )
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)

    objects = DeletionQuerySet.as_manager()

    class Meta:
        verbose_name = _("deletion")
        verbose_name_plural = _("deletions")
        indexes = [
            # One sensor's, newest first, in the API.
            models.Index(fields=["sensor_id", "id"], name="deletions_of_sensor"),
            # What the job goes on with.
            models.Index(
                fields=["requested_at", "id"],
                condition=models.Q(finished_at__isnull=True),
                name="deletions_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sensor_id}: {self.start:%Y-%m-%d %H:%M} - {self.until:%Y-%m-%d %H:%M}"
