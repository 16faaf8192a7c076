"""The transactional outbox: what is told is noted with the change, gathered into deliveries, sent, and a
receipt kept. Delivery is at least once.

1. `note`, in the transaction that changes an incident: one notification a channel of its rule.
2. `gather`: the notifications that wait for a channel become one delivery, with its message, once the first
   of them has waited for as long as the channel gathers, and no other delivery to it is under way.
3. `send_due`: a delivery is taken under a lease, sent outside of any transaction, and its outcome noted. If
   the process dies in between, another one sends it once the lease has run out. Its idempotency key and its
   message stay the same, so a receiver that deduplicates by keys acts on it once.
4. A transient failure is retried with exponential backoff, for a day. Where it is for good, and the channel's
   own, the channel is switched off, with the reason.
"""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Thread
from uuid import uuid4

from celery import current_app
from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef
from django.utils.translation import gettext

from batches.queues import UPKEEP_QUEUE
from monitoring import locks
from monitoring.alerts import channels
from monitoring.alerts.channels import NotSentError
from monitoring.alerts.message import NAMES, Event, Message, Story, compose, compose_test, who
from monitoring.alerts.mutes import not_muted
from monitoring.models import AlertChannel, AlertRule, Delivery, Incident, Notification
from monitoring.upkeep.pieces import TimeShare, alone
from monitoring.upkeep.schedule import SEND_ALERTS
from process.failpoints import failpoint

logger = logging.getLogger(__name__)

# An attempt that takes longer has failed, whatever becomes of it. Most end before (channels/http.py: 20 s),
# but nobody can cut short how a name is looked up, or what apprise does.
LONGEST_TRY_S = 25.0
# Longer than an attempt is waited for, so that it does not run out meanwhile.
LEASE = timedelta(seconds=45)
# Deliveries, each to another channel, that are sent at the same time.
AT_ONCE = 8
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 3600.0
TRY_FOR = timedelta(days=1)
KEEP = timedelta(days=30)
# A channel that gathers for as long or longer waits for beat, which comes every 10 s.
BEAT_WILL_DO_S = 10
_called_at = -1.0


def note(incidents: Sequence[Incident], event: Notification.Event, only: AlertChannel | None = None) -> int:
    """Makes a notification to each channel of each incident's rule, in the transaction that is open; returns
    of how many incidents.

    None that a part of another incident fires, none of what is muted, and none to a channel that is off. That
    it resolved is told only to those who were told that it fired. Idempotent: called twice for one sequence,
    it makes one. Where the sequence stands for another event already, as for a reminder made meanwhile, the
    incident gets the next one.

    `only`: to this channel alone, in a sequence that is new, since what was noted for it may have failed. For
    the others it stays told, or not, as it was.
    """
    now = datetime.now(UTC)
    is_end = event == Notification.Event.RESOLVED
    # A part may have been told by itself, before there were enough that made a whole.
    tellable = [one for one in incidents if one.rule_id is not None and (is_end or one.part_of_id is None)]
    told = not_muted(tellable, now) if tellable else []
    if not told:
        return 0
    channels = _channels_of({one.rule_id for one in told if one.rule_id is not None}, only)
    told = [one for one in told if channels[one.rule_id or 0]]
    if not told:
        return 0
    _number(told, event, anew=only is not None or event == Notification.Event.AGAIN)
    knows = _who_knows(told) if is_end else None
    rows = [
        Notification(incident=one, sequence=one.sequence, event=event, channel_id=channel)
        for one in told
        for channel in channels[one.rule_id or 0]
        if knows is None or (one.pk, channel) in knows
    ]
    if rows:
        Notification.objects.bulk_create(rows, ignore_conflicts=True)
        noted = {row.incident_id for row in rows}
        if only is None:
            Incident.objects.filter(pk__in=noted).update(told_at=now)
            for one in told:
                if one.pk in noted:
                    one.told_at = now
        _call_soon({row.channel_id for row in rows})
    return len({row.incident_id for row in rows})


