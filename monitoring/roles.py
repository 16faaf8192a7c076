"""The groups that an installation begins with. What each may do is then its admin's to change."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q

VIEWER, OPERATOR = "viewer", "operator"
# Beside what a viewer may see.
OPERATOR_MAY = (
    "add_sensor",
    "change_sensor",
    "delete_sensor",
    "add_measurement",
    "delete_measurement",
    # Replay, dismiss, block.
    "change_rejectedmessage",
    # Their own tokens alone: monitoring/admin/accounts.py.
    "view_token",
    "add_token",
    "delete_token",
)


def make_groups(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    """Called after `migrate`. A group that stands is left as it is."""
    from django.contrib.auth.models import Group, Permission

    own = Permission.objects.using(using).filter(content_type__app_label="monitoring")
    seen = Q(codename__startswith="view_") & ~Q(codename="view_token")
    for name, may in ((VIEWER, seen), (OPERATOR, seen | Q(codename__in=OPERATOR_MAY))):
        group, made = Group.objects.using(using).get_or_create(name=name)
        if made:
            group.permissions.set(own.filter(may))
