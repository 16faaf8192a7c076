"""When nobody wants to be told: a silence of alerts, once or every week, by the wall clock of a zone."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Mute(models.Model):
    """It holds for what fits all that is given: a sensor, a location, a rule; everything where none is.

    Once: from `starts_at` to `ends_at`. Every week: besides on `weekdays` (0 is Monday), from `from_time` to
    `to_time` of the zone's wall clock, past midnight where that is not later. Incidents are kept and shown
    while it holds; nobody is told.
    """

    sensor = models.ForeignKey(
        "monitoring.Sensor",
        verbose_name=_("sensor"),
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="mutes",
    )
    location = models.CharField(_("location"), max_length=200, blank=True)
    rule = models.ForeignKey(
        "monitoring.AlertRule",
        verbose_name=_("rule"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="mutes",
    )
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"), null=True, blank=True, help_text=_("Empty: until it is ended."))
    weekdays = models.JSONField(_("on weekdays"), default=list, blank=True)
    from_time = models.TimeField(_("from (time of day)"), null=True, blank=True)
    to_time = models.TimeField(_("to (time of day)"), null=True, blank=True)
    zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    comment = models.CharField(_("comment"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("silence of alerts")
        verbose_name_plural = _("silences of alerts")
        ordering = ["-starts_at"]

    def __str__(self) -> str:
        return self.comment or f"{self.starts_at:%Y-%m-%d %H:%M}"
