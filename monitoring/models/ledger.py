"""The ledger: one row a batch that was dealt with."""

from typing import TypedDict

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models import Count, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _


class Sums(TypedDict):
    batches: int
    messages: int
    readings: int
    stored: int
    duplicates: int
    rejected: int


class IngestBatchQuerySet(models.QuerySet["IngestBatch"]):
    def enter(self, entry: "IngestBatch") -> bool:
        """Inserts the entry; False where it is there already, and its batch done.

        Waits for a transaction that is entering the same batch, and learns how it ended.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO monitoring_ingestbatch (id, source, messages, readings, stored, duplicates,"
                " rejected, first_received_at, last_received_at, ingested_at)"
                " VALUES (%s, %s, %s, 0, 0, 0, 0, %s, %s, now()) ON CONFLICT (id) DO NOTHING",
                [
                    str(entry.id),
                    entry.source,
                    entry.messages,
                    entry.first_received_at,
                    entry.last_received_at,
                ],
            )
            return bool(cursor.rowcount)

    def sums(self) -> Sums:
        """The ledger's side of the books. Reads every row that has not been folded yet."""

        def total(field: str) -> Coalesce:
            return Coalesce(Sum(field), 0)

        return self.aggregate(
            batches=Count("id"),
            messages=total("messages"),
            readings=total("readings"),
            stored=total("stored"),
            duplicates=total("duplicates"),
            rejected=total("rejected"),
        )  # type: ignore[return-value]  # the plugin does not see Coalesce's type

    def complete(self, entry: "IngestBatch") -> None:
        """Writes what came of the batch into its entry."""
        with connection.cursor() as cursor:
            # Plain lists: ArrayField would prepare each of a thousand elements by itself.
            cursor.execute(
                "UPDATE monitoring_ingestbatch"
                " SET readings = %s, stored = %s, duplicates = %s, rejected = %s,"
                " touched_sensors = %s::bigint[], touched_minutes = %s::integer[] WHERE id = %s",
                [
                    entry.readings,
                    entry.stored,
                    entry.duplicates,
                    entry.rejected,
                    entry.touched_sensors,
                    entry.touched_minutes,
                    str(entry.id),
                ],
            )


class IngestBatch(models.Model):
    """At once idempotency (its id), conservation (its counts) and the rollups' work list (touched).

    readings = stored + duplicates + rejected, where a message that cannot be read counts as one. `messages`
    are those that were handed over: an import (source `import`) hands none over, and has readings alone.
    """

    id = models.UUIDField(_("batch"), primary_key=True)
    source = models.CharField(_("source"), max_length=100, help_text=_("mqtt:<bridge> or http."))
    messages = models.PositiveIntegerField(_("messages"), default=0)
    readings = models.PositiveIntegerField(_("readings"), default=0)
    stored = models.PositiveIntegerField(_("stored"), default=0)
    duplicates = models.PositiveIntegerField(_("duplicates"), default=0)
    rejected = models.PositiveIntegerField(_("rejected"), default=0)
    first_received_at = models.DateTimeField(_("first message"))
    last_received_at = models.DateTimeField(_("last message"))
    ingested_at = models.DateTimeField(_("ingested at"), auto_now_add=True)
    # The (sensor, minute) pairs whose rows this batch changed, side by side; a minute counts from
    # 1970. Null once a refresh of the rollups has taken them.
    touched_sensors = ArrayField(models.BigIntegerField(), null=True)
    touched_minutes = ArrayField(models.IntegerField(), null=True)

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
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.id}"
