"""Several small batches in one transaction, each with its own entry in the ledger.

What a transaction costs, its commit above all, is a hundred times what a batch of four messages costs in it.

- Batches all of whose readings are plain, and taken, have their rows in one COPY.
- Any other batch, and each of them where a key of that COPY is taken, is stored in a savepoint of its own, as
  it would be in a transaction of its own. One that fails there is left out: its neighbours are stored.
"""

import logging
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from django.db import Error, transaction

from batches.batch import Batch
from monitoring.ingest import columns, known_partitions, sensors
from monitoring.ingest.passing import is_in_every_way
from monitoring.ingest.progress import Progress, enter_whole
from monitoring.ingest.sensors import Named, Sensors
from monitoring.ingest.settle import Decoded, named_by
from monitoring.ingest.ways import DoneBeforeError, is_of_a_partition, read, store
from monitoring.models import IngestBatch
from process.failpoints import failpoint

logger = logging.getLogger(__name__)


class _Read(NamedTuple):
    progress: Progress
    plain: list[columns.Plain]
    decoded: list[Decoded]


def together(batches: Iterable[Batch]) -> list[IngestBatch]:
    """Returns the ledger's entries of the batches that are stored; the others are to be retried one by one.
    Raises what stands in the way of all of them; then none is stored.
    """
    # In the order of their ids: whoever enters the same batches does so in the same order.
    ordered = sorted(batches, key=itemgetter(0))
    try:
        return _in_one_transaction(ordered)
    except Error as error:
        if not is_of_a_partition(error):
            raise
        known_partitions.forget()
        return _in_one_transaction(ordered)


def _in_one_transaction(batches: Iterable[Batch]) -> list[IngestBatch]:
    prepared = [one for batch in batches if (one := _prepare(batch)) is not None]
    try:
        with transaction.atomic():
            held = sensors.held()
            # Before the first savepoint: a sensor that is made stays, whatever becomes of a batch.
            held.learn(_named(prepared))
            stored = _store(prepared, held)
            failpoint("ingest.stored")
            entries = enter_whole([one.progress for one in stored]) if stored else []
            if entries is None:
                raise DoneBeforeError
            failpoint("ingest.entered")
            failpoint("ingest.before_commit")
    except DoneBeforeError:
        return []
    for one in stored:
        columns.note_doubles(one.progress.repeated)
    return entries


def _prepare(batch: Batch) -> _Read | None:
    """Decodes the batch and makes its partitions; None where that fails, which the log says."""
    try:
        one = _Read(Progress.begin(batch), *read(batch))
        known_partitions.ensure_for(one.progress, one.decoded, list(columns.moments(one.plain)))
    except Exception as error:
        _leave_out(batch, error)
        return None
    return one


def _named(prepared: Iterable[_Read]) -> dict[int, Named]:
    named: dict[int, Named] = {}
    for one in prepared:
        named |= named_by(one.decoded)
        named |= {sensor_id: (kind, unit) for sensor_id, kind, unit in (row[5] for row in one.plain)}
    return named


def _store(prepared: Sequence[_Read], held: Sensors) -> list[_Read]:
    """Stores the batches in the open transaction; returns those that are, in the order given."""
    plain = {}
    for one in prepared:
        packed = columns.pack(one.progress, one.plain, held)
        if packed and packed.rows and not packed.left and not one.decoded:
            plain[one.progress.batch.id] = packed
    if plain and not columns.copied(sorted(row for packed in plain.values() for row in packed.rows)):
        plain.clear()
    failpoint("ingest.copied")
    stored = []
    for one in prepared:
        if packed := plain.get(one.progress.batch.id):
            columns.note(one.progress, packed, held)
            stored.append(one)
        elif _store_in_a_savepoint(one, held):
            stored.append(one)
    return stored


def _store_in_a_savepoint(one: _Read, held: Sensors) -> bool:
    known = len(held.expected)
    try:
        with transaction.atomic():
            store(*one, held)
    except Exception as error:
        if is_of_a_partition(error):
            raise
        if len(held.expected) != known:
            raise  # a sensor was made in this savepoint, and the next batch would believe that it is there
        _leave_out(one.progress.batch, error)
        return False
    return True


def _leave_out(batch: Batch, error: Exception) -> None:
    if is_in_every_way(error):
        raise error
    logger.info("batch %s is retried in a transaction of its own: %s", batch.id, error)
