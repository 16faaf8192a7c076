"""The way of a message, told afterwards: which batch it was in, when that went where, and what came of it.

The ledger has a row a batch for as long as it is kept (monitoring.upkeep.folding), and no topics. So:

- Of a sensor and a time: its measurements of that moment, each with the batch that was received around it.
- Of a topic and a time: what was rejected on it, which says its batch; and every batch that was being
  received at that moment, one of which brought whatever was stored.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.utils.translation import gettext

from batches.batch import to_datetime
from monitoring.models import IngestBatch, Measurement, RejectedMessage
from monitoring.upkeep.folding import KEEP

SECOND = timedelta(seconds=1)
# How long after its first message a batch may be handed over: while Redis is away the bridge retries it.
HELD = timedelta(minutes=15)
# A device's own time may be so far from when its message was received.
CLOCK_BEHIND, CLOCK_AHEAD = timedelta(hours=1), timedelta(minutes=5)
MOST = 100


class Traced(NamedTuple):
    """A batch. `claimed_at`: None of one that was stored by a version before this was written down."""

    entry: IngestBatch

    @property
    def handed_over_at(self) -> datetime:
        """To the millisecond: a batch is named just before."""
        return handed_over(self.entry.pk)

    @property
    def claimed_at(self) -> datetime | None:
        return self.entry.claimed_at

    @property
    def committed_at(self) -> datetime:
        """When the transaction began that stored it, some milliseconds before its end."""
        return self.entry.ingested_at


class Trace(NamedTuple):
    """Of [start, until). `is_kept`: whether the ledger still has the batches of that time."""

    start: datetime
    until: datetime
    is_kept: bool
    batches: list[Traced]
    measurements: list[Measurement]
    rejected: list[RejectedMessage]


def trace(
    at: datetime, topic: str | None = None, sensor: int | None = None, within: timedelta = SECOND
) -> Trace:
    """What was received, or measured, within that time from `at` on."""
    until = at + within
    measurements = [] if sensor is None else _measurements(sensor, at, until)
    moments = {row.received_at for row in measurements}
    rejected = _rejected(at, until, topic, sensor, moments)
    if sensor is None:
        spans = [(at, until - timedelta(microseconds=1))]
    else:
        moments |= {row.received_at for row in rejected}
        spans = [(moment, moment) for moment in sorted(moments)]
    batches = _batches(spans, {row.batch for row in rejected})
    is_kept = at > datetime.now(UTC) - KEEP
    return Trace(at, until, is_kept, [Traced(entry) for entry in batches], measurements, rejected)


def handed_over(batch: UUID) -> datetime:
    """A batch's id begins with the milliseconds since 1970 at which it was made (UUID version 7)."""
    return to_datetime((batch.int >> 80) * 1000)


def _measurements(sensor: int, start: datetime, until: datetime) -> list[Measurement]:
    """Those measured then, and those received then whose own time is not far off."""
    of_sensor = Measurement.objects.filter(sensor_id=sensor).order_by("created_at")
    measured = of_sensor.filter(created_at__gte=start, created_at__lt=until)[:MOST]
    received = of_sensor.filter(
        created_at__gte=start - CLOCK_BEHIND,
        created_at__lt=until + CLOCK_AHEAD,
        received_at__gte=start,
        received_at__lt=until,
    )[:MOST]
    found = {row.created_at: row for row in (*measured, *received)}
    return [found[moment] for moment in sorted(found)][:MOST]


def _rejected(
    start: datetime,
    until: datetime,
    topic: str | None,
    sensor: int | None,
    moments: Iterable[datetime],
) -> list[RejectedMessage]:
    rows = RejectedMessage.objects.select_related("replayed_by").order_by("received_at", "pk")
    if topic is not None:
        rows = rows.filter(topic=topic)
    if sensor is not None:
        rows = rows.filter(sensors__contains=[sensor])
    found = list(rows.filter(received_at__gte=start, received_at__lt=until)[:MOST])
    if sensor is not None and (others := set(moments) - {row.received_at for row in found}):
        # What was measured then, and rejected when it came, before it was replayed.
        found += rows.filter(received_at__in=others)[:MOST]
    return found


def _batches(spans: Sequence[tuple[datetime, datetime]], known: Iterable[UUID]) -> list[IngestBatch]:
    entries = IngestBatch.objects.defer("touched_sensors", "touched_minutes")
    found = {entry.pk: entry for entry in entries.filter(pk__in=list(known))}
    for first, last in spans:
        # By the primary key, which grows with time: the ledger has no index on when messages came.
        between = entries.filter(pk__gte=_first_id(first), pk__lt=_first_id(last + HELD))
        among = between.filter(first_received_at__lte=last, last_received_at__gte=first)
        found |= {entry.pk: entry for entry in among.order_by("pk")[:MOST]}
    return [found[pk] for pk in sorted(found)][:MOST]


def _first_id(moment: datetime) -> UUID:
    """No batch that was made from then on has a smaller one."""
    return UUID(int=max(0, int(moment.timestamp() * 1000) - 1) << 80)


def in_words(found: Trace) -> str:
    """What was found, or why nothing was."""
    if found.batches:
        return gettext("These batches were being received then.")
    if not found.is_kept:
        return gettext("The ledger keeps batches for %d days, and that is longer ago.") % KEEP.days
    if found.measurements:
        return gettext("It was stored, and its batch is not in the ledger: it was imported.")
    return gettext("No batch that was being received then is in the ledger. What is pending will be.")
