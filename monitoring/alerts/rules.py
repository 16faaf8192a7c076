"""A rule as somebody makes, changes or deletes it."""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from monitoring.alerts.evaluating import rule_changed
from monitoring.models import AlertChannel, AlertRule


def save(rule: AlertRule, channels: Iterable[AlertChannel], user: AbstractBaseUser | None) -> None:
    """Saves a rule, new or changed, with its channels. Raises ValidationError by field.

    A rule that says something else than before begins anew: what the old one found ends.
    """
    rule.full_clean()
    with transaction.atomic():
        before = _held(rule)
        if before is None:
            rule.created_by_id = user.pk if user else None
        else:
            # Somebody may have changed it since this one was read; no two of what it said have one version.
            rule.version, rule.active_from = before.version, before.active_from
        if before is not None and before.says() != rule.says():
            rule.renew()
            # Whoever was told that it fired is told that it no longer does; so before its channels change.
            rule_changed([before.pk], rule.active_from)
        rule.save()
        rule.channels.set(channels)


def delete(rule: AlertRule) -> None:
    """Deletes a rule. Its incidents stay; the open ones end, and whoever was told of them is told that."""
    with transaction.atomic():
        _held(rule)
        rule_changed([rule.pk])
        rule.delete()


def _held(rule: AlertRule) -> AlertRule | None:
    """Locks the rule, before the rows of its states; returns it as the database has it, or None.

    FOR NO KEY UPDATE: whoever evaluates the rule has locked those rows, and may then insert an incident that
    refers to the rule. With a stronger lock the two would deadlock.
    """
    return AlertRule.objects.select_for_update(no_key=True).filter(pk=rule.pk).first() if rule.pk else None
