"""Which errors are transient: nothing is wrong with the batch, and it is retried later."""

from billiard.exceptions import SoftTimeLimitExceeded
from django.db import Error, InterfaceError
from redis.exceptions import RedisError

from monitoring.upkeep.partitions import PartitionLeavingError, TooManyPartitionsError

# Connection, transaction state (read-only on a standby), rollback (deadlock), syntax or access (a column
# renamed, a right taken away), resources (disk, memory), object not in the right state (locks), operator
# (shutdown, time-out), system (I/O), configuration file, internal (a corrupt index).
_SQLSTATES = ("08", "25", "40", "42", "53", "55", "57", "58", "F0", "XX")


class BusyError(Exception):
    """Another worker is at this batch, carefully: its advisory lock is taken."""


class AllAlikeError(Exception):
    """Every message of a batch fails in one way: that is taken for a fault around them, not in them."""


_ERRORS = (
    InterfaceError,
    RedisError,
    TooManyPartitionsError,
    PartitionLeavingError,
    SoftTimeLimitExceeded,
    BusyError,
    AllAlikeError,
)


# Transient for this batch alone, or where two transactions meet: the next batch may fare better.
_OF_A_BATCH = (TooManyPartitionsError, PartitionLeavingError, BusyError, AllAlikeError)
_OF_A_MEETING = ("40", "55")


def kind_of(error: BaseException) -> tuple[str, str | None]:
    """Failures of one kind are alike: the exception's name, and PostgreSQL's SQLSTATE or None."""
    return type(error).__name__, getattr(error.__cause__, "pgcode", None)


def is_passing(error: BaseException) -> bool:
    if isinstance(error, _ERRORS):
        return True
    if isinstance(error, Error):
        state = getattr(error.__cause__, "pgcode", None)
        return state is None or state.startswith(_SQLSTATES)
    return isinstance(error, MemoryError | ConnectionError)


def is_in_every_way(error: BaseException) -> bool:
    """Whether it is transient, and no other batch would fare better meanwhile."""
    if isinstance(error, _OF_A_BATCH) or not is_passing(error):
        return False
    state = getattr(error.__cause__, "pgcode", None)
    return state is None or not state.startswith(_OF_A_MEETING)
