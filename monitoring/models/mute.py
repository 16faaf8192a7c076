"""When nobody wants to be told: a silence of alerts, once or every week, by the wall clock of a zone."""

from datetime import UTC, datetime
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

# Moments that each zone's calendar has, with room to both sides: those at its ends are none elsewhere.
EARLIEST, LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


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

    def clean(self) -> None:
        """Raises ValidationError by field where it could never hold, or not say when."""
        wrong: dict[str, object] = {}
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            wrong["ends_at"] = _("It ends after it begins.")
        for name, moment in (("starts_at", self.starts_at), ("ends_at", self.ends_at)):
            if moment is not None and not EARLIEST <= moment <= LATEST:
                wrong[name] = _("Give a moment between 1971 and 2200.")
        days = self.weekdays
        is_list = isinstance(days, list) and all(type(day) is int and 0 <= day <= 6 for day in days)
        if not is_list or len(set(days)) < len(days):
            wrong["weekdays"] = _("Give each day of the week once: a list of numbers from 0, Monday, to 6.")
        if self.from_time is not None and self.from_time == self.to_time:
            wrong["to_time"] = _("It ends at another time of day than it begins at.")
        if self.zone not in available_timezones():
            wrong["zone"] = _("No such time zone: a name such as Europe/Paris.")
        if wrong:
            raise ValidationError(wrong)
