"""That a rule fired: when, for whom, and what came of it."""

from datetime import UTC, datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.alerts.rule import Span

# The subject of an incident of our own: what was sent is not stored yet, or was not taken at all.
BEHIND = "pipeline:behind"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class IncidentQuerySet(models.QuerySet["Incident"]):
    def open(self) -> Self:
        return self.filter(state=Incident.State.FIRING)

    def told(self) -> Self:
        """Without those that are part of another, which names them, and those that never were."""
        return self.filter(part_of__isnull=True).exclude(state=Incident.State.WITHDRAWN)

    def outages(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """When we ourselves took nothing, as far as that is kept (monitoring.alerts.fault) and lies between:
        in the order of time, apart from each other. By the index incident_behind."""
        rows = self.filter(subject=BEHIND, peak_at__isnull=False, since__lt=end).exclude(
            state=Incident.State.WITHDRAWN
        )
        rows = rows.filter(models.Q(resolved_at=None) | models.Q(resolved_at__gt=start))
        found: list[tuple[datetime, datetime]] = []
        for begun, over in rows.order_by("peak_at").values_list("peak_at", "resolved_at"):
            over = over or end
            if begun is None or over <= begun:
                continue
            if found and begun <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], over))
            else:
                found.append((begun, over))
        return found


class Incident(models.Model):
    """Written by monitoring.alerts alone. Its times are those of the measurements, but for `seen_at` and
    `ended_seen_at`, which say when we found out.

    `sequence`: one more with each change that somebody is told of. `title`: the rule's name when it fired,
    which stays when the rule goes. Of BEHIND, `peak_at` says from when on nothing was taken; None: all of it
    was, and is stored late.
    """

    class State(models.TextChoices):
        FIRING = "firing", _("firing")
        RESOLVED = "resolved", _("resolved")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class End(models.TextChoices):
        """Why it ended."""

        CLEAR = "clear", _("it is clear")
        LATE = "late", _("readings that came late show that it never was")
        CHANGED = "changed", _("the rule was changed, switched off or deleted")

    rule = models.ForeignKey(
        "monitoring.AlertRule",
        verbose_name=_("rule"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="incidents",
    )
    title = models.CharField(_("rule's name"), max_length=200)
    kind = models.CharField(max_length=16)
    severity = models.CharField(max_length=8)
    sensor = models.ForeignKey(
        "monitoring.Sensor",
        verbose_name=_("sensor"),
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="incidents",
    )
    subject = models.CharField(max_length=220)
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.FIRING)
    since = models.DateTimeField(_("since"), help_text=_("Of the reading that it began with."))
    fired_at = models.DateTimeField(_("fired"))
    resolved_at = models.DateTimeField(_("resolved"), null=True)
    seen_at = models.DateTimeField(_("seen"), help_text=_("When it was found; later, where data came late."))
    ended_seen_at = models.DateTimeField(null=True)
    end = models.CharField(_("why it ended"), max_length=8, choices=End.choices, blank=True)
    value = models.FloatField(_("value"), null=True)
    peak = models.FloatField(_("peak"), null=True)
    peak_at = models.DateTimeField(null=True)
    last = models.FloatField(_("last value"), null=True)
    sequence = models.PositiveIntegerField(default=1)
    told_at = models.DateTimeField(null=True, help_text=_("When a notification of it was last made."))
    part_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="parts")
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    comment = models.TextField(_("comment"), blank=True, max_length=2000)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        ordering = ["-since", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"],
                condition=models.Q(state="firing"),
                name="incident_open_once",
            ),
        ]
        indexes = [
            # What readings of a time have a part in: of a pair that is evaluated, and of a sensor.
            models.Index(fields=["rule", "subject", "resolved_at"], name="incident_of_pair"),
            models.Index(fields=["sensor", "resolved_at"], name="incident_ended_of_sensor"),
            # When a rule fired last, and before.
            models.Index(fields=["rule", "-since"], name="incident_of_rule"),
            models.Index(fields=["sensor", "since"], name="incident_of_sensor"),
            models.Index(fields=["since", "id"], name="incident_newest"),
            models.Index(fields=["since"], condition=models.Q(subject=BEHIND), name="incident_behind"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.subject})"

    @property
    def span(self) -> Span:
        """In microseconds since 1970, as the rules have it."""
        return Span(
            since=_us(self.since),
            fired_at=_us(self.fired_at),
            resolved_at=None if self.resolved_at is None else _us(self.resolved_at),
            value=self.value,
            peak=self.peak,
            last=self.last,
            peak_at=None if self.peak_at is None else _us(self.peak_at),
        )


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
