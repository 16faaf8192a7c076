"""What somebody asked to do with many rejected messages at once, and how far that has come."""

from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class JobQuerySet(models.QuerySet["Job"]):
    def open(self) -> Self:
        """Those that are not through, first asked first."""
        return self.filter(finished_at__isnull=True).order_by("requested_at", "pk")


class Job(models.Model):
    """Of a selection of waiting messages: replay or dismiss them. Written by monitoring.rejected.jobs alone.

    `selection`: which, as monitoring.rejected.selection has it. `change`: how their readings are read, such
    as {"unit": "C", "becomes": "°C"}, or null.
    """

    class Kind(models.TextChoices):
        REPLAY = "replay", _("replay")
        DISMISS = "dismiss", _("dismiss")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("under way")
        STOPPED = "stopped", _("stopped")
        DONE = "done", _("done")

    kind = models.CharField(_("what"), max_length=16, choices=Kind.choices)
    selection = models.JSONField(_("which"), default=dict)
    change = models.JSONField(_("change"), null=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    # Who asked stays known when the account goes.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_by = models.CharField(_("requested by"), max_length=150)
    requested_at = models.DateTimeField(_("requested at"), auto_now_add=True)
    # The last message that it takes, and the last that it has dealt with; null before it has begun.
    last_id = models.BigIntegerField(_("last message"), null=True)
    position = models.BigIntegerField(_("place"), default=0)
    # Set before a piece, and back to zero after it: how often a worker has died at the piece that comes next.
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    total = models.PositiveBigIntegerField(_("messages"), default=0)
    dealt_with = models.PositiveBigIntegerField(_("dealt with"), default=0)
    stored = models.PositiveBigIntegerField(_("stored"), default=0)
    duplicates = models.PositiveBigIntegerField(_("duplicates"), default=0)
    rejected = models.PositiveBigIntegerField(_("rejected again"), default=0)
    dismissed = models.PositiveBigIntegerField(_("dismissed"), default=0)
    codes = models.JSONField(_("rejected again, by code"), default=dict)
    error = models.CharField(_("error"), max_length=500, blank=True)
    stop_requested = models.BooleanField(_("to be stopped"), default=False)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        indexes = [
            # What a worker goes on with.
            models.Index(
                fields=["requested_at", "id"], condition=models.Q(finished_at__isnull=True), name="jobs_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def state(self) -> "Job.State":
        if self.finished_at is not None:
            return self.State.STOPPED if self.stop_requested else self.State.DONE
        return self.State.WAITING if self.last_id is None else self.State.RUNNING
