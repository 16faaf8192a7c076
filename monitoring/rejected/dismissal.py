"""Rejected messages that somebody sets aside, with a reason. They stay for as long as the others do."""

from collections.abc import Callable, Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from monitoring.models import RejectedMessage
from monitoring.models.rejected import Standing


def dismiss(
    ids: Sequence[int], by: User | None, reason: str, note: Callable[[int], None] = lambda count: None
) -> int:
    """Dismisses those of the messages that wait; returns how many. `note` is told in the transaction."""
    with transaction.atomic():
        rows = list(RejectedMessage.objects.waiting().filter(pk__in=ids).order_by("pk").select_for_update())
        settled = []
        for row in rows:
            before = Standing.of(row)
            row.state = RejectedMessage.State.DISMISSED
            row.replayed_by_id = by.pk if by else None
            row.replayed_at = timezone.now()
            row.outcome = reason
            settled.append((before, row))
        RejectedMessage.objects.settle(settled)
        note(len(rows))
    return len(rows)
