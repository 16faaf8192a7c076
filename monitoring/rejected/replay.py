"""The story of a rejected message that is replayed: the ordinary way of ingest, once more, and once.

1. Decode its payload, or what somebody has made of it; make the partitions that its readings need.
2. In one transaction: lock it, and leave it where it does not wait any more; hold its readings against their
   sensors, store them, enter that in the ledger (source `replay`), and write down what it became.

It keeps the time at which it was received, its topic, and whether it was retained: what has no time of its
own is stored under the one at which it came. Rollups follow from the ledger's entry.

A message that is refused again waits on, under the code that it is refused for now. Of an array that was
kept whole, those elements that are stored are counted as replayed, and the others wait on. Where the payload
was changed it is all or nothing, and the message stays as it was: what is wrong with the change is not wrong
with the message.

The ledger's entry has no messages: they were counted when they came. `rejected` in the ledger stays too: of
those, the tallies say how many wait, were replayed or dismissed (RejectedTally).

A dry run is the same, rolled back.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec
from django.contrib.auth.models import User
from django.db import Error, transaction
from django.utils import timezone

from batches.batch import Batch, Message, time_ordered_id, to_datetime
from monitoring.decoders import Code, Reading, Refusal
from monitoring.decoders.reading import storable
from monitoring.ingest import known_partitions, sensors
from monitoring.ingest.boards import is_status
from monitoring.ingest.passing import AllAlikeError, is_passing, kind_of
from monitoring.ingest.progress import Fate, Progress
from monitoring.ingest.refused import summary
from monitoring.ingest.settle import Decoded, settle
from monitoring.ingest.ways import decode_message, is_of_a_partition
from monitoring.models import IngestBatch, RejectedMessage
from monitoring.models.rejected import Standing
from process.failpoints import failpoint

SOURCE = "replay"
_OF_ITS_MOMENT = "what a board says of itself holds when it says it: dismiss it, it is not replayed"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Outcome(StrEnum):
    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class UnitChange(NamedTuple):
    """Readings that name the one unit are read as if they named the other."""

    unit: str
    becomes: str


class Verdict(NamedTuple):
    """What came of a message. `sensor` and `created_at` of the first of its readings that is stored, or stood
    there; `code` and `detail` of the first that is refused. The counts are of readings."""

    id: int
    outcome: Outcome
    code: str | None
    detail: str
    sensor: int | None
    created_at: datetime | None
    stored: int
    duplicates: int
    rejected: Mapping[str, int]


class NotWaitingError(Exception):
    """It has been replayed, or dismissed, or is not there any more."""


class CutError(Exception):
    """Only the beginning of its payload was kept: there is nothing to replay but what replaces it."""


class Trial:
    """A dry run of several pieces: what one of them would have stored, the next ones find."""

    def __init__(self) -> None:
        self._stored: dict[tuple[int, datetime], tuple[float, str]] = {}

    def judge(self, fate: Fate) -> Fate | Refusal:
        there = self._stored.get((fate.sensor_id, fate.created_at))
        if there is None or not fate.timed:
            return fate
        if there == (fate.value, fate.unit):
            return fate._replace(is_duplicate=True)
        return Refusal(Code.CONFLICT, "another of those to be replayed has its time", b"", fate.element)

    def note(self, fates: Iterable[Fate]) -> None:
        for fate in fates:
            if not fate.is_duplicate:
                self._stored[fate.sensor_id, fate.created_at] = fate.value, fate.unit


def replay_one(
    pk: int,
    by: User | None,
    payload: bytes | None = None,
    change: UnitChange | None = None,
    dry_run: bool = False,
) -> Verdict:
    """Replays a message, or what `payload` makes of it.

    Raises NotWaitingError, CutError, and transient errors (monitoring.ingest.passing).
    """
    if payload is None and any(row.is_cut for row in RejectedMessage.objects.filter(pk=pk)):
        raise CutError
    verdicts = replay([pk], by, payload=payload, change=change, trial=Trial() if dry_run else None)
    if not verdicts:
        raise NotWaitingError
    return verdicts[0]


def replay(
    ids: Sequence[int],
    by: User | None,
    *,
    payload: bytes | None = None,
    change: UnitChange | None = None,
    trial: Trial | None = None,
    note: Callable[[list[Verdict]], None] = lambda verdicts: None,
) -> list[Verdict]:
    """Replays those of the messages that wait, in one transaction, in the order of their ids.

    `trial`: says what would come of them, and changes nothing. `payload` is of one message alone. `note` is
    called in the transaction, at its end, unless it is a trial.
    Raises transient errors, and AllAlikeError where several fail, all in one way.
    """
    asked = _Asked(by, payload, change, trial, note)
    # Partitions before the transaction, as for a batch: who makes one waits for others who do.
    if trial is None and (rows := _waiting(ids)):
        _make_partitions(*_decoded(rows, asked))
    try:
        return _in_one_transaction(ids, asked)
    except Error as error:
        if not is_of_a_partition(error):
            raise
        known_partitions.forget()
        return _in_one_transaction(ids, asked._replace(again=True))


class _Asked(NamedTuple):
    """`again`: for the second time, after one at which a partition may have been missing."""

    by: User | None
    payload: bytes | None
    change: UnitChange | None
    trial: Trial | None
    note: Callable[[list[Verdict]], None]
    again: bool = False

    def is_to_raise(self, error: Exception) -> bool:
        """Whether the error is to be raised, rather than taken for a fault of the message's."""
        return is_passing(error) or (is_of_a_partition(error) and not self.again)


