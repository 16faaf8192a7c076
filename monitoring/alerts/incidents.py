"""What somebody does about an incident."""

from datetime import UTC, datetime

from django.contrib.auth.models import AbstractBaseUser

from monitoring.models import Incident


def acknowledge(incident: Incident, user: AbstractBaseUser, comment: str = "") -> None:
    incident.acknowledged_at = datetime.now(UTC)
    incident.acknowledged_by_id = user.pk
    incident.comment = comment
    incident.save(update_fields=["acknowledged_at", "acknowledged_by", "comment"])
