"""What a person does about an incident."""

from datetime import UTC, datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from monitoring.models import Incident

LONGEST_COMMENT = 2000


@transaction.atomic
def acknowledge(incident: Incident, user: AbstractBaseUser | None, comment: str = "") -> None:
    """Acknowledges an incident: there are no more reminders of it, but people are told when it resolves.

    Changes the instance as well as its row. Acknowledged again, it keeps who did so first and when, and the
    new comment replaces the old one. Raises ValueError where the comment is too long.
    """
    comment = comment.strip()
    if len(comment) > LONGEST_COMMENT:
        raise ValueError(f"a comment has at most {LONGEST_COMMENT} characters")
    # What is evaluated meanwhile writes other columns of it.
    held = Incident.objects.select_for_update().get(pk=incident.pk)
    if held.acknowledged_at is None:
        held.acknowledged_at = datetime.now(UTC)
        held.acknowledged_by_id = user.pk if user is not None else None
    held.comment = comment or held.comment
    held.save(update_fields=["acknowledged_at", "acknowledged_by", "comment"])
    for name in ("acknowledged_at", "acknowledged_by_id", "comment"):
        setattr(incident, name, getattr(held, name))
