"""The story of rejected messages that give way: all of them together take REJECTED_MAX_BYTES at most.

1. The tallies say what they take (RejectedTally.held_bytes): no look at the table while there is room.
2. Past the bound, the table is read once: how much each code and topic takes.
3. The oldest of the loudest go, piece by piece, until a tenth of the bound is free again. So a flood makes
   room for itself, and what came in before it, of another code or topic, stays.

Anybody may choose a topic. Topics of a code that each take less than a hundredth of the bound count as one:
else a flood under a thousand topics would be quieter than one honest device.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from monitoring import locks
from monitoring.models import RejectedMessage, RejectedTally, RetentionRun
from monitoring.models.rejected import COST, Gone
from monitoring.upkeep.pieces import PIECE, TimeShare, in_pieces

# Of the bound: where it stops once it has begun, and from where on a topic is told from the others.
ROOM = 0.9
OF_ITS_OWN = 0.01


class Loud(NamedTuple):
    """What gives way together. `topic` None: all topics of the code that are not loud by themselves."""

    code: str
    topic: str | None


def give_way(share: TimeShare) -> int:
    """Deletes what is past the bound; returns how many rows."""
    most = settings.REJECTED_MAX_BYTES
    held = RejectedTally.objects.held_bytes()
    if held <= most:
        return 0
    sizes = _sizes(int(most * OF_ITS_OWN))
    loud = {one.topic for one in sizes if one.topic is not None}
    excess = sizes.total() - int(most * ROOM)

    def piece() -> int:
        nonlocal excess
        while sizes and excess > 0:
            (loudest, size), *others = sizes.most_common(2)
            # As far as the next one: from there on both are the loudest.
            step = min(excess, max(size - (others[0][1] if others else 0), size // 10, 1))
            gone = _delete(loudest, loud, step)
            excess -= gone.bytes
            sizes[loudest] -= gone.bytes
            if gone.rows:
                return gone.rows
            del sizes[loudest]  # what is left of it somebody holds
        return 0

    return in_pieces(locks.EXPIRE, piece, share)


def _delete(loudest: Loud, loud: Iterable[str], max_bytes: int) -> Gone:
    code, topic = loudest
    if topic is None:
        where, parameters = "code = %s AND topic <> ALL(%s::text[])", [code, list(loud)]
    else:
        where, parameters = "code = %s AND topic = %s", [code, topic]
    gone = RejectedMessage.objects.delete_oldest(where, parameters, PIECE, max_bytes)
    if gone.rows:
        kind, target = RetentionRun.Kind.GAVE_WAY, f"{code} {topic or ''}".rstrip()[:200]
        RetentionRun.objects.note(kind, target, gone.rows, gone.first, gone.last)
    return gone


def _sizes(of_its_own: int) -> Counter[Loud]:
    sizes: Counter[Loud] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, [of_its_own])
        for code, topic, size in cursor.fetchall():
            sizes[Loud(code, topic)] = int(size)
    return sizes


_SIZES = f"""
WITH topics AS (
    SELECT code, topic, sum({COST}) AS size FROM monitoring_rejectedmessage GROUP BY code, topic
)
SELECT code, CASE WHEN size >= %s THEN topic END AS own, sum(size)::bigint FROM topics GROUP BY code, own
"""