def _channels_of(rules: set[int], only: AlertChannel | None) -> dict[int, list[int]]:
    """Ids of the channels that are on, by rule."""
    found: dict[int, list[int]] = defaultdict(list)
    pairs = AlertRule.channels.through.objects.filter(alertrule__in=rules, alertchannel__enabled=True)
    if only is not None:
        pairs = pairs.filter(alertchannel=only)
    for rule, channel in pairs.order_by("alertchannel").values_list("alertrule", "alertchannel"):
        found[rule].append(channel)
    return found


def _number(incidents: Sequence[Incident], event: Notification.Event, anew: bool) -> None:
    """Holds the incidents until the transaction ends, so that no two changes take one sequence."""
    ids = [one.pk for one in incidents]
    list(Incident.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))
    others = Notification.objects.filter(incident__in=ids)
    if not anew:
        # Noted twice, one change has one sequence; each reminder is one of its own.
        others = others.exclude(event=event)
    taken = dict(others.values_list("incident").annotate(Max("sequence")))
    behind = [one for one in incidents if one.sequence <= taken.get(one.pk, 0)]
    for one in behind:
        one.sequence = taken[one.pk] + 1
    Incident.objects.bulk_update(behind, ["sequence"], batch_size=500)


def _who_knows(incidents: Sequence[Incident]) -> set[tuple[int, int]]:
    """(incident, channel) of those that were told, or are to be told, that it fires."""
    known = Notification.objects.filter(incident__in=[one.pk for one in incidents])
    known = known.exclude(delivery__state=Delivery.State.FAILED)
    return set(known.exclude(event=Notification.Event.RESOLVED).values_list("incident", "channel"))


def _call_soon(channel_ids: set[int]) -> None:
    """Sends the task that sends alerts, where waiting for beat would take longer than the channel gathers.

    Best effort, for the notifications are in the database."""
    shortest = AlertChannel.objects.filter(pk__in=channel_ids).aggregate(least=Min("group_s"))["least"]
    if shortest is None or shortest >= BEAT_WILL_DO_S:
        return

    def call() -> None:
        global _called_at
        # Where thousands fire at once, one call does for all that is noted in a second.
        if time.monotonic() - _called_at < 1.0:
            return
        _called_at = time.monotonic()
        try:
            current_app.send_task(
                SEND_ALERTS, queue=UPKEEP_QUEUE, expires=50, retry=False, countdown=shortest or None
            )
        except Exception as error:  # kombu, redis and socket errors alike
            logger.warning("%s waits for beat: %s", SEND_ALERTS, error)

    transaction.on_commit(call, robust=True)


# --- gathering -----------------------------------------------------------------------------------


def gather(now: datetime | None = None) -> int:
    """Makes the deliveries that are due; returns how many. Each in a transaction of its own."""
    now = now or datetime.now(UTC)
    under_way = Delivery.objects.filter(
        channel=OuterRef("channel"), state=Delivery.State.PENDING, is_test=False
    )
    waiting = (
        Notification.objects.filter(~Exists(under_way), delivery=None, channel__enabled=True)
        .values_list("channel", "channel__group_s")
        .annotate(first=Min("created_at"))
        .order_by("first")
    )
    due = [channel for channel, group_s, first in waiting if first + timedelta(seconds=group_s) <= now]
    return sum(_gather_one(channel, now) for channel in due)


@transaction.atomic
def _gather_one(channel_id: int, now: datetime) -> bool:
    channel = AlertChannel.objects.select_for_update(no_key=True).get(pk=channel_id)
    waiting = list(
        channel.notifications.filter(delivery=None)
        .order_by("incident", "sequence")
        .select_related("incident__rule", "incident__sensor")
    )
    if not waiting:
        return False
    delivery = Delivery(id=uuid4(), channel=channel, next_at=now)
    message = compose(_stories(waiting), str(delivery.pk), channel.language, now)
    delivery.message = message.as_json()
    delivery.save(force_insert=True)
    channel.notifications.filter(pk__in=[one.pk for one in waiting]).update(delivery=delivery)
    failpoint("alerts.gathered")
    return True


