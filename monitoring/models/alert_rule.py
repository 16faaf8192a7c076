"""What somebody wants to be told of: a rule, and whom it holds for."""

from datetime import UTC, datetime
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.rule import OF_READINGS, Kind

LONGEST_S = 31 * 86_400
# Of these a rule is made of; a change of one of them makes it another rule.
_SAYS = (
    *("kind", "enabled", "sensor_id", "sensor_kind", "location", "board_id", "high", "low"),
    *("clear_high", "clear_low", "for_s", "keep_s", "window_s", "limit_s", "intervals", "check_of"),
)


class AlertRuleQuerySet(models.QuerySet["AlertRule"]):
    def enabled(self) -> Self:
        return self.filter(enabled=True)


class AlertRule(models.Model):
    """`active_from`: what was over before that moment is none of its business; `version` changes with what
    the rule says, and with whom it holds for."""

    class Kind(models.TextChoices):
        ABOVE = Kind.ABOVE.value, _("above a value")
        BELOW = Kind.BELOW.value, _("below a value")
        OUTSIDE = Kind.OUTSIDE.value, _("outside a range")
        RATE = Kind.RATE.value, _("changes too fast")
        STUCK = Kind.STUCK.value, _("stuck at a value")
        SILENCE = Kind.SILENCE.value, _("silent")
        REJECTED = Kind.REJECTED.value, _("too much is rejected")
        BOARD = Kind.BOARD.value, _("board offline")
        PIPELINE = Kind.PIPELINE.value, _("the pipeline")

    class Check(models.TextChoices):
        """Of the pipeline."""

        PENDING = "pending", _("batches wait too long")
        PROCESS = "process", _("a process is silent")
        BOOKS = "books", _("the books do not balance")

    class Severity(models.TextChoices):
        INFO = "info", _("information")
        WARNING = "warning", _("warning")
        CRITICAL = "critical", _("critical")

    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    enabled = models.BooleanField(_("enabled"), default=True)
    severity = models.CharField(
        _("severity"), max_length=8, choices=Severity.choices, default=Severity.WARNING
    )
    # Whom it holds for: all that fit; all sensors where all of it is empty.
    sensor = models.ForeignKey(
        "monitoring.Sensor",
        verbose_name=_("sensor"),
        null=True,
        blank=True,
        # The database has a foreign key of its own, with ON DELETE CASCADE, here and with what follows.
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="alert_rules",
        help_text=_("Empty: every sensor that fits the rest, those to come too."),
    )
    sensor_kind = models.CharField(_("kind of sensor"), max_length=64, blank=True)
    location = models.CharField(_("location"), max_length=200, blank=True)
    board = models.ForeignKey(
        "monitoring.Board",
        verbose_name=_("board"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="alert_rules",
    )
    high = models.FloatField(_("high"), null=True, blank=True)
    low = models.FloatField(_("low"), null=True, blank=True)
    clear_high = models.FloatField(_("clear at or below"), null=True, blank=True)
    clear_low = models.FloatField(_("clear at or above"), null=True, blank=True)
    for_s = models.PositiveIntegerField(
        _("for (s)"),
        default=0,
        validators=[MaxValueValidator(LONGEST_S)],
        help_text=_("Fires once it has held for so long, by the times of the measurements."),
    )
    keep_s = models.PositiveIntegerField(
        _("keep firing for (s)"),
        default=0,
        validators=[MaxValueValidator(LONGEST_S)],
        help_text=_("Goes on firing for so long after it is clear."),
    )
    window_s = models.PositiveIntegerField(
        _("window (s)"),
        default=0,
        validators=[MaxValueValidator(LONGEST_S)],
        help_text=_("Over which a rate, a stuck value or a share of rejected messages is measured."),
    )
    limit_s = models.PositiveIntegerField(
        _("silent after (s)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_S)],
        help_text=_("Empty: after so many of the sensor's expected intervals as the next field says."),
    )
    intervals = models.PositiveSmallIntegerField(
        _("expected intervals"), default=10, validators=[MinValueValidator(2), MaxValueValidator(1000)]
    )
    check_of = models.CharField(_("check"), max_length=8, choices=Check.choices, blank=True)
    channels = models.ManyToManyField(
        "monitoring.AlertChannel",
        verbose_name=_("channels"),
        blank=True,
        related_name="rules",
        help_text=_("Whom it tells; none: it is shown on the page alone."),
    )
    renotify_s = models.PositiveIntegerField(
        _("tell again after (s)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(60), MaxValueValidator(LONGEST_S)],
        help_text=_("While it fires and nobody has acknowledged it; empty: never."),
    )
    note = models.TextField(
        _("note"), blank=True, max_length=2000, help_text=_("What to do; sent with each notification.")
    )
    active_from = models.DateTimeField(default=timezone.now, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    objects = AlertRuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_of_readings(self) -> bool:
        return self.kind in OF_READINGS

    def says(self) -> tuple[object, ...]:
        """What makes it this rule: whoever changes any of it calls `renew`."""
        return tuple(getattr(self, name) for name in _SAYS)

    def renew(self, now: datetime | None = None) -> None:
        """It says something else from now on, and the next look closes what it found. Saves nothing."""
        self.active_from = now or datetime.now(UTC)
        self.version += 1

    def clean(self) -> None:
        """Raises ValidationError by field where it could never fire, or not say when."""
        wrong: dict[str, object] = {}
        kind = self.kind
        if kind in (Kind.ABOVE, Kind.OUTSIDE, Kind.REJECTED) and self.high is None:
            wrong["high"] = _("This kind of rule needs a value here.")
        if kind in (Kind.BELOW, Kind.OUTSIDE) and self.low is None:
            wrong["low"] = _("This kind of rule needs a value here.")
        if kind == Kind.RATE and self.high is None and self.low is None:
            wrong["high"] = _("Give the fastest rise, the fastest fall (negative), or both, per minute.")
        for name, unused in (("high", (Kind.BELOW,)), ("low", (Kind.ABOVE, Kind.STUCK, Kind.REJECTED))):
            if kind in unused and getattr(self, name) is not None:
                wrong[name] = _("This kind of rule has no such value.")
        if self.high is not None and self.low is not None and self.low >= self.high:
            wrong["low"] = _("The low value lies below the high one.")
        if self.clear_high is not None and (self.high is None or self.clear_high > self.high):
            wrong["clear_high"] = _("It is clear again at a value that lies below the high one.")
        if self.clear_low is not None and (self.low is None or self.clear_low < self.low):
            wrong["clear_low"] = _("It is clear again at a value that lies above the low one.")
        if self.clear_low is not None and self.clear_high is not None and self.clear_low > self.clear_high:
            wrong["clear_low"] = _("Between the two values there is none at which it is clear.")
        if kind == Kind.STUCK and self.high is not None and self.high < 0:
            wrong["high"] = _("How far values may lie apart is not negative.")
        if kind == Kind.REJECTED and self.high is not None and not 0 <= self.high < 1:
            wrong["high"] = _("A share lies between 0 and 1.")
        if kind in (Kind.RATE, Kind.STUCK, Kind.REJECTED) and not self.window_s:
            wrong["window_s"] = _("This kind of rule needs a window.")
        if (kind == Kind.PIPELINE) != bool(self.check_of):
            wrong["check_of"] = _("A rule of the pipeline, and no other, says what it checks.")
        if kind in (Kind.BOARD, Kind.PIPELINE) and (self.sensor_id or self.sensor_kind):
            wrong["sensor"] = _("This kind of rule is not of sensors.")
        if wrong:
            raise ValidationError(wrong)
