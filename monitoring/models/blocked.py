"""Sensor ids that somebody does not want to hear of."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class BlockedSensor(models.Model):
    """An id that no sensor has, and whose messages are counted as rejected, and not kept.

    A change here changes the version of all sensors (monitoring.models.sensor), so that workers learn of it.
    """

    sensor_id = models.PositiveBigIntegerField(_("sensor"), primary_key=True)
    blocked_by = models.CharField(_("blocked by"), max_length=150)
    blocked_at = models.DateTimeField(_("blocked at"), auto_now_add=True)

    class Meta:
        verbose_name = _("blocked sensor")
        verbose_name_plural = _("blocked sensors")

    def __str__(self) -> str:
        return str(self.sensor_id)
