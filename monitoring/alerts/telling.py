"""The notification job: what a channel missed, reminders, what a silence held back; then all that waits is
gathered and sent."""

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Value
from django.db.models.query import QuerySet

from batches.store import BatchStore
from monitoring.alerts import heartbeat, missed, outbox
from monitoring.alerts.mutes import without_muted
from monitoring.models import AlertChannel, Incident, Notification
from monitoring.upkeep.pieces import TimeShare

PIECE = 5_000
# Whoever finds an incident tells of it; what nobody was told of for so long was muted, or had no channel.
HELD_BACK = timedelta(minutes=5)


def job(store: BatchStore, share: TimeShare) -> outbox.Sent:
    """The job that beat sends every few seconds; returns what it did."""
    now, sent = datetime.now(UTC), outbox.Sent()
    # Mostly there is nothing to do, and what follows is dear to find that out.
    if on := AlertChannel.objects.filter(enabled=True).values_list("missed_until", flat=True):
        if any(on):
            missed.tell(now)
        if Incident.objects.open().exists():
            remind(now)
            tell_held_back(now)
        if outbox.has_work():
            sent = outbox.work(share)
    heartbeat.beat(store, now)
    return sent


@transaction.atomic
def remind(now: datetime) -> int:
    """Makes reminders of incidents that still fire, that nobody has acknowledged, and that were told of as
    long ago as the rule says; returns how many. Those that others have locked wait for the next time."""
    due_at = ExpressionWrapper(
        F("told_at") + F("rule__renotify_s") * Value(timedelta(seconds=1)), output_field=DateTimeField()
    )
    due = _told_to_somebody().filter(rule__renotify_s__isnull=False).annotate(due_at=due_at)
    told = _held(due.filter(due_at__lte=now), now)
    for one in told:
        one.sequence += 1
    Incident.objects.bulk_update(told, ["sequence"])
    outbox.note(told, Notification.Event.AGAIN)
    return len(told)


@transaction.atomic
def tell_held_back(now: datetime) -> int:
    """Makes the first notification of incidents that fire and were muted when they began, or whose rule had
    no channel then; returns how many."""
    late = _told_to_somebody().filter(told_at=None, seen_at__lte=now - HELD_BACK)
    told = _held(late, now)
    outbox.note(told, Notification.Event.FIRING)
    return len(told)


def _told_to_somebody() -> QuerySet[Incident]:
    channels = AlertChannel.objects.filter(rules=OuterRef("rule"), enabled=True)
    return Incident.objects.open().filter(Exists(channels), part_of=None, acknowledged_at=None)


def _held(incidents: QuerySet[Incident], now: datetime) -> list[Incident]:
    """A piece of them, locked: none that is muted, of which there may be more than a piece for weeks."""
    rows = (
        without_muted(incidents, now)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("sensor")
    )
    return list(rows.order_by("pk")[:PIECE])
