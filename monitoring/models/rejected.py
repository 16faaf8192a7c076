"""What was refused, and why: nothing that came in disappears with a log line."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from django.conf import settings
from django.db import connection, models
from django.utils.translation import gettext_lazy as _

# What a row costs beside its texts: the tuple's and the pages' overhead, and its entries in four indexes.
ROW_BYTES = 240
# The same sum as RejectedMessage.cost, of a stored row. A payload is cut into pieces, each with a head.
COST = (
    f"({ROW_BYTES} + octet_length(topic) + 2 * octet_length(code) + octet_length(detail)"
    " + octet_length(indexes) + octet_length(payload) + octet_length(payload) / 32)"
)


class Gone(NamedTuple):
    """What was deleted: rows, the readings that they stood for, their bytes, and from when to when."""

    rows: int = 0
    elements: int = 0
    bytes: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def plus(self, other: "Gone") -> "Gone":
        return Gone(
            self.rows + other.rows,
            self.elements + other.elements,
            self.bytes + other.bytes,
            min(filter(None, (self.first, other.first)), default=None),
            max(filter(None, (self.last, other.last)), default=None),
        )


class RejectedMessageQuerySet(models.QuerySet["RejectedMessage"]):
    def keep(
        self,
        seen: Mapping[tuple[str, datetime], int],
        rows: Sequence["RejectedMessage"],
        max_bytes_per_hour: int,
    ) -> int:
        """Counts all that was refused, and inserts the rows within the cap of their code and hour; returns
        how many.

        `seen`: how many readings were refused with a code, in an hour (`hour_of`). Holds the tallies' rows
        until the transaction ends: call it last. In the order of their keys, so that two batches do not
        deadlock.
        """
        tallies: dict[tuple[str, datetime], tuple[int, int]] = {}
        with connection.cursor() as cursor:
            for (code, hour), count in sorted(seen.items()):
                cursor.execute(
                    "INSERT INTO monitoring_rejectedtally AS tally"
                    " (code, hour, seen, kept, kept_bytes, held_bytes, given_way)"
                    " VALUES (%s, %s, %s, 0, 0, 0, 0) ON CONFLICT (code, hour)"
                    " DO UPDATE SET seen = tally.seen + EXCLUDED.seen RETURNING id, kept_bytes",
                    [code, hour, count],
                )
                tallies[code, hour] = cursor.fetchone()
            kept: list[RejectedMessage] = []
            size = {key: kept_bytes for key, (_, kept_bytes) in tallies.items()}
            full: set[tuple[str, datetime]] = set()
            elements: Counter[tuple[str, datetime]] = Counter()
            for row in rows:
                key = row.code, hour_of(row.received_at)
                if key in full or size[key] + row.cost > max_bytes_per_hour:
                    full.add(key)
                    continue
                size[key] += row.cost
                kept.append(row)
                for code, indexes in row.refused().items():
                    elements[code, key[1]] += len(indexes)
            for key, (tally, before) in tallies.items():
                if elements[key] or size[key] != before:
                    cursor.execute(
                        "UPDATE monitoring_rejectedtally SET kept = kept + %s, kept_bytes = kept_bytes + %s,"
                        " held_bytes = held_bytes + %s WHERE id = %s",
                        [elements[key], size[key] - before, size[key] - before, tally],
                    )
        self.bulk_create(kept, batch_size=500)
        return len(kept)

    def delete_oldest(
        self, where: str, parameters: Sequence[Any], limit: int, max_bytes: int | None = None
    ) -> Gone:
        """Deletes the oldest rows that meet `where`, so many at most; says what has gone.

        `max_bytes`: until so many are gone, to make room; that is counted as given way. Rows that somebody
        holds are left for later. Call it in a transaction, which holds the tallies' rows until it ends.
        """
        with connection.cursor() as cursor:
            cursor.execute(_DELETE_OLDEST.format(where=where), [*parameters, limit, max_bytes, max_bytes])
            found = cursor.fetchall()
            gone = Gone()
            for code, hour, rows, elements, size, first, last in found:
                gone = gone.plus(Gone(rows, elements, size, first, last))
                cursor.execute(
                    "UPDATE monitoring_rejectedtally SET held_bytes = GREATEST(0, held_bytes - %s),"
                    " given_way = given_way + %s WHERE code = %s AND hour = %s",
                    [size, 0 if max_bytes is None else elements, code, hour],
                )
        return gone


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def as_ranges(indexes: Iterable[int]) -> str:
    """0-2,5 of 0, 1, 2 and 5: the indexes of a message's elements, ascending."""
    ranges: list[list[int]] = []
    for index in indexes:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def from_ranges(text: str) -> list[int]:
    indexes: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        indexes += range(int(first), int(last or first) + 1)
    return indexes


