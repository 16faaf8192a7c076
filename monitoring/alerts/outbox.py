"""The story of what is told: noted with the change, gathered into a delivery, sent, and its receipt kept.

1. `note`, in the transaction that changes an incident: one notification a channel of its rule.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from django.db.models import Max

from monitoring.alerts.mutes import not_muted
from monitoring.models import AlertRule, Incident, Notification


def note(incidents: Sequence[Incident], event: Notification.Event) -> None:
    """That each channel of each incident's rule is to be told of its change, in the transaction that is open.

    Not of parts of another incident, nor of what is muted, nor to a channel that is off. That it resolved is
    told to those alone who were told that it fired. Called twice for one sequence, it notes it once; where
    the sequence stands for another event already, as of a reminder made meanwhile, the incident's grows.
    """
    now = datetime.now(UTC)
    told = not_muted([one for one in incidents if one.part_of_id is None and one.rule_id is not None], now)
    if not told:
        return
    channels = _channels_of({one.rule_id for one in told if one.rule_id is not None})
    told = [one for one in told if channels[one.rule_id or 0]]
    if not told:
        return
    _number(told, event)
    knows = _who_knows(told) if event == Notification.Event.RESOLVED else None
    rows = [
        Notification(incident=one, sequence=one.sequence, event=event, channel_id=channel)
        for one in told
        for channel in channels[one.rule_id or 0]
        if knows is None or (one.pk, channel) in knows
    ]
    if rows:
        Notification.objects.bulk_create(rows, ignore_conflicts=True)
        Incident.objects.filter(pk__in={row.incident_id for row in rows}).update(told_at=now)


def _channels_of(rules: set[int]) -> dict[int, list[int]]:
    """Ids of the channels that are on, by rule."""
    found: dict[int, list[int]] = defaultdict(list)
    pairs = AlertRule.channels.through.objects.filter(alertrule__in=rules, alertchannel__enabled=True)
    for rule, channel in pairs.order_by("alertchannel").values_list("alertrule", "alertchannel"):
        found[rule].append(channel)
    return found


def _number(incidents: Sequence[Incident], event: Notification.Event) -> None:
    """Holds the incidents until the transaction ends, so that no two changes take one sequence."""
    ids = [one.pk for one in incidents]
    list(Incident.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))
    taken = dict(
        Notification.objects.filter(incident__in=ids)
        .exclude(event=event)
        .values_list("incident")
        .annotate(Max("sequence"))
    )
    for one in incidents:
        least = max(one.sequence, taken.get(one.pk, 0) + 1)
        if least != one.sequence:
            one.sequence = least
            Incident.objects.filter(pk=one.pk).update(sequence=least)


def _who_knows(incidents: Sequence[Incident]) -> set[tuple[int, int]]:
    """(incident, channel) of those that were told, or are to be told, that it fires."""
    known = Notification.objects.filter(incident__in=[one.pk for one in incidents])
    return set(known.exclude(event=Notification.Event.RESOLVED).values_list("incident", "channel"))
