"""What a program shows instead of a name and a password, and how much of its user's rights it carries."""

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken


class Scope(models.TextChoices):
    SEND = "send", _("send: measurements, and nothing else")
    READ = "read", _("read: everything that its user may see")
    MANAGE = "manage", _("manage: everything that its user may do")


class Token(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """A token of knox's (only its digest is kept) with a scope. It never allows what its user may not do."""

    scope = models.CharField(_("scope"), max_length=6, choices=Scope.choices, default=Scope.MANAGE)
    name = models.CharField(
        _("name"), max_length=100, blank=True, help_text=_("What it is for: a board, a script.")
    )

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.begins_with} ({self.scope}, {self.user})"

    def clean(self) -> None:
        if self.has_expired:
            raise ValidationError({"expiry": _("This moment is past.")})
        if self.scope == Scope.SEND and not self.user.has_perm("monitoring.add_measurement"):
            raise ValidationError(
                _(
                    "%(user)s may not send measurements: put them into the group operator, or give them the"
                    " permission to add measurements."
                ),
                params={"user": self.user.get_username()},
            )

    @property
    def has_expired(self) -> bool:
        return self.expiry is not None and self.expiry < timezone.now()

    @property
    def begins_with(self) -> str:
        return f"{self.token_key[:8]}…"