def _waiting(ids: Sequence[int]) -> list[RejectedMessage]:
    return list(RejectedMessage.objects.waiting().filter(pk__in=ids).order_by("pk"))


def _in_one_transaction(ids: Sequence[int], asked: _Asked) -> list[Verdict]:
    try:
        with transaction.atomic():
            # Whoever asks for one of them too waits here, and finds that it waits no more.
            list(RejectedMessage.objects.filter(pk__in=ids).order_by("pk").select_for_update().values("pk"))
            verdicts: list[Verdict] = []
            if rows := _waiting(ids):
                failpoint("replay.locked")
                verdicts = _replay(rows, asked)
                failpoint("replay.before_commit")
            if asked.trial is None:
                asked.note(verdicts)
            else:
                transaction.set_rollback(True)
            return verdicts
    finally:
        if asked.trial is not None:
            # Those that it made are gone again.
            known_partitions.forget()


def _replay(rows: Sequence[RejectedMessage], asked: _Asked) -> list[Verdict]:
    progress, decoded = _decoded(rows, asked)
    if asked.trial is not None:
        _make_partitions(progress, decoded)
    _settle(progress, decoded, sensors.held(), asked)
    fates: defaultdict[int, list[Fate]] = defaultdict(list)
    refusals: defaultdict[int, list[Refusal]] = defaultdict(list)
    for fate in progress.fates or ():
        judged = fate if asked.trial is None else asked.trial.judge(fate)
        if isinstance(judged, Refusal):
            refusals[fate.position].append(judged)
        else:
            fates[fate.position].append(judged)
    for position, of_message in progress.refused.items():
        refusals[position] += of_message
    verdicts = [_verdict(row, fates[position], refusals[position]) for position, row in enumerate(rows)]
    if asked.trial is not None:
        asked.trial.note(fate for of_row in fates.values() for fate in of_row)
        return verdicts
    _enter(progress)
    settled = []
    for position, (row, verdict) in enumerate(zip(rows, verdicts, strict=True)):
        before = Standing.of(row)
        _write_down(row, verdict, refusals[position], asked)
        settled.append((before, row))
    RejectedMessage.objects.settle(settled)
    progress.refused.clear()  # of them nothing is new
    progress.tell()
    return verdicts


def _decoded(rows: Sequence[RejectedMessage], asked: _Asked) -> tuple[Progress, list[Decoded]]:
    messages = [
        Message(
            (row.received_at - _EPOCH) // _MICROSECOND,
            row.topic,
            bytes(row.payload) if asked.payload is None else asked.payload,
            row.retained,
        )
        for row in rows
    ]
    progress = Progress.begin(Batch(time_ordered_id(), SOURCE, messages), again=True)
    progress.fates = []
    items = [
        (position, [_read(item, asked.change) for item in _items(row, messages[position], asked)])
        for position, row in enumerate(rows)
    ]
    return progress, items


def _make_partitions(progress: Progress, decoded: list[Decoded]) -> None:
    known_partitions.ensure_for(
        progress, decoded, [message.received_us for message in progress.batch.messages]
    )


def _items(row: RejectedMessage, message: Message, asked: _Asked) -> list[Reading | Refusal]:
    """Of an array, those elements that were refused; the others are stored."""
    failpoint("replay.message", message.payload)
    if is_status(message.topic):
        return [Refusal(Code.BAD_STATUS, _OF_ITS_MOMENT, message.payload, None)]
    items = decode_message(message)
    if asked.payload is not None:
        return items
    if row.indexes:
        refused = {index for indexes in row.refused().values() for index in indexes}
        return [item for item in items if item.index in refused]
    if row.index is not None and any(item.index is not None for item in items):
        # An element that is an array itself: by itself it would be a message of several readings.
        return [Refusal(Code.NOT_AN_OBJECT, row.detail, message.payload, None)]
    return items


