"""Where a rule stands with whom it holds for, and when that is to be looked at."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.rule import Phase


class AlertState(models.Model):
    """One row a rule and subject that was ever past a threshold, or falls due by time; whoever evaluates the
    two holds it. A subject without one is normal. Written by monitoring.alerts alone.

    `subject`: "sensor:3", "board:kitchen", "location:Hall", "pipeline:pending". `check_from`: readings
    came, or went, from this moment on, that nobody may have evaluated.
    """

    rule = models.ForeignKey("monitoring.AlertRule", on_delete=models.CASCADE, related_name="states")
    sensor = models.ForeignKey(
        "monitoring.Sensor", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    subject = models.CharField(max_length=220)
    phase = models.CharField(
        max_length=8, choices=[(one.value, one.value) for one in Phase], default=Phase.NORMAL.value
    )
    since = models.DateTimeField(null=True)
    fired_at = models.DateTimeField(null=True)
    value = models.FloatField(null=True)
    peak = models.FloatField(null=True)
    last = models.FloatField(null=True)
    clear_since = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    check_from = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("state of an alert rule")
        verbose_name_plural = _("states of alert rules")
        constraints = [models.UniqueConstraint(fields=["rule", "subject"], name="alert_state_once")]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="alert_state_due"),
            models.Index(fields=["sensor"], name="alert_state_sensor"),
        ]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.subject}: {self.phase}"
