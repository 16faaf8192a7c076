"""The story of false readings that somebody deletes.

1. Somebody says which, and is told how many they are and between what: nothing is changed by that.
2. What is to go is written down, with who asked for it (Deletion), and a job is sent; beat sends it each
   minute.
3. The job deletes in pieces, oldest first. A piece is one transaction: rows, the rollups made of them, and
   how far the job has come. So whoever reads, reads both before or both after, and after a `kill -9` the
   job goes on where its last piece ended.

The ledger stays as it is: it says what came in, and what came in was stored. A batch that is redelivered is
in the ledger and changes nothing. No tombstone is left of a reading: a device that sends it again, in another
message, has it stored again; so is one that comes when the job is past its moment.

Where retention has taken rows away (GoneSpan), a row may still be there and can be deleted, but the
rollups stay as they are: what they were made of is not there any more. The record says of how many.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from monitoring import locks
from monitoring.models import Deletion
from monitoring.rollups.refresh import recompute_at
from monitoring.upkeep.pieces import PIECE, TimeShare, in_pieces
from monitoring.upkeep.schedule import DELETE_MEASUREMENTS
from monitoring.upkeep.sending import send_on_commit
from process.failpoints import failpoint

logger = logging.getLogger(__name__)
# Rows that are looked at before anybody decides: some tenths of a second.
LOOKED_AT = 100_000


@dataclass(frozen=True)
class Found:
    """What would be deleted: how many, their first and last moment, their lowest and highest value.

    `frozen`: of how many the rollups would stay. `counted_until`: None where all were looked at; else the
    moment up to which they were, and there are more.
    """

    count: int
    first: datetime | None
    last: datetime | None
    min: float | None
    max: float | None
    frozen: int
    counted_until: datetime | None


def look(which: Deletion) -> Found:
    """A dry run: what would go. `which` need not be saved. Reads LOOKED_AT rows at most."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, _params(which) | {"start": which.start, "most": LOOKED_AT})
        return Found(*cursor.fetchone())


def request_deletion(which: Deletion, by: str) -> None:
    """Saves it, and sends the job's task once the open transaction has committed. `by`: a user's name."""
    which.requested_by = by
    which.save(force_insert=True)
    send_on_commit(DELETE_MEASUREMENTS)


def delete_measurements(share: TimeShare) -> dict[str, int]:
    """Goes on with every deletion asked for; returns {"rows": deleted, "deletions": finished}."""
    done = {"rows": 0, "deletions": 0}
    for pk in list(Deletion.objects.open().values_list("pk", flat=True)):
        if share.is_used:
            break
        in_pieces(locks.DELETE, _pieces_of(pk, done), share)
    return done


def _pieces_of(pk: int, done: dict[str, int]) -> Callable[[], int]:
    def piece() -> int:
        """How many rows it looked at."""
        deletion = Deletion.objects.get(pk=pk)
        if deletion.finished_at is not None:  # by another worker
            return 0
        with connection.cursor() as cursor:
            # Before the rows are locked: retention, too, takes this first and rows then.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [locks.REFRESH])
            params = _params(deletion) | {"start": deletion.position or deletion.start, "piece": PIECE}
            cursor.execute(_BOUNDS, params)
            looked_at, first, bound = cursor.fetchone()
            if not looked_at:
                _finish(deletion)
                done["deletions"] += 1
                return 0
            # Said with both ends, the partitions before and after are left out.
            cursor.execute(_DELETE, params | {"start": first, "until": bound})
            moments, frozen = cursor.fetchone()
        failpoint("deleting.deleted")
        if moments:
            recompute_at(deletion.sensor_id, moments)
            deletion.first = deletion.first or min(moments)
            deletion.last = max(moments)
        deletion.position = bound
        deletion.deleted += len(moments)
        deletion.frozen += frozen
        deletion.save(update_fields=["position", "deleted", "frozen", "first", "last"])
        done["rows"] += len(moments)
        return int(looked_at)

    return piece


def _finish(deletion: Deletion) -> None:
    deletion.finished_at = timezone.now()
    deletion.save(update_fields=["finished_at"])
    logger.info(
        "deletion %d: %d measurements of sensor %d deleted for %s",
        *(deletion.pk, deletion.deleted, deletion.sensor_id, deletion.requested_by),
    )


def _params(which: Deletion) -> dict[str, Any]:
    return {"sensor": which.sensor_id, "until": which.until, "low": which.low, "high": which.high}


_MATCHES = "(%(low)s IS NULL OR value >= %(low)s) AND (%(high)s IS NULL OR value <= %(high)s)"
_IS_FROZEN = """EXISTS (
    SELECT FROM monitoring_gonespan AS gone WHERE gone.sensor_id IN (0, %(sensor)s)
    AND date_trunc('minute', created_at) < gone.until
    AND date_trunc('minute', created_at) + interval '1 minute' > gone.start)"""

# The row past the last that is looked at says that there are more.
_LOOK = f"""
SELECT count(*) FILTER (WHERE matches), min(created_at) FILTER (WHERE matches),
       max(created_at) FILTER (WHERE matches), min(value) FILTER (WHERE matches),
       max(value) FILTER (WHERE matches), count(*) FILTER (WHERE matches AND {_IS_FROZEN}),
       CASE WHEN count(*) > %(most)s THEN max(created_at) END
FROM (
    SELECT created_at, value, {_MATCHES} AS matches FROM monitoring_measurement
    WHERE sensor_id = %(sensor)s AND created_at >= %(start)s AND created_at < %(until)s
    ORDER BY created_at LIMIT %(most)s + 1
) AS looked_at
"""

_BOUNDS = """
SELECT LEAST(count(*), %(piece)s), min(created_at),
       CASE WHEN count(*) > %(piece)s THEN max(created_at) ELSE %(until)s END
FROM (
    SELECT created_at FROM monitoring_measurement
    WHERE sensor_id = %(sensor)s AND created_at >= %(start)s AND created_at < %(until)s
    ORDER BY created_at LIMIT %(piece)s + 1
) AS next
"""

_DELETE = f"""
WITH piece AS (
    DELETE FROM monitoring_measurement
    WHERE sensor_id = %(sensor)s AND created_at >= %(start)s AND created_at < %(until)s AND {_MATCHES}
    RETURNING created_at
)
SELECT coalesce(array_agg(created_at), '{{}}'), count(*) FILTER (WHERE {_IS_FROZEN}) FROM piece
"""
