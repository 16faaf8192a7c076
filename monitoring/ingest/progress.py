"""What has come of a batch so far, and its entry in the ledger."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from django.conf import settings

from batches.batch import Batch, to_datetime
from monitoring.decoders import Code, Refusal
from monitoring.ingest import after_commit, boards, refused
from monitoring.ingest.refused import Refused, in_order
from monitoring.models import Board, IngestBatch, RejectedMessage
from monitoring.models.board import Heard
from monitoring.models.retention import oldest_taken


class Fate(NamedTuple):
    """What became of a reading: stored, or there already. `element`: its place in the message."""

    position: int
    element: int | None
    sensor_id: int
    created_at: datetime
    value: float
    unit: str
    timed: bool
    is_duplicate: bool


@dataclass
class Progress:
    """What has come of a batch so far."""

    batch: Batch
    oldest: datetime
    claimed_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    readings: int = 0
    stored: int = 0
    duplicates: int = 0
    refused: dict[int, Sequence[Refusal]] = field(default_factory=dict)
    #: The (sensor, minute) pairs that rows were stored for; of the fast way apart, side by side and in order.
    touched: set[tuple[int, int]] = field(default_factory=set)
    touched_sensors: list[int] = field(default_factory=list)
    touched_minutes: list[int] = field(default_factory=list)
    #: Sensors of which something stood there already, under a key of the batch's.
    repeated: set[int] = field(default_factory=set)
    #: What is stored of each sensor, where somebody wants to know (after_commit).
    newest: dict[int, after_commit.Newest] = field(default_factory=dict)
    #: The board on whose topic a sensor's reading came, likewise.
    boards: dict[int, str] = field(default_factory=dict)
    #: What boards say of themselves, in messages that hold no reading.
    heard: list[Heard] = field(default_factory=list)
    #: Of each reading that is stored or a duplicate, where somebody asks (monitoring.rejected.replay).
    fates: list[Fate] | None = None
    #: Sensors that are blocked, and were named: their messages are counted, and not kept.
    blocked: set[int] = field(default_factory=set)

    @classmethod
    def begin(cls, batch: Batch, *, again: bool = False) -> "Progress":
        """A new attempt. `again`: the messages are replayed, but for what boards said of themselves."""
        progress = cls(batch, oldest_taken(settings.RETENTION_DAYS, datetime.now(UTC)))
        if not again:
            progress.heard, unread = boards.read(batch)
            for position, refusal in unread:
                progress.reject(position, [refusal])
            progress.readings += len(unread)
        return progress

    def oldest_of(self, days: int | None) -> datetime:
        """The oldest time taken of a sensor that is kept for so many days; None: for RETENTION_DAYS."""
        if days is None or days >= settings.RETENTION_DAYS:
            return self.oldest
        return oldest_taken(days, datetime.now(UTC))

    @property
    def rejected(self) -> int:
        """How many readings."""
        return sum(map(len, self.refused.values()))

    def reject(self, position: int, refusals: Sequence[Refusal]) -> None:
        """What is refused of the message at a position, in the order of its elements."""
        before = self.refused.get(position)
        self.refused[position] = in_order([*before, *refusals]) if before else refusals

    def forget_stored(self) -> None:
        """After a rollback of all that was stored: what was refused is left."""
        self.readings = self.rejected
        self.stored = self.duplicates = 0
        self.touched.clear()
        self.newest.clear()
        self.fates = None if self.fates is None else []

    def kept(self) -> Refused:
        """What was refused, without what nobody wants to see."""
        if not self.blocked:
            return self.refused
        wanted = {
            position: [
                refusal
                for refusal in refusals
                if refusal.code is not Code.UNKNOWN_SENSOR or refusal.sensor_id not in self.blocked
            ]
            for position, refusals in self.refused.items()
        }
        return {position: refusals for position, refusals in wanted.items() if refusals}

    def tell(self) -> None:
        """Tells the subscribers of the hook (after_commit), once the transaction has committed."""
        if after_commit.is_wanted():
            rejected: Counter[str] = Counter()
            for (code, _), count in refused.counted(self.batch, self.refused).items():
                rejected[code] += count
            after_commit.tell(after_commit.Committed(self.batch.id, self.newest, rejected, self.boards))

    def entry(self) -> IngestBatch:
        """The ledger's row, as it is entered before anything else."""
        messages = self.batch.messages
        return IngestBatch(
            id=self.batch.id,
            source=self.batch.source,
            messages=len(messages),
            first_received_at=to_datetime(messages[0].received_us),
            last_received_at=to_datetime(messages[-1].received_us),
            claimed_at=self.claimed_at,
        )

    def complete(self) -> IngestBatch:
        """Keeps what was rejected and completes the ledger's row. The tallies' rows stay locked until the
        transaction ends, so call it last."""
        keep_rejected([self])
        Board.objects.hear(self.heard)
        entry = self.whole_entry()
        IngestBatch.objects.complete(entry)
        self.tell()
        return entry

    def whole_entry(self) -> IngestBatch:
        """The ledger's row, with all that came of the batch."""
        entry = self.entry()
        entry.readings = self.readings
        entry.stored = self.stored
        entry.duplicates = self.duplicates
        entry.rejected = self.rejected
        if self.touched:
            entry.touch(self.touched.union(zip(self.touched_sensors, self.touched_minutes, strict=True)))
        elif self.touched_sensors:
            entry.touched_sensors, entry.touched_minutes = self.touched_sensors, self.touched_minutes
        return entry


def enter_whole(several: Sequence[Progress]) -> list[IngestBatch] | None:
    """Enters and completes several batches at once. None where another transaction has entered one of them:
    then this one must be rolled back.

    The tallies' rows stay locked until the transaction ends, so call it last, once, with the batches in the
    order of their ids.
    """
    keep_rejected(several)
    if heard := [one for progress in several for one in progress.heard]:
        Board.objects.hear(heard)
    entries = [progress.whole_entry() for progress in several]
    if not IngestBatch.objects.enter_whole(*entries):
        return None
    for progress in several:
        progress.tell()
    return entries


def keep_rejected(several: Iterable[Progress]) -> None:
    seen: Counter[tuple[str, datetime]] = Counter()
    rows: list[RejectedMessage] = []
    for progress in several:
        if progress.refused:
            seen += refused.counted(progress.batch, progress.refused)
            rows += refused.rows(progress.batch, progress.kept())
    if seen:
        RejectedMessage.objects.keep(seen, rows, settings.REJECTED_MAX_BYTES_PER_HOUR)
