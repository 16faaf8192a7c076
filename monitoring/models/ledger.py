"""The ledger: one row a batch that was dealt with, and totals of those that were counted."""

import struct
from collections.abc import Collection
from typing import NamedTuple, Self, TypedDict, cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import TransactionNow
from django.db import connection, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from monitoring.models import binary_copy
from monitoring.models.arrays import as_literal


class Sums(TypedDict):
    batches: int
    messages: int
    readings: int
    stored: int
    duplicates: int
    rejected: int


class Entered(NamedTuple):
    """Messages: all of the ledger's; those of the batches that were asked for; of each batch whose storing
    began in the last seconds; and what was corrected."""

    messages: int
    of_batches: int
    lately: dict[UUID, int]
    corrected: int


_HOW_MANY = (12).to_bytes(2)
_pack_counts = struct.Struct(">10iiqiqiq").pack


class IngestBatchQuerySet(models.QuerySet["IngestBatch"]):
    def enter(self, entry: "IngestBatch") -> bool:
        """Inserts the entry, idempotent by its id; False where it is there already, and its batch done.

        Blocks while another transaction enters the same batch, until that has committed or rolled back.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO monitoring_ingestbatch (id, source, messages, readings, stored, duplicates,"
                " rejected, first_received_at, last_received_at, claimed_at, ingested_at)"
                " VALUES (%s, %s, %s, 0, 0, 0, 0, %s, %s, %s, now()) ON CONFLICT (id) DO NOTHING",
                [
                    str(entry.id),
                    entry.source,
                    entry.messages,
                    entry.first_received_at,
                    entry.last_received_at,
                    entry.claimed_at,
                ],
            )
            return bool(cursor.rowcount)

    def enter_whole(self, *entries: "IngestBatch") -> bool:
        """Inserts entries with all that came of their batches, by COPY; False where one is there already.

        Called at the end of the transaction that stores the batches, it writes half of what `enter` and
        `complete` do. Blocks as `enter` does. Where it returns False, this transaction is broken. Binary, for
        where every sensor sends once a minute there are as many touched pairs as readings: as text they would
        cost a third of the batch.
        """
        return binary_copy.copy(
            "monitoring_ingestbatch (id, source, messages, readings, stored, duplicates, rejected,"
            " first_received_at, last_received_at, claimed_at, touched_sensors, touched_minutes)",
            [
                _HOW_MANY
                + binary_copy.field(entry.id.bytes)
                + binary_copy.field(entry.source.encode())
                + _pack_counts(
                    *(4, entry.messages, 4, entry.readings, 4, entry.stored),
                    *(4, entry.duplicates, 4, entry.rejected),
                    *(8, binary_copy.timestamp(entry.first_received_at)),
                    *(8, binary_copy.timestamp(entry.last_received_at)),
                    *(8, binary_copy.timestamp(entry.claimed_at or timezone.now())),
                )
                + binary_copy.bigints(entry.touched_sensors)
                + binary_copy.integers(entry.touched_minutes)
                for entry in entries
            ],
        )

    def sums(self) -> Sums:
        """The ledger's side of the books: the totals, and the rows that are not counted into them yet.

        Exact at every moment: a row is marked as counted in the transaction that adds it to its total,
        and this is one statement, so it sees both or neither. Reads the batches of the last minutes (by
        the index ledger_uncounted) and some ten thousand totals, however many rows the ledger has.
        """
        with connection.cursor() as cursor:
            cursor.execute(_SUMS)
            return cast(Sums, dict(zip(Sums.__annotations__, map(int, cursor.fetchone()), strict=True)))

    def entered(self, batches: Collection[UUID], seconds: float) -> Entered:
        """What the ledger has as of one moment: in one statement, so that the parts fit together."""
        with connection.cursor() as cursor:
            cursor.execute(_ENTERED, {"batches": as_literal(batches), "seconds": seconds})
            messages, of_batches, ids, counts, corrected = cursor.fetchone()
        lately = dict(zip(map(UUID, ids or ()), counts or (), strict=True))
        return Entered(int(messages), int(of_batches), lately, int(corrected))

    def untaken(self) -> Self:
        """Those whose minutes no refresh of the rollups has taken yet (by the index ledger_untaken)."""
        return self.filter(touched_sensors__isnull=False)

    def complete(self, entry: "IngestBatch") -> None:
        """Writes what came of the batch into its entry."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE monitoring_ingestbatch"
                " SET readings = %s, stored = %s, duplicates = %s, rejected = %s,"
                " touched_sensors = %s::bigint[], touched_minutes = %s::integer[] WHERE id = %s",
                [
                    entry.readings,
                    entry.stored,
                    entry.duplicates,
                    entry.rejected,
                    as_literal(entry.touched_sensors),
                    as_literal(entry.touched_minutes),
                    str(entry.id),
                ],
            )


_SUMS = """
SELECT coalesce(sum(batches), 0), coalesce(sum(messages), 0), coalesce(sum(readings), 0),
       coalesce(sum(stored), 0), coalesce(sum(duplicates), 0), coalesce(sum(rejected), 0)
FROM (
    SELECT 1 AS batches, messages, readings, stored, duplicates, rejected
    FROM monitoring_ingestbatch WHERE NOT counted
    UNION ALL
    SELECT batches, messages, readings, stored, duplicates, rejected FROM monitoring_ingesttotal
) AS both_sides
"""


