"""What others want to know of stored rows: the one hook after a batch's commit.

    subscribe(on_stored)          at start, in each process that stores

A subscriber is called with a `Committed`, in a thread of its own, after the transaction: it can neither fail
the batch nor hold it up. What it raises is logged. Delivery is at most once: where subscribers fall behind,
the oldest of the queue is dropped, and the log says how many; and a worker may die between the commit and the
call. So a subscriber that must not miss anything reads the tables, and takes this for a hint to do so.

With no subscriber nothing is gathered, and no thread runs.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from django.db import close_old_connections, transaction

logger = logging.getLogger(__name__)

# The bound of the subscribers' queue, in batches.
WAITING = 1_000


class Newest(NamedTuple):
    """What a batch stored of one sensor: how many rows, the newest of them, when the oldest was measured, and
    between which values all lie; times in microseconds since 1970, UTC."""

    rows: int
    created_us: int
    value: float
    unit: str
    oldest_us: int
    lowest: float
    highest: float


class Committed(NamedTuple):
    """`stored` by sensor, `rejected` by reason code; `boards`: whose topic a sensor's reading came on, where
    the topic says so."""

    batch: UUID
    stored: Mapping[int, Newest]
    rejected: Mapping[str, int]
    boards: Mapping[int, str] = MappingProxyType({})


Subscriber = Callable[[Committed], None]
Wanted = Callable[[], bool]

_subscribers: list[tuple[Subscriber, Wanted]] = []
_waiting: "queue.Queue[Committed]" = queue.Queue(WAITING)
_teller: threading.Thread | None = None
_left_out = 0


def subscribe(subscriber: Subscriber, is_wanted: Wanted = lambda: True) -> Callable[[], None]:
    """From now on it is told of each batch that this process stores. Returns a function that ends that.

    `is_wanted`: asked a few times a batch, so it must be quick. Where it says no, and nobody else says yes,
    the batch is not gathered.
    """
    entry = (subscriber, is_wanted)
    _subscribers.append(entry)
    return lambda: _subscribers.remove(entry)


def is_wanted() -> bool:
    """Whether anybody listens; else there is nothing to gather."""
    return any(is_wanted() for _, is_wanted in _subscribers)


def newest_of(rows: Iterable[tuple[int, int, float, str]]) -> dict[int, Newest]:
    """Of rows (sensor, created_us, value, unit), in any order."""
    found: dict[int, Newest] = {}
    for sensor_id, created_us, value, unit in rows:
        add(found, sensor_id, one(created_us, value, unit))
    return found


def one(created_us: int, value: float, unit: str) -> Newest:
    """Of a single row."""
    return Newest(1, created_us, value, unit, created_us, value, value)


def add(found: dict[int, Newest], sensor_id: int, more: Newest) -> None:
    """Of two rows with one time, the one that came later is the newest."""
    before = found.get(sensor_id)
    if before is not None:
        newest = more if more.created_us >= before.created_us else before
        more = newest._replace(
            rows=before.rows + more.rows,
            oldest_us=min(before.oldest_us, more.oldest_us),
            lowest=min(before.lowest, more.lowest),
            highest=max(before.highest, more.highest),
        )
    found[sensor_id] = more


def tell(committed: Committed) -> None:
    """Queues it for the subscribers once the open transaction commits; never where it is rolled back."""
    transaction.on_commit(lambda: _put(committed), robust=True)


def _put(committed: Committed) -> None:
    global _teller, _left_out
    while True:
        try:
            _waiting.put_nowait(committed)
            break
        except queue.Full:
            try:
                _waiting.get_nowait()
                _left_out += 1
            except queue.Empty:
                continue
    # Made by whoever tells first: a thread does not outlive the fork of a pool's child.
    if _teller is None or not _teller.is_alive():
        _teller = threading.Thread(target=_tell_for_ever, name="after commit", daemon=True)
        _teller.start()


def _tell_for_ever() -> None:
    global _left_out
    while True:
        committed = _waiting.get()
        if _left_out:
            logger.warning("subscribers are behind: %d batches were not told", _left_out)
            _left_out = 0
        for subscriber, _ in tuple(_subscribers):
            try:
                subscriber(committed)
            except Exception:
                logger.exception("a subscriber failed; the batch %s is stored", committed.batch)
        close_old_connections()
        _waiting.task_done()
