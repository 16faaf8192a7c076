"""What a person does about an incident."""

from datetime import UTC, datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from monitoring.models import Incident

LONGEST_COMMENT = 2000


@transaction.atomic
def acknowledge(incident: Incident, user: AbstractBaseUser | None, comment: str = "") -> None:
    """Somebody has seen to it: nobody is reminded of it any more, but told when it resolves.

    The incident is as it is kept from now on. Done again, who did so first and when stays, and a comment
    takes the place of the one before. Raises ValueError where the comment is too long.
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