class RejectedMessage(models.Model):
    """A message that could not be stored, or elements of one that is an array.

    An element has a row of its own, with its own bytes, where that costs little (monitoring.ingest.refused).
    Else the message has one row, with its whole payload and no `index`: `indexes` says which of its elements
    were refused, and with which code; `code` is the one that most of them have. So whatever replays it
    decodes the payload, and takes the items whose index `refused` gives.
    """

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
    elements = models.PositiveIntegerField(
        _("readings"), default=1, db_default=1, help_text=_("How many refused readings the row stands for.")
    )
    indexes = models.TextField(
        _("elements"),
        blank=True,
        default="",
        db_default="",
        help_text=_("Of a message that is kept whole: which of its elements were refused; a line a code."),
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

    @property
    def cost(self) -> int:
        """Bytes that its row takes in the database, indexes included, about."""
        size = len(self.payload)
        texts = len(self.topic.encode()) + len(self.detail.encode()) + len(self.indexes)
        return ROW_BYTES + texts + 2 * len(self.code) + size + size // 32

    def refused(self) -> dict[str, list[int | None]]:
        """The indexes of the refused readings by their code: {"bad_type": [0, 1, 5]}; [None]: the message."""
        if not self.indexes:
            return {self.code: [self.index]}
        lines = (line.split(" ") for line in self.indexes.split("\n"))
        return {code: list(from_ranges(ranges)) for code, ranges in lines}


# Sorted, as the tallies are locked everywhere.
_DELETE_OLDEST = f"""
WITH oldest AS (
    SELECT id, received_at, {COST} AS cost FROM monitoring_rejectedmessage
    WHERE {{where}} ORDER BY received_at, id LIMIT %s FOR UPDATE SKIP LOCKED
), piece AS (
    SELECT id, cost, sum(cost) OVER (ORDER BY received_at, id) - cost AS before FROM oldest
), gone AS (
    DELETE FROM monitoring_rejectedmessage AS message USING piece
    WHERE message.id = piece.id AND (%s::bigint IS NULL OR before < %s)
    RETURNING code, received_at, elements, cost
)
SELECT code, date_trunc('hour', received_at, 'UTC') AS hour, count(*), sum(elements)::bigint,
       sum(cost)::bigint, min(received_at), max(received_at)
FROM gone GROUP BY code, hour ORDER BY code COLLATE "C", hour
"""  # noqa: S608 -- names of our own columns


class Seen(TypedDict):
    seen: int
    kept: int
    given_way: int


class RejectedTallyQuerySet(models.QuerySet["RejectedTally"]):
    def by_code(self) -> dict[str, Seen]:
        """Since the first day: {"unknown_sensor": {"seen": 3, "kept": 2, "given_way": 0}}, by code."""
        with connection.cursor() as cursor:
            cursor.execute(_BY_CODE)
            return {
                code: {"seen": int(seen), "kept": int(kept), "given_way": int(given_way)}
                for code, seen, kept, given_way in cursor.fetchall()
            }

    def held_bytes(self) -> int:
        """What all rejected messages take in the database."""
        return int(self.aggregate(sum=models.Sum("held_bytes"))["sum"] or 0)

    def fold(self, before: datetime, limit: int) -> int:
        """Adds the oldest hours before `before`, so many rows at most, to their code's total, and deletes
        them; returns how many. One statement, so that the sums never change."""
        with connection.cursor() as cursor:
            cursor.execute(_FOLD, [before, limit])
            return int(cursor.fetchone()[0])


_BY_CODE = """
SELECT code, sum(seen), sum(kept), sum(given_way) FROM (
    SELECT code, seen, kept, given_way FROM monitoring_rejectedtally
    UNION ALL SELECT code, seen, kept, given_way FROM monitoring_rejectedtotal
) AS both_sides GROUP BY code ORDER BY code
"""

_FOLD = """
WITH piece AS (
    DELETE FROM monitoring_rejectedtally WHERE id IN (
        SELECT id FROM monitoring_rejectedtally WHERE hour < %s
        ORDER BY hour, id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING code, seen, kept, given_way
), added AS (
    INSERT INTO monitoring_rejectedtotal AS total (code, seen, kept, given_way)
    SELECT code, sum(seen), sum(kept), sum(given_way) FROM piece GROUP BY code
    ON CONFLICT (code) DO UPDATE SET
        seen = total.seen + EXCLUDED.seen, kept = total.kept + EXCLUDED.kept,
        given_way = total.given_way + EXCLUDED.given_way
)
SELECT count(*) FROM piece
"""


class RejectedTally(models.Model):
    """How many were rejected with a code in an hour, and how many of them were kept with their payload.

    What is kept for one code and hour is capped (REJECTED_MAX_BYTES_PER_HOUR), so that a flood of garbage
    from a public broker does not fill the disk; past the cap it is counted here. What all of them hold is
    too (REJECTED_MAX_BYTES, monitoring.upkeep.giving_way). Bytes are what rows cost in the database. Kept for
    as long as rejected messages are, and then added to RejectedTotal.
    """

    code = models.CharField(_("code"), max_length=32)
    hour = models.DateTimeField(_("hour"))
    seen = models.PositiveBigIntegerField(_("seen"), default=0)
    kept = models.PositiveBigIntegerField(_("kept"), default=0)
    kept_bytes = models.PositiveBigIntegerField(_("bytes kept"), default=0)
    held_bytes = models.PositiveBigIntegerField(
        _("bytes held"), default=0, db_default=0, help_text=_("What is still there of the bytes kept.")
    )
    given_way = models.PositiveBigIntegerField(
        _("given way"),
        default=0,
        db_default=0,
        help_text=_("Kept at first, and deleted since all rejected messages together took too much."),
    )

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
    given_way = models.PositiveBigIntegerField(_("given way"), default=0, db_default=0)

    class Meta:
        verbose_name = _("rejected in all hours before")
        verbose_name_plural = _("rejected in all hours before")

    def __str__(self) -> str:
        return f"{self.code}: {self.seen}"
