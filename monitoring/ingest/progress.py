"""What has come of a batch so far, and its entry in the ledger."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.conf import settings

from batches.batch import Batch, to_datetime
from monitoring.decoders import Refusal
from monitoring.ingest import after_commit, refused
from monitoring.ingest.refused import Refused
from monitoring.models import IngestBatch, RejectedMessage
from monitoring.models.retention import oldest_taken


@dataclass
class Progress:
    """What has come of a batch so far."""

    batch: Batch
    oldest: datetime
    readings: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: list[Refused] = field(default_factory=list)
    #: The (sensor, minute) pairs that rows were stored for; of the fast way apart, side by side and in order.
    touched: set[tuple[int, int]] = field(default_factory=set)
    touched_sensors: list[int] = field(default_factory=list)
    touched_minutes: list[int] = field(default_factory=list)
    #: Sensors of which something stood there already, under a key of the batch's.
    repeated: set[int] = field(default_factory=set)
    #: Rows stored (sensor, created_us, value, unit), where somebody wants to know (after_commit).
    rows: list[tuple[int, int, float, str]] = field(default_factory=list)

    @classmethod
    def begin(cls, batch: Batch) -> "Progress":
        return cls(batch, oldest_taken(settings.RETENTION_DAYS, datetime.now(UTC)))

    def oldest_of(self, days: int | None) -> datetime:
        """A sensor that is kept for less time than the rest refuses earlier, for the same reason."""
        if days is None or days >= settings.RETENTION_DAYS:
            return self.oldest
        return oldest_taken(days, datetime.now(UTC))

    def reject(self, position: int, refusal: Refusal) -> None:
        self.rejected.append((position, refusal))

    def tell(self) -> None:
        """Those who want to know learn of it once the transaction has committed."""
        if after_commit.is_wanted():
            rejected = Counter(refusal.code.value for _, refusal in self.rejected)
            stored = after_commit.newest_of(self.rows)
            after_commit.tell(after_commit.Committed(self.batch.id, stored, rejected))

    def entry(self) -> IngestBatch:
        """The ledger's row, as it is entered before anything else."""
        messages = self.batch.messages
        return IngestBatch(
            id=self.batch.id,
            source=self.batch.source,
            messages=len(messages),
            first_received_at=to_datetime(messages[0].received_us),
            last_received_at=to_datetime(messages[-1].received_us),
        )

    def complete(self) -> IngestBatch:
        """Keeps what was rejected and completes the row. Holds the tallies' rows until the transaction
        ends: call it last."""
        entry = self._whole_entry()
        IngestBatch.objects.complete(entry)
        self.tell()
        return entry

    def enter_whole(self) -> IngestBatch | None:
        """The same for a row that was not entered before; None where somebody else has entered it."""
        entry = self._whole_entry()
        if not IngestBatch.objects.enter_whole(entry):
            return None
        self.tell()
        return entry

    def _whole_entry(self) -> IngestBatch:
        if self.rejected:
            RejectedMessage.objects.keep(
                refused.counted(self.batch, self.rejected),
                refused.rows(self.batch, self.rejected),
                settings.REJECTED_MAX_BYTES_PER_HOUR,
            )
        entry = self.entry()
        entry.readings = self.readings
        entry.stored = self.stored
        entry.duplicates = self.duplicates
        entry.rejected = len(self.rejected)
        if self.touched:
            pairs = sorted(self.touched.union(zip(self.touched_sensors, self.touched_minutes, strict=True)))
            entry.touched_sensors = [sensor for sensor, _ in pairs]
            entry.touched_minutes = [minute for _, minute in pairs]
        elif self.touched_sensors:
            entry.touched_sensors, entry.touched_minutes = self.touched_sensors, self.touched_minutes
        return entry