def _read(item: Reading | Refusal, change: UnitChange | None) -> Reading | Refusal:
    if change is None or isinstance(item, Refusal) or item.unit != change.unit:
        return item
    return msgspec.structs.replace(item, unit=change.becomes)


def _settle(progress: Progress, decoded: list[Decoded], held: sensors.Sensors, asked: _Asked) -> None:
    """All at once, or where that fails each in a savepoint."""
    try:
        with transaction.atomic():
            settle(progress, decoded, held)
            if asked.payload is None or not progress.refused:
                return
            transaction.set_rollback(True)
    except Exception as error:
        if asked.is_to_raise(error):
            raise
        failures = {position: error for position, _ in decoded[:1] if len(decoded) == 1}
    else:
        # What was stored is not there any more, and counts for nothing.
        progress.forget_stored()
        return
    if len(decoded) > 1:
        failures = _settle_each(progress, decoded, held, asked)
    for position, failure in failures.items():
        detail = storable(f"{type(failure).__name__}: {failure}".strip())
        progress.reject(position, [Refusal(Code.FAILED, detail, b"", None)])


def _settle_each(
    progress: Progress, decoded: Iterable[Decoded], held: sensors.Sensors, asked: _Asked
) -> dict[int, Exception]:
    failures: dict[int, Exception] = {}
    for one in decoded:
        try:
            with transaction.atomic():
                settle(progress, [one], held)
        except Exception as error:
            if asked.is_to_raise(error):
                raise
            failures[one[0]] = error
    if failures and not progress.fates and len({kind_of(error) for error in failures.values()}) == 1:
        raise AllAlikeError(f"all of it fails alike: {next(iter(failures.values()))}")
    return failures


def _verdict(row: RejectedMessage, fates: Sequence[Fate], refusals: Sequence[Refusal]) -> Verdict:
    duplicates = sum(fate.is_duplicate for fate in fates)
    stored = len(fates) - duplicates
    outcome = Outcome.STORED if stored else Outcome.DUPLICATE
    if refusals:
        outcome = Outcome.REJECTED
    first = min(fates, key=lambda fate: (fate.is_duplicate, fate.created_at), default=None)
    rejected = {code: len(which) for code, which in summary(refusals)[0].items()} if refusals else {}
    return Verdict(
        row.pk,
        outcome,
        next(iter(rejected), None),
        _detail(refusals),
        first and first.sensor_id,
        first and first.created_at,
        stored,
        duplicates,
        rejected,
    )


def _detail(refusals: Sequence[Refusal]) -> str:
    if not refusals:
        return ""
    return refusals[0].detail if len(refusals) == 1 else summary(refusals)[1]


def _enter(progress: Progress) -> None:
    """In the ledger stands what came as far as the table."""
    entry = progress.whole_entry()
    entry.messages, entry.rejected = 0, 0
    received = [message.received_us for message in progress.batch.messages]
    entry.first_received_at, entry.last_received_at = to_datetime(min(received)), to_datetime(max(received))
    entry.readings = entry.stored + entry.duplicates
    if entry.readings and not IngestBatch.objects.enter_whole(entry):
        raise AssertionError("an id that was just made is in the ledger")


def _write_down(row: RejectedMessage, verdict: Verdict, refusals: Sequence[Refusal], asked: _Asked) -> None:
    row.replayed_by_id = asked.by.pk if asked.by else None
    row.replayed_at = timezone.now()
    row.outcome = in_words(verdict)
    if asked.change is not None:
        row.outcome = storable(f'{row.outcome}; unit "{asked.change.unit}" read as "{asked.change.becomes}"')
    row.became_sensor, row.became_at = verdict.sensor, verdict.created_at
    if verdict.outcome is not Outcome.REJECTED:
        row.state = RejectedMessage.State.REPLAYED
        row.changed_payload = asked.payload
    elif asked.payload is None:
        refused: Mapping[str, Sequence[int | None]] = {refusals[0].code.value: [row.index]}
        row.refuse(summary(refusals)[0] if row.indexes else refused, verdict.detail)


def in_words(verdict: Verdict) -> str:
    counts = {"stored": verdict.stored, "duplicate": verdict.duplicates}
    said = [f"{count} {name}" for name, count in counts.items() if count]
    if verdict.rejected:
        again = ", ".join(f"{count} {code}" for code, count in verdict.rejected.items())
        said.append(f"rejected again: {again}")
    text = ", ".join(said)
    return verdict.outcome if text in ("1 stored", "1 duplicate") else text
