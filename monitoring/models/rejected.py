"""The dead letters: what was refused, and why. Nothing that came in disappears with a log line."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import connection, models
from django.utils.translation import gettext_lazy as _
from psycopg2.extras import execute_values

from monitoring.models import rejected_copy
from monitoring.models.rejected_tally import RejectedTally, hour_of

# What a row costs beside its texts: the tuple's and the pages' overhead, and its entries in four indexes.
ROW_BYTES = 270
# The same sum as RejectedMessage.cost, of a stored row. A payload is cut into pieces, each with a head.
COST = (
    f"({ROW_BYTES} + octet_length(topic) + 2 * octet_length(code) + octet_length(detail)"
    " + octet_length(indexes) + octet_length(outcome) + 16 * cardinality(sensors)"
    " + octet_length(payload) + octet_length(payload) / 32"
    " + coalesce(octet_length(changed_payload) + octet_length(changed_payload) / 32, 0))"
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

        `seen`: how many readings were refused with a code, in an hour (`hour_of`). Keeps the tallies' rows
        locked until the transaction ends, so call it last; locks them in the order of their keys, so that two
        batches do not deadlock.
        """
        tallies: dict[tuple[str, datetime], tuple[int, int]] = {}
        with connection.cursor() as cursor:
            for (code, hour), count in sorted(seen.items()):
                cursor.execute(
                    "INSERT INTO monitoring_rejectedtally AS tally"
                    " (code, hour, seen, kept, kept_bytes) VALUES (%s, %s, %s, 0, 0) ON CONFLICT (code, hour)"
                    " DO UPDATE SET seen = tally.seen + EXCLUDED.seen RETURNING id, kept_bytes",
                    [code, hour, count],
                )
                tallies[code, hour] = cursor.fetchone()
            kept: list[RejectedMessage] = []
            size = {key: kept_bytes for key, (_, kept_bytes) in tallies.items()}
            full: set[tuple[str, datetime]] = set()
            elements: Counter[tuple[str, datetime]] = Counter()
            waiting: Counter[tuple[str, datetime]] = Counter()
            for row in rows:
                key = row.code, hour_of(row.received_at)
                if key in full or size[key] + row.cost > max_bytes_per_hour:
                    full.add(key)
                    continue
                size[key] += row.cost
                kept.append(row)
                waiting[key] += row.elements
                for code, indexes in row.refused().items():
                    elements[code, key[1]] += len(indexes)
            for key, (tally, before) in tallies.items():
                if elements[key] or size[key] != before:
                    cursor.execute(
                        "UPDATE monitoring_rejectedtally SET kept = kept + %s, waiting = waiting + %s,"
                        " kept_bytes = kept_bytes + %s, held_bytes = held_bytes + %s WHERE id = %s",
                        [elements[key], waiting[key], size[key] - before, size[key] - before, tally],
                    )
            of_codes: Counter[str] = Counter()
            for (code, _), count in seen.items():
                of_codes[code] += count
            codes = sorted(of_codes)
            cursor.execute(_ADD_TO_THE_MINUTE, [codes, [of_codes[code] for code in codes]])
        if kept:
            rejected_copy.insert(kept)
        return len(kept)

    def delete_oldest(
        self, where: str, parameters: Sequence[Any], limit: int, max_bytes: int | None = None
    ) -> Gone:
        """Deletes the oldest rows that meet `where` (SQL), `limit` at most; returns what has gone.

        `max_bytes`: only until so many bytes are gone, to make room; that is counted as given way. Rows that
        others have locked are skipped. Call it in a transaction, which locks the tallies' rows until its end.
        """
        with connection.cursor() as cursor:
            cursor.execute(_DELETE_OLDEST.format(where=where), [*parameters, limit, max_bytes, max_bytes])
            found = cursor.fetchall()
        gone, changes = Gone(), {}
        for code, hour, rows, elements, waiting, size, first, last in found:
            gone = gone.plus(Gone(rows, elements, size, first, last))
            given_way = 0 if max_bytes is None else waiting
            changes[code, hour] = {"held_bytes": -size, "waiting": -waiting, "given_way": given_way}
        RejectedTally.objects.change(changes)
        return gone

    def waiting(self) -> Self:
        return self.filter(state=RejectedMessage.State.WAITING)

    def settle(self, settled: Sequence[tuple["Standing", "RejectedMessage"]]) -> None:
        """Writes what has become of rows that this transaction has locked while they were waiting.

        Each comes with how it stood before. The tallies' rows stay locked until the transaction ends, so call
        it last.
        """
        if not settled:
            return
        changes: defaultdict[tuple[str, datetime], Counter[str]] = defaultdict(Counter)
        for before, row in settled:
            for code, change in _changes(before, row).items():
                changes[code, hour_of(row.received_at)].update(change)
        with connection.cursor() as cursor, connection.wrap_database_errors:
            raw: Any = cursor.cursor  # psycopg2's own
            execute_values(raw, _SETTLE, [_settlement(row) for _, row in settled], page_size=1000)
        RejectedTally.objects.change(changes)