def _stories(waiting: Sequence[Notification]) -> list[Story]:
    """One an incident, however often it changed meanwhile; the worst first, then the newest."""
    by_incident: dict[int, list[Notification]] = defaultdict(list)
    for one in waiting:
        by_incident[one.incident_id].append(one)
    parts = _parts(list(by_incident))
    stories = []
    for changes in by_incident.values():
        incident, last = changes[0].incident, changes[-1]
        # What became a part of another before anybody was told of it alone: that one names it.
        if incident.part_of_id in by_incident and changes[0].event == Notification.Event.FIRING:
            continue
        event = Event(last.event)
        if event == Event.AGAIN and changes[0].event == Notification.Event.FIRING:
            event = Event.FIRING
        if event == Event.RESOLVED and changes[0].event == Notification.Event.FIRING:
            event = Event.PASSED
        names = parts.get(incident.pk, [])
        stories.append(Story(incident, event, last.sequence, tuple(names[:NAMES]), len(names)))
    stories.sort(key=lambda one: one.incident.since, reverse=True)
    return sorted(stories, key=lambda one: (_ORDER[one.event], _WORST.get(one.incident.severity, 3)))


_ORDER = {Event.FIRING: 0, Event.AGAIN: 1, Event.PASSED: 2, Event.RESOLVED: 3}
_WORST = {"critical": 0, "warning": 1, "info": 2}


def _parts(incidents: Sequence[int]) -> dict[int, list[str]]:
    """Whom the parts of each are about, in the order of names."""
    found: dict[int, list[str]] = defaultdict(list)
    rows = Incident.objects.filter(part_of__in=incidents).exclude(state=Incident.State.WITHDRAWN)
    for part in rows.select_related("sensor").order_by("sensor__name_key", "subject"):
        found[part.part_of_id or 0].append(who(part))
    return found


# --- sending -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """Of one attempt. `said`: what the receiver objects to although it was sent; `failed`: else why not."""

    said: str = ""
    failed: NotSentError | None = None


@dataclass
class Sent:
    """How many deliveries were sent, failed for good, and wait for a retry."""

    sent: int = 0
    failed: int = 0
    later: int = 0


def has_work() -> bool:
    """Whether anything waits to be gathered or sent, for channels that are on: two looks into indexes."""
    waiting = Notification.objects.filter(delivery=None, channel__enabled=True)
    pending = Delivery.objects.filter(state=Delivery.State.PENDING, is_test=False, channel__enabled=True)
    return waiting.exists() or pending.exists()


def work(share: TimeShare, now: datetime | None = None) -> Sent:
    """The job: gathers and sends, until nothing is due or the time is used. One process at a time."""
    done = Sent()
    with alone(locks.OUTBOX) as is_alone:
        if not is_alone:
            return done
        while not share.is_used:
            gather(now)
            if not send_due(done, now):
                break
    return done


def send_due(done: Sent, now: datetime | None = None) -> int:
    """Sends some deliveries that are due, at the same time; returns how many were tried."""
    taken = take(now or datetime.now(UTC))
    failpoint("alerts.taken")
    if not taken:
        return 0
    outcomes = _attempt_all(taken)
    failpoint("alerts.sent")
    for delivery, outcome in zip(taken, outcomes, strict=True):
        receive(delivery, outcome, done, now)
    return len(taken)


@transaction.atomic
def take(now: datetime) -> list[Delivery]:
    """Takes deliveries that are due, under a lease; each with its channel, which is on."""
    due = (
        Delivery.objects.filter(
            state=Delivery.State.PENDING, is_test=False, next_at__lte=now, channel__enabled=True
        )
        .select_related("channel")
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("next_at")[:AT_ONCE]
    )
    taken = list(due)
    for one in taken:
        one.tries += 1
        one.next_at = now + LEASE
    Delivery.objects.bulk_update(taken, ["tries", "next_at"])
    return taken


def _attempt_all(deliveries: Sequence[Delivery]) -> list[Outcome]:
    """Sends them concurrently; returns the outcomes in their order, after LONGEST_TRY_S at most.

    An attempt that takes longer counts as failed, whatever becomes of it.
    """
    attempts = [_begin(one) for one in deliveries]
    done, _ = wait(attempts, LONGEST_TRY_S)
    too_long = Outcome(failed=NotSentError(gettext("it took too long")))
    return [attempt.result() if attempt in done else too_long for attempt in attempts]


