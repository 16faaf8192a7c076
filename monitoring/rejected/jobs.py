"""The story of many rejected messages at once: replayed or dismissed by a job, watched and stopped.

1. Somebody says which (Selection): that is written down (Job), and a task is sent; beat sends it each minute.
2. The job notes up to which message it goes: what is rejected from then on is no matter of its.
3. It works in pieces, oldest message first. A piece is one transaction: measurements, the ledger, the
   messages' states, and the job's cursor. After a `kill -9` it goes on where its last piece ended.
4. Before each piece it looks whether somebody wants it to stop.

After a worker died at a piece, the retry takes the messages one by one, and passes over a poison message, one
at which a worker died again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import Error
from django.db.models import F, Max
from django.utils import timezone

from monitoring import locks
from monitoring.decoders import Code
from monitoring.ingest.passing import is_passing
from monitoring.models import Job, Sensor
from monitoring.models.rejected import RejectedMessageQuerySet
from monitoring.rejected.dismissal import dismiss
from monitoring.rejected.replay import Trial, UnitChange, Verdict, replay
from monitoring.rejected.selection import Selection
from monitoring.upkeep.pieces import TimeShare, alone
from monitoring.upkeep.schedule import WORK_JOBS
from monitoring.upkeep.sending import send_on_commit
from process.failpoints import failpoint

logger = logging.getLogger(__name__)

# Messages a piece, and the readings in them: some tens of milliseconds, as ingest's batches are.
PIECE = 500
PIECE_READINGS = 2_000
# How often a worker dies at a piece before it takes its messages one by one, and at one before it is left.
DEATHS = 2
# For how long a job waits for batches that are being stored: those take a second at the very most.
BEGIN_SECONDS = 10.0
# What a dry run looks at before it says that there are more.
LOOKED_AT = 20_000


class Sums(NamedTuple):
    """Of a dry run. `messages` are those that it looked at, of `total`; the others are of their readings."""

    total: int
    messages: int
    stored: int
    duplicates: int
    rejected: dict[str, int]


def request(
    kind: Job.Kind,
    which: Selection,
    by: User | None,
    change: UnitChange | None = None,
    reason: str = "",
) -> Job:
    """Makes the job, and sends its task once the open transaction has committed."""
    job = Job.objects.create(
        kind=kind,
        selection=which.as_json(),
        change=change and change._asdict(),
        reason=reason,
        user_id=by.pk if by else None,
        requested_by=by.get_username() if by else "",
    )
    send_on_commit(WORK_JOBS)
    return job


def request_stop(pk: int) -> bool:
    """Has the job stop after the piece that it is at; False where it is finished already, or is not there."""
    return bool(Job.objects.open().filter(pk=pk).update(stop_requested=True))


def look(
    which: Selection,
    change: UnitChange | None = None,
    most: int | None = LOOKED_AT,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Sums:
    """A dry run, piece by piece: changes nothing. `tell(done, total)` is called after each piece."""
    rows = which.replayable()
    total = rows.count()
    trial, sums, codes = Trial(), Counter[str](), Counter[str]()
    position = 0
    while most is None or sums["messages"] < most:
        ids = _next(rows, position, PIECE)
        if not ids:
            break
        for verdict in replay(ids, None, change=change, trial=trial):
            sums.update(stored=verdict.stored, duplicates=verdict.duplicates)
            codes.update(verdict.rejected)
        position = ids[-1]
        sums["messages"] += len(ids)
        tell(sums["messages"], total)
    return Sums(
        max(total, sums["messages"]), sums["messages"], sums["stored"], sums["duplicates"], dict(codes)
    )


def work(
    share: TimeShare, only: int | None = None, tell: Callable[[], None] = lambda: None, wait_ms: int = 0
) -> dict[str, int]:
    """Goes on with every job that somebody asked for; returns {"messages": dealt with, "jobs": finished}.

    `only`: with this one. `tell` is called after each piece. `wait_ms`: for so long it waits for another
    worker that is at it.
    """
    done = {"messages": 0, "jobs": 0}
    with alone(locks.JOBS, wait_ms) as is_alone:
        if not is_alone:
            return done
        jobs = Job.objects.open() if only is None else Job.objects.open().filter(pk=only)
        for pk in list(jobs.values_list("pk", flat=True)):
            for dealt_with in _pieces(pk, share):
                done["messages"] += dealt_with
                tell()
            done["jobs"] += not Job.objects.open().filter(pk=pk).exists()
    if share.is_used and Job.objects.open().filter(error="").exists():
        # The others in the queue have their turn first.
        send_on_commit(WORK_JOBS)
    return done


def _pieces(pk: int, share: TimeShare) -> Iterator[int]:
    """Works at a job until it is through or the time is used; yields how many messages each piece took."""
    while not share.is_used:
        job = Job.objects.get(pk=pk)
        if job.finished_at is not None:
            return
        if job.stop_requested:
            _finish(job)
            return
        if job.last_id is None:
            _begin(job)
        # Committed before the piece: whoever takes it up after a death knows of that.
        Job.objects.filter(pk=pk).update(attempts=F("attempts") + 1)
        failpoint("jobs.attempt")
        try:
            dealt_with = _piece(job)
        except Exception as error:
            if not is_passing(error):
                logger.exception("job %d will be retried, for a reason that is not known", pk)
            _note_error(pk, error)
            return
        failpoint("jobs.piece")
        if dealt_with is None:
            return
        yield dealt_with


def _begin(job: Job) -> None:
    """Notes the last message that the job takes, once the batches that are being stored have committed.

    Those were judged by the sensors as they were before a change. What they refused is there then, and
    nothing more of its kind will come.
    """
    Sensor.objects.wait_for_holders(BEGIN_SECONDS)
    rows = _rows(job)
    job.last_id = rows.aggregate(last=Max("pk"))["last"] or 0
    job.total = rows.count()
    job.save(update_fields=["last_id", "total"])


def _piece(job: Job) -> int | None:
    """How many messages it took; None where there is nothing left, and the job is finished."""
    careful = job.attempts >= DEATHS
    ids = _next(_rows(job).filter(pk__lte=job.last_id), job.position, 1 if careful else PIECE)
    if not ids:
        _finish(job)
        return None
    if job.attempts >= 2 * DEATHS:
        logger.warning("job %d: message %d is passed over: a worker dies each time", job.pk, ids[0])
        job.rejected += 1
        job.codes = dict(Counter(job.codes) + Counter({Code.CRASHED_WORKER.value: 1}))
        _note(job, ids)
    elif job.kind == Job.Kind.DISMISS:

        def note_dismissed(count: int) -> None:
            job.dismissed += count
            _note(job, ids)

        dismiss(ids, job.user, job.reason, note_dismissed)
    else:

        def note_replayed(verdicts: Sequence[Verdict]) -> None:
            _count(job, verdicts)
            _note(job, ids)

        change = None if job.change is None else UnitChange(**job.change)
        replay(ids, job.user, change=change, note=note_replayed)
    return len(ids)


def _note(job: Job, ids: Sequence[int]) -> None:
    """In the transaction of what was done with these messages."""
    job.position = ids[-1]
    job.dealt_with += len(ids)
    job.attempts, job.error = 0, ""
    job.save(
        update_fields=[
            *("position", "dealt_with", "attempts", "error"),
            *("stored", "duplicates", "rejected", "dismissed", "codes"),
        ]
    )


def _rows(job: Job) -> RejectedMessageQuerySet:
    which = Selection.from_json(job.selection)
    return which.waiting() if job.kind == Job.Kind.DISMISS else which.replayable()


def _next(rows: RejectedMessageQuerySet, after: int, most: int) -> list[int]:
    """The ids of the next messages, no more than have so many readings together, and one at least."""
    ids: list[int] = []
    readings = 0
    for pk, elements in rows.filter(pk__gt=after).order_by("pk").values_list("pk", "elements")[:most]:
        readings += elements
        if ids and readings > PIECE_READINGS:
            break
        ids.append(pk)
    return ids


def _count(job: Job, verdicts: Sequence[Verdict]) -> None:
    codes = Counter(job.codes)
    for verdict in verdicts:
        job.stored += verdict.stored
        job.duplicates += verdict.duplicates
        job.rejected += sum(verdict.rejected.values())
        codes.update(verdict.rejected)
    job.codes = dict(codes)


def _finish(job: Job) -> None:
    job.finished_at = timezone.now()
    job.attempts = 0
    job.save(update_fields=["finished_at", "attempts"])
    logger.info(
        "job %d (%s) for %s: %d of %d messages; %d readings stored, %d duplicates, %d rejected again",
        *(job.pk, job.kind, job.requested_by or "nobody", job.dealt_with, job.total),
        *(job.stored, job.duplicates, job.rejected),
    )


def _note_error(pk: int, error: Exception) -> None:
    """Notes the error of an attempt, which the next round retries; it does not count as a death."""
    try:
        Job.objects.filter(pk=pk).update(attempts=0, error=str(error).strip().partition("\n")[0][:500])
    except Error as another:
        logger.warning("job %d: %s", pk, another)
