"""Looks at sensors: takes their newest readings, judges, and writes down what holds from now on.

A look is one transaction over rows that it holds. Four statements, however many sensors: the rows, their
newest readings, the intervals of those that are to be learned again, and the rows as they are from now on.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from redis.exceptions import RedisError

from batches.store import BatchStore
from monitoring import locks
from monitoring.models import Measurement, SensorStatus
from monitoring.models.sensor_status import AT_ONCE, Found, Standing
from monitoring.status import changes
from monitoring.status.reach import Reach, note_look, reach
from monitoring.status.rule import (
    GAPS,
    OFF,
    SHORTEST_GAP_S,
    Facts,
    judge,
    learn_again_after,
    learned,
)
from monitoring.upkeep.pieces import TimeShare, in_pieces
from process.failpoints import failpoint

PIECE = 1_000


@dataclass
class Looked:
    """How many sensors were looked at, and how many of them have another status than before."""

    sensors: int = 0
    changed: int = 0
    reach: Reach = field(default_factory=Reach)


def job(store: BatchStore, share: TimeShare) -> Looked:
    """The job that beat sends every few seconds; returns what it did."""
    now = datetime.now(UTC)
    looked = look_at_due(share, reach(store, now), now)
    with contextlib.suppress(RedisError, OSError):
        note_look(store.redis, now)
    return looked


def look_at_due(share: TimeShare, known: Reach, now: datetime | None = None) -> Looked:
    """The job: looks at each sensor whose row is due, in pieces, until the time is used.

    While we are behind it looks at those alone whose sensor was changed: what is due stays so.
    """
    looked = Looked(reach=known)
    # `now` stands still, so that what a piece has put off is not due again in the next one.
    now = now or datetime.now(UTC)
    until = AT_ONCE if known.is_behind(now) else now

    def piece() -> int:
        held = SensorStatus.objects.hold_due(until, PIECE)
        looked.sensors += len(held)
        looked.changed += _look(held, known, now)
        failpoint("status.looked")
        return len(held)

    SensorStatus.objects.add_missing()
    in_pieces(locks.STATUS, piece, share)
    return looked


def look_at(sensor_ids: Sequence[int], now: datetime | None = None) -> int:
    """Looks at sensors that sent something, except those whose rows somebody else has locked.

    Returns how many have another status now. It makes no status worse. Call it in a transaction."""
    held = SensorStatus.objects.hold_ids(sensor_ids)
    return _look(held, Reach(), now or datetime.now(UTC), only_changed=True)


def _look(held: Sequence[Standing], known: Reach, now: datetime, only_changed: bool = False) -> int:
    if not held:
        return 0
    last = Measurement.objects.last_of([row.sensor_id for row in held])
    learning = [
        row.sensor_id
        for row in held
        if row.expected_interval_s is None and row.learn_at <= now and row.is_active
    ]
    medians = SensorStatus.objects.intervals(learning, GAPS, SHORTEST_GAP_S)
    to_learn = set(learning)
    found = []
    for row in held:
        interval_s, learn_at = row.interval_s, row.learn_at
        if row.expected_interval_s is not None:
            interval_s = float(row.expected_interval_s)
        elif row.sensor_id in to_learn:
            interval_s = learned(*medians.get(row.sensor_id, (0, None)))
            learn_at = now + learn_again_after(interval_s)
        newest = last.get(row.sensor_id)
        facts = Facts(row.is_active, newest.created_at if newest else None, interval_s)
        status, due_at, held_back = judge(now, known.until, row.status, facts, known.outage)
        if only_changed and held_back:
            # What was stored is old. Of a sensor that was never seen the job makes what is true of it, soon.
            status, due_at = row.status, now
            if row.newest_at is not None:
                continue
        changed = status != row.status
        if only_changed and not changed and not held_back:
            continue
        if changed and status != OFF:
            learn_at = min(learn_at, now)  # it may send at another pace than before
        found.append(Found(row.sensor_id, status, facts.newest_at, interval_s, learn_at, due_at, changed))
    if found:
        SensorStatus.objects.write(found, now)
    changed_to = {row.sensor_id: row.status for row in found if row.changed}
    changes.tell(changed_to)
    return len(changed_to)
