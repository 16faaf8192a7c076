"""What a channel missed, told once somebody has switched it on again.

While it is off nothing is noted for it, and what it was sent before may have failed.
"""

from django.db import transaction
from django.db.models import OuterRef, Q, Subquery

from monitoring.alerts import outbox
from monitoring.models import AlertChannel, Delivery, Incident, Notification


@transaction.atomic
def tell(channel: AlertChannel) -> int:
    """Notes it for a channel that is on; returns of how many incidents.

    That one fires, where it does still, nobody has acknowledged it and nothing of it has reached the channel;
    that one is over, where the channel was told that it fires. What began and ended meanwhile is told to
    nobody. Idempotent.
    """
    of_channel = Notification.objects.filter(incident=OuterRef("pk"), channel=channel)
    reached = of_channel.exclude(delivery__state=Delivery.State.FAILED)  # or is on its way
    last_event = Subquery(reached.order_by("-sequence").values("event")[:1])
    incidents = Incident.objects.filter(rule__channels=channel).annotate(last_event=last_event)
    knows = Q(last_event__in=(Notification.Event.FIRING, Notification.Event.AGAIN))
    fire = incidents.open().filter(Q(last_event=None) | ~knows, part_of=None, acknowledged_at=None)
    over = incidents.exclude(state=Incident.State.FIRING).filter(knows)
    return sum(
        outbox.note(list(found.select_related("sensor").order_by("pk")), event, channel)
        for found, event in ((fire, Notification.Event.FIRING), (over, Notification.Event.RESOLVED))
    )