def _begin(delivery: Delivery) -> Future[Outcome]:
    """Starts an attempt in a daemon thread of its own, which touches no database, in the current language."""
    attempt: Future[Outcome] = Future()
    context = copy_context()
    Thread(
        target=lambda: attempt.set_result(context.run(_attempt, delivery)), name="alerts", daemon=True
    ).start()
    return attempt


def _attempt(delivery: Delivery) -> Outcome:
    channel = delivery.channel
    try:
        said = channels.send(channel.kind, channel.settings, Message(**delivery.message), str(delivery.pk))
    except NotSentError as error:
        return Outcome(failed=error)
    except Exception as error:
        # Of a bug, or settings that no longer fit: its class alone, for its text may hold a secret, and so
        # may that of what it came from, which a traceback shows.
        name = type(error).__name__
        logger.error("alerts: %s could not be sent to: %s", channel.name, name)
        return Outcome(failed=NotSentError(name))
    return Outcome(said)


def receive(delivery: Delivery, outcome: Outcome, done: Sent, now: datetime | None = None) -> None:
    """Writes down what came of an attempt, unless another process has taken the delivery meanwhile.

    `tries` is the fencing token: whoever takes a delivery counts it up.
    """
    now = now or datetime.now(UTC)
    with transaction.atomic():
        mine = Delivery.objects.filter(
            pk=delivery.pk, state=Delivery.State.PENDING, tries=delivery.tries
        ).select_for_update()
        if not mine:
            return
        failed = outcome.failed
        if failed is None:
            mine.update(state=Delivery.State.SENT, sent_at=now, next_at=None, error=outcome.said[:500])
            done.sent += 1
            return
        if failed.for_good or delivery.is_test or now - delivery.created_at >= TRY_FOR:
            mine.update(state=Delivery.State.FAILED, next_at=None, error=failed.why[:500])
            done.failed += 1
            if failed.is_channels_fault and not delivery.is_test:
                _switch_off(delivery.channel, failed.why)
            return
        pause = timedelta(seconds=seconds_to_wait(delivery.tries, failed.retry_after))
        mine.update(next_at=now + pause, error=failed.why[:500])
        done.later += 1


def seconds_to_wait(tries: int, retry_after: float | None = None) -> float:
    """The backoff in seconds: exponential with jitter, and never less than the receiver's Retry-After, which
    counts up to a day."""
    wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 20))
    wait *= random.uniform(0.8, 1.2)  # noqa: S311
    return max(wait, min(retry_after or 0.0, TRY_FOR.total_seconds()))


def _switch_off(channel: AlertChannel, why: str) -> None:
    channel = AlertChannel.objects.select_for_update(no_key=True).get(pk=channel.pk)
    channel.switch(on=False, why=why)
    channel.save(update_fields=["enabled", "disabled_why", "disabled_at"])
    logger.warning("alerts: the channel %s is off: %s", channel.name, why)


def send_test(channel: AlertChannel) -> Delivery:
    """Sends a test at once, once, whether the channel is on or not; returns its receipt, sent or failed.

    Takes LONGEST_TRY_S at most.
    """
    now = datetime.now(UTC)
    key = uuid4()
    delivery = Delivery(id=key, channel=channel, is_test=True, tries=1)
    delivery.message = compose_test(channel.name, str(key), channel.language, now).as_json()
    delivery.save(force_insert=True)
    [outcome] = _attempt_all([delivery])
    receive(delivery, outcome, Sent())
    delivery.refresh_from_db()
    return delivery


def forget(now: datetime) -> int:
    """Deletes what was told longer ago than KEEP, and what was noted for a channel that stayed off; returns
    how many deliveries and notifications went.

    Not of what fires still: whoever was told of it is to be told of its end, however late that comes.
    """
    before = now - KEEP
    old = Notification.objects.filter(created_at__lt=before)
    notes, _ = old.exclude(incident__state=Incident.State.FIRING).delete()
    # Those of what fires are old themselves, or newer than that; either way they go with their delivery.
    needed = Notification.objects.filter(delivery=OuterRef("pk"), incident__state=Incident.State.FIRING)
    deliveries = Delivery.objects.filter(~Exists(needed), created_at__lt=before)
    return notes + deliveries.delete()[0]
