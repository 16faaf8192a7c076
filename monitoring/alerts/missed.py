"""What a channel missed while it was off, told once it is on again.

While it is off nothing is noted for it, and what it was sent before may have failed. The job tells it:

- that an incident fires, where it does still, nobody has acknowledged it and nothing of that has reached the
  channel. What nobody was told of at all is for `telling.tell_held_back`, which tells everybody;
- that one is over which the channel was told of. What ended under a silence that holds is told to nobody.

What began and ended meanwhile is told to nobody.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Subquery

from monitoring.alerts import outbox
from monitoring.alerts.mutes import without_muted
from monitoring.models import AlertChannel, Delivery, Incident, Notification
from monitoring.models.incident import IncidentQuerySet

PIECE = 5_000
# For so long after it was switched on, whoever changes incidents may have seen that it was off.
SETTLES = timedelta(minutes=1)

_Event = Notification.Event


def tell(now: datetime) -> int:
    """Notes what channels missed that are on again; returns of how many incidents. Idempotent."""
    back = AlertChannel.objects.filter(enabled=True, missed_until__isnull=False)
    return sum(_tell_one(channel, now) for channel in back.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _tell_one(channel_id: int, now: datetime) -> int:
    locked = AlertChannel.objects.select_for_update(no_key=True, skip_locked=True)
    channel = locked.filter(pk=channel_id, enabled=True, missed_until__isnull=False).first()
    if channel is None:
        return 0
    told = 0
    for missed, event in ((_over(channel), _Event.RESOLVED), (_firing(channel), _Event.FIRING)):
        # What others have locked, and what is muted, waits for the next time.
        rows = without_muted(missed, now).select_for_update(skip_locked=True, of=("self",))
        told += outbox.note(list(rows.select_related("sensor").order_by("pk")[:PIECE]), event, channel)
    if channel.missed_until and now >= channel.missed_until + SETTLES and not _firing(channel).exists():
        channel.missed_since = channel.missed_until = None
        channel.save(update_fields=["missed_since", "missed_until"])
    return told


def _firing(channel: AlertChannel) -> IncidentQuerySet:
    return (
        _of_rules(channel, is_told=False)
        .open()
        .filter(part_of=None, acknowledged_at=None, told_at__isnull=False)
    )


def _over(channel: AlertChannel) -> IncidentQuerySet:
    of_channel = Notification.objects.filter(channel=channel)
    failed = of_channel.filter(
        incident=OuterRef("pk"), event=_Event.RESOLVED, delivery__state=Delivery.State.FAILED
    )
    ended = Q(ended_seen_at__range=(channel.missed_since, channel.missed_until))
    return (
        _of_rules(channel, is_told=True)
        .exclude(state=Incident.State.FIRING)
        .filter(ended | Exists(failed), pk__in=of_channel.values("incident"))
    )


def _of_rules(channel: AlertChannel, is_told: bool) -> IncidentQuerySet:
    """The incidents of the channel's rules of which the last that reached it, or is on its way, is that they
    fire, or not."""
    of_one = Notification.objects.filter(incident=OuterRef("pk"), channel=channel)
    reached = of_one.exclude(delivery__state=Delivery.State.FAILED).order_by("-sequence")
    incidents = Incident.objects.filter(rule__channels=channel)
    incidents = incidents.annotate(last_event=Subquery(reached.values("event")[:1]))
    fires = Q(last_event__in=(_Event.FIRING, _Event.AGAIN))
    return incidents.filter(fires if is_told else Q(last_event=None) | ~fires)
