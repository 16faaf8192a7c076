"""Three ways through a batch: whole, message by message, and carefully. Each returns the ledger's entry, or
None where the batch was done before."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter

from django.db import Error, connection, transaction

from batches.batch import Batch, Message
from batches.store import BatchStore
from monitoring.decoders import Code, Reading, Refusal, for_topic
from monitoring.decoders.reading import storable
from monitoring.ingest import columns, known_partitions, sensors
from monitoring.ingest.boards import is_status
from monitoring.ingest.passing import AllAlikeError, BusyError, is_passing, kind_of
from monitoring.ingest.progress import Progress, enter_whole
from monitoring.ingest.settle import Decoded, settle
from monitoring.models import IngestBatch
from process.failpoints import failpoint

_CHECK_VIOLATION = "23514"
# A single death may have another cause than a poison message: memory, power, somebody's kill -9.
DEATHS_AT_A_POSITION = 2


def at_once(batch: Batch) -> IngestBatch | None:
    plain, decoded = read(batch)
    try:
        return _in_one_transaction(batch, plain, decoded)
    except Error as error:
        if not is_of_a_partition(error):
            raise
        known_partitions.forget()
        return _in_one_transaction(batch, plain, decoded)


def is_of_a_partition(error: Exception) -> bool:
    """ "No partition found for row": retention has dropped one that we knew."""
    return getattr(error.__cause__, "pgcode", None) == _CHECK_VIOLATION


def _in_one_transaction(
    batch: Batch, plain: Sequence[columns.Plain], decoded: list[Decoded]
) -> IngestBatch | None:
    progress = Progress.begin(batch)
    known_partitions.ensure_for(progress, decoded, list(columns.moments(plain)))
    try:
        with transaction.atomic():
            store(progress, plain, decoded, sensors.held())
            entries = enter_whole([progress])
            if entries is None:
                raise DoneBeforeError
            failpoint("ingest.entered")
            failpoint("ingest.before_commit")
    except DoneBeforeError:
        return None
    columns.note_doubles(progress.repeated)
    return entries[0]


def read(batch: Batch) -> tuple[list[columns.Plain], list[Decoded]]:
    """A batch's plain readings, and what the other messages were decoded to."""
    plain, others = columns.read(batch)
    decoded = [(position, decode_message(batch.messages[position])) for position in others]
    if columns.meet(plain, batch.messages, decoded):
        return [], _decoded(batch, (row[2] for row in plain), decoded)
    return plain, decoded


def store(
    progress: Progress, plain: Sequence[columns.Plain], decoded: list[Decoded], held: sensors.Sensors
) -> None:
    """Stores what was read of a batch. Call it in a transaction, with the partitions there."""
    left = columns.store(progress, plain, held)
    failpoint("ingest.copied")
    settle(progress, _decoded(progress.batch, left, decoded), held)
    failpoint("ingest.stored")


def _decoded(batch: Batch, positions: Iterable[int], decoded: list[Decoded]) -> list[Decoded]:
    """With the messages at these positions, all in the order in which they came."""
    more = [(position, decode_message(batch.messages[position])) for position in positions]
    return sorted(decoded + more, key=itemgetter(0)) if more else decoded


class DoneBeforeError(Exception):
    """The ledger has the batch: nothing of this transaction is to be kept."""


def one_by_one(
    batch: Batch,
    may_blame: Callable[[], bool] = lambda: False,
    before: Callable[[int], None] | None = None,
    crashed: Iterable[int] = (),
) -> IngestBatch | None:
    """Stores each message in a savepoint of its own, and rejects those that fail. None: done before.

    `before(position)` is called before a message is touched; `crashed` are the positions of poison messages,
    rejected untouched. Raises transient errors, and AllAlikeError where no message can be stored and all fail
    in one way, unless `may_blame()`: the cause (a column that was added, a trigger, a bug of ours) is then
    more likely to lie around the messages than in each of them.
    """
    failures: dict[int, Exception] = {}
    decoded = list(_decode_one_by_one(batch, before, crashed, failures))
    known_partitions.ensure_for(Progress.begin(batch), decoded)
    with transaction.atomic():
        progress = Progress.begin(batch)
        held = sensors.held()
        if not IngestBatch.objects.enter(progress.entry()):
            return None
        for position, items in decoded:
            if before and position not in crashed:
                before(position)
            try:
                with transaction.atomic():
                    settle(progress, [(position, items)], held)
            except Exception as error:
                if is_passing(error):
                    raise
                failures[position] = error
        if failures and not progress.stored + progress.duplicates:
            kinds = {kind_of(error) for error in failures.values()}
            if len(kinds) == 1 and not may_blame():
                raise AllAlikeError(f"all of it fails alike: {next(iter(failures.values()))}")
        for position, failure in failures.items():
            settle(progress, [(position, [_failure(batch.messages[position], failure)])], held)
        return progress.complete()


def _decode_one_by_one(
    batch: Batch,
    before: Callable[[int], None] | None,
    crashed: Iterable[int],
    failures: dict[int, Exception],
) -> Iterator[Decoded]:
    for position, message in enumerate(batch.messages):
        if position in crashed:
            detail = "a worker died each time that it touched this message"
            yield position, [Refusal(Code.CRASHED_WORKER, detail, message.payload, None)]
            continue
        if before:
            before(position)
        try:
            yield position, _decode(message)
        except Exception as error:
            failures[position] = error


def carefully(store: BatchStore, batch: Batch, may_blame: Callable[[], bool]) -> IngestBatch | None:
    """One by one, noting each position: where two careful workers died, one after the other, a poison message
    is rejected unread. Raises BusyError while another worker does this."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [batch.id.int & 0x7FFF_FFFF_FFFF_FFFF])
            if not cursor.fetchone()[0]:
                raise BusyError("another worker is at it")
        deaths = store.careful_deaths(batch.id)
        crashed = {position for position, count in deaths.items() if count >= DEATHS_AT_A_POSITION}
        try:
            return one_by_one(
                batch, may_blame, lambda position: store.note_touching(batch.id, position), crashed
            )
        except Exception:
            # This worker lives: what it was touching has not killed it.
            store.note_touching(batch.id, None)
            raise


def _decode(message: Message) -> list[Reading | Refusal]:
    failpoint("ingest.message", message.payload)
    return decode_message(message)


def decode_message(message: Message) -> list[Reading | Refusal]:
    """Empty where it says how a board is: what that comes to stands in the batch's Progress."""
    if is_status(message.topic):
        return []
    return for_topic(message.topic)(message.payload, message.length)


def _failure(message: Message, error: Exception) -> Refusal:
    detail = storable(f"{type(error).__name__}: {error}".strip())
    return Refusal(Code.FAILED, detail, message.payload, None)
