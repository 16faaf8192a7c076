"""A rule as somebody makes, changes or deletes it."""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from monitoring.alerts.evaluating import rule_changed
from monitoring.models import AlertChannel, AlertRule


def save(rule: AlertRule, channels: Iterable[AlertChannel], user: AbstractBaseUser | None) -> None:
    """Raises ValidationError by field. One that says something else than before begins anew."""
    rule.full_clean()
    with transaction.atomic():
        before = AlertRule.objects.select_for_update().filter(pk=rule.pk).first() if rule.pk else None
        if before is None:
            rule.created_by_id = user.pk if user else None
        elif before.says() != rule.says():
            rule.renew()
            # Whoever was told that it fired is told that it no longer does; so before its channels change.
            rule_changed([before.pk], rule.active_from)
        rule.save()
        rule.channels.set(channels)


def delete(rule: AlertRule) -> None:
    """What it found stays; what of that is open ends, and whoever was told of it is told."""
    with transaction.atomic():
        rule_changed([rule.pk])
        rule.delete()