class Standing(NamedTuple):
    """How a waiting row is counted: what is to be known of it before it is changed."""

    code: str
    refused: dict[str, list[int | None]]
    elements: int
    cost: int

    @classmethod
    def of(cls, row: "RejectedMessage") -> "Standing":
        return cls(row.code, row.refused(), row.elements, row.cost)


def _changes(before: Standing, row: "RejectedMessage") -> dict[str, Counter[str]]:
    """What the tallies of its hour change by, by code."""
    changes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    changes[before.code].update(held_bytes=-before.cost, waiting=-before.elements)
    changes[row.code].update(held_bytes=row.cost)
    left = 0
    if row.state == RejectedMessage.State.WAITING:
        left = row.elements
        changes[row.code].update(waiting=left)
        # What is refused for another reason than before is counted under that: the sums stay.
        was = {index: code for code, indexes in before.refused.items() for index in indexes}
        for code, indexes in row.refused().items():
            for index in indexes:
                changes[was[index]].update(seen=-1, kept=-1)
                changes[code].update(seen=1, kept=1)
    state = "dismissed" if row.state == RejectedMessage.State.DISMISSED else "replayed"
    changes[before.code][state] += before.elements - left
    return changes


def _settlement(row: "RejectedMessage") -> tuple[Any, ...]:
    return (
        *(row.pk, row.state, row.replayed_by_id, row.replayed_at, row.outcome),
        *(row.became_sensor, row.became_at, row.changed_payload),
        *(row.code, row.detail, row.elements, row.indexes),
    )


# Of the minute in which the transaction began, as the ledger's entry says it.
_ADD_TO_THE_MINUTE = """
INSERT INTO monitoring_rejectedminute AS minute (start, code, seen)
SELECT date_trunc('minute', now(), 'UTC'), code, seen FROM unnest(%s::text[], %s::bigint[]) AS of (code, seen)
ON CONFLICT (start, code) DO UPDATE SET seen = minute.seen + EXCLUDED.seen
"""

_SETTLE = """
UPDATE monitoring_rejectedmessage AS message
SET state = new.state, replayed_by_id = new.by::integer, replayed_at = new.at::timestamptz,
    outcome = new.outcome, became_sensor = new.sensor::bigint, became_at = new.became::timestamptz,
    changed_payload = new.payload::bytea, code = new.code, detail = new.detail, elements = new.elements,
    indexes = new.indexes
FROM (VALUES %s) AS new (
    id, state, by, at, outcome, sensor, became, payload, code, detail, elements, indexes
) WHERE message.id = new.id
"""


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
        DISMISSED = "dismissed", _("dismissed")

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
    sensors = ArrayField(
        models.BigIntegerField(),
        verbose_name=_("sensors"),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Those that it names, as far as they could be read."),
    )
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.WAITING)
    # Of a replay or a dismissal.
    replayed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("by"), null=True, on_delete=models.SET_NULL
    )
    replayed_at = models.DateTimeField(_("at"), null=True)
    outcome = models.CharField(
        _("outcome"),
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text=_("What the last replay came to; of a dismissed one the reason."),
    )
    became_sensor = models.PositiveBigIntegerField(
        _("sensor"), null=True, help_text=_("Whose measurement it became, or stood there already.")
    )
    became_at = models.DateTimeField(_("measured at"), null=True)
    changed_payload = models.BinaryField(
        _("changed payload"), null=True, help_text=_("What was stored instead of the payload as it came.")
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
            # Those that name a sensor.
            GinIndex(fields=["sensors"], name="rejected_by_sensor"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    @property
    def cost(self) -> int:
        """Bytes that its row takes in the database, indexes included, about."""
        texts = sum(len(text.encode()) for text in (self.topic, self.detail, self.indexes, self.outcome))
        payloads = sum(len(one) + len(one) // 32 for one in (self.payload, self.changed_payload or b""))
        return ROW_BYTES + texts + 2 * len(self.code) + 16 * len(self.sensors) + payloads

    def refused(self) -> dict[str, list[int | None]]:
        """The indexes of the refused readings by their code: {"bad_type": [0, 1, 5]}; [None]: the message."""
        if not self.indexes:
            return {self.code: [self.index]}
        lines = (line.split(" ") for line in self.indexes.split("\n"))
        return {code: list(from_ranges(ranges)) for code, ranges in lines}

    @property
    def is_cut(self) -> bool:
        """Whether its payload was kept in part alone."""
        return len(self.payload) < self.length

    def refuse(self, refused: Mapping[str, Sequence[int | None]], detail: str) -> None:
        """From now on these are the readings that are refused, by code; the most frequent comes first."""
        self.code = next(iter(refused))
        self.detail = detail
        if self.indexes:
            self.indexes = "\n".join(
                f"{code} {as_ranges(index or 0 for index in which)}" for code, which in refused.items()
            )
            self.elements = sum(map(len, refused.values()))


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
    RETURNING code, received_at, elements, state, cost
)
SELECT code, date_trunc('hour', received_at, 'UTC') AS hour, count(*), sum(elements)::bigint,
       coalesce(sum(elements) FILTER (WHERE state = 'waiting'), 0)::bigint,
       sum(cost)::bigint, min(received_at), max(received_at)
FROM gone GROUP BY code, hour ORDER BY code COLLATE "C", hour
"""  # noqa: S608 -- names of our own columns