_ENTERED = """
SELECT (SELECT coalesce(sum(messages), 0) FROM monitoring_ingestbatch WHERE NOT counted)
           + (SELECT coalesce(sum(messages), 0) FROM monitoring_ingesttotal),
       (SELECT coalesce(sum(messages), 0) FROM monitoring_ingestbatch WHERE id = ANY(%(batches)s::uuid[])),
       lately.ids, lately.counts,
       (SELECT coalesce(sum(messages), 0) FROM monitoring_correction)
FROM (
    SELECT array_agg(id::text) AS ids, array_agg(messages) AS counts FROM monitoring_ingestbatch
    WHERE NOT counted AND ingested_at > statement_timestamp() - %(seconds)s * interval '1 second'
) AS lately
"""


class IngestBatch(models.Model):
    """One row serves idempotency (its id), the books (its counts) and as the rollups' work queue (touched).

    readings = stored + duplicates + rejected, where a message that cannot be read counts as one. `messages`
    are those that were handed over: an import hands none over, a replay none for the second time, and both
    have readings alone.
    """

    id = models.UUIDField(_("batch"), primary_key=True)
    source = models.CharField(
        _("source"), max_length=100, help_text=_("mqtt:<bridge>, http, import or replay.")
    )
    messages = models.PositiveIntegerField(_("messages"), default=0)
    readings = models.PositiveIntegerField(_("readings"), default=0)
    stored = models.PositiveIntegerField(_("stored"), default=0)
    duplicates = models.PositiveIntegerField(_("duplicates"), default=0)
    rejected = models.PositiveIntegerField(_("rejected"), default=0)
    first_received_at = models.DateTimeField(_("first message"))
    last_received_at = models.DateTimeField(_("last message"))
    claimed_at = models.DateTimeField(
        _("claimed at"), default=timezone.now, null=True, help_text=_("When a worker took it up.")
    )
    ingested_at = models.DateTimeField(_("ingested at"), db_default=TransactionNow(), editable=False)
    # The (sensor, minute) pairs whose rows this batch changed, side by side; a minute counts from
    # 1970. Null once a refresh of the rollups has taken them.
    touched_sensors = ArrayField(models.BigIntegerField(), null=True)
    touched_minutes = ArrayField(models.IntegerField(), null=True)

    # Whether it stands in IngestTotal too (monitoring.upkeep.folding).
    counted = models.BooleanField(_("counted"), default=False, db_default=False, editable=False)

    objects = IngestBatchQuerySet.as_manager()

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger")
        indexes = [
            # Newest first, in the admin; and what is to be folded.
            models.Index(fields=["ingested_at", "id"], name="ledger_by_time"),
            # What a refresh of the rollups has not taken yet.
            models.Index(
                fields=["ingested_at"],
                condition=models.Q(touched_sensors__isnull=False),
                name="ledger_untaken",
            ),
            # What the sums read row by row, and what is to be counted next.
            models.Index(fields=["ingested_at"], condition=models.Q(counted=False), name="ledger_uncounted"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.id}"

    def touch(self, pairs: Collection[tuple[int, int]]) -> None:
        """Notes the (sensor, minute) pairs that rows were stored for; it has none where there are none."""
        if pairs:
            ordered = sorted(pairs)
            self.touched_sensors = [sensor for sensor, _ in ordered]
            self.touched_minutes = [minute for _, minute in ordered]


class IngestTotal(models.Model):
    """What the batches of a source that were ingested within a minute come to; after a month, a day.

    `start` is the beginning of that minute or day, UTC. Adding them up again changes no sum.
    """

    start = models.DateTimeField(_("start"))
    source = models.CharField(_("source"), max_length=100)
    batches = models.PositiveBigIntegerField(_("batches"))
    messages = models.PositiveBigIntegerField(_("messages"))
    readings = models.PositiveBigIntegerField(_("readings"))
    stored = models.PositiveBigIntegerField(_("stored"))
    duplicates = models.PositiveBigIntegerField(_("duplicates"))
    rejected = models.PositiveBigIntegerField(_("rejected"))

    class Meta:
        verbose_name = _("ledger total")
        verbose_name_plural = _("ledger totals")
        constraints = [models.UniqueConstraint(fields=["start", "source"], name="ingest_total_of_minute")]

    def __str__(self) -> str:
        return f"{self.source} {self.start:%Y-%m-%d %H:%M}: {self.messages}"


class Correction(models.Model):
    """What was found missing on one side of the books, and by whose word it stays so.

    A database that was restored from a dump of before has forgotten messages that Redis counts (positive);
    a Redis that began anew does not count messages that the ledger has (negative).
    """

    messages = models.BigIntegerField(_("messages"), help_text=_("Handed over, less those in the ledger."))
    reason = models.CharField(_("reason"), max_length=200)
    made_at = models.DateTimeField(_("made at"), auto_now_add=True)

    class Meta:
        verbose_name = _("correction of the books")
        verbose_name_plural = _("corrections of the books")

    def __str__(self) -> str:
        return f"{self.messages:+,}: {self.reason}"
