"""Whom alerts are told to, what is to be told, and what was sent."""

import uuid
from datetime import UTC, datetime

from django.db import models
from django.utils.translation import gettext_lazy as _


class AlertChannel(models.Model):
    """`settings`: as monitoring.alerts.channels has it for each kind. `disabled_why`: of a failure for good;
    nothing is sent then until somebody switches it on again.

    `missed_since`, `missed_until`: when it was off, until it has been told of what it missed.
    """

    class Kind(models.TextChoices):
        EMAIL = "email", _("e-mail")
        WEBHOOK = "webhook", _("webhook")
        NTFY = "ntfy", "ntfy"
        TELEGRAM = "telegram", "Telegram"
        MQTT = "mqtt", _("MQTT topic")
        APPRISE = "apprise", "Apprise"

    name = models.CharField(_("name"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    settings = models.JSONField(_("settings"), default=dict)
    enabled = models.BooleanField(_("enabled"), default=True)
    group_s = models.PositiveIntegerField(
        _("gather for (s)"),
        default=10,
        help_text=_("What happens within so many seconds is told in one message."),
    )
    language = models.CharField(_("language"), max_length=8, blank=True)
    disabled_why = models.CharField(_("why it is off"), max_length=500, blank=True)
    disabled_at = models.DateTimeField(_("off since"), null=True, editable=False)
    missed_since = models.DateTimeField(null=True, editable=False)
    missed_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)

    class Meta:
        verbose_name = _("alert channel")
        verbose_name_plural = _("alert channels")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def switch(self, *, on: bool, why: str = "") -> None:
        """After it was off, for whatever reason, or on. `why`: it failed for good. Saves nothing."""
        now = datetime.now(UTC)
        if on:
            self.missed_since = self.missed_since or self.disabled_at or self.created_at
            self.missed_until = now
        self.enabled, self.disabled_why, self.disabled_at = on, why[:500], None if on else now


class Delivery(models.Model):
    """One message to one channel. Its id is the idempotency key; retries keep it and the message."""

    class State(models.TextChoices):
        PENDING = "pending", _("waiting")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")

    id = models.UUIDField(_("key"), primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(
        AlertChannel, verbose_name=_("channel"), on_delete=models.CASCADE, related_name="deliveries"
    )
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.PENDING)
    is_test = models.BooleanField(default=False)
    message = models.JSONField(default=dict)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    next_at = models.DateTimeField(_("next try"), null=True)
    error = models.CharField(_("error"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    sent_at = models.DateTimeField(_("sent"), null=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["next_at"], condition=models.Q(state="pending"), name="delivery_due"),
            models.Index(fields=["created_at", "id"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.state}"


class Notification(models.Model):
    """That one channel is to be told of one change of one incident: made in the transaction of the change."""

    class Event(models.TextChoices):
        FIRING = "firing", _("firing")
        RESOLVED = "resolved", _("resolved")
        AGAIN = "again", _("still firing")

    incident = models.ForeignKey(
        "monitoring.Incident", on_delete=models.CASCADE, related_name="notifications"
    )
    sequence = models.PositiveIntegerField()
    event = models.CharField(_("event"), max_length=8, choices=Event.choices)
    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="notifications")
    # It goes with its delivery: without one it would wait to be sent.
    delivery = models.ForeignKey(Delivery, null=True, on_delete=models.CASCADE, related_name="notifications")
    created_at = models.DateTimeField(_("made"), auto_now_add=True)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints = [
            models.UniqueConstraint(fields=["incident", "sequence", "channel"], name="notification_once")
        ]
        indexes = [
            models.Index(
                fields=["channel", "created_at"],
                condition=models.Q(delivery__isnull=True),
                name="notification_waiting",
            )
        ]

    def __str__(self) -> str:
        return f"{self.incident_id}/{self.sequence} {self.event}"
