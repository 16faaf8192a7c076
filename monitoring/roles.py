"""The groups that an installation begins with. What each may do is then its admin's to change."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q

VIEWER, OPERATOR = "viewer", "operator"
# Addresses of people, and what became of the messages to them.
CHANNELS = ("view_alertchannel", "view_delivery", "view_notification")
# Beside what a viewer may see.
OPERATOR_MAY = (
    "add_sensor",
    "change_sensor",
    "delete_sensor",
    "add_measurement",
    "delete_measurement",
    # Replay, dismiss, block.
    "change_rejectedmessage",
    # Alerts: what is looked for, whom nobody tells when, and that somebody sees to it. Whom a server sends
    # messages to, and with what secrets, is a superuser's to say.
    "add_alertrule",
    "change_alertrule",
    "delete_alertrule",
    "change_incident",
    "add_mute",
    "change_mute",
    "delete_mute",
    *CHANNELS,
    # Their own tokens alone: monitoring/admin/accounts.py.
    "view_token",
    "add_token",
    "delete_token",
)


def make_groups(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    """Called after `migrate`. A group that stands is left as it is."""
    from django.contrib.auth.models import Group, Permission

    own = Permission.objects.using(using).filter(content_type__app_label="monitoring")
    seen = Q(codename__startswith="view_") & ~Q(codename__in=("view_token", *CHANNELS))
    for name, may in ((VIEWER, seen), (OPERATOR, seen | Q(codename__in=OPERATOR_MAY))):
        group, made = Group.objects.using(using).get_or_create(name=name)
        if made:
            group.permissions.set(own.filter(may))
