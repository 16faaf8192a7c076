"""What was refused, and why: nothing that came in disappears with a log line."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from django.conf import settings
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

# What a row costs beside its payload, about.
_ROW_BYTES = 200


class RejectedMessageQuerySet(models.QuerySet["RejectedMessage"]):
    def keep(self, rejected: Sequence["RejectedMessage"], max_bytes_per_hour: int) -> int:
        """Counts all of them, and inserts those within the cap of their code and hour; returns how many.

        Holds the tallies' rows until the transaction ends: call it last. In the order of their keys,
        so that two batches do not deadlock.
        """
        groups: dict[tuple[str, datetime], list[RejectedMessage]] = defaultdict(list)
        for message in rejected:
            hour = message.received_at.replace(minute=0, second=0, microsecond=0)
            groups[message.code, hour].append(message)
        kept: list[RejectedMessage] = []
        with connection.cursor() as cursor:
            for (code, hour), messages in sorted(groups.items()):
                cursor.execute(
                    "INSERT INTO monitoring_rejectedtally AS tally (code, hour, seen, kept, kept_bytes)"
                    " VALUES (%s, %s, %s, 0, 0) ON CONFLICT (code, hour)"
                    " DO UPDATE SET seen = tally.seen + EXCLUDED.seen RETURNING id, kept_bytes",
                    [code, hour, len(messages)],
                )
                tally, already = cursor.fetchone()
                size, fitting = already, []
                for message in messages:
                    size += len(message.payload) + _ROW_BYTES
                    if size > max_bytes_per_hour:
                        break
                    fitting.append(message)
                    already = size
                cursor.execute(
                    "UPDATE monitoring_rejectedtally SET kept = kept + %s, kept_bytes = %s WHERE id = %s",
                    [len(fitting), already, tally],
                )
                kept += fitting
        self.bulk_create(kept, batch_size=500)
        return len(kept)


class RejectedMessage(models.Model):
    """A message, or one element of a message that is an array, that could not be stored."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        REPLAYED = "replayed", _("replayed")

    received_at = models.DateTimeField(_("received at"))
    topic = models.TextField(_("topic"))
    payload = models.BinaryField(
        _("payload"), help_text=_("As it came; of one over 16 KiB, the first 16 KiB.")
    )
    length = models.PositiveBigIntegerField(_("length"), help_text=_("Bytes of the payload as it came."))
    retained = models.BooleanField(_("retained"), default=False)
    code = models.CharField(_("code"), max_length=32)
    detail = models.CharField(_("detail"), max_length=500, blank=True)
    batch = models.UUIDField(_("batch"), help_text=_("The ledger's row that counts it."))
    position = models.PositiveIntegerField(_("position"), help_text=_("Which message of the batch, from 0."))
    index = models.PositiveIntegerField(
        _("index"), null=True, help_text=_("Which element of the message, from 0, if it is an array.")
    )
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.WAITING)
    replayed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("replayed by"), null=True, on_delete=models.SET_NULL
    )
    replayed_at = models.DateTimeField(_("replayed at"), null=True)
    outcome = models.CharField(
        _("outcome"), max_length=500, blank=True, help_text=_("What the replay came to.")
    )

    objects = RejectedMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("rejected message")
        verbose_name_plural = _("rejected messages")
        indexes = [
            # Newest first, in the admin and for retention.
            models.Index(fields=["received_at", "id"], name="rejected_by_time"),
            # Newest first of one code.
            models.Index(fields=["code", "received_at", "id"], name="rejected_by_code"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Seen(TypedDict):
    seen: int
    kept: int


class RejectedTallyQuerySet(models.QuerySet["RejectedTally"]):
    def by_code(self) -> dict[str, Seen]:
        """Since the first day: {"unknown_sensor": {"seen": 3, "kept": 2}}, in the order of the codes."""
        with connection.cursor() as cursor:
            cursor.execute(_BY_CODE)
            return {code: {"seen": int(seen), "kept": int(kept)} for code, seen, kept in cursor.fetchall()}

    def fold(self, before: datetime, limit: int) -> int:
        """Adds the oldest hours before `before`, so many rows at most, to their code's total, and deletes
        them; returns how many. One statement, so that the sums never change."""
        with connection.cursor() as cursor:
            cursor.execute(_FOLD, [before, limit])
            return int(cursor.fetchone()[0])


_BY_CODE = """
SELECT code, sum(seen), sum(kept) FROM (
    SELECT code, seen, kept FROM monitoring_rejectedtally
    UNION ALL SELECT code, seen, kept FROM monitoring_rejectedtotal
) AS both_sides GROUP BY code ORDER BY code
"""

_FOLD = """
WITH piece AS (
    DELETE FROM monitoring_rejectedtally WHERE id IN (
        SELECT id FROM monitoring_rejectedtally WHERE hour < %s
        ORDER BY hour, id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING code, seen, kept
), added AS (
    INSERT INTO monitoring_rejectedtotal AS total (code, seen, kept)
    SELECT code, sum(seen), sum(kept) FROM piece GROUP BY code
    ON CONFLICT (code) DO UPDATE SET
        seen = total.seen + EXCLUDED.seen, kept = total.kept + EXCLUDED.kept
)
SELECT count(*) FROM piece
"""


class RejectedTally(models.Model):
    """How many were rejected with a code in an hour, and how many of them were kept with their payload.

    The payload bytes kept for one code and hour are capped (REJECTED_MAX_BYTES_PER_HOUR), so that a
    flood of garbage from a public broker does not fill the disk; past the cap they are counted here. Kept
    for as long as rejected messages are, and then added to RejectedTotal.
    """

    code = models.CharField(_("code"), max_length=32)
    hour = models.DateTimeField(_("hour"))
    seen = models.PositiveBigIntegerField(_("seen"), default=0)
    kept = models.PositiveBigIntegerField(_("kept"), default=0)
    kept_bytes = models.PositiveBigIntegerField(_("bytes kept"), default=0)

    objects = RejectedTallyQuerySet.as_manager()

    class Meta:
        verbose_name = _("rejected by hour")
        verbose_name_plural = _("rejected by hour")
        constraints = [models.UniqueConstraint(fields=["code", "hour"], name="rejected_tally_of_hour")]

    def __str__(self) -> str:
        return f"{self.code} {self.hour:%Y-%m-%d %H}h: {self.seen}"


class RejectedTotal(models.Model):
    """What the hours that are no longer kept one by one come to, so that the sums hold for ever."""

    code = models.CharField(_("code"), max_length=32, primary_key=True)
    seen = models.PositiveBigIntegerField(_("seen"))
    kept = models.PositiveBigIntegerField(_("kept"))

    class Meta:
        verbose_name = _("rejected in all hours before")
        verbose_name_plural = _("rejected in all hours before")

    def __str__(self) -> str:
        return f"{self.code}: {self.seen}"
